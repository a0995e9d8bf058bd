//! CLIXML, as `Export-Clixml` writes it (MS-PSRP section 2.2.5): objects with properties, lists, and what is
//! referred to again. Encrypted strings are passed over.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::export::Object;
use super::tree::{DEPTH_MAX, Item, Member, Node, objects as objects_of};
use crate::line_numbers::LineNumbers;

/// So many objects are kept to be referred to, and so often.
const REFERENCES_MAX: usize = 10_000;

/// What can be referred to.
#[derive(Default)]
struct Known {
    nodes: HashMap<String, Node>,
    used: usize,
}

impl Known {
    fn referred(&mut self, reference: &str) -> Node {
        self.used += 1;
        let node = self
            .nodes
            .get(reference)
            .filter(|_| self.used <= REFERENCES_MAX);
        node.cloned().unwrap_or(Node::Nothing)
    }
}

/// An element that is not closed yet.
struct Open {
    element: String,
    /// The name of the property that it is.
    name: String,
    reference: String,
    line: usize,
    text: String,
    members: Vec<Member>,
    items: Vec<Item>,
    is_list: bool,
}

pub(super) fn objects(file: &str, text: &str) -> Result<Vec<Object>, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let lines = LineNumbers::of(text);
    let mut open: Vec<Open> = Vec::new();
    let mut known = Known::default();
    let mut top = Vec::new();
    loop {
        let before = reader.buffer_position() as usize;
        let wrong = |why: String| format!("{file}:{}: {why}", lines.at(before));
        // What the reader says of it may hold any part of the file.
        let event = reader.read_event();
        match event.map_err(|_| wrong("it is no XML that can be read".to_owned()))? {
            Event::Start(start) => {
                // The tag begins behind the text before it.
                let begin = text
                    .get(before..)
                    .and_then(|rest| rest.find('<'))
                    .unwrap_or(0);
                open.push(opened(&start, lines.at(before + begin)));
                if open.len() > DEPTH_MAX * 2 {
                    return Err(wrong("its values lie too deep in each other".to_owned()));
                }
            }
            Event::Text(part) => {
                if let Some(last) = open.last_mut() {
                    last.text.push_str(&part);
                }
            }
            Event::GeneralRef(part) => {
                if let Some(last) = open.last_mut() {
                    last.text.push('&');
                    last.text.push_str(&part);
                    last.text.push(';');
                }
            }
            Event::CData(part) => {
                if let Some(last) = open.last_mut() {
                    last.text.push_str(&quick_xml::escape::escape(&*part));
                }
            }
            Event::End(_) => {
                let Some(done) = open.pop() else { continue };
                close(done, &mut open, &mut known, &mut top);
            }
            Event::Eof if open.is_empty() => break,
            Event::Eof => return Err(wrong("it ends too early".to_owned())),
            _ => {}
        }
    }
    let first = top.first().map_or(1, |item: &Item| item.line);
    Ok(objects_of(file, first, Node::List(top)))
}

fn opened(start: &BytesStart<'_>, line: usize) -> Open {
    let get = |wanted: &str| {
        let mut attributes = start.attributes();
        let mut attributes = attributes.with_checks(false).flatten();
        let found = attributes.find(|attribute| attribute.key.into_inner() == wanted);
        found
            .map(|attribute| plain(&attribute.value))
            .unwrap_or_default()
    };
    Open {
        element: start.name().local_name().into_inner().to_owned(),
        name: get("N"),
        reference: get("RefId"),
        line,
        text: String::new(),
        members: Vec::new(),
        items: Vec::new(),
        is_list: false,
    }
}

fn close(done: Open, open: &mut [Open], known: &mut Known, top: &mut Vec<Item>) {
    let line = done.line;
    let node = match &*done.element {
        // The head, and names of types.
        "Objs" | "TN" | "T" | "TNRef" => return,
        // Encrypted: nothing of it is kept.
        "SS" => return,
        // What belongs to the object around it.
        "Props" | "MS" => {
            if let Some(outer) = open.last_mut() {
                outer.members.extend(done.members);
            }
            return;
        }
        "LST" | "IE" | "STK" | "QUE" => {
            if let Some(outer) = open.last_mut() {
                outer.items.extend(done.items);
                outer.is_list = true;
            }
            return;
        }
        "Nil" => Node::Nothing,
        "Ref" => known.referred(&done.reference),
        "Obj" if done.is_list => Node::List(done.items),
        "Obj" => Node::Map(done.members),
        "ToString" => {
            if let Some(outer) = open.last_mut() {
                let name = "ToString".to_owned();
                let node = Node::Text(plain(&done.text));
                outer.members.push(Member { name, line, node });
            }
            return;
        }
        _ => Node::Text(plain(&done.text)),
    };
    if done.element == "Obj" && known.nodes.len() < REFERENCES_MAX && is_small(&node) {
        known.nodes.insert(done.reference, node.clone());
    }
    match open.last_mut() {
        Some(outer) if outer.element == "Objs" => top.push(Item { line, node }),
        Some(outer) if done.name.is_empty() => outer.items.push(Item { line, node }),
        Some(outer) => outer.members.push(Member {
            name: done.name,
            line,
            node,
        }),
        None => top.push(Item { line, node }),
    }
}

/// Only values are referred to, not whole objects: copies of copies would have no end.
fn is_small(node: &Node) -> bool {
    let short = |node: &Node| match node {
        Node::Text(text) => text.len() <= SMALL_BYTES_MAX,
        Node::Nothing => true,
        Node::List(_) | Node::Map(_) => false,
    };
    match node {
        Node::List(items) => items.len() <= SMALL_MAX && items.iter().all(|item| short(&item.node)),
        Node::Map(all) => all.len() <= SMALL_MAX && all.iter().all(|one| short(&one.node)),
        node => short(node),
    }
}

/// So many members a small value has, and so many octets each.
const SMALL_MAX: usize = 64;
const SMALL_BYTES_MAX: usize = 256;

/// References to letters, and the `_x000A_` of CLIXML.
fn plain(raw: &str) -> String {
    let text =
        quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), |text| text.into_owned());
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find("_x") {
        let code = rest
            .get(at + 2..at + 6)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let ended = rest.get(at + 6..at + 7) == Some("_");
        match code.filter(|_| ended).and_then(char::from_u32) {
            Some(letter) => {
                plain.push_str(&rest[..at]);
                plain.push(letter);
                rest = &rest[at + 7..];
            }
            None => {
                plain.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">\r\n  <Obj RefId=\"0\">\r\n    <TN RefId=\"0\">\r\n\
        <T>Deserialized.Microsoft.Exchange.Data.Directory.SystemConfiguration.SmtpSendConnectorConfig</T>\r\n    </TN>\r\n    <ToString>Internet</ToString>\r\n\
        <Props>\r\n      <S N=\"Name\">Inter&amp;net_x000A_1</S>\r\n      <B N=\"Enabled\">true</B>\r\n      <Obj N=\"AddressSpaces\" RefId=\"1\">\r\n\
        <TN RefId=\"1\"><T>System.Collections.ArrayList</T></TN>\r\n        <LST>\r\n          <S>SMTP:*;1</S>\r\n          <S>SMTP:a.example;5</S>\r\n        </LST>\r\n      </Obj>\r\n\
        <Nil N=\"Fqdn\" />\r\n      <TS N=\"ConnectionInactivityTimeOut\">PT10M</TS>\r\n      <Obj N=\"AuthenticationCredential\" RefId=\"2\">\r\n\
        <TN RefId=\"2\"><T>System.Management.Automation.PSCredential</T></TN><ToString>System.Management.Automation.PSCredential</ToString>\r\n\
        <Props><S N=\"UserName\">relay</S><SS N=\"Password\">01000000d08c9dd3ss3cret</SS></Props></Obj>\r\n      <Ref N=\"SmartHosts\" RefId=\"1\" />\r\n\
        <Obj N=\"TransportRole\" RefId=\"3\"><TNRef RefId=\"0\" /><ToString>FrontendTransport</ToString><I32>16384</I32></Obj>\r\n    </Props>\r\n    <MS>\r\n      <S N=\"RunspaceId\">1</S>\r\n    </MS>\r\n  </Obj>\r\n</Objs>";

    #[test]
    fn an_object_is_read() {
        let objects = objects("a.xml", ONE).unwrap();
        assert_eq!(objects.len(), 1);
        let one = &objects[0];
        assert_eq!(one.text("Name"), Some("Inter&net\n1"));
        assert_eq!((one.line, one.origin("Enabled").line), (2, 9));
        let spaces = one.get("AddressSpaces").unwrap();
        assert_eq!(
            spaces
                .values
                .iter()
                .map(|value| (&*value.text, value.line))
                .collect::<Vec<_>>(),
            [("SMTP:*;1", 13), ("SMTP:a.example;5", 14)]
        );
        assert_eq!(one.get("SmartHosts").unwrap().values.len(), 2);
        assert_eq!(one.text("AuthenticationCredential"), Some("relay"));
        assert_eq!(one.text("TransportRole"), Some("FrontendTransport"));
        assert!(one.has("Fqdn") && one.has("RunspaceId") && !format!("{one:?}").contains("s3cret"));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let deep = "<Obj>".repeat(10_000);
        for text in ["<Objs>", "<Objs", &deep, "<Objs></Obj>"] {
            assert!(
                objects("x", text).is_err(),
                "{}",
                text.get(..20).unwrap_or(text)
            );
        }
    }

    #[test]
    fn nothing_of_the_file_is_shown_where_it_is_damaged() {
        let damaged = ONE.replace(
            "<TS N=\"ConnectionInactivityTimeOut\">PT10M</TS>",
            "<TS N=\"x\">PT10M</TS \u{1b}[2J",
        );
        let why = objects("x", &damaged).unwrap_err();
        assert!(
            !why.contains("s3cret") && !why.contains('\u{1b}') && why.len() < 60,
            "{why}"
        );
    }

    proptest! {
        #[test]
        fn any_damage_is_borne(at in 0usize..2200, noise in "[<>/=\"&;_xA-Z0-9 ]{0,12}") {
            let mut text = ONE.to_owned();
            if text.is_char_boundary(at) && at < text.len() {
                text.insert_str(at, &noise);
            }
            let _ = objects("x", &text);
        }
    }
}

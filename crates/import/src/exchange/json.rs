//! The output of `ConvertTo-Json`, with the line of each value. Brackets are counted, not followed: no
//! text makes the reader go deep.

use super::export::Object;
use super::tree::{DEPTH_MAX, Item, Member, Node, objects as objects_of};
use crate::line_numbers::LineNumbers;

/// Whether a text begins as JSON does; a prompt, `[PS] C:\>`, does not.
pub(super) fn is_json(begin: &str) -> bool {
    let mut letters = begin.chars().filter(|c| !c.is_whitespace());
    match letters.next() {
        Some('{') => matches!(letters.next(), Some('"' | '}')),
        Some('[') => matches!(letters.next(), Some('{' | '[' | ']' | '"')),
        _ => false,
    }
}

pub(super) fn objects(file: &str, text: &str) -> Result<Vec<Object>, String> {
    let lines = LineNumbers::of(text);
    let mut reader = Reader {
        text,
        at: 0,
        lines: &lines,
    };
    let mut all = Vec::new();
    // The output of several commands may stand in one file.
    while reader.skip_blanks().is_some() {
        let line = reader.line();
        let node = reader
            .value()
            .map_err(|why| format!("{file}:{}: {why}", reader.line()))?;
        all.extend(objects_of(file, line, node));
    }
    Ok(all)
}

/// What is not closed yet.
enum Open {
    List(usize, Vec<Item>),
    Map(usize, Vec<Member>, String, usize),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: &'a LineNumbers,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn line(&self) -> usize {
        self.lines.at(self.at)
    }

    /// The next letter that is no blank, which stays where it is.
    fn skip_blanks(&mut self) -> Option<char> {
        let rest = self.rest();
        let begin = rest.trim_start();
        let letter = begin.chars().next();
        self.at += rest.len() - begin.len();
        letter
    }

    fn take(&mut self, letter: char) -> bool {
        let found = self.skip_blanks() == Some(letter);
        if found {
            self.at += letter.len_utf8();
        }
        found
    }

    fn value(&mut self) -> Result<Node, String> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let begun = match self.skip_blanks().ok_or("it ends too early")? {
                '{' => {
                    let line = self.line();
                    self.at += 1;
                    match self.take('}') {
                        true => Some(Node::Map(Vec::new())),
                        false => {
                            let (name, at) = self.name()?;
                            open.push(Open::Map(line, Vec::new(), name, at));
                            None
                        }
                    }
                }
                '[' => {
                    let line = self.line();
                    self.at += 1;
                    match self.take(']') {
                        true => Some(Node::List(Vec::new())),
                        false => {
                            open.push(Open::List(line, Vec::new()));
                            None
                        }
                    }
                }
                '"' => Some(Node::Text(self.string()?)),
                _ => Some(self.word()?),
            };
            if open.len() > DEPTH_MAX {
                return Err("its values lie too deep in each other".to_owned());
            }
            if let Some(node) = begun
                && let Some(whole) = self.put(node, &mut open)?
            {
                return Ok(whole);
            }
        }
    }

    /// Puts a value where it belongs, and closes what ends behind it; gives what stands at the top.
    fn put(&mut self, node: Node, open: &mut Vec<Open>) -> Result<Option<Node>, String> {
        let mut node = node;
        loop {
            let line = self.line();
            match open.pop() {
                None => return Ok(Some(node)),
                Some(Open::List(begun, mut items)) => {
                    items.push(Item {
                        line: node_line(&node, line),
                        node,
                    });
                    if self.take(',') {
                        open.push(Open::List(begun, items));
                        return Ok(None);
                    }
                    if !self.take(']') {
                        return Err("no comma, and no end of a list".to_owned());
                    }
                    node = Node::List(items);
                }
                Some(Open::Map(begun, mut members, name, at)) => {
                    members.push(Member {
                        name,
                        line: at,
                        node,
                    });
                    if self.take(',') {
                        let (name, at) = self.name()?;
                        open.push(Open::Map(begun, members, name, at));
                        return Ok(None);
                    }
                    if !self.take('}') {
                        return Err("no comma, and no end of an object".to_owned());
                    }
                    node = Node::Map(members);
                }
            }
        }
    }

    /// `"name":`
    fn name(&mut self) -> Result<(String, usize), String> {
        if self.skip_blanks() != Some('"') {
            return Err("a name is missing".to_owned());
        }
        let line = self.line();
        let name = self.string()?;
        match self.take(':') {
            true => Ok((name, line)),
            false => Err("no colon behind a name".to_owned()),
        }
    }

    /// A string, at its first quote.
    fn string(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let mut text = String::new();
        let mut letters = rest.char_indices().skip(1);
        let end = loop {
            let (at, letter) = letters.next().ok_or("a string without an end")?;
            match letter {
                '"' => break at + 1,
                '\\' => match letters.next().ok_or("a string without an end")?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' | 'f' => {}
                    'u' => {
                        let digits: String = letters.by_ref().take(4).map(|(_, c)| c).collect();
                        let unit = u32::from_str_radix(&digits, 16)
                            .map_err(|_| "no \\u with four digits")?;
                        text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    other => text.push(other),
                },
                letter => text.push(letter),
            }
        };
        self.at += end;
        Ok(text)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Node, String> {
        let rest = self.rest();
        let is_word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or("").to_owned();
        if word.is_empty() {
            return Err("a value is missing".to_owned());
        }
        self.at += end;
        Ok(match &*word {
            "null" => Node::Nothing,
            _ => Node::Text(word),
        })
    }
}

/// Where a value begins: an object with its first member, everything else where it was read.
fn node_line(node: &Node, line: usize) -> usize {
    match node {
        Node::Map(members) => members.first().map_or(line, |member| member.line),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_are_read_with_their_lines() {
        let text = "[\r\n    {\r\n        \"Name\":  \"Default \\u0026 \\\"x\\\"\",\r\n        \"Enabled\":  true,\r\n        \"Banner\":  null,\r\n\
            \"Bindings\":  [\r\n  \"[::]:25\",\r\n {\"Address\":{\"IPAddressToString\":\"0.0.0.0\"},\"Port\":25}\r\n ],\r\n\
            \"MaxMessageSize\": {\"IsUnlimited\":false,\"Value\":\"36 MB (37,748,736 bytes)\"},\r\n \"ConnectionTimeout\": {\"Ticks\":6000000000,\"Days\":0},\r\n\
            \"TlsDomainCapabilities\": [],\r\n \"AuthenticationCredential\": {\"Password\":{\"Length\":6},\"UserName\":\"relay\"}\r\n    },\r\n {\"Name\": 7}\r\n]\r\n";
        assert!(is_json(text) && !is_json("[PS] C:\\>"));
        let objects = objects("a.json", text).unwrap();
        assert_eq!(objects.len(), 2);
        let one = &objects[0];
        assert_eq!(one.name(), "Default & \"x\"");
        assert_eq!((one.line, one.flag("enabled")), (3, Some(true)));
        let binds: Vec<_> = one.items("Bindings");
        assert_eq!(
            binds,
            [("[::]:25".to_owned(), 7), ("0.0.0.0:25".to_owned(), 8)]
        );
        assert_eq!(one.text("MaxMessageSize"), Some("36 MB (37,748,736 bytes)"));
        assert_eq!(one.text("ConnectionTimeout"), Some("PT600S"));
        assert_eq!(one.text("AuthenticationCredential"), Some("relay"));
        assert_eq!(one.text("Banner"), None);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            &*deep,
            "{",
            "[1",
            "{\"a\"",
            "{\"a\":",
            "[1 2]",
            "{\"a\":\"\\u12\"}",
            "{\"a\":1,}",
        ] {
            assert!(
                objects("x", text).is_err(),
                "{}",
                text.get(..20).unwrap_or(text)
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\\[\\]{}\",:\\\\u0-9a-f ü\n]{0,80}") {
            let _ = objects("x", &text);
        }
    }
}

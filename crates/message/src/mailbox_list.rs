use mail::Mailbox;

/// One of the mailboxes in a From field (RFC 5322 section 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// As it was written, without blanks around it.
    pub raw: &'a [u8],
    /// The display name, as it was written.
    pub name: Option<&'a [u8]>,
    /// Where there is no display name: the comment behind the address, with its parentheses, by
    /// which old programs give the name (RFC 5322 appendix A.5).
    pub comment: Option<&'a [u8]>,
    /// The address; `None` where it is none.
    pub mailbox: Option<Mailbox>,
}

/// The mailboxes of a list, those in its groups included. Whatever the octets, there is an answer:
/// what cannot be read has no address.
pub(crate) fn entries(value: &[u8]) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut item = Item::at(0);
    let mut scan = Scan::default();
    for (at, octet) in value.iter().enumerate() {
        let outside = scan.is_outside();
        scan.push(*octet);
        match octet {
            b',' | b';' if outside => {
                found.extend(item.entry(value, at));
                item = Item::at(at + 1);
            }
            // The name of a group is nobody's.
            b':' if outside => item = Item::at(at + 1),
            b'<' if outside => item.angle = Some((at, None)),
            b'>' if scan.is_outside() && !outside => {
                if let Some((_, end @ None)) = &mut item.angle {
                    *end = Some(at);
                }
            }
            b'(' if outside && item.comment.is_none() => item.comment = Some((at, value.len())),
            b')' if scan.is_outside() && !outside => {
                if let Some((begin, end)) = &mut item.comment
                    && *end == value.len()
                {
                    *end = (at + 1).max(*begin);
                }
            }
            _ => {}
        }
    }
    found.extend(item.entry(value, value.len()));
    found
}

/// Where in a list a scan stands: within quotes, angle brackets, comments or an address literal
/// nothing divides it.
#[derive(Debug, Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comments: u32,
    angle: bool,
    literal: bool,
}

impl Scan {
    fn is_outside(&self) -> bool {
        !self.quoted && !self.angle && !self.literal && self.comments == 0
    }

    fn push(&mut self, octet: u8) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        let in_comment = self.comments > 0;
        match octet {
            b'\\' if self.quoted || in_comment || self.literal => self.escaped = true,
            b'"' if !in_comment && !self.literal => self.quoted = !self.quoted,
            _ if self.quoted => {}
            b'(' if !self.literal => self.comments += 1,
            b')' if in_comment => self.comments -= 1,
            _ if in_comment => {}
            b'[' => self.literal = true,
            b']' => self.literal = false,
            b'<' => self.angle = true,
            b'>' => self.angle = false,
            _ => {}
        }
    }
}

/// What was seen of one mailbox, by the places of its parts.
struct Item {
    begin: usize,
    angle: Option<(usize, Option<usize>)>,
    comment: Option<(usize, usize)>,
}

impl Item {
    fn at(begin: usize) -> Self {
        Self {
            begin,
            angle: None,
            comment: None,
        }
    }

    /// The mailbox that ends before `end`; `None` where nothing is written.
    fn entry<'a>(&self, value: &'a [u8], end: usize) -> Option<Entry<'a>> {
        let raw = value[self.begin..end].trim_ascii();
        if raw.is_empty() {
            return None;
        }
        if let Some((open, close)) = self.angle {
            let name = value[self.begin..open].trim_ascii();
            let address = &value[open + 1..close.unwrap_or(end)];
            return Some(Entry {
                raw,
                name: (!name.is_empty()).then_some(name),
                comment: None,
                mailbox: mailbox(address),
            });
        }
        let comment = self
            .comment
            .map(|(open, close)| &value[open..close.min(end)]);
        let address = match self.comment {
            // One may stand before the address too.
            Some((open, close)) => [&value[self.begin..open], &value[close.min(end)..end]].concat(),
            None => raw.to_vec(),
        };
        Some(Entry {
            raw,
            name: None,
            comment,
            mailbox: mailbox(&address),
        })
    }
}

fn mailbox(address: &[u8]) -> Option<Mailbox> {
    let text = std::str::from_utf8(address.trim_ascii()).ok()?;
    Mailbox::parse_recipient(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Vec<String> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let line = |entry: Entry<'_>| {
            let mailbox = entry
                .mailbox
                .map_or_else(|| "-".to_owned(), |m| m.to_string());
            let name = entry.name.or(entry.comment).map_or_else(String::new, text);
            format!("{name}|{mailbox}")
        };
        entries(value.as_bytes()).into_iter().map(line).collect()
    }

    #[test]
    fn mailboxes_are_found_however_they_are_written() {
        for (value, expected) in [
            ("ann@a.test", &["|ann@a.test"][..]),
            (" <ann@a.test>\r\n", &["|ann@a.test"]),
            (
                "Ann <ann@a.test>, Bob <bob@b.test>",
                &["Ann|ann@a.test", "Bob|bob@b.test"],
            ),
            (
                "\"Ann, (A) <x@y>\" <ann@a.test>",
                &["\"Ann, (A) <x@y>\"|ann@a.test"],
            ),
            ("\"a\\\", b\" <ann@a.test>", &["\"a\\\", b\"|ann@a.test"]),
            ("ann@a.test (Ann, of (us))", &["(Ann, of (us))|ann@a.test"]),
            ("(Ann) ann@a.test", &["(Ann)|ann@a.test"]),
            (
                "Team: a@a.test, B <b@b.test>;, c@c.test",
                &["|a@a.test", "B|b@b.test", "|c@c.test"],
            ),
            ("Nobody:;", &[]),
            ("printer", &["|-"]),
            ("Printer <>", &["Printer|-"]),
            ("Printer <printer", &["Printer|-"]),
            (
                "Scan [2:1], hall <s@[10.0.0.5]>",
                &["|-", "hall|s@[10.0.0.5]"],
            ),
            (
                "=?utf-8?Q?K=C3=BCche?=\r\n <k@k.test>",
                &["=?utf-8?Q?K=C3=BCche?=|k@k.test"],
            ),
            ("<@relay.test,@b.test:ann@a.test>", &["|-"]),
            ("", &[]),
            (" , ,", &[]),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(value in "[a-c@<>():;,\"\\\\\\[\\] \\r\\n]{0,40}") {
            entries(value.as_bytes());
        }
    }
}

use mail::Mailbox;

/// One of the mailboxes in a field, or in another list of addresses (RFC 5322 section 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMailbox<'a> {
    /// As it was written, without blanks around it.
    pub raw: &'a [u8],
    /// The display name, as it was written.
    pub name: Option<&'a [u8]>,
    /// Where there is no display name: the comment beside the address, with its parentheses, by
    /// which old programs give the name (RFC 5322 appendix A.5).
    pub comment: Option<&'a [u8]>,
    /// What stands where the address belongs, without comments, and without a route in front of it
    /// (RFC 5322 section 4.4). It need not be one.
    pub address: String,
    /// Whether what was written may stand in another field as it is: all that was opened is closed,
    /// and nothing stands where the grammar has no place for it.
    pub is_sound: bool,
}

impl ListedMailbox<'_> {
    /// The address, if it is one.
    pub fn mailbox(&self) -> Option<Mailbox> {
        Mailbox::parse_recipient(&self.address).ok()
    }
}

/// The mailboxes of a list, those in its groups included. Whatever the octets, there is an answer.
pub fn listed_mailboxes(value: &[u8]) -> Vec<ListedMailbox<'_>> {
    let mut found = Vec::new();
    let mut item = Item::at(0);
    let mut place = Place::Text;
    let mut escaped = false;
    for (at, octet) in value.iter().copied().enumerate() {
        let after = at + 1;
        // RFC 5322 section 2.2: fields hold no control characters but those of folding.
        item.is_sound &= !octet.is_ascii_control() || b"\r\n\t".contains(&octet);
        place = match (place, octet) {
            _ if std::mem::take(&mut escaped) => place.keep(octet, &mut item),
            (Place::Quotes | Place::Literal | Place::Comment(_), b'\\') => {
                escaped = true;
                place.keep(octet, &mut item)
            }
            (Place::Comment(1), b')') => {
                item.end_comment(after);
                Place::Text
            }
            (Place::Comment(depth), b')') => Place::Comment(depth - 1),
            (Place::Comment(depth), b'(') => Place::Comment(depth + 1),
            (Place::Quotes, b'"') | (Place::Literal, b']') => {
                place.keep(octet, &mut item);
                Place::Text
            }
            (Place::Quotes | Place::Literal | Place::Comment(_), _) => place.keep(octet, &mut item),
            (Place::Text, b',' | b';') if item.angle != Angle::Open => {
                found.extend(item.entry(value, at, true));
                item = Item::at(after);
                Place::Text
            }
            // The name of a group is nobody's.
            (Place::Text, b':') if item.angle != Angle::Open => {
                item = Item::at(after);
                Place::Text
            }
            (Place::Text, _) => item.in_text(octet, at),
        };
    }
    found.extend(item.entry(value, value.len(), place == Place::Text));
    found
}

/// Where in a list an octet stands. Within quotes, comments and address literals nothing divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Quotes,
    Literal,
    /// So many comments deep.
    Comment(u32),
}

impl Place {
    /// An octet that changes nothing. Those of comments are part of no address.
    fn keep(self, octet: u8, item: &mut Item) -> Self {
        if !matches!(self, Self::Comment(_)) {
            item.push(octet);
        }
        self
    }
}

/// How far an item is with its angle brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Angle {
    None,
    Open,
    Closed,
}

/// What was seen of one mailbox.
struct Item {
    begin: usize,
    angle: Angle,
    /// Where the display name ends.
    name_end: usize,
    /// What may be the address, so far.
    address: Vec<u8>,
    has_literal: bool,
    /// The first comment outside of angle brackets: from where to where.
    comment: Option<(usize, Option<usize>)>,
    is_sound: bool,
}

impl Item {
    fn at(begin: usize) -> Self {
        Self {
            begin,
            angle: Angle::None,
            name_end: begin,
            address: Vec::new(),
            has_literal: false,
            comment: None,
            is_sound: true,
        }
    }

    fn push(&mut self, octet: u8) {
        match self.angle {
            Angle::None | Angle::Open => self.address.push(octet),
            // Nothing but comments has a place behind the address.
            Angle::Closed => self.is_sound &= octet.is_ascii_whitespace(),
        }
    }

    fn in_text(&mut self, octet: u8, at: usize) -> Place {
        match octet {
            b'(' => {
                if self.angle != Angle::Open {
                    self.comment.get_or_insert((at, None));
                }
                return Place::Comment(1);
            }
            b'<' => {
                self.is_sound &= self.angle == Angle::None && self.is_phrase();
                self.angle = Angle::Open;
                self.name_end = at;
                self.address.clear();
            }
            b'>' => {
                self.is_sound &= self.angle == Angle::Open;
                self.angle = Angle::Closed;
            }
            // What stood before it was a route.
            b':' => self.address.clear(),
            b'"' => {
                self.push(octet);
                return Place::Quotes;
            }
            b'[' => {
                self.push(octet);
                self.has_literal = true;
                return Place::Literal;
            }
            _ => {
                self.is_sound &= !b")]\\".contains(&octet);
                self.push(octet);
            }
        }
        Place::Text
    }

    /// Whether what stands before the angle brackets is a display name: words and dots, of which no
    /// dot comes first (RFC 5322 section 4.1). An `@`, which programs write there all the same, is
    /// taken out before the name goes anywhere.
    fn is_phrase(&self) -> bool {
        let mut octets = self.address.iter();
        let first = octets.find(|octet| !octet.is_ascii_whitespace() && **octet != b'@');
        !self.has_literal && first != Some(&b'.')
    }

    fn end_comment(&mut self, after: usize) {
        if let Some((_, end @ None)) = &mut self.comment {
            *end = Some(after);
        }
    }

    /// The mailbox that ends before `end`; `None` where nothing is written. `is_closed` says that no
    /// quotes, comments and literals are open there.
    fn entry<'a>(&self, value: &'a [u8], end: usize, is_closed: bool) -> Option<ListedMailbox<'a>> {
        let raw = value[self.begin..end].trim_ascii();
        if raw.is_empty() {
            return None;
        }
        let is_bare = self.angle == Angle::None;
        let name = value[self.begin..self.name_end].trim_ascii();
        let comment = self.comment.filter(|_| is_bare);
        Some(ListedMailbox {
            raw,
            name: (!name.is_empty()).then_some(name),
            comment: comment.map(|(open, close)| &value[open..close.unwrap_or(end)]),
            address: String::from_utf8_lossy(self.address.trim_ascii()).into_owned(),
            is_sound: self.is_sound && is_closed && self.angle != Angle::Open,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Vec<String> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let line = |entry: ListedMailbox<'_>| {
            let mailbox = entry
                .mailbox()
                .map_or_else(|| "-".to_owned(), |m| m.to_string());
            let name = entry.name.or(entry.comment).map_or_else(String::new, text);
            format!("{name}|{mailbox}")
        };
        listed_mailboxes(value.as_bytes())
            .into_iter()
            .map(line)
            .collect()
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
            ("<@relay.test,@b.test:ann@a.test>", &["|ann@a.test"]),
            ("<ann(who?)@a.test>", &["|ann@a.test"]),
            ("", &[]),
            (" , ,", &[]),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn the_text_of_an_address_need_not_be_one() {
        let cases: &[(&str, &[&str])] = &[
            ("root", &["root"]),
            ("bob@x,carl@x", &["bob@x", "carl@x"]),
            ("bob@b.test (Bob (the \\) builder))", &["bob@b.test"]),
            (
                "\"a b\"@b.test, x@[IPv6:::1]",
                &["\"a b\"@b.test", "x@[IPv6:::1]"],
            ),
            ("bob smith", &["bob smith"]),
            ("<>", &[""]),
            ("Bob <bob@b.test", &["bob@b.test"]),
            ("<a,b@b.test>", &["a,b@b.test"]),
        ];
        for (list, expected) in cases {
            let found = listed_mailboxes(list.as_bytes()).into_iter();
            let texts: Vec<String> = found.map(|entry| entry.address).collect();
            assert_eq!(texts, *expected, "{list}");
        }
    }

    #[test]
    fn only_what_follows_the_grammar_is_sound() {
        for (value, sound) in [
            ("Ann <ann@a.test>", true),
            ("\"Ann, (A) <x@y>\" (us) <ann@a.test> (home)", true),
            ("J. R. (\\() <j@a.test>", true),
            ("Ann@home <ann@a.test>", true),
            ("x@[10.0.0.5]", true),
            ("(Ann <ann@a.test>", false),
            ("\"Ann <ann@a.test>", false),
            ("Ann) <ann@a.test>", false),
            ("Ann > <ann@a.test>", false),
            ("Ann < <ann@a.test>", false),
            ("Ann <ann@a.test", false),
            ("Ann [2] <ann@a.test>", false),
            ("Ann\\ <ann@a.test>", false),
            (". Ann <ann@a.test>", false),
            ("@. Ann <ann@a.test>", false),
            ("Ann <ann@a.test> us", false),
            ("Ann \u{7} <ann@a.test>", false),
            ("ann@a.test (Ann", false),
        ] {
            let found = listed_mailboxes(value.as_bytes());
            assert_eq!(found.iter().all(|entry| entry.is_sound), sound, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(value in "[a-c@<>():;,\"\\\\\\[\\] \\r\\n]{0,40}") {
            listed_mailboxes(value.as_bytes());
        }
    }
}

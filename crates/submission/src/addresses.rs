//! The addresses in a field (RFC 5322 section 3.4), or in an argument of `sendmail`.

/// Gives each address of a list as it stands there, without names, comments and groups.
///
/// Takes what the obsolete grammar allows as well: empty places in the list, a route in front of an
/// address (RFC 5322 section 4.4). What makes no sense comes out as it is, and is no address then.
pub(crate) fn addresses(list: &str) -> Vec<String> {
    let mut found = Found::default();
    let mut text = list.chars();
    let mut place = Place::Text;
    while let Some(c) = text.next() {
        place = match (place, c) {
            (Place::Comment(depth), '\\') => {
                text.next();
                Place::Comment(depth)
            }
            (Place::Comment(depth), '(') => Place::Comment(depth + 1),
            (Place::Comment(0), ')') => Place::Text,
            (Place::Comment(depth), ')') => Place::Comment(depth - 1),
            (Place::Comment(depth), _) => Place::Comment(depth),
            (Place::Quotes, '\\') => {
                found.push(c);
                text.next().into_iter().for_each(|c| found.push(c));
                Place::Quotes
            }
            (Place::Quotes, _) => {
                found.push(c);
                if c == '"' { Place::Text } else { Place::Quotes }
            }
            (Place::Literal, _) => {
                found.push(c);
                if c == ']' {
                    Place::Text
                } else {
                    Place::Literal
                }
            }
            (Place::Text, _) => found.in_text(c),
        };
    }
    found.end();
    found.addresses
}

/// Where in the list a character stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Text,
    Quotes,
    Literal,
    /// So many comments deep, the outermost not counted.
    Comment(usize),
}

/// What was read of the list.
#[derive(Default)]
struct Found {
    addresses: Vec<String>,
    /// The present place of the list, outside of angle brackets: an address, or a name.
    bare: String,
    /// What stands in angle brackets.
    angle: Option<String>,
    /// Within them.
    in_angle: bool,
}

impl Found {
    fn push(&mut self, c: char) {
        match &mut self.angle {
            Some(angle) if self.in_angle => angle.push(c),
            // A name behind the address.
            Some(_) => {}
            None => self.bare.push(c),
        }
    }

    fn in_text(&mut self, c: char) -> Place {
        match c {
            '(' => return Place::Comment(0),
            '"' | '[' => {
                self.push(c);
                return if c == '"' {
                    Place::Quotes
                } else {
                    Place::Literal
                };
            }
            '<' => {
                self.in_angle = true;
                self.angle = Some(String::new());
            }
            '>' => self.in_angle = false,
            // What stood before it was a route, or the name of a group.
            ':' if self.in_angle => self.angle = Some(String::new()),
            ':' => self.bare.clear(),
            ',' | ';' if !self.in_angle => self.end(),
            _ => self.push(c),
        }
        Place::Text
    }

    fn end(&mut self) {
        self.in_angle = false;
        let bare = std::mem::take(&mut self.bare);
        let address = self.angle.take().unwrap_or(bare);
        let address = address.trim();
        if !address.is_empty() {
            self.addresses.push(address.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_found_behind_names_comments_and_groups() {
        let cases: &[(&str, &[&str])] = &[
            ("bob@b.test", &["bob@b.test"]),
            ("root", &["root"]),
            ("bob@x,carl@x", &["bob@x", "carl@x"]),
            (
                "\"Smith, John\" <js@b.test>, Ann <ann@b.test> (a, b)",
                &["js@b.test", "ann@b.test"],
            ),
            (
                "Team: a@b.test, c@b.test;, d@b.test",
                &["a@b.test", "c@b.test", "d@b.test"],
            ),
            ("undisclosed-recipients:;", &[]),
            (",, a@b.test ,", &["a@b.test"]),
            ("bob@b.test (Bob (the \\) builder))", &["bob@b.test"]),
            ("<@relay.test,@other.test:bob@b.test>", &["bob@b.test"]),
            (
                "\"a b\"@b.test, x@[IPv6:::1]",
                &["\"a b\"@b.test", "x@[IPv6:::1]"],
            ),
            ("=?utf-8?q?J=C3=BCrgen?= <j@b.test>", &["j@b.test"]),
            ("bob smith", &["bob smith"]),
            ("<>", &[]),
            ("Bob <bob@b.test", &["bob@b.test"]),
            ("<a,b@b.test>", &["a,b@b.test"]),
        ];
        for (list, expected) in cases {
            assert_eq!(addresses(list), *expected, "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(list in "[a@<>()\\[\\]\",;:\\\\ é]{0,60}") {
            addresses(&list);
        }
    }
}

use std::ops::Range;

/// Tags looked at in one list; signatures and keys have a dozen, and each is compared with the
/// others.
const TAGS_MAX: usize = 64;

/// A list of `tag=value` (RFC 6376 section 3.2), as a signature and a key are written.
///
/// A list in which a tag stands twice counts for nothing, as nobody knows which of the two would.
/// Nothing between two semicolons, which the standard does not have, is nothing.
#[derive(Debug)]
pub(crate) struct TagList<'a> {
    text: &'a [u8],
    tags: Vec<Tag<'a>>,
}

#[derive(Debug)]
struct Tag<'a> {
    /// Case counts.
    name: &'a [u8],
    /// Where its value stands, with the blanks around it.
    value: Range<usize>,
}

impl<'a> TagList<'a> {
    /// Reads a list, which may be folded; `None` where it is none.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut tags: Vec<Tag> = Vec::new();
        let mut start = 0;
        for spec in text.split(|b| *b == b';') {
            let end = start + spec.len();
            if !trimmed(spec).is_empty() {
                let tag = tag(spec, start)?;
                if tags.len() == TAGS_MAX || tags.iter().any(|known| known.name == tag.name) {
                    return None;
                }
                tags.push(tag);
            }
            start = end + 1;
        }
        Some(Self { text, tags })
    }

    /// Where the value of a tag stands in the text, with the blanks around it.
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        let tag = self.tags.iter().find(|tag| tag.name == name.as_bytes())?;
        Some(tag.value.clone())
    }

    /// The value of a tag, without the blanks around it.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.place(name).map(|place| trimmed(&self.text[place]))
    }

    /// The parts of a value between colons, without the blanks around them.
    pub fn parts(&self, name: &str) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        self.value(name).map(parts)
    }
}

/// The parts of a value between colons, without the blanks around them.
pub(crate) fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b':').map(trimmed)
}

fn tag(spec: &[u8], start: usize) -> Option<Tag<'_>> {
    let equals = memchr::memchr(b'=', spec)?;
    let (name, value) = (trimmed(&spec[..equals]), &spec[equals + 1..]);
    let (first, rest) = name.split_first()?;
    let is_name =
        first.is_ascii_alphabetic() && rest.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    // Octets over 127 are names and mailboxes beyond ASCII (RFC 8616).
    let is_value = value
        .iter()
        .all(|b| b.is_ascii_graphic() || is_blank(*b) || *b >= 0x80);
    let place = start + equals + 1..start + spec.len();
    (is_name && is_value).then_some(Tag { name, value: place })
}

/// Blanks and what folds lines.
pub(crate) fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the blanks around it.
pub(crate) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_folded_and_keeps_where_its_values_stand() {
        let text = b" v = 1 ;\r\n\tb=ab\r\n\t cd ; bh=x=y; i=\xc3\xbc@x; ";
        let list = TagList::parse(text).expect("a list");
        assert_eq!(list.value("v"), Some(&b"1"[..]));
        assert_eq!(list.value("bh"), Some(&b"x=y"[..]));
        assert_eq!(list.value("B"), None, "case counts");
        let place = list.place("b").expect("there");
        assert_eq!(&text[place], b"ab\r\n\t cd ");
        let list = TagList::parse(b"h=a : b:\r\n c").expect("a list");
        let parts: Vec<_> = list.parts("h").into_iter().flatten().collect();
        assert_eq!(parts, [b"a", b"b", b"c"]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let many: String = (0..=TAGS_MAX).map(|n| format!("t{n}=;")).collect();
        let wrong: [&[u8]; 7] = [
            b"v=1; v=1",
            b"v",
            b"=1",
            b"1a=1",
            b"a b=1",
            b"a=\x07",
            many.as_bytes(),
        ];
        for text in wrong {
            assert!(TagList::parse(text).is_none(), "{}", text.escape_ascii());
        }
        assert!(TagList::parse(b"").is_some());
        assert!(TagList::parse(b"a=1;;b=2;").is_some());
    }
}

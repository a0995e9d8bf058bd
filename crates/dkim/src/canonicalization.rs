use memchr::memchr3;

/// What a signature overlooks: how header or body are written before they are hashed (RFC 6376
/// section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canonicalization {
    /// Nearly nothing.
    Simple,
    /// How white space is written, and names' case.
    Relaxed,
}

impl Canonicalization {
    /// As `c=` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        [Self::Simple, Self::Relaxed]
            .into_iter()
            .find(|known| text.eq_ignore_ascii_case(known.as_str().as_bytes()))
    }
}

/// Writes a field in the relaxed form, without the line end (RFC 6376 section 3.4.2): the name in
/// lower case, the value on one line, white space as one blank and none at the ends.
pub(crate) fn relax(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    relax_text(value, out);
}

/// Writes text that may be folded on one line, white space as one blank and none at the ends.
fn relax_text(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let (mut rest, mut blank) = (text, false);
    while !rest.is_empty() {
        // A LF is only where a line ends: the field would have ended there, were it not folded.
        let end = memchr3(b' ', b'\t', b'\n', rest).unwrap_or(rest.len());
        let mut word = &rest[..end];
        if rest.get(end) == Some(&b'\n') {
            word = word.strip_suffix(b"\r").unwrap_or(word);
        }
        if !word.is_empty() {
            if blank && out.len() > start {
                out.push(b' ');
            }
            out.extend(word);
            blank = false;
        }
        blank |= rest.get(end).is_some_and(|b| *b != b'\n');
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxed_fields_are_those_of_the_standard() {
        let table: [(&[u8], &[u8], &[u8]); 8] = [
            (b"A", b" X\r\n", b"a:X"),
            (b"B", b" Y\t\r\n\tZ  \r\n", b"b:Y Z"),
            (b"SubjecT", b"a\r\n b\r\n", b"subject:a b"),
            (b"s", b"a\r\n\r\n", b"s:a"),
            (b"s", b" \r\n \r\n", b"s:"),
            (b"s", b" a\rb \r c\r\n", b"s:a\rb \r c"),
            (b"s", b"a", b"s:a"),
            (b"s", b"\xfc \xfc\n", b"s:\xfc \xfc"),
        ];
        for (name, value, expected) in table {
            let mut out = Vec::new();
            relax(name, value, &mut out);
            assert_eq!(out, expected, "{}", value.escape_ascii());
        }
    }
}

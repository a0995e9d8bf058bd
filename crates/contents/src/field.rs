//! Header fields (RFC 5322 section 2.2), and what is written in them: encoded words (RFC 2047).

use std::ops::Range;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;

use crate::octets::Octets;

/// A header field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name as it is written.
    pub name: String,
    /// Its value, unfolded and decoded.
    pub value: String,
}

/// A field as it stands among the octets of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawField {
    pub which: Which,
    pub name: Range<usize>,
    /// What follows the colon, with its line ends.
    pub value: Range<usize>,
}

/// Which field it is, of those that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    ContentType,
    TransferEncoding,
    Disposition,
    /// Another one that says what a part is: all such fields begin alike (RFC 2045 section 9).
    OtherOfMime,
    MimeVersion,
    Subject,
    Other,
}

impl Which {
    fn named(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let is_of_mime = || {
            let start = name.get(..8);
            start.is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
        };
        match () {
            () if is("content-type") => Self::ContentType,
            () if is("content-transfer-encoding") => Self::TransferEncoding,
            () if is("content-disposition") => Self::Disposition,
            () if is_of_mime() => Self::OtherOfMime,
            () if is("mime-version") => Self::MimeVersion,
            () if is("subject") => Self::Subject,
            () => Self::Other,
        }
    }
}

impl RawField {
    /// What `line`, which begins with `text`, begins, if it is a field.
    ///
    /// Blanks between name and colon are obsolete (RFC 5322 section 4.5), and still read by all.
    pub(crate) fn at(text: &[u8], line: Range<usize>) -> Option<Self> {
        let colon = memchr::memchr(b':', text)?;
        let name = text[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let start = line.start;
        Some(Self {
            which: Which::named(name),
            name: start..start + name.len(),
            value: start + colon + 1..line.end,
        })
    }

    /// Whether it says what a part is.
    pub(crate) fn is_of_mime(&self) -> bool {
        use Which::*;
        matches!(
            self.which,
            ContentType | TransferEncoding | Disposition | OtherOfMime
        )
    }

    pub(crate) fn read(&self, message: &dyn Octets) -> Field {
        Field {
            name: String::from_utf8_lossy(&message.copy(self.name.clone())).into_owned(),
            value: decoded(&message.copy(self.value.clone())),
        }
    }
}

/// Words are decoded in values up to this size: nobody reads a longer one, and a decoder may go over
/// it many times.
const VALUE_MAX: usize = 16 * 1024;

/// A value unfolded, its encoded words decoded (RFC 2047).
pub fn decoded(value: &[u8]) -> String {
    if value.len() > VALUE_MAX {
        let unfolded: Vec<u8> = value
            .iter()
            .copied()
            .filter(|octet| !matches!(octet, b'\r' | b'\n'))
            .collect();
        return String::from_utf8_lossy(&unfolded).trim().to_owned();
    }
    // The library reads a value up to a line end, and no further than a line that is not folded.
    let mut line: Vec<u8> = Vec::with_capacity(value.len() + 1);
    line.extend(value.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')));
    line.push(b'\n');
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => text.trim().to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded() {
        let table = [
            (" plain \r\n text\r\n", "plain  text"),
            ("=?utf-8?q?caf=C3=A9?=", "café"),
            ("=?utf-8?b?aGVs?=\r\n =?utf-8?b?bG8=?=", "hello"),
            (
                "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= and more",
                "日本 and more",
            ),
            ("=?nonsense", "=?nonsense"),
            ("", ""),
        ];
        for (value, text) in table {
            assert_eq!(decoded(value.as_bytes()), text, "{value}");
        }
    }

    #[test]
    fn a_line_is_a_field_by_its_name() {
        let field = |line: &str| RawField::at(line.as_bytes(), 0..line.len());
        assert!(field("Subject : x").is_some_and(|field| field.which == Which::Subject));
        assert!(field("content-X: x").is_some_and(|field| field.is_of_mime()));
        assert_eq!(field("two words: x"), None);
        assert_eq!(field(": x"), None);
        assert_eq!(field("no colon"), None);
    }
}

//! The header of a message as a program wrote it, field by field.

use message::HeaderScan;

/// Some programs put it before all text that they write in UTF-8. No field begins with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The header of a message, with its fields in order.
#[derive(Debug)]
pub struct Header<'a> {
    fields: Vec<Field<'a>>,
    /// Octets of the message that it takes, without the empty line behind it.
    len: usize,
}

/// One field with its continuations, as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    text: &'a [u8],
}

impl<'a> Header<'a> {
    /// Whether `start`, the beginning of a message, holds the header whole.
    pub fn is_whole(start: &[u8]) -> bool {
        scan(unmarked(start)).has_ended()
    }

    /// The header at the beginning of a message, which ends with the message at the latest. A last
    /// line that is no field so far is text. A byte order mark, and a line `From `, by which
    /// messages begin in mailbox files, are left out where fields follow.
    pub(crate) fn of(start: &'a [u8]) -> Self {
        let text = unmarked(start);
        // Not what may be header still: nothing follows by which it would become a field.
        let octets = scan(text).octets_of_fields();
        let header = usize::try_from(octets).map_or(text, |octets| &text[..octets]);
        let mut fields: Vec<Field> = Vec::new();
        let mut begun = 0;
        let mut at = 0;
        for line in header.split_inclusive(|octet| *octet == b'\n') {
            let continues = line.starts_with(b" ") || line.starts_with(b"\t");
            if !continues && at > 0 {
                fields.push(Field {
                    text: &header[begun..at],
                });
                begun = at;
            }
            at += line.len();
        }
        if at > begun {
            fields.push(Field {
                text: &header[begun..at],
            });
        }
        fields.retain(|field| !field.name().is_empty());
        let mark = start.len() - text.len();
        let len = if header.is_empty() {
            0
        } else {
            mark + header.len()
        };
        Self { fields, len }
    }

    pub(crate) fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

fn scan(text: &[u8]) -> HeaderScan {
    let mut scan = HeaderScan::new();
    scan.push(text);
    scan
}

fn unmarked(start: &[u8]) -> &[u8] {
    start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start)
}

impl<'a> Field<'a> {
    /// As it was written.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    fn colon(&self) -> Option<usize> {
        self.text.iter().position(|octet| *octet == b':')
    }

    /// What stands before the colon.
    pub(crate) fn name(&self) -> &'a [u8] {
        let name = &self.text[..self.colon().unwrap_or_default()];
        let name = name.trim_ascii_end();
        if name.contains(&b' ') { b"" } else { name }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// What stands behind the colon, in one line.
    pub(crate) fn value(&self) -> String {
        let at = self.colon().map_or(self.text.len(), |colon| colon + 1);
        let value = String::from_utf8_lossy(&self.text[at..]);
        value.replace(['\r', '\n'], "").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_whatever_ends_their_lines() {
        let message =
            b"From ann Mon Nov  2\nTo: a@b.test,\r\n\tc@b.test\r\nSubject : x\n y\n\nTo: body\n";
        let header = Header::of(message);
        let fields = header.fields();
        assert_eq!(fields.len(), 2);
        assert!(fields[0].is("TO") && fields[1].is("subject"));
        assert_eq!(fields[0].value(), "a@b.test,\tc@b.test");
        assert_eq!(fields[1].value(), "x y");
        assert_eq!(&message[header.len()..], b"\nTo: body\n");
        assert!(Header::is_whole(message));
        assert!(!Header::is_whole(b"To: a@b.test\n"));
    }

    #[test]
    fn text_without_a_header_has_no_fields() {
        for text in [
            "hello\nTo: bob\n",
            "",
            "\nTo: bob\n",
            "a b: c\n\n",
            "hello",
            "From what I see\n",
            "\u{feff}hello\n",
        ] {
            let header = Header::of(text.as_bytes());
            assert!(header.fields().is_empty(), "{text:?}");
            assert_eq!(header.len(), 0, "{text:?}");
        }
    }
}

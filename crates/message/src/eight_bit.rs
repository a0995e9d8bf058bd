use crate::HeaderScan;

/// Where a message uses octets above 127: decides which extensions the next hop must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EightBitUse {
    /// In the header: without SMTPUTF8 (RFC 6531) there is no correct way to send it.
    pub header: bool,
    /// Anywhere in the message, the header included.
    pub anywhere: bool,
}

impl EightBitUse {
    /// Looks at a whole message: the `head` that we put before it, and its `content` as received.
    /// One fast pass for the usual message, which is all ASCII.
    pub fn of(head: &[u8], content: &[u8]) -> Self {
        let content_is_ascii = content.is_ascii();
        if head.is_ascii() && content_is_ascii {
            return Self::default();
        }
        let header = || &content[..HeaderScan::header_len(content)];
        Self {
            header: !head.is_ascii() || !header().is_ascii(),
            anywhere: true,
        }
    }

    /// Looks at the header of a message of which only the `start` of the content was read; the rest
    /// is taken for 8-bit. `None` when the header goes on behind `start`, and more is to be read.
    pub fn of_start(head: &[u8], start: &[u8]) -> Option<Self> {
        let mut scan = HeaderScan::new();
        scan.push(start);
        let ended = scan.has_ended();
        let seen = usize::try_from(scan.octets()).map_or(start.len(), |len| len.min(start.len()));
        let header = !head.is_ascii() || !start[..seen].is_ascii();
        (ended || header).then_some(Self {
            header,
            anywhere: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_above_127_are_found_where_they_are() {
        let cases: [(&[u8], &[u8], bool, bool); 4] = [
            (b"Received: x\r\n", b"A: b\r\n\r\nplain\r\n", false, false),
            (
                b"Received: x\r\n",
                b"A: b\r\n\r\nk\xc3\xa4se\r\n",
                false,
                true,
            ),
            (
                b"Received: x\r\n",
                b"A: \xc3\xa4\r\n\r\nplain\r\n",
                true,
                true,
            ),
            (
                b"Received: \xc3\xa4\r\n",
                b"A: b\r\n\r\nplain\r\n",
                true,
                true,
            ),
        ];
        for (head, content, header, anywhere) in cases {
            assert_eq!(
                EightBitUse::of(head, content),
                EightBitUse { header, anywhere }
            );
        }
    }

    #[test]
    fn a_header_is_known_as_soon_as_it_was_read() {
        let cases: [(&[u8], &[u8], Option<bool>); 7] = [
            (b"", b"A: b\r\n\r\n", Some(false)),
            (b"", b"A: b\r\n\r\nk\xc3\xa4se", Some(false)),
            (b"", b"A: \xc3\xa4\r\n\r\n", Some(true)),
            (b"", b"A: \xc3\xa4", Some(true)),
            (b"Received: \xc3\xa4\r\n", b"A: b", Some(true)),
            (b"", b"A: b\r\n", None),
            (b"", b"", None),
        ];
        for (head, start, expected) in cases {
            let found = EightBitUse::of_start(head, start);
            assert_eq!(found.map(|used| used.header), expected);
            assert!(found.is_none_or(|used| used.anywhere));
        }
    }
}

use crate::HeaderScan;

/// Where a message uses octets above 127: decides which extensions the next hop must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EightBitUse {
    /// In the header: without SMTPUTF8 (RFC 6531) there is no correct way to send it.
    pub header: bool,
    /// Anywhere.
    pub anywhere: bool,
}

impl EightBitUse {
    /// Looks at a whole message: the `head` that we put before it, and its `content` as received. One fast pass for the usual
    /// message, which is all ASCII.
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
}

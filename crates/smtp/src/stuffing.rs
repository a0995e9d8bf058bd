use memchr::memmem;

/// Encodes content for DATA: doubles the dot at the start of each line, and ends it with CRLF `.`
/// CRLF.
///
/// The content may come in any pieces. It is expected to hold CR and LF only as CRLF, as everything
/// does that this relay accepted. A dot behind an LF is doubled even were there no CR before it, so
/// that no server behind us can take it for the end.
#[derive(Debug, Default)]
pub struct Stuffer {
    tail: Tail,
}

/// How the content so far ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tail {
    /// With CRLF, or nothing came yet.
    #[default]
    LineStart,
    Cr,
    Other,
}

impl Stuffer {
    /// An encoder at the start of the content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes the next piece and appends it to `out`.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = input.last() else { return };
        // RFC 5321 section 4.5.2: "Before sending a line of mail text, the SMTP client checks the
        // first character of the line. If it is a period, one additional period is inserted at the
        // beginning of the line."
        if self.tail == Tail::LineStart && input[0] == b'.' {
            out.push(b'.');
        }
        let mut from = 0;
        for newline in memmem::find_iter(input, b"\n.") {
            out.extend_from_slice(&input[from..=newline]);
            out.push(b'.');
            from = newline + 1;
        }
        out.extend_from_slice(&input[from..]);
        self.tail = match last {
            b'\n' => Tail::LineStart,
            b'\r' => Tail::Cr,
            _ => Tail::Other,
        };
    }

    /// Ends the message. A last line without CRLF gets one.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.tail {
            Tail::LineStart => b".\r\n",
            Tail::Cr => b"\n.\r\n",
            Tail::Other => b"\r\n.\r\n",
        });
        self.tail = Tail::LineStart;
    }
}

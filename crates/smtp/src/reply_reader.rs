use std::fmt;

use mail::Reply;
use memchr::memchr;

/// One line of a reply, its end not counted. RFC 5321 section 4.5.3.1.5 has 512; real servers
/// exceed it.
pub const REPLY_LINE_LEN_MAX: usize = 2048;
/// A reply of more lines is taken for a fault of the server.
pub const REPLY_LINES_MAX: usize = 128;
/// Text of one reply in all.
pub const REPLY_LEN_MAX: usize = 16 * 1024;

/// Reads a server's replies, cut anywhere. Servers are as hostile as clients: every part of a reply
/// has its limit, and memory stays flat.
///
/// Lines end in LF, with or without CR before it: nothing can be smuggled by a reply, and some
/// servers are careless.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The start of a line whose end has not come.
    partial: Vec<u8>,
    /// Of the reply being read.
    code: u16,
    detail: Option<(u16, u16)>,
    lines: usize,
    text: String,
    octets: u64,
}

/// A server's whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    reply: Reply,
    /// The lines' text, each without code and status, parted by LF.
    text: String,
    octets: u64,
}

impl ServerReply {
    /// The reply, its lines joined by spaces.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The reply, its lines joined by spaces.
    pub fn into_reply(self) -> Reply {
        self.reply
    }

    /// Octets on the wire, line ends among them.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The text of each line, without code and enhanced status.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }
}

/// Why what a server sent is no reply. After a fault the connection is useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFault {
    /// A line over [`REPLY_LINE_LEN_MAX`], or text over [`REPLY_LEN_MAX`].
    TooLong,
    /// One reply has more lines than [`REPLY_LINES_MAX`].
    TooManyLines,
    /// The lines of one reply do not carry the same code.
    MixedCodes,
    /// A line that does not begin with a code from 200 to 599 and a blank, hyphen or line end.
    BadCode,
    /// The octet zero stands in a line.
    Nul,
}

impl fmt::Display for ReplyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "overlong reply",
            Self::TooManyLines => "endless reply",
            Self::MixedCodes => "reply with mixed codes",
            Self::BadCode => "reply without a valid code",
            Self::Nul => "reply with a NUL",
        })
    }
}

impl std::error::Error for ReplyFault {}

impl ReplyReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes from `input` up to the end of one reply, and gives it; `None` when `input` ended first
    /// (all of it is then taken).
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<ServerReply>, ReplyFault> {
        while let Some(at) = memchr(b'\n', input) {
            let (line, rest) = (&input[..at], &input[at + 1..]);
            *input = rest;
            let done = if self.partial.is_empty() {
                self.line(line)?
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.partial);
                self.line(&line)?
            };
            if done {
                return self.finish().map(Some);
            }
        }
        self.keep(input)?;
        *input = &[];
        Ok(None)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), ReplyFault> {
        if self.partial.len() + piece.len() > REPLY_LINE_LEN_MAX + 1 {
            return Err(ReplyFault::TooLong);
        }
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    /// Takes one line without its LF; true when it is the reply's last.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyFault> {
        let octets = line.len() as u64 + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > REPLY_LINE_LEN_MAX {
            return Err(ReplyFault::TooLong);
        }
        if line.contains(&0) {
            return Err(ReplyFault::Nul);
        }
        let (code, last, text) = split(line)?;
        self.lines += 1;
        if self.lines == 1 {
            self.octets = 0;
            self.code = code;
        } else if self.code != code {
            return Err(ReplyFault::MixedCodes);
        }
        if self.lines > REPLY_LINES_MAX {
            return Err(ReplyFault::TooManyLines);
        }
        self.octets += octets;
        self.push_text(text)?;
        Ok(last)
    }

    fn push_text(&mut self, text: &[u8]) -> Result<(), ReplyFault> {
        if self.text.len() + text.len() > REPLY_LEN_MAX {
            return Err(ReplyFault::TooLong);
        }
        let text = String::from_utf8_lossy(text);
        let (detail, text) = split_status(self.code, &text);
        if self.lines > 1 {
            self.text.push('\n');
        }
        self.detail = self.detail.or(detail);
        self.text.push_str(text);
        Ok(())
    }

    fn finish(&mut self) -> Result<ServerReply, ReplyFault> {
        let text = std::mem::take(&mut self.text);
        let detail = self.detail.take();
        self.lines = 0;
        let reply = Reply::from_peer(self.code, detail, &text).ok_or(ReplyFault::BadCode)?;
        let octets = self.octets;
        Ok(ServerReply {
            reply,
            text,
            octets,
        })
    }
}

/// Code, whether the line is the last of its reply, and text (RFC 5321 section 4.2.1).
fn split(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyFault> {
    let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = line else {
        return Err(ReplyFault::BadCode);
    };
    let code = [a, b, c]
        .into_iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        // RFC 5321 section 4.2: "An SMTP client MUST determine its actions only by the reply code,
        // not by the text": a bare code is a reply.
        [] => Ok((code, true, rest)),
        [b' ', text @ ..] => Ok((code, true, text)),
        [b'-', text @ ..] => Ok((code, false, text)),
        [..] => Err(ReplyFault::BadCode),
    }
}

/// Subject and detail of the enhanced status at the start of the text, and the text behind it. A
/// status of another class than the code's is none (RFC 2034 section 4: both must agree), and stays
/// in the text.
fn split_status(code: u16, text: &str) -> (Option<(u16, u16)>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = word.split('.').map(status_number);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None)
            if class == code / 100 =>
        {
            (Some((subject, detail)), rest)
        }
        _ => (None, text),
    }
}

/// RFC 3463 section 2: one to three digits.
fn status_number(digits: &str) -> Option<u16> {
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(input: &[u8], cut: usize) -> Result<Vec<String>, ReplyFault> {
        let mut reader = ReplyReader::new();
        let mut replies = Vec::new();
        for mut piece in input.chunks(cut) {
            while let Some(reply) = reader.read(&mut piece)? {
                replies.push(reply.reply().to_string());
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_are_read_in_all_their_forms() {
        let cases: [(&str, &[&str]); 8] = [
            ("250 ok\r\n", &["250 ok"]),
            ("250\r\n", &["250"]),
            ("250 2.1.0 ok\r\n", &["250 2.1.0 ok"]),
            (
                "550-5.7.1 no\r\n550-5.7.1 really\r\n550 5.7.1 no\r\n",
                &["550 5.7.1 no really no"],
            ),
            ("250 4.0.0 other class\r\n", &["250 4.0.0 other class"]),
            (
                "451 4.7.1\r\n250 a\n354 go\r\n",
                &["451 4.7.1", "250 a", "354 go"],
            ),
            (
                "220-a\u{1b}[31mb\rc\r\n220 \u{e4}\r\n",
                &["220 a [31mb c \u{e4}"],
            ),
            ("250 half", &[]),
        ];
        for (input, replies) in cases {
            for cut in [1, 2, 7, 1000] {
                assert_eq!(
                    read_all(input.as_bytes(), cut).unwrap(),
                    replies,
                    "{input:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn lines_are_kept_for_ehlo() {
        let mut reader = ReplyReader::new();
        let mut input: &[u8] = b"250-mx.example hello\r\n250-SIZE 1000\r\n250 PIPELINING\r\n";
        let reply = reader.read(&mut input).unwrap().unwrap();
        assert_eq!(
            reply.lines().collect::<Vec<_>>(),
            ["mx.example hello", "SIZE 1000", "PIPELINING"]
        );
        assert_eq!(
            (input, reader.read(&mut b"".as_slice())),
            (&[][..], Ok(None))
        );
    }

    #[test]
    fn what_is_no_reply_is_a_fault() {
        let cases: [(&[u8], ReplyFault); 9] = [
            (b"HTTP/1.1 200 OK\r\n", ReplyFault::BadCode),
            (b"\r\n", ReplyFault::BadCode),
            (b"25 ok\r\n", ReplyFault::BadCode),
            (b"2500 ok\r\n", ReplyFault::BadCode),
            (b"150 wait\r\n", ReplyFault::BadCode),
            (b"600 what\r\n", ReplyFault::BadCode),
            (b"250-a\r\n550 b\r\n", ReplyFault::MixedCodes),
            (b"250 a\0b\r\n", ReplyFault::Nul),
            (b"\x16\x03\x01\0\n", ReplyFault::Nul),
        ];
        for (input, fault) in cases {
            for cut in [1, 2, 7, 1000] {
                assert_eq!(read_all(input, cut), Err(fault), "{}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn every_limit_is_reached() {
        let endless = b"220-welcome\r\n".repeat(REPLY_LINES_MAX + 1);
        assert_eq!(read_all(&endless, 4096), Err(ReplyFault::TooManyLines));
        assert_eq!(
            read_all(&vec![b'2'; REPLY_LINE_LEN_MAX + 2], 100),
            Err(ReplyFault::TooLong)
        );
        let long = format!("250 {}\r\n", "x".repeat(REPLY_LINE_LEN_MAX));
        assert_eq!(read_all(long.as_bytes(), 10_000), Err(ReplyFault::TooLong));
        let fat = format!("250-{}\r\n", "x".repeat(2000)).repeat(9);
        assert_eq!(read_all(fat.as_bytes(), 10_000), Err(ReplyFault::TooLong));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing_and_no_reply_breaks_a_line(input in "([245]50[- ]|[a-z0-9. ]|\r\n|\n|\\PC){0,60}", cut in 1usize..9) {
            let whole = read_all(input.as_bytes(), usize::MAX);
            prop_assert_eq!(&whole, &read_all(input.as_bytes(), cut));
            for reply in whole.into_iter().flatten() {
                prop_assert!(!reply.contains(char::is_control));
            }
        }
    }
}

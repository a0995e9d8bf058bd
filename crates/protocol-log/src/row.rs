use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mail::Timestamp;

/// One row of a protocol log: a command with its reply on an incoming connection; a command or a
/// reply on an outgoing one.
///
/// Its facts are those that IIS wrote. Octets of a command are counted without its line end, those
/// of a reply with it, as there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When it was complete.
    pub at: Timestamp,
    /// Who spoke to whom.
    pub direction: Direction,
    /// The other end.
    pub peer: SocketAddr,
    /// Our end; `None` on an outgoing connection.
    pub local: Option<IpAddr>,
    /// What the client called itself; empty before it did.
    pub hello: Arc<str>,
    /// The virtual server, beginning with 1.
    pub site: u32,
    /// Our name.
    pub computer: Arc<str>,
    /// The verb; empty where there is none.
    pub verb: Box<str>,
    /// What stands behind the verb, a leading blank included; or the text of a reply.
    pub argument: Box<str>,
    /// The code of the reply; 0 on an outgoing connection.
    pub status: u16,
    /// At the end of a session, how long that lasted, in milliseconds; otherwise 0.
    pub lasted: u64,
    /// Octets that we sent.
    pub sent: u64,
    /// Octets that we received.
    pub received: u64,
    /// From the command to its reply, in milliseconds.
    pub taken: u64,
}

/// Who spoke to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A client to us, and what we answered.
    Incoming,
    /// We to a server.
    Command,
    /// A server to us.
    Response,
}

impl Row {
    /// The name in the row: of the client, or by which outgoing rows are known.
    pub(crate) fn name(&self) -> &str {
        match self.direction {
            Direction::Incoming if self.hello.is_empty() => "-",
            Direction::Incoming => &self.hello,
            Direction::Command => "OutboundConnectionCommand",
            Direction::Response => "OutboundConnectionResponse",
        }
    }

    /// Octets of what this row tells last: the reply, or the command of an outgoing connection.
    pub(crate) fn octets(&self) -> u64 {
        match self.direction {
            Direction::Incoming | Direction::Command => self.sent,
            Direction::Response => self.received,
        }
    }
}

/// `text`, or a hyphen where there is none.
pub(crate) fn or_hyphen(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Text as one word: a blank is `+`, as IIS has it; what would break a row, forge one or drive a
/// terminal is `%` and the hexadecimal digits of its octets.
pub(crate) struct Word<'a> {
    pub text: &'a str,
    /// What the form itself needs, beside blanks and controls.
    pub breaks: &'static [char],
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain =
            |c: char| c.is_ascii_graphic() && !self.breaks.contains(&c) || is_printable(c);
        let mut rest = self.text;
        while let Some(at) = rest.find(|c| !is_plain(c)) {
            f.write_str(&rest[..at])?;
            let mut following = rest[at..].chars();
            match following.next() {
                Some(' ' | '\n') => f.write_str("+")?,
                Some(c) => {
                    for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                        write!(f, "%{octet:02X}")?;
                    }
                }
                None => {}
            }
            rest = following.as_str();
        }
        f.write_str(rest)
    }
}

/// Beyond ASCII, what [`mail::escaped`] leaves as it is and no reader takes for a blank.
fn is_printable(c: char) -> bool {
    let mut text = [0; 4];
    let text = c.encode_utf8(&mut text);
    !c.is_ascii() && !c.is_whitespace() && mail::escaped(text).to_string() == *text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_whatever_is_in_it() {
        let word = |text| {
            Word {
                text,
                breaks: &['"'],
            }
            .to_string()
        };
        assert_eq!(word(" FROM:<a b@x>"), "+FROM:<a+b@x>");
        assert_eq!(word("a\tb\r\n\x1b\""), "a%09b%0D+%1B%22");
        assert_eq!(
            word("b\u{fc}cher\u{85}\u{202e}\u{a0}"),
            "b\u{fc}cher%C2%85%E2%80%AE%C2%A0"
        );
    }
}

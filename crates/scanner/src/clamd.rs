use crate::fault::{shown, text};
use crate::protocol::Protocol;
use crate::{Answer, ClamdVersion, Class, Fault, Finding, PIECE_MAX, Wants, Wish};

/// Octets of one reply. A name has a few dozen.
const REPLY_MAX: usize = 4096;
/// Characters of a name that are kept.
const NAME_MAX: usize = 256;

/// What clamd is asked on a connection of its own. It closes it after its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The content.
    Scan,
    /// Whether it is there.
    Ping,
    /// What it is, and which signatures it has.
    Version,
}

/// One question to clamd, in the form that ends in NUL: the one without z or n is unknown to newer
/// ones.
#[derive(Debug)]
pub struct Clamd {
    command: Command,
    step: Step,
    reply: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Content,
    Over,
}

impl Clamd {
    /// One that asks this.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            step: Step::Start,
            reply: Reply::default(),
        }
    }
}

impl Protocol for Clamd {
    fn told(&self) -> Option<u64> {
        None
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        if self.step == Step::Start {
            out.extend_from_slice(match self.command {
                Command::Scan => b"zINSTREAM\0",
                Command::Ping => b"zPING\0",
                Command::Version => b"zVERSION\0",
            });
            self.step = match self.command {
                Command::Scan => Step::Content,
                Command::Ping | Command::Version => Step::Over,
            };
        }
        match self.step {
            Step::Content => Wants::Content(PIECE_MAX),
            Step::Start | Step::Over => Wants::Answer,
        }
    }

    fn content(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        chunk(piece, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&0_u32.to_be_bytes());
        self.step = Step::Over;
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        let Some((reply, _)) = self.reply.read(octets)? else {
            return Ok(None);
        };
        match self.command {
            Command::Scan => finding(&reply).map(Answer::Finding),
            Command::Ping if reply == b"PONG" => Ok(Answer::Alive),
            Command::Ping => Err(Fault::malformed("an answer to PING", &reply)),
            Command::Version => ClamdVersion::read(&reply).map(Answer::Version),
        }
        .map(Some)
    }
}

/// A piece of content as INSTREAM takes it: its length in four octets, the highest first. One of
/// length 0 would end the content.
pub(crate) fn chunk(piece: &[u8], out: &mut Vec<u8>) {
    for piece in piece.chunks(PIECE_MAX) {
        // A piece is far shorter than what four octets can tell.
        out.extend_from_slice(&(piece.len() as u32).to_be_bytes());
        out.extend_from_slice(piece);
    }
}

/// A reply as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Reply(Vec<u8>);

impl Reply {
    /// Takes octets up to the end of the reply: it, once it is whole, and how many were taken.
    pub(crate) fn read(&mut self, octets: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
        let end = memchr::memchr(0, octets);
        let piece = &octets[..end.unwrap_or(octets.len())];
        if self.0.len() + piece.len() > REPLY_MAX {
            return Err(Fault::TooLong("a reply", REPLY_MAX));
        }
        self.0.extend_from_slice(piece);
        Ok(end.map(|end| (std::mem::take(&mut self.0), end + 1)))
    }
}

/// What a reply to INSTREAM says, without the number that it has in a session.
pub(crate) fn finding(reply: &[u8]) -> Result<Finding, Fault> {
    let reply = reply.trim_ascii();
    if let Some(words) = reply.strip_suffix(b"ERROR") {
        let words = words.trim_ascii_end();
        // Neither clean nor a failure: it is larger than clamd is willing to look at, always.
        if words.starts_with(b"INSTREAM size limit exceeded") {
            return Ok(Finding {
                names: vec![shown(words)],
                ..Finding::of(Class::Limit)
            });
        }
        let words = words.strip_prefix(b"stream: ").unwrap_or(words);
        return Err(Fault::failed(words));
    }
    match reply.strip_prefix(b"stream: ") {
        Some(b"OK") => Ok(Finding::of(Class::Clean)),
        Some(found) => match found.strip_suffix(b" FOUND") {
            Some(name) if !name.trim_ascii().is_empty() => Ok(found_by_name(name)),
            _ => Err(Fault::malformed("a reply to INSTREAM", reply)),
        },
        None => Err(Fault::malformed("a reply to INSTREAM", reply)),
    }
}

fn found_by_name(name: &[u8]) -> Finding {
    let name = text(name, NAME_MAX);
    let class = Class::of_name(&name);
    let wish = match class {
        Class::Infected => Wish::Refuse,
        _ => Wish::None,
    };
    Finding {
        wish,
        names: vec![name],
        ..Finding::of(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(reply: &str) -> Result<Class, String> {
        finding(reply.as_bytes())
            .map(|finding| finding.class)
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn replies_say_what_was_found() {
        assert_eq!(class("stream: OK"), Ok(Class::Clean));
        assert_eq!(class("stream: Test.UNOFFICIAL FOUND"), Ok(Class::Infected));
        let encrypted = ["Zip", "7Zip", "RAR", "PDF", "Doc"];
        for kind in encrypted {
            let reply = format!("stream: Heuristics.Encrypted.{kind} FOUND");
            assert_eq!(class(&reply), Ok(Class::Encrypted), "{kind}");
        }
        let limit = "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND";
        assert_eq!(class(limit), Ok(Class::Limit));
        assert_eq!(
            class("INSTREAM size limit exceeded. ERROR"),
            Ok(Class::Limit)
        );
        assert_eq!(
            class("stream: Heuristics.Phishing.Email FOUND"),
            Ok(Class::Infected)
        );
    }

    #[test]
    fn a_name_is_kept_and_cannot_forge_a_line() {
        let finding = finding(b"stream: Local.A\x1b[2J\r\nB.UNOFFICIAL FOUND").unwrap();
        assert_eq!(finding.names, ["Local.A\\x1b[2J\\x0d\\x0aB.UNOFFICIAL"]);
    }

    #[test]
    fn what_is_not_a_verdict_is_a_fault() {
        assert_eq!(
            class("stream: Can't allocate memory ERROR"),
            Err("failed: Can't allocate memory".to_owned())
        );
        assert_eq!(
            class("UNKNOWN COMMAND"),
            Err("sent \"UNKNOWN COMMAND\", which is not a reply to INSTREAM".to_owned())
        );
        for wrong in [
            "",
            "OK",
            "stream: ",
            "stream:  FOUND",
            "stream: okay",
            "FOUND",
        ] {
            assert!(class(wrong).is_err(), "{wrong:?}");
        }
    }
}

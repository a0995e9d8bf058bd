use crate::fault::{shown, text};
use crate::protocol::Protocol;
use crate::{Answer, ClamdVersion, Class, Fault, Finding, PIECE_MAX, Wants, Wish};

/// Octets of one reply. A name has a few dozen.
const REPLY_MAX: usize = 4096;
/// Characters of a name that are kept.
const NAME_MAX: usize = 256;

/// What clamd is asked. It closes the connection after its reply, but for that to a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// What is in a content, the nth on its connection, from 1 (IDSESSION). One is asked after the
    /// other: where several are on their way, one that is above clamd's limit ends the connection for
    /// all of them.
    Scan(u32),
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
    /// Another content may follow.
    is_reusable: bool,
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
            is_reusable: false,
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
                Command::Scan(1) => b"zIDSESSION\0zINSTREAM\0",
                Command::Scan(_) => b"zINSTREAM\0",
                Command::Ping => b"zPING\0",
                Command::Version => b"zVERSION\0",
            });
            self.step = match self.command {
                Command::Scan(_) => Step::Content,
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
        let Some((reply, taken)) = self.reply.read(octets)? else {
            return Ok(None);
        };
        match self.command {
            Command::Scan(number) => {
                let reply = numbered(&reply, number)?;
                let found = finding(reply)?;
                // It looks at a content that it has as a whole: what it says of one before is about
                // another one. Only a limit is reached on the way.
                if self.step != Step::Over && found.class != Class::Limit {
                    return Err(Fault::malformed("a reply to all of the content", reply));
                }
                // After an error it closes the connection.
                self.is_reusable =
                    self.step == Step::Over && taken == octets.len() && !reply.ends_with(b"ERROR");
                Ok(Answer::Finding(found))
            }
            Command::Ping if reply == b"PONG" => Ok(Answer::Alive),
            Command::Ping => Err(Fault::malformed("an answer to PING", &reply)),
            Command::Version => ClamdVersion::read(&reply).map(Answer::Version),
        }
        .map(Some)
    }

    fn is_reusable(&self) -> bool {
        self.is_reusable
    }
}

/// The words of `2: stream: OK`, where that is the number of what was asked.
fn numbered(reply: &[u8], number: u32) -> Result<&[u8], Fault> {
    let at = memchr::memchr(b':', reply);
    let (told, words) = at
        .and_then(|at| reply.split_at_checked(at))
        .unwrap_or_default();
    let told: Option<u32> = str::from_utf8(told).ok().and_then(|told| told.parse().ok());
    match (told, words) {
        (Some(told), [_, words @ ..]) if number == told => Ok(words.trim_ascii()),
        // What ends the whole session has none.
        _ => match reply.trim_ascii().strip_suffix(b" ERROR") {
            Some(words) if told.is_none() => Err(Fault::failed(words)),
            _ => Err(Fault::malformed("a reply with its number", reply)),
        },
    }
}

/// A piece of content as INSTREAM takes it: its length in four octets, the highest first. One of
/// length 0 would end the content.
fn chunk(piece: &[u8], out: &mut Vec<u8>) {
    for piece in piece.chunks(PIECE_MAX) {
        // A piece is far shorter than what four octets can tell.
        out.extend_from_slice(&(piece.len() as u32).to_be_bytes());
        out.extend_from_slice(piece);
    }
}

/// A reply as far as it came.
#[derive(Debug, Default)]
struct Reply(Vec<u8>);

impl Reply {
    /// Takes octets up to the end of the reply: it, once it is whole, and how many were taken.
    fn read(&mut self, octets: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
        let end = memchr::memchr(0, octets);
        let piece = &octets[..end.unwrap_or(octets.len())];
        if self.0.len() + piece.len() > REPLY_MAX {
            return Err(Fault::TooLong("a reply", REPLY_MAX));
        }
        self.0.extend_from_slice(piece);
        Ok(end.map(|end| (std::mem::take(&mut self.0), end + 1)))
    }
}

/// What a reply to INSTREAM says, without its number.
fn finding(reply: &[u8]) -> Result<Finding, Fault> {
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
    fn a_connection_is_kept_after_a_reply_to_all_that_was_sent() {
        let asked = |is_over: bool| {
            let (mut clamd, mut out) = (Clamd::new(Command::Scan(2)), Vec::new());
            assert_eq!(clamd.write(&mut out), Wants::Content(PIECE_MAX));
            clamd.content(b"ab", &mut out);
            if is_over {
                clamd.end(&mut out);
                assert_eq!(out, b"zINSTREAM\0\0\0\0\x02ab\0\0\0\0");
            }
            clamd
        };
        for (reply, is_over, class, is_kept) in [
            ("2: stream: OK\0", true, Class::Clean, true),
            ("2: stream: A FOUND\0", true, Class::Infected, true),
            ("2: stream: OK\0more", true, Class::Clean, false),
            (
                "2: INSTREAM size limit exceeded. ERROR\0",
                true,
                Class::Limit,
                false,
            ),
            (
                "2: INSTREAM size limit exceeded. ERROR\0",
                false,
                Class::Limit,
                false,
            ),
        ] {
            let mut clamd = asked(is_over);
            match clamd.read(reply.as_bytes()) {
                Ok(Some(Answer::Finding(found))) => assert_eq!(found.class, class, "{reply}"),
                other => panic!("{reply}: {other:?}"),
            }
            assert_eq!(clamd.is_reusable(), is_kept, "{reply} {is_over}");
        }
        for reply in ["2: stream: OK\0", "2: stream: A FOUND\0"] {
            let early = asked(false).read(reply.as_bytes()).expect_err("a fault");
            assert!(
                early
                    .to_string()
                    .contains("not a reply to all of the content"),
                "{early}"
            );
        }
        let fault = |reply: &[u8]| asked(true).read(reply).expect_err("a fault").to_string();
        let late = fault(b"1: stream: OK\0");
        assert!(
            late.contains("which is not a reply with its number"),
            "{late}"
        );
        assert!(fault(b"stream: OK\0").contains("not a reply with its number"));
        assert!(fault(b"99999999999: stream: OK\0").contains("not a reply with its number"));
        assert_eq!(
            fault(b"COMMAND READ TIMED OUT ERROR\0"),
            "failed: COMMAND READ TIMED OUT"
        );
        let (mut first, mut out) = (Clamd::new(Command::Scan(1)), Vec::new());
        first.write(&mut out);
        assert_eq!(out, b"zIDSESSION\0zINSTREAM\0");
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

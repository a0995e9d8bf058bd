//! One thing that was said on a connection, as it may be kept and shown: never a secret, never
//! content.
//!
//! What is replaced by [`MARK`]: the initial response of AUTH and all that answers a challenge, the
//! challenges, and whatever stands where a command belongs and is none, but for a first word of
//! letters alone, of no more than twelve of them, before AUTH has come: a password may have been
//! typed there. Content is its number of octets; and once DATA was refused, a client may send it all
//! the same, so that of what looks like a command only the verb is kept ([`Doubt`]).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::{Command, ServerReply, Verb};

/// Octets of one line that are kept (RFC 5321 section 4.5.3.1.4 has 512 for a command).
pub const SAID_LEN_MAX: usize = 512;
/// Octets of most replies.
const SAID_LEN_USUAL: usize = 64;
/// Letters of an unknown command that are kept; the longest known one has eight.
const WORD_LEN_MAX: usize = 12;
/// What stands for something that is not shown.
pub const MARK: &str = "***";
/// What stands behind a line that was cut.
const CUT: &str = " [...]";

/// The mechanisms of RFC 4422's registry, and others in use, that are shown behind AUTH.
const MECHANISMS: [&str; 16] = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "NTLM",
    "GSSAPI",
    "GSS-SPNEGO",
    "EXTERNAL",
    "ANONYMOUS",
    "XOAUTH2",
    "OAUTHBEARER",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-512",
];

/// One thing that was said on a connection, or happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line of the client.
    Command(Spoken),
    /// A reply of the server, its lines parted by LF.
    Reply(Spoken),
    /// Content of a message.
    Content {
        /// So many octets of it.
        octets: u64,
        /// The message's Message-ID without brackets, where it is known by then; else empty.
        message_id: Box<str>,
    },
    /// What happened to the connection beside what was said.
    Remark(Box<str>),
}

/// What a line may be that was read where a command belongs. The greater one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// A command, or what somebody takes for one.
    Nothing,
    /// AUTH came before: part of a sign-in that went wrong.
    SignIn,
    /// DATA was refused before: a line of the message, which was sent all the same.
    Content,
}

/// A line, or the lines of one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// As it may be shown: without its end, cut to [`SAID_LEN_MAX`] octets, with [`MARK`] for what
    /// is secret. It may hold controls, which [`mail::escaped`] takes out when it is printed.
    pub text: Arc<str>,
    /// Octets on the wire, the line's end among them.
    pub octets: u64,
}

impl Said {
    /// A line of the client that was read where a command belongs, without its end.
    pub fn command(line: &[u8], doubt: Doubt) -> Self {
        let (word, rest) = split(line);
        let text = match Verb::of(word) {
            Verb::Auth => of_auth(word, rest),
            Verb::Unknown | Verb::Foreign if doubt > Doubt::Nothing => MARK.into(),
            Verb::Unknown | Verb::Foreign => of_unknown(word, rest),
            // Who goes on with another message says these; hardly any text has such a line.
            Verb::Mail | Verb::Rcpt if doubt == Doubt::Content && Command::parse(line).is_ok() => {
                cut(line)
            }
            Verb::Mail
            | Verb::Rcpt
            | Verb::Ehlo
            | Verb::Helo
            | Verb::Data
            | Verb::Bdat
            | Verb::Rset
            | Verb::Noop
            | Verb::Vrfy
            | Verb::Help
            | Verb::Quit
            | Verb::StartTls
            | Verb::Expn
            | Verb::Etrn
            | Verb::Atrn
            | Verb::Turn
            | Verb::Send
            | Verb::Xforward
            | Verb::Xclient => match doubt {
                Doubt::Nothing | Doubt::SignIn => cut(line),
                Doubt::Content => of_verb(word, rest),
            },
        };
        Self::Command(Spoken::of(&text, line.len() + 2))
    }

    /// A line of the client of which nothing may be shown, with its octets on the wire.
    pub fn secret(octets: usize) -> Self {
        Self::Command(Spoken::of(MARK, octets))
    }

    /// A reply as it was written, whole: one line or several, with their ends.
    pub fn reply(octets: &[u8]) -> Self {
        let lines = octets.strip_suffix(b"\r\n").unwrap_or(octets);
        let text = if lines.starts_with(b"334") {
            format!("334 {MARK}").into()
        } else if lines.contains(&b'\n') {
            let text = String::from_utf8_lossy(lines);
            shortened(text.replace("\r\n", "\n").into())
        } else {
            cut(lines)
        };
        Self::Reply(Spoken::of(&text, octets.len()))
    }

    /// A server's reply, line by line.
    pub fn reply_of(reply: &ServerReply) -> Self {
        let (code, detail) = (reply.reply().code(), reply.reply());
        if code == 334 {
            return Self::Reply(Spoken {
                text: format!("334 {MARK}").into(),
                octets: reply.octets(),
            });
        }
        let mut text = String::with_capacity(SAID_LEN_USUAL);
        let mut lines = reply.lines().peekable();
        while let Some(line) = lines.next() {
            let dash = if lines.peek().is_some() { '-' } else { ' ' };
            // Writing to memory does not fail.
            let _written = write!(text, "{code}{dash}");
            if detail.has_status() {
                let _written = write!(text, "{} ", detail.status());
            }
            text.push_str(line);
            text.push_str(if lines.peek().is_some() { "\n" } else { "" });
        }
        Self::Reply(Spoken {
            text: shortened(text.into()).into(),
            octets: reply.octets(),
        })
    }

    /// So many octets of content, of a message without a known name.
    pub fn content(octets: u64) -> Self {
        Self::Content {
            octets,
            message_id: Box::default(),
        }
    }

    /// What happened beside what was said.
    pub fn remark(text: impl fmt::Display) -> Self {
        Self::Remark(shortened(text.to_string().into()).into())
    }
}

impl Spoken {
    fn of(text: &str, octets: usize) -> Self {
        Self {
            text: text.into(),
            octets: octets as u64,
        }
    }
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_end();
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    line.split_at(end)
}

/// AUTH with its mechanism, where that is one that is known; a password may stand in its place.
fn of_auth<'a>(verb: &[u8], rest: &[u8]) -> Cow<'a, str> {
    let verb = String::from_utf8_lossy(verb);
    let (name, response) = split(rest.trim_ascii_start());
    let known = MECHANISMS
        .into_iter()
        .find(|known| known.as_bytes().eq_ignore_ascii_case(name));
    match known {
        Some(name) if response.is_empty() => format!("{verb} {name}").into(),
        Some(name) => format!("{verb} {name} {MARK}").into(),
        None => format!("{verb} {MARK}").into(),
    }
}

fn of_verb<'a>(verb: &'a [u8], rest: &[u8]) -> Cow<'a, str> {
    let verb = String::from_utf8_lossy(verb);
    if rest.is_empty() {
        verb
    } else {
        format!("{verb} {MARK}").into()
    }
}

fn of_unknown<'a>(word: &'a [u8], rest: &[u8]) -> Cow<'a, str> {
    let is_word =
        (1..=WORD_LEN_MAX).contains(&word.len()) && word.iter().all(u8::is_ascii_alphabetic);
    if is_word {
        of_verb(word, rest)
    } else {
        MARK.into()
    }
}

fn cut(line: &[u8]) -> Cow<'_, str> {
    shortened(String::from_utf8_lossy(line))
}

fn shortened(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= SAID_LEN_MAX {
        return text;
    }
    let end = text.floor_char_boundary(SAID_LEN_MAX);
    format!("{}{CUT}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(said: Said) -> String {
        match said {
            Said::Command(spoken) | Said::Reply(spoken) => spoken.text.to_string(),
            Said::Content { octets, .. } => octets.to_string(),
            Said::Remark(text) => text.into(),
        }
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_kept() {
        let cases: [(&[u8], &str); 14] = [
            (b"EHLO client.example", "EHLO client.example"),
            (b"mail from:<a@b.example>", "mail from:<a@b.example>"),
            (b"AUTH PLAIN AGFubgBzZWNyZXQ=", "AUTH PLAIN ***"),
            (b"auth  login", "auth LOGIN"),
            (b"AUTH scram-sha-256 biws", "AUTH SCRAM-SHA-256 ***"),
            (b"AUTH hunter2", "AUTH ***"),
            (b"AUTH PLAIN AGFu extra words", "AUTH PLAIN ***"),
            (b"AUTH", "AUTH ***"),
            (b"AGFubgBzZWNyZXQ=", "***"),
            (b"hunter2", "***"),
            (b"XVERB with words", "XVERB ***"),
            (b"LHLO client.example", "LHLO ***"),
            (b"", "***"),
            (b"\xff\xfe\x00", "***"),
        ];
        for (line, text) in cases {
            assert_eq!(
                shown(Said::command(line, Doubt::Nothing)),
                text,
                "{}",
                line.escape_ascii()
            );
        }
        assert_eq!(shown(Said::command(b"secret", Doubt::SignIn)), MARK);
        assert_eq!(shown(Said::command(b"QUIT", Doubt::SignIn)), "QUIT");
        assert_eq!(Said::secret(30), Said::Command(Spoken::of("***", 30)));
        assert_eq!(shown(Said::reply(b"334 VXNlcm5hbWU6\r\n")), "334 ***");
    }

    #[test]
    fn a_message_sent_behind_a_refused_data_is_not_kept() {
        for (line, text) in [
            ("Subject: the merger", "***"),
            ("Dear Ann,", "***"),
            ("Help me with the merger", "Help ***"),
            ("Mail me what you have", "Mail ***"),
            ("send the money", "send ***"),
            ("helo merger", "helo ***"),
            ("noop", "noop"),
            ("RSET", "RSET"),
            (
                "MAIL FROM:<a@b.example> SIZE=9",
                "MAIL FROM:<a@b.example> SIZE=9",
            ),
            ("RCPT TO:<a@b.example>", "RCPT TO:<a@b.example>"),
            ("QUIT", "QUIT"),
        ] {
            let said = Said::command(line.as_bytes(), Doubt::Content);
            assert_eq!(shown(said), text, "{line}");
        }
    }

    #[test]
    fn octets_are_those_of_the_wire_and_text_is_cut() {
        let Said::Command(long) =
            Said::command(&[b"MAIL FROM:<", &[b'a'; 600][..]].concat(), Doubt::Nothing)
        else {
            panic!("a command");
        };
        assert_eq!(long.octets, 11 + 600 + 2);
        assert_eq!(long.text.len(), SAID_LEN_MAX + CUT.len());
        let Said::Reply(reply) = Said::reply(b"250-a\r\n250 b\r\n") else {
            panic!("a reply");
        };
        assert_eq!((&*reply.text, reply.octets), ("250-a\n250 b", 14));
        let wide = format!("NOOP {}", "\u{e4}".repeat(400));
        assert!(shown(Said::command(wide.as_bytes(), Doubt::Nothing)).ends_with("\u{e4} [...]"));
    }
}

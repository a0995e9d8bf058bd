//! What is said in answer to EHLO, on both sides: the extensions that we offer, and those that a
//! server offers us.

use std::fmt;
use std::io::Write;

use mail::Reply;

use crate::{OriginFact, ServerReply, xforward};

/// One line of our answer to EHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// `PIPELINING` (RFC 2920)
    Pipelining,
    /// `SIZE n` (RFC 1870): octets.
    Size(u64),
    /// `8BITMIME` (RFC 6152)
    EightBitMime,
    /// `SMTPUTF8` (RFC 6531)
    SmtpUtf8,
    /// `CHUNKING` (RFC 3030)
    Chunking,
    /// `ENHANCEDSTATUSCODES` (RFC 2034)
    EnhancedStatusCodes,
    /// `DSN` (RFC 3461)
    Dsn,
    /// `PRDR` (draft-hall-prdr-00): a reply for each recipient behind the content.
    Prdr,
    /// `ETRN` (RFC 1985)
    Etrn,
    /// `ATRN` (RFC 2645)
    Atrn,
    /// `XFORWARD` with all facts that there are (Postfix's XFORWARD_README)
    Xforward,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH` with the mechanisms, separated by spaces (RFC 4954)
    Auth(Box<str>),
    /// `LIMITS RCPTMAX=n MAILMAX=n` (RFC 9422)
    Limits {
        /// Recipients in one transaction.
        rcpt_max: u32,
        /// Transactions in one session.
        mail_max: u32,
    },
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipelining => f.write_str("PIPELINING"),
            Self::Size(octets) => write!(f, "SIZE {octets}"),
            Self::EightBitMime => f.write_str("8BITMIME"),
            Self::SmtpUtf8 => f.write_str("SMTPUTF8"),
            Self::Chunking => f.write_str("CHUNKING"),
            Self::EnhancedStatusCodes => f.write_str("ENHANCEDSTATUSCODES"),
            Self::Dsn => f.write_str("DSN"),
            Self::Prdr => f.write_str("PRDR"),
            Self::Etrn => f.write_str("ETRN"),
            Self::Atrn => f.write_str("ATRN"),
            Self::Xforward => f.write_str(&xforward::offer()),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth(mechanisms) => write!(f, "AUTH {mechanisms}"),
            Self::Limits { rcpt_max, mail_max } => {
                write!(f, "LIMITS RCPTMAX={rcpt_max} MAILMAX={mail_max}")
            }
        }
    }
}

/// RFC 5321 section 4.5.3.1.5: octets of a line of a reply, its code and CRLF included. "More
/// information may be conveyed through multiple-line replies."
const REPLY_LINE_MAX: usize = 512;
/// Code, hyphen, an enhanced status (RFC 3463 section 2: `5.999.999` is the longest) and a blank, CRLF.
const AROUND_LINE: usize = 16;

/// Appends `reply` in its lines, each with code, enhanced status (RFC 2034 section 4) and CRLF; a
/// refusal that is too long for one line in more of them. No line of a [`Reply`] holds a line break,
/// so it is always exactly one reply.
pub fn write_reply(reply: &Reply, out: &mut Vec<u8>) {
    let status = reply.shown_status();
    // What goes before, such as a challenge, is no text, and whole.
    let most = match reply.code() >= 400 {
        true => REPLY_LINE_MAX - AROUND_LINE,
        false => usize::MAX,
    };
    let mut lines = reply.lines().flat_map(|line| broken(line, most)).peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        out.reserve(AROUND_LINE + line.len());
        // RFC 5321 section 4.2.1: a hyphen on every line but the last, also where nothing follows it.
        let between = match lines.peek() {
            Some(_) => "-",
            None if status.is_none() && line.is_empty() => "",
            None => " ",
        };
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{}{between}", reply.code());
        if let Some(status) = status {
            let blank = if line.is_empty() { "" } else { " " };
            let _ = write!(out, "{status}{blank}");
        }
        let _ = write!(out, "{line}\r\n");
    }
}

/// A line in pieces of so many octets at most, at blanks where there are any.
fn broken(line: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut left = Some(line);
    std::iter::from_fn(move || {
        let line = left.take()?;
        if line.len() <= most {
            return Some(line);
        }
        let end = line.floor_char_boundary(most);
        let blank = line.get(..end).and_then(|start| start.rfind(' '));
        let (piece, rest) = line.split_at(blank.filter(|at| *at > 0).unwrap_or(end));
        left = Some(rest.trim_start());
        Some(piece)
    })
}

/// Appends the 250 answer to EHLO: our name, then a line for each extension (RFC 5321 section
/// 4.1.1.1).
pub fn write_ehlo_reply(hostname: &str, extensions: &[Extension], out: &mut Vec<u8>) {
    let dash = |last: bool| if last { ' ' } else { '-' };
    let _ = write!(out, "250{}{hostname}\r\n", dash(extensions.is_empty()));
    for (i, extension) in extensions.iter().enumerate() {
        let _ = write!(out, "250{}{extension}\r\n", dash(i + 1 == extensions.len()));
    }
}

/// What a server offers: its reply to EHLO, read once (RFC 5321 section 4.1.1.1). After HELO it
/// offers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// `PIPELINING` (RFC 2920)
    pub pipelining: bool,
    /// `SIZE` (RFC 1870): offered, and its limit in octets when it names one.
    pub size: Option<Option<u64>>,
    /// `8BITMIME` (RFC 6152)
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `CHUNKING` (RFC 3030)
    pub chunking: bool,
    /// `DSN` (RFC 3461)
    pub dsn: bool,
    /// `STARTTLS` (RFC 3207)
    pub starttls: bool,
    /// `XFORWARD`: the facts that it wants of a message's origin (Postfix's XFORWARD_README).
    pub xforward: Vec<OriginFact>,
    /// `AUTH`'s mechanisms, in upper case (RFC 4954).
    pub auth: Vec<Box<str>>,
    /// `LIMITS RCPTMAX=`: recipients in one transaction (RFC 9422).
    pub recipients_max: Option<u32>,
    /// `LIMITS MAILMAX=`: transactions on one connection (RFC 9422).
    pub messages_max: Option<u32>,
}

impl Offers {
    /// Reads a positive reply to EHLO. The first line is a greeting; unknown keywords are passed
    /// over.
    pub fn from_ehlo(reply: &ServerReply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            if let Some(keyword) = words.next() {
                offers.keyword(&keyword.to_ascii_uppercase(), words);
            }
        }
        offers
    }

    fn keyword<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => self.size = Some(words.next().and_then(size_limit)),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "XFORWARD" => self.xforward = words.filter_map(OriginFact::of).collect(),
            "AUTH" => self.mechanisms(words),
            "LIMITS" => words.for_each(|word| self.limit(word)),
            // Some servers have it so, for programs of the time before RFC 2554, beside the other
            // form or alone.
            _ => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.mechanisms(std::iter::once(first));
                    self.mechanisms(words);
                }
            }
        }
    }

    /// Adds mechanisms, each once.
    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for word in words.filter(|word| !word.is_empty()) {
            let name = word.to_ascii_uppercase().into();
            if !self.auth.contains(&name) {
                self.auth.push(name);
            }
        }
    }

    fn limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else {
            return;
        };
        // A limit of nothing would make the server useless: it is taken for a mistake.
        let value = value.parse().ok().filter(|n| *n > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.recipients_max = value,
            "MAILMAX" => self.messages_max = value,
            _ => {}
        }
    }
}

/// RFC 1870 section 4: "A value of 0 (zero) indicates that no fixed maximum message size is in
/// force."
fn size_limit(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplyReader;

    #[test]
    fn the_last_line_of_an_ehlo_reply_says_so() {
        let mut out = Vec::new();
        let offers = [
            Extension::Size(100),
            Extension::Limits {
                rcpt_max: 5,
                mail_max: 7,
            },
        ];
        write_ehlo_reply("relay.example", &offers, &mut out);
        assert_eq!(
            out,
            b"250-relay.example\r\n250-SIZE 100\r\n250 LIMITS RCPTMAX=5 MAILMAX=7\r\n"
        );
        out.clear();
        write_ehlo_reply("relay.example", &[], &mut out);
        assert_eq!(out, b"250 relay.example\r\n");
    }

    #[test]
    fn a_reply_is_one_line_whatever_its_text() {
        let mut out = Vec::new();
        write_reply(&Reply::new(550, 7, 1, "a\r\n250 b"), &mut out);
        assert_eq!(out, b"550 5.7.1 a  250 b\r\n");
    }

    #[test]
    fn a_reply_of_several_lines_goes_out_in_them() {
        let lines = |code, detail, lines: &[&str]| {
            let reply = Reply::from_lines(code, detail, lines.iter().copied());
            let mut out = Vec::new();
            write_reply(&reply.unwrap(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            lines(550, Some((7, 1)), &["one", "two\r\n250 ok", "three"]),
            "550-5.7.1 one\r\n550-5.7.1 two  250 ok\r\n550 5.7.1 three\r\n"
        );
        assert_eq!(lines(451, None, &["one", "two"]), "451-one\r\n451 two\r\n");
        let blank = lines(550, None, &["\u{1}", "one", "\0\0", "two", "\u{1} \u{2}"]);
        assert_eq!(blank, "550-one\r\n550 two\r\n");
        let long = lines(550, Some((7, 1)), &[&"ü".repeat(300), &"word ".repeat(70)]);
        assert!(long.lines().all(|line| line.len() + 2 <= 512), "{long}");
        let shown: Vec<&str> = long.lines().map(|line| &line[..10]).collect();
        assert_eq!(shown, ["550-5.7.1 ", "550-5.7.1 ", "550 5.7.1 "]);
        assert!(long.ends_with("word\r\n"));
        assert_eq!(long.matches('ü').count(), 300);
        // A challenge is one.
        assert_eq!(lines(334, None, &[&"A".repeat(900)]).lines().count(), 1);
        assert_eq!(lines(550, None, &[]), "550\r\n");
        assert_eq!(lines(550, Some((1, 1)), &[]), "550 5.1.1\r\n");
    }

    fn offers(text: &str) -> Offers {
        let reply = ReplyReader::new()
            .read(&mut text.as_bytes())
            .unwrap()
            .unwrap();
        Offers::from_ehlo(&reply)
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let all = offers(
            "250-mx.example\r\n250-PIPELINING\r\n250-size 1000\r\n250-8BITMIME\r\n250-SmtpUtf8\r\n250-CHUNKING\r\n250-DSN\r\n\
             250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH plain LOGIN\r\n250-X-NEW thing\r\n250-XFORWARD name X ADDR\r\n250 LIMITS RCPTMAX=5 MAILMAX=7 X=1 Y\r\n",
        );
        let expected = Offers {
            pipelining: true,
            size: Some(Some(1000)),
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            dsn: true,
            starttls: true,
            xforward: vec![OriginFact::Name, OriginFact::Addr],
            auth: vec!["PLAIN".into(), "LOGIN".into()],
            recipients_max: Some(5),
            messages_max: Some(7),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn mechanisms_behind_an_equals_sign_are_offered_too() {
        for (lines, expected) in [
            ("250 AUTH=LOGIN plain", "LOGIN PLAIN"),
            ("250 auth=Login", "LOGIN"),
            ("250-AUTH LOGIN\r\n250 AUTH=LOGIN PLAIN", "LOGIN PLAIN"),
            ("250-AUTH=PLAIN\r\n250 AUTH PLAIN LOGIN", "PLAIN LOGIN"),
            ("250 AUTH= PLAIN", "PLAIN"),
            ("250 AUTH", ""),
            ("250 AUTHX=PLAIN", ""),
        ] {
            let auth = offers(&format!("250-mx\r\n{lines}\r\n")).auth;
            assert_eq!(auth.join(" "), expected, "{lines}");
        }
    }

    #[test]
    fn the_greeting_line_offers_nothing() {
        assert_eq!(offers("250 PIPELINING\r\n"), Offers::default());
    }

    #[test]
    fn a_size_may_be_without_limit() {
        for (line, size) in [
            ("SIZE", Some(None)),
            ("SIZE 0", Some(None)),
            ("SIZE 99999999999999999999999", Some(None)),
            ("SIZE 1", Some(Some(1))),
            ("SIZEX", None),
        ] {
            assert_eq!(
                offers(&format!("250-mx\r\n250 {line}\r\n")).size,
                size,
                "{line}"
            );
        }
    }

    #[test]
    fn a_limit_of_nothing_is_a_mistake() {
        assert_eq!(
            offers("250-mx\r\n250 LIMITS RCPTMAX=0\r\n").recipients_max,
            None
        );
    }
}

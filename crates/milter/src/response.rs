//! What a milter answers, as it stands on the wire.

use mail::Reply;

use crate::Step;
use crate::fault::{Fault, shown};
use crate::modification::{Field, Modification, Parameter, field_name, index, recipient, sender};
use crate::packet::Fields;

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// The answer to our offer.
    Negotiated,
    /// Nothing against it.
    Continue,
    /// Nothing against the message, whatever follows.
    Accept,
    /// Throw it away and say that it was taken.
    Discard,
    /// Refuse it, for now or for good.
    Refuse(Reply),
    /// Refuse it and end the connection.
    Shutdown(Reply),
    /// Take the milter for broken.
    Fail,
    /// No more of this kind of step.
    Skip,
    /// More time is needed.
    Progress,
    /// Hold the message, for this reason.
    Quarantine(Box<str>),
    /// Change something.
    Modify(Modification),
    /// A piece of another body.
    Body(Vec<u8>),
}

/// The reason of a quarantine that is longer is cut.
const REASON_LEN_MAX: usize = 500;

/// What is needed to read changes.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// The milter writes the blank behind the colon itself.
    pub has_leading_space: bool,
    /// Where a user without a domain is at home.
    pub host: &'a str,
}

impl Response {
    pub(crate) fn read(what: u8, data: &[u8], terms: Terms<'_>) -> Result<Self, Fault> {
        let is_bare = data.is_empty();
        let bare = |response| match is_bare {
            true => Ok(response),
            false => Err(Fault::Malformed(what)),
        };
        match what {
            b'O' => Ok(Self::Negotiated),
            b'c' => bare(Self::Continue),
            b'a' => bare(Self::Accept),
            b'd' => bare(Self::Discard),
            b'r' => bare(Self::Refuse(Reply::new(550, 7, 1, "Message refused"))),
            b't' => bare(Self::Refuse(Reply::new(451, 7, 1, "Try again later"))),
            b'4' => bare(Self::Shutdown(Reply::new(421, 7, 1, "Closing connection"))),
            b'f' => bare(Self::Fail),
            b's' => bare(Self::Skip),
            b'p' => bare(Self::Progress),
            b'y' => Fields(data)
                .last_text()
                .ok_or(Fault::Malformed(what))
                .and_then(|text| reply(text).map(Self::Refuse)),
            b'q' => {
                let reason = Fields(data).last_text().ok_or(Fault::Malformed(what))?;
                let reason = reason.get(..REASON_LEN_MAX).unwrap_or(reason);
                Ok(Self::Quarantine(shown_reason(reason)))
            }
            b'b' => Ok(Self::Body(data.to_vec())),
            b'h' | b'i' | b'm' | b'+' | b'2' | b'-' | b'e' => {
                modification(what, data, terms).map(Self::Modify)
            }
            _ => Err(Fault::UnknownAnswer(what)),
        }
    }

    /// Whether it may be the answer to this step, which is not the negotiation.
    pub(crate) fn belongs_to(&self, step: Step) -> bool {
        match self {
            Self::Negotiated => false,
            Self::Modify(_) | Self::Body(_) => step == Step::EndOfMessage,
            Self::Discard | Self::Quarantine(_) => !step.is_of_connection(),
            Self::Continue
            | Self::Accept
            | Self::Refuse(_)
            | Self::Shutdown(_)
            | Self::Fail
            | Self::Skip
            | Self::Progress => true,
        }
    }
}

fn shown_reason(reason: &[u8]) -> Box<str> {
    String::from_utf8_lossy(reason)
        .replace(char::is_control, " ")
        .trim()
        .into()
}

fn modification(what: u8, data: &[u8], terms: Terms<'_>) -> Result<Modification, Fault> {
    let malformed = Fault::Malformed(what);
    let mut fields = Fields(data);
    let number = match what {
        b'i' | b'm' => index(fields.number().ok_or(malformed.clone())?)?,
        _ => 0,
    };
    let first = fields.text().ok_or(malformed.clone())?;
    let second = match fields.is_empty() {
        true => None,
        false => Some(fields.last_text().ok_or(malformed.clone())?),
    };
    let field = |value| Field::new(first, value, terms.has_leading_space);
    match (what, second) {
        (b'h', Some(value)) => Ok(Modification::AddField(field(value)?)),
        (b'i', Some(value)) => Ok(Modification::InsertField(number, field(value)?)),
        // Sendmail and Postfix take zero for the first one.
        (b'm', Some(b"")) => {
            let name = field_name(first)?;
            Ok(Modification::DeleteField(number.max(1), name))
        }
        (b'm', Some(value)) => Ok(Modification::ChangeField(number.max(1), field(value)?)),
        (b'+', None) => {
            let mailbox = recipient(first, terms.host)?;
            Ok(Modification::AddRecipient(mailbox, Vec::new()))
        }
        (b'2', parameters) => {
            let parameters = Parameter::of_rcpt(parameters.unwrap_or_default())?;
            let mailbox = recipient(first, terms.host)?;
            Ok(Modification::AddRecipient(mailbox, parameters))
        }
        (b'-', None) => Ok(Modification::DeleteRecipient(recipient(first, terms.host)?)),
        (b'e', parameters) => {
            let parameters = Parameter::of_mail(parameters.unwrap_or_default())?;
            let path = sender(first, terms.host)?;
            Ok(Modification::ChangeSender(path, parameters))
        }
        _ => Err(malformed),
    }
}

/// Lines of a reply that are read; more say nothing more.
const REPLY_LINES_MAX: usize = 32;

/// Reads a refusal: lines of SMTP, each with the same code, `%` doubled.
fn reply(text: &[u8]) -> Result<Reply, Fault> {
    let fault = || Fault::BadReply(shown(text));
    let text = String::from_utf8_lossy(text);
    let (mut code, mut detail, mut words) = (None, None, Vec::new());
    for line in text.trim_end_matches(['\r', '\n']).split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (digits, rest) = line.split_at_checked(3).ok_or_else(fault)?;
        let is_code = digits.bytes().all(|octet| octet.is_ascii_digit());
        let own = digits.parse::<u16>().ok().filter(|_| is_code);
        let own = own.filter(|own| (400..600).contains(own));
        let own = own.ok_or_else(fault)?;
        if *code.get_or_insert(own) != own || !(rest.is_empty() || rest.starts_with([' ', '-'])) {
            return Err(fault());
        }
        let rest = rest.get(1..).unwrap_or_default();
        let (status, rest) = match status(rest) {
            Some((class, _, _)) if class != own / 100 => return Err(fault()),
            Some((_, status, rest)) => (Some(status), rest),
            None => (None, rest),
        };
        detail = detail.or(status);
        words.push(rest.trim().replace("%%", "%"));
        if words.len() >= REPLY_LINES_MAX {
            break;
        }
    }
    let lines = words.iter().map(String::as_str);
    Reply::from_lines(code.unwrap_or_default(), detail, lines).ok_or_else(fault)
}

/// The enhanced status at the beginning of a text (RFC 3463): its class, the rest of it, and what
/// follows.
fn status(text: &str) -> Option<(u16, (u16, u16), &str)> {
    let (status, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = status.split('.').map(|number| {
        let is_short = (1..=3).contains(&number.len());
        let is_number = is_short && number.bytes().all(|octet| octet.is_ascii_digit());
        number.parse::<u16>().ok().filter(|_| is_number)
    });
    let mut number = || numbers.next().flatten();
    let (class, subject, detail) = (number()?, number()?, number()?);
    numbers
        .next()
        .is_none()
        .then_some((class, (subject, detail), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(what: u8, data: &[u8]) -> Result<Response, Fault> {
        let terms = Terms {
            has_leading_space: false,
            host: "relay.example",
        };
        Response::read(what, data, terms)
    }

    #[test]
    fn a_reply_is_a_refusal_with_one_code() {
        let table = [
            ("550 5.7.1 no", Some("550 5.7.1 no")),
            ("451 4.7.1 95%% used", Some("451 4.7.1 95% used")),
            ("554 no status", Some("554 no status")),
            ("550", Some("550")),
            (
                "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three",
                Some("550 5.7.1 one two three"),
            ),
            ("550-one\n550 two\r\n", Some("550 one two")),
            ("421 4.3.2 away", Some("421 4.3.2 away")),
            ("250 2.0.0 fine", None),
            ("354 go on", None),
            ("550-one\r\n451 two", None),
            ("550 4.7.1 which", None),
            ("5", None),
            ("5x0 no", None),
            ("+50 no", None),
            ("550x", None),
            ("550 one\r\ntwo", None),
            ("", None),
        ];
        for (text, expected) in table {
            let data = [text.as_bytes(), b"\0"].concat();
            match (read(b'y', &data), expected) {
                (Ok(Response::Refuse(reply)), Some(expected)) => {
                    assert_eq!(reply.to_string(), expected);
                }
                (Err(Fault::BadReply(_)), None) => {}
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn answers_have_the_data_that_belongs_to_them_and_no_more() {
        for what in *b"cadrt4fsp" {
            assert!(read(what, b"").is_ok());
            assert_eq!(read(what, b"x"), Err(Fault::Malformed(what)));
        }
        for what in *b"himyq+-2e" {
            for data in [&b""[..], b"x", b"\0\0\0\x01x", b"\0\0\0\x01"] {
                assert!(read(what, data).is_err(), "{what} {data:?}");
            }
        }
        for (what, data) in [
            (b'h', &b"X\0v\0w\0"[..]),
            (b'h', b"X\0"),
            (b'+', b"a@b\0NOTIFY=NEVER\0"),
            (b'-', b"a@b\0\0"),
            (b'y', b"550 a\0b\0"),
        ] {
            assert_eq!(read(what, data), Err(Fault::Malformed(what)));
        }
        assert_eq!(read(b'?', b""), Err(Fault::UnknownAnswer(b'?')));
        let below = b"\xff\xff\xff\xffX\0v\0";
        assert_eq!(read(b'i', below), Err(Fault::BadIndex(u32::MAX)));
    }
}

use std::fmt;

use mail::{MailParameters, Mailbox, ParameterFault, RcptParameters, ReversePath};

use crate::fault::{Fault, shown};

/// One thing that a milter changes. It was checked when it came in: none breaks a header, a body or
/// an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modification {
    /// A field below the others.
    AddField(Field),
    /// A field behind as many others, our own trace on top among them; below all where there are
    /// fewer.
    InsertField(u32, Field),
    /// A field in the place of the nth of its name, from one; below the others where there is none.
    ChangeField(u32, Field),
    /// The nth field of this name is taken out, from one, if there is one.
    DeleteField(u32, Box<str>),
    /// Another body.
    ReplaceBody(Vec<u8>),
    /// Another sender.
    ChangeSender(ReversePath, Vec<Parameter>),
    /// A further recipient.
    AddRecipient(Mailbox, Vec<Parameter>),
    /// A recipient less, if there is such a one.
    DeleteRecipient(Mailbox),
}

impl Modification {
    /// Whether what came in pieces is good as a whole: a body has CR before LF alone, and no NUL.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let Self::ReplaceBody(body) = self else {
            return Ok(());
        };
        let is_bad = |at: usize| body.get(at) == Some(&0) || body.get(at + 1) != Some(&b'\n');
        match memchr::memchr2_iter(b'\r', 0, body).any(is_bad) {
            true => Err(Fault::BadBody),
            false => Ok(()),
        }
    }
}

/// A header field as a milter wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// All of it, with its line end.
    octets: Vec<u8>,
    name_len: usize,
}

/// A name of a field that is longer is nobody's.
const NAME_LEN_MAX: usize = 500;

impl Field {
    /// A field of a name and a value. A blank goes before the value unless it `has_leading_space`,
    /// which says that the milter writes its own.
    ///
    /// # Errors
    /// When this would not be one field: for its name, for a line that does not continue it, a CR
    /// alone or a NUL.
    pub fn new(name: &[u8], value: &[u8], has_leading_space: bool) -> Result<Self, Fault> {
        let fault = || Fault::BadField(shown(name));
        if !is_name(name) {
            return Err(fault());
        }
        let mut octets = Vec::with_capacity(name.len() + value.len() + 4);
        octets.extend_from_slice(name);
        octets.push(b':');
        if !has_leading_space {
            octets.push(b' ');
        }
        let end = value
            .iter()
            .rposition(|octet| !matches!(octet, b'\r' | b'\n'));
        let value = &value[..end.map_or(0, |end| end + 1)];
        for (number, line) in value.split(|octet| *octet == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let continues = line.starts_with(b" ") || line.starts_with(b"\t");
            // A line of blanks alone ends the header for some readers.
            let is_folded = continues && !line.trim_ascii().is_empty();
            let is_broken = line.contains(&b'\r') || line.contains(&0);
            if is_broken || (number > 0 && !is_folded) {
                return Err(fault());
            }
            if number > 0 {
                octets.extend_from_slice(b"\r\n");
            }
            octets.extend_from_slice(line);
        }
        octets.extend_from_slice(b"\r\n");
        Ok(Self {
            octets,
            name_len: name.len(),
        })
    }

    /// All of it, as it stands in a header: each line with CRLF.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// What stands before the colon.
    pub fn name(&self) -> &[u8] {
        &self.octets[..self.name_len]
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.octets), f)
    }
}

/// RFC 5322 section 2.2: printable US-ASCII without the colon.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let is_letter = |octet: &u8| octet.is_ascii_graphic() && *octet != b':';
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.iter().all(is_letter)
}

/// The name of a field that is to be taken out.
pub(crate) fn field_name(name: &[u8]) -> Result<Box<str>, Fault> {
    let text = str::from_utf8(name).ok().filter(|_| is_name(name));
    text.map(Box::from)
        .ok_or_else(|| Fault::BadField(shown(name)))
}

/// The place of a field. libmilter lets nobody name one below zero.
pub(crate) fn index(number: u32) -> Result<u32, Fault> {
    match i32::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(Fault::BadIndex(number)),
    }
}

/// A parameter of MAIL or RCPT that we know and whose value is one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    keyword: Box<str>,
    value: Option<Box<str>>,
}

impl Parameter {
    /// Reads what a milter writes behind an address, `KEYWORD=value` and blanks between. What we
    /// would not take from a client either is left out; a value that is none is a fault.
    fn all(
        text: &[u8],
        mut set: impl FnMut(&str, Option<&str>) -> Result<(), ParameterFault>,
    ) -> Result<Vec<Self>, Fault> {
        let fault = || Fault::BadAddress(shown(text));
        let text = str::from_utf8(text).map_err(|_| fault())?;
        let mut known = Vec::new();
        for word in text.split_ascii_whitespace() {
            let (keyword, value) = match word.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (word, None),
            };
            let keyword = keyword.to_ascii_uppercase();
            match set(&keyword, value) {
                Ok(()) => known.push(Self {
                    keyword: keyword.into(),
                    value: value.map(Box::from),
                }),
                Err(ParameterFault::Unknown) => {}
                Err(_) => return Err(fault()),
            }
        }
        Ok(known)
    }

    /// Those of MAIL.
    pub(crate) fn of_mail(text: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut parameters = MailParameters::default();
        Self::all(text, |keyword, value| parameters.set(keyword, value))
    }

    /// Those of RCPT.
    pub(crate) fn of_rcpt(text: &[u8]) -> Result<Vec<Self>, Fault> {
        let mut parameters = RcptParameters::default();
        Self::all(text, |keyword, value| parameters.set(keyword, value))
    }

    /// Its keyword and value.
    pub(crate) fn parts(&self) -> (&str, Option<&str>) {
        (&self.keyword, self.value.as_deref())
    }
}

/// Reads a recipient, in angle brackets or not. A word alone is a user of `host`, as `root` is on
/// every machine.
pub(crate) fn recipient(text: &[u8], host: &str) -> Result<Mailbox, Fault> {
    let address = address(text)?;
    let parsed = match address.contains('@') {
        true => Mailbox::parse_recipient(address),
        false => Mailbox::parse_recipient(&format!("{address}@{host}")),
    };
    parsed.map_err(|_| Fault::BadAddress(shown(text)))
}

/// Reads a sender, in angle brackets or not; nobody when it is empty.
pub(crate) fn sender(text: &[u8], host: &str) -> Result<ReversePath, Fault> {
    let address = address(text)?;
    let parsed = match address.is_empty() || address.contains('@') {
        true => ReversePath::parse(address),
        false => ReversePath::parse(&format!("{address}@{host}")),
    };
    parsed.map_err(|_| Fault::BadAddress(shown(text)))
}

fn address(text: &[u8]) -> Result<&str, Fault> {
    let address = str::from_utf8(text).map_err(|_| Fault::BadAddress(shown(text)))?;
    let address = address.trim();
    let inner = address
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    Ok(inner.unwrap_or(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str, has_leading_space: bool) -> Option<String> {
        let field = Field::new(name.as_bytes(), value.as_bytes(), has_leading_space).ok()?;
        Some(String::from_utf8(field.octets).unwrap())
    }

    #[test]
    fn one_blank_goes_before_a_value_unless_the_milter_writes_its_own() {
        let table = [
            ("v=1", false, "X: v=1\r\n"),
            (" v=1", false, "X:  v=1\r\n"),
            (" v=1", true, "X: v=1\r\n"),
            ("v=1", true, "X:v=1\r\n"),
            ("", false, "X: \r\n"),
        ];
        for (value, has_leading_space, octets) in table {
            let made = field("X", value, has_leading_space);
            assert_eq!(made.as_deref(), Some(octets), "{value:?}");
        }
    }

    #[test]
    fn folds_are_kept_and_line_ends_made_whole() {
        let table = [
            ("a\n\tb", Some("X: a\r\n\tb\r\n")),
            ("a\r\n b", Some("X: a\r\n b\r\n")),
            ("a;\n b;\r\n\t c", Some("X: a;\r\n b;\r\n\t c\r\n")),
            ("a\n", Some("X: a\r\n")),
            ("a\r\n\r\n", Some("X: a\r\n")),
            ("a\nBcc: b", None),
            ("a\n\nbody", None),
            ("a\n \t\n b", None),
            ("a\rb", None),
            ("a\r\r\n b", None),
            ("a\0b", None),
        ];
        for (value, octets) in table {
            assert_eq!(field("X", value, false).as_deref(), octets, "{value:?}");
        }
    }

    #[test]
    fn a_name_is_printable_and_has_no_colon() {
        for name in ["", "two words", "a:b", "a\r\nb", "ä", &"x".repeat(501)] {
            assert_eq!(field(name, "v", false), None, "{name:?}");
            assert!(field_name(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(field("X-Spam.Level!", "v", false).is_some());
    }

    #[test]
    fn addresses_are_read_with_brackets_and_without() {
        for text in [
            "<ann@mail.example>",
            "ann@mail.example",
            " <ann@mail.example> ",
        ] {
            let read = recipient(text.as_bytes(), "relay.example").unwrap();
            assert_eq!(read.as_str(), "ann@mail.example", "{text}");
        }
        let local = recipient(b"spam", "relay.example").unwrap();
        assert_eq!(local.as_str(), "spam@relay.example");
        for text in [
            "",
            "<>",
            "a b@c",
            "a@b@c",
            "a@b\r\n",
            "a@127.0.0.1",
            "\u{7f}@c",
        ] {
            let read = recipient(text.as_bytes(), "relay.example");
            assert_eq!(read.is_err(), text != "a@b\r\n", "{text}");
        }
        assert_eq!(sender(b"<>", "relay.example"), Ok(ReversePath::Null));
        assert_eq!(sender(b"", "relay.example"), Ok(ReversePath::Null));
        assert!(sender(b"<a@b", "relay.example").is_err());
    }

    #[test]
    fn parameters_are_those_that_a_client_may_say() {
        let read = Parameter::of_rcpt(b"NOTIFY=SUCCESS,DELAY X-OTHER=1 orcpt=rfc822;a@b").unwrap();
        assert_eq!(read.len(), 2);
        assert!(Parameter::of_rcpt(b"NOTIFY=sometimes").is_err());
        assert_eq!(Parameter::of_mail(b"RET=HDRS SIZE=12").unwrap().len(), 1);
        assert!(Parameter::of_mail(b"\xff").is_err());
    }
}

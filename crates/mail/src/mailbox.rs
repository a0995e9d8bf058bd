use std::fmt;
use std::sync::Arc;

use crate::{Domain, DomainError, Host};

/// One address, `local@domain`, as RFC 5321 section 4.1.2 defines it (with RFC 6531's characters allowed).
///
/// The text is kept as it was written, and goes out that way; the part right of the `@` is kept beside it in its one comparable form.
/// Only the parser makes one, so a mailbox never holds a control character, a second unquoted `@`, a route or an empty part.
#[derive(Clone)]
pub struct Mailbox {
    text: Arc<str>,
    at: usize,
    host: Host,
}

/// Why a text is no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// No `@`, or nothing before it.
    NoLocalPart,
    /// No domain behind the local part.
    NoDomain,
    /// A character that an unquoted local part cannot hold, an unclosed quote, or a dot in the wrong place.
    BadLocalPart,
    /// Over 64 octets before the `@` (RFC 5321 section 4.5.3.1.1).
    LocalPartTooLong,
    /// The part behind the `@` is no domain and no address literal.
    BadDomain(DomainError),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocalPart => f.write_str("an address is local-part@domain"),
            Self::NoDomain => f.write_str("the address has no domain"),
            Self::BadLocalPart => f.write_str("the local part is malformed"),
            Self::LocalPartTooLong => f.write_str("the local part is over 64 octets"),
            Self::BadDomain(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for AddressError {}

/// RFC 5321 section 4.5.3.1.1: "The maximum total length of a user name or other local-part is 64 octets."
const LOCAL_PART_LEN_MAX: usize = 64;

impl Mailbox {
    /// Reads `local@domain`, without angle brackets.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = local_part_len(text)?;
        let rest = text[at..].strip_prefix('@').ok_or(AddressError::NoDomain)?;
        if at > LOCAL_PART_LEN_MAX {
            return Err(AddressError::LocalPartTooLong);
        }
        if rest.is_empty() {
            return Err(AddressError::NoDomain);
        }
        let host = Host::parse(rest).map_err(AddressError::BadDomain)?;
        Ok(Self {
            text: text.into(),
            at,
            host,
        })
    }

    /// `postmaster` at a domain of ours: what the address `<postmaster>` means (RFC 5321 section 4.5.1).
    pub fn postmaster(domain: &Domain) -> Self {
        let text = format!("postmaster@{domain}");
        Self {
            text: text.into(),
            at: "postmaster".len(),
            host: Host::Domain(domain.clone()),
        }
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands left of the `@`, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The local part without its quotes and backslashes.
    pub fn unquoted_local(&self) -> String {
        let Some(inner) = self
            .local()
            .strip_prefix('"')
            .and_then(|s| s.strip_suffix('"'))
        else {
            return self.local().to_owned();
        };
        let mut plain = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            plain.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        plain
    }

    /// What stands right of the `@`, in the form in which hosts are compared.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether the address can only be sent with SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }
}

/// The length of the local part at the start of `text`: an RFC 5321 `Dot-string` or `Quoted-string`.
fn local_part_len(text: &str) -> Result<usize, AddressError> {
    match text.as_bytes().first() {
        None | Some(b'@') => Err(AddressError::NoLocalPart),
        Some(b'"') => quoted_len(text),
        Some(_) => dot_string_len(text),
    }
}

fn quoted_len(text: &str) -> Result<usize, AddressError> {
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        let c = match c {
            '"' if i == 1 => return Err(AddressError::BadLocalPart),
            '"' => return Ok(i + 1),
            '\\' => chars.next().ok_or(AddressError::BadLocalPart)?.1,
            c => c,
        };
        if c.is_control() || (c.is_whitespace() && c != ' ') {
            return Err(AddressError::BadLocalPart);
        }
    }
    Err(AddressError::BadLocalPart)
}

fn dot_string_len(text: &str) -> Result<usize, AddressError> {
    let end = text
        .find(|c| c != '.' && !is_atext(c))
        .unwrap_or(text.len());
    let local = &text[..end];
    if local.split('.').any(str::is_empty) {
        return Err(AddressError::BadLocalPart);
    }
    match text[end..].chars().next() {
        None | Some('@') => Ok(end),
        Some(_) => Err(AddressError::BadLocalPart),
    }
}

/// RFC 5322 section 3.2.3 `atext`, and RFC 6531 section 3.3's non-ASCII characters less the blank and control ones.
fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    }
    !c.is_control() && !c.is_whitespace()
}

/// The address as written.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// Local parts are compared to the letter, domains in their comparable form.
impl PartialEq for Mailbox {
    fn eq(&self, other: &Self) -> bool {
        self.local() == other.local() && self.host == other.host
    }
}

impl Eq for Mailbox {}

impl std::str::FromStr for Mailbox {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// Whom to tell about trouble: what MAIL FROM named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: a notice; nobody is told about its troubles (RFC 5321 section 4.5.5).
    Null,
    /// The sender.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Reads what [`ReversePath::as_str`] gave: an address, or nothing.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            Ok(Self::Null)
        } else {
            Mailbox::parse(text).map(Self::Mailbox)
        }
    }

    /// The address, or nothing for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The sender, if there is one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// With its angle brackets: `<ann@example.com>`, `<>`.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_rfc_5321_are_read_and_kept() {
        let cases = [
            ("bob@Example.com", "bob", "example.com"),
            ("a.b+c@x.example", "a.b+c", "x.example"),
            ("\"a b\"@x.example", "\"a b\"", "x.example"),
            ("\"a@b\"@x.example", "\"a@b\"", "x.example"),
            ("\"a\\\"b\"@x.example", "\"a\\\"b\"", "x.example"),
            ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
            ("jürgen@bücher.example", "jürgen", "xn--bcher-kva.example"),
        ];
        for (text, local, host) in cases {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!(
                (mailbox.local(), mailbox.host().to_string().as_str()),
                (local, host)
            );
            assert_eq!(mailbox.to_string(), text);
        }
        assert_eq!(
            Mailbox::parse("\"a\\\"b\"@x.y").unwrap().unquoted_local(),
            "a\"b"
        );
    }

    #[test]
    fn anything_else_is_no_mailbox() {
        let long = format!("{}@x.example", "a".repeat(65));
        let cases = [
            "",
            "@x.example",
            "a",
            "a@",
            "a@b@c",
            "a b@x",
            ".a@x",
            "a.@x",
            "a..b@x",
            "\"\"@x",
            "\"a@x",
            "\"a\"b@x",
            "a@x.",
            "a\r\n@x",
            "\"a\r\nb\"@x",
            "a@[1.2.3]",
            "<a@b>",
            "@a:b@c",
            "a,b@x",
            "a(c)@x",
            "\"a\0\"@x",
            "a\u{a0}b@x",
            &long,
        ];
        for text in cases {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::{Domain, DomainError, Host};

/// One address, `local@domain`, as RFC 5321 section 4.1.2 defines it (with RFC 6531's characters
/// allowed).
///
/// The text is kept as it was written, and goes out that way; the part right of the `@` is kept
/// beside it in its one comparable form. Only the parser makes one, so a mailbox never holds a
/// control character, a second unquoted `@`, a route or an empty part.
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
    /// A character that an unquoted local part cannot hold, an unclosed quote, or a dot in the
    /// wrong place.
    BadLocalPart,
    /// Over [`Mailbox::LEN_MAX`] octets.
    TooLong,
    /// A recipient at an address that is not in brackets, or at something else that ends in a label
    /// of digits.
    Digits,
    /// A source route that is none, or before no address.
    BadRoute,
    /// The part behind the `@` is no domain and no address literal.
    BadDomain(DomainError),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocalPart => f.write_str("an address is local-part@domain"),
            Self::NoDomain => f.write_str("the address has no domain"),
            Self::BadLocalPart => f.write_str("the local part is malformed"),
            Self::TooLong => write!(f, "an address has at most {} octets", Mailbox::LEN_MAX),
            Self::Digits => {
                f.write_str("no domain ends in digits; an IP address stands in brackets")
            }
            Self::BadRoute => f.write_str("a source route is @host,@host: before an address"),
            Self::BadDomain(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for AddressError {}

impl Mailbox {
    /// The longest address, in octets: a local part of 64, an `@` and a domain of 255 (RFC 5321
    /// section 4.5.3.1). Senders that write a whole address into the local part (VERP, SRS) need
    /// more than 64 there, and no harm comes of it.
    pub const LEN_MAX: usize = 64 + 1 + 255;

    /// Reads `local@domain`, without angle brackets.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > Self::LEN_MAX {
            return Err(AddressError::TooLong);
        }
        let at = local_part_len(text)?;
        let rest = text[at..].strip_prefix('@').ok_or(AddressError::NoDomain)?;
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

    /// The address of a local part without quotes, which gets them where it needs them, at a host.
    ///
    /// # Errors
    /// There is no such address.
    pub fn from_parts(local: &str, host: &str) -> Result<Self, AddressError> {
        // What begins with a quote could be read as quoted already.
        let plain = !local.contains('"') && local_part_len(local) == Ok(local.len());
        if plain {
            return Self::parse(&format!("{local}@{host}"));
        }
        let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
        Self::parse(&format!("\"{quoted}\"@{host}"))
    }

    /// Reads the address of somebody who is to get a message: not `root@127.0.0.1`, for which no
    /// mail server would ever be found. No top-level domain is of digits alone (RFC 3696 section
    /// 2), and an address stands in brackets (RFC 5321 section 4.1.3).
    pub fn parse_recipient(text: &str) -> Result<Self, AddressError> {
        let mailbox = Self::parse(text)?;
        let domain = mailbox.host.domain();
        if domain.is_some_and(Domain::ends_in_digits) {
            return Err(AddressError::Digits);
        }
        Ok(mailbox)
    }

    /// `postmaster` at a domain of ours: what the address `<postmaster>` means (RFC 5321 section
    /// 4.5.1).
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

    /// Whether the address as it was written can only be sent with SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.text.is_ascii()
    }

    /// The address for a server without SMTPUTF8: as it was written, or with its domain in A-labels
    /// (RFC 5890), which name the same one. `None` when the local part needs more than ASCII, for
    /// which there is no other form.
    pub fn in_ascii(&self) -> Option<Cow<'_, str>> {
        if self.text.is_ascii() {
            return Some(Cow::Borrowed(&self.text));
        }
        let local = self.local();
        let ascii = local.is_ascii();
        ascii.then(|| Cow::Owned(format!("{local}@{}", self.host)))
    }
}

/// The length of the local part at the start of `text`: an RFC 5321 `Dot-string` or
/// `Quoted-string`.
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

/// RFC 5322 section 3.2.3 `atext`, and RFC 6531 section 3.3's non-ASCII characters less the blank
/// and control ones.
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
    /// The sender's mailbox, to which notices about the message go.
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

    /// Reads what a client says: the same, or an address behind a source route, which is dropped.
    /// RFC 5321 section 4.1.2: "this form, the so-called 'source route', MUST BE accepted, SHOULD
    /// NOT be generated, and SHOULD be ignored." The mailbox behind it is the sender's own.
    pub fn parse_routed(text: &str) -> Result<Self, AddressError> {
        if !text.starts_with('@') {
            return Self::parse(text);
        }
        let (route, mailbox) = text.split_once(':').ok_or(AddressError::BadRoute)?;
        let is_hop = |hop: &str| {
            hop.strip_prefix('@')
                .is_some_and(|host| Host::parse(host).is_ok())
        };
        if !route.split(',').all(is_hop) {
            return Err(AddressError::BadRoute);
        }
        Mailbox::parse(mailbox).map(Self::Mailbox)
    }

    /// The address, or nothing for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The domain of the address; none of the null path, and none where it is at an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => mailbox.host().domain(),
        }
    }

    /// The path for a server without SMTPUTF8, as [`Mailbox::in_ascii`]; nothing for the null path.
    pub fn in_ascii(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => Some(Cow::Borrowed("")),
            Self::Mailbox(mailbox) => mailbox.in_ascii(),
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
    fn a_local_part_gets_quotes_where_it_needs_them() {
        for (local, expected) in [
            ("bob", Some("bob@a.test")),
            ("b.o=b", Some("b.o=b@a.test")),
            ("a b", Some("\"a b\"@a.test")),
            ("bob.", Some("\"bob.\"@a.test")),
            ("a@b", Some("\"a@b\"@a.test")),
            ("\"x\"", Some("\"\\\"x\\\"\"@a.test")),
            ("a\\b", Some("\"a\\\\b\"@a.test")),
            ("", None),
            ("a\nb", None),
        ] {
            let mailbox = Mailbox::from_parts(local, "a.test").ok();
            assert_eq!(mailbox.as_ref().map(Mailbox::as_str), expected, "{local}");
            let unquoted = mailbox.map(|mailbox| mailbox.unquoted_local());
            assert!(unquoted.is_none_or(|unquoted| unquoted == local));
        }
        assert!(Mailbox::from_parts("bob", "a@b").is_err());
    }

    #[test]
    fn a_domain_has_an_ascii_form_and_a_local_part_none() {
        let cases = [
            ("Bob@Example.com", Some("Bob@Example.com")),
            ("Bob@B\u{fc}cher.test", Some("Bob@xn--bcher-kva.test")),
            (
                "\"a b\"@b\u{fc}cher.test",
                Some("\"a b\"@xn--bcher-kva.test"),
            ),
            ("bob@[192.0.2.1]", Some("bob@[192.0.2.1]")),
            ("j\u{fc}rgen@example.com", None),
            ("j\u{fc}rgen@b\u{fc}cher.test", None),
        ];
        for (text, expected) in cases {
            let path = ReversePath::parse(text).unwrap();
            assert_eq!(path.in_ascii().as_deref(), expected, "{text}");
        }
        assert_eq!(ReversePath::Null.in_ascii().as_deref(), Some(""));
    }

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
    fn a_local_part_may_be_as_long_as_the_address_allows() {
        let text = format!("{}@x.example", "a".repeat(Mailbox::LEN_MAX - 10));
        assert_eq!(Mailbox::parse(&text).unwrap().as_str(), text);
        let quoted = format!("\"{}\"@x.example", "a".repeat(Mailbox::LEN_MAX - 12));
        assert_eq!(Mailbox::parse(&quoted).unwrap().as_str(), quoted);
    }

    #[test]
    fn no_recipient_is_at_a_number_without_brackets() {
        for text in ["root@127.0.0.1", "root@0", "root@x.123", "root@0x7f.1"] {
            assert!(Mailbox::parse(text).is_ok(), "a sender: {text}");
            let refused = Mailbox::parse_recipient(text);
            assert_eq!(refused, Err(AddressError::Digits), "{text}");
        }
        for text in ["root@[127.0.0.1]", "root@127.0.0.1.example", "1@2.3.4a"] {
            assert!(Mailbox::parse_recipient(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_mailbox() {
        let long = format!("{}@x.example", "a".repeat(Mailbox::LEN_MAX - 9));
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

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::lower_case;

/// A domain name in the one form in which names are compared: lower-case A-labels, no trailing dot.
///
/// U-labels are turned into A-labels when they are in normal form already. Look-alikes (full-width
/// letters or dots, and everything else that IDNA mapping would fold) are refused: an address that
/// merely resembles a hosted domain must never become it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// RFC 1035 section 2.3.4 has 255 octets on the wire, which are 253 as text.
const NAME_LEN_MAX: usize = 253;
const LABEL_LEN_MAX: usize = 63;

/// Why a text is not a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainError {
    /// Nothing there, an empty label, or a dot at the end.
    Empty,
    /// Over 253 octets, or a label over 63.
    TooLong,
    /// Something other than letters, digits, hyphen and underscore, or a hyphen at the edge of a
    /// label.
    BadCharacter,
    /// Not a valid internationalised name in its normal form.
    BadIdn,
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a domain has no empty label and no dot at its end",
            Self::TooLong => "a domain has at most 253 octets, a label 63",
            Self::BadCharacter => "a label is made of letters, digits and inner hyphens",
            Self::BadIdn => "not an internationalised domain name in its normal form",
        })
    }
}

impl std::error::Error for DomainError {}

impl Domain {
    /// Reads a name of A-labels or U-labels, in any case.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if text.is_ascii() {
            check_ascii(text)?;
            if text.bytes().any(|b| b.is_ascii_uppercase()) {
                return Ok(Self(text.to_ascii_lowercase().into()));
            }
            return Ok(Self(text.into()));
        }
        let lower = lower_case(text);
        let ascii = idna::domain_to_ascii_strict(&lower).map_err(|_| DomainError::BadIdn)?;
        check_ascii(&ascii)?;
        // The mapping must not have changed anything but the case: no folding into somebody else's
        // name.
        let (back, valid) = idna::domain_to_unicode(&ascii);
        if valid.is_err() || back != lower {
            return Err(DomainError::BadIdn);
        }
        Ok(Self(ascii.into()))
    }

    /// The name in A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` lies below `parent` (`a.b.example` below `b.example`); a name is not below
    /// itself.
    pub fn is_below(&self, parent: &Domain) -> bool {
        self.0
            .strip_suffix(&*parent.0)
            .is_some_and(|head| head.ends_with('.'))
    }

    /// Whether the last label is of digits alone, as it is in an IP address and in no name.
    pub fn ends_in_digits(&self) -> bool {
        let last = self.0.rsplit('.').next();
        last.is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
    }

    /// The name without its first label, or none when there is only one.
    pub fn parent(&self) -> Option<Domain> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }
}

fn check_ascii(text: &str) -> Result<(), DomainError> {
    if text.len() > NAME_LEN_MAX {
        return Err(DomainError::TooLong);
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Err(DomainError::Empty);
        }
        if label.len() > LABEL_LEN_MAX {
            return Err(DomainError::TooLong);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !label.bytes().all(plain) || label.starts_with('-') || label.ends_with('-') {
            return Err(DomainError::BadCharacter);
        }
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

/// What stands right of the `@`: a domain, or an address literal (RFC 5321 section 4.1.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// A domain name, without brackets.
    Domain(Domain),
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`
    Literal(IpAddr),
}

impl Host {
    /// Reads a domain or a bracketed literal.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let Some(inner) = text.strip_prefix('[') else {
            return Domain::parse(text).map(Self::Domain);
        };
        let inner = inner.strip_suffix(']').ok_or(DomainError::BadCharacter)?;
        let address = match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
                inner[5..].parse::<Ipv6Addr>().map(IpAddr::V6).ok()
            }
            _ => inner.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
        };
        address
            .map(|a| Self::Literal(a.to_canonical()))
            .ok_or(DomainError::BadCharacter)
    }

    /// The domain, when it is one.
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Domain(domain) => Some(domain),
            Self::Literal(_) => None,
        }
    }
}

/// `example.com`, `[192.0.2.1]` or `[IPv6:2001:db8::1]`; [`Host::parse`] reads it back.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(a)) => write!(f, "[{a}]"),
            Self::Literal(IpAddr::V6(a)) => write!(f, "[IPv6:{a}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let ok = [
            ("Example.COM", "example.com"),
            ("a_b.example", "a_b.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
        ];
        for (text, name) in ok {
            assert_eq!(
                Domain::parse(text).map(|d| d.to_string()),
                Ok(name.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_name_is_refused() {
        use DomainError::*;
        let long = format!("{}.example", "a".repeat(64));
        let cases = [
            ("", Empty),
            ("a..b", Empty),
            ("example.com.", Empty),
            (".a", Empty),
            (&long, TooLong),
            ("-a.b", BadCharacter),
            ("a b", BadCharacter),
            ("a\0b", BadCharacter),
            ("ｅxample.com", BadIdn),
            ("example。com", BadIdn),
            ("\u{212a}iosk.example", BadIdn),
            ("b\u{fc}cher.\u{212a}iosk", BadIdn),
            ("\u{212b}land.example", BadIdn),
            ("\u{2126}.example", BadIdn),
            ("\u{1c4}.example", BadIdn),
            ("\u{130}zmir.example", BadIdn),
            ("exa\u{ad}mple.cöm", BadIdn),
        ];
        for (text, why) in cases {
            assert_eq!(Domain::parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn below_means_whole_labels() {
        let d = |s| Domain::parse(s).unwrap();
        assert!(d("a.b.c").is_below(&d("b.c")));
        assert!(!d("b.c").is_below(&d("b.c")));
        assert!(!d("xb.c").is_below(&d("b.c")));
    }

    #[test]
    fn literals_print_as_they_are_read() {
        for text in ["[192.0.2.1]", "[IPv6:2001:db8::1]", "example.com"] {
            assert_eq!(Host::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "[192.0.2.1",
            "[1.2.3]",
            "[x]",
            "[0x7f.0.0.1]",
            "[IPv6:1.2.3.4]",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Host::parse("[IPv6:::ffff:192.0.2.1]").unwrap().to_string(),
            "[192.0.2.1]"
        );
    }
}

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};

use crate::facts::Sender;
use crate::macro_string::{Letter, Macro, MacroString, Piece};
use crate::name::LEN_MAX;
use crate::{DnsName, Facts};

/// The longest text that macros may make, in octets. A policy of nothing but `%{s}` would otherwise
/// come to megabytes.
const TEXT_LEN_MAX: usize = 4096;

/// What macros stand for (RFC 7208 section 7).
pub(crate) struct Expansion<'a> {
    pub facts: &'a Facts<'a>,
    pub sender: &'a Sender<'a>,
    /// Whose policy it is.
    pub domain: &'a DnsName,
    /// `%{p}`
    pub validated_name: &'a str,
}

impl Expansion<'_> {
    /// The text with its values in place; `None` if it is too long to be of use.
    pub fn text(&self, string: &MacroString<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &string.pieces {
            if text.len() > TEXT_LEN_MAX {
                return None;
            }
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Macro(found) => transform(&self.value(found.letter), found, &mut text),
            }
        }
        Some(text)
    }

    /// The name that it comes to; `None` if DNS cannot be asked for that. RFC 8616 section 4 has it
    /// so for local parts that are not ASCII.
    ///
    /// RFC 7208 section 7.3: "the left side is truncated to fit, by removing successive domain labels
    /// (and their following dots)".
    pub fn name(&self, string: &MacroString<'_>) -> Option<DnsName> {
        let text = self.text(string)?;
        let mut kept = text.strip_suffix('.').unwrap_or(&text);
        while kept.len() > LEN_MAX {
            let Some((_, rest)) = kept.split_once('.') else {
                break;
            };
            kept = rest;
        }
        DnsName::parse(kept)
    }

    fn value(&self, letter: Letter) -> String {
        let Sender { local_part, domain } = self.sender;
        match letter {
            Letter::Sender => format!("{local_part}@{domain}"),
            Letter::LocalPart => (*local_part).to_owned(),
            Letter::SenderDomain => domain.to_string(),
            Letter::Domain => self.domain.to_string(),
            Letter::Client => dotted(self.facts.client),
            Letter::ValidatedName => self.validated_name.to_owned(),
            Letter::Family if self.facts.client.is_ipv4() => "in-addr".to_owned(),
            Letter::Family => "ip6".to_owned(),
            Letter::Helo => self.facts.helo.to_owned(),
            Letter::ReadableClient => self.facts.client.to_string(),
            Letter::Receiver => self.facts.receiver.to_owned(),
            Letter::Time => self.facts.now.to_string(),
        }
    }
}

/// An address as a name has it: each half octet of IPv6 is a label.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => nibbles(address),
    }
}

fn nibbles(address: Ipv6Addr) -> String {
    let digits = format!("{:032X}", u128::from(address));
    let labels: Vec<&str> = digits.split("").filter(|digit| !digit.is_empty()).collect();
    labels.join(".")
}

fn transform(value: &str, of: &Macro<'_>, text: &mut String) {
    let delimiters = match of.delimiters {
        "" => ".",
        named => named,
    };
    let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
    if of.is_reversed {
        parts.reverse();
    }
    let dropped = match of.parts {
        0 => 0,
        kept => parts.len().saturating_sub(kept),
    };
    let value = parts.split_off(dropped).join(".");
    if of.is_escaped {
        escape(&value, text);
    } else {
        text.push_str(&value);
    }
}

/// RFC 7208 section 7.3: "Uppercase macros expand exactly as the lowercase macros, and are then URL
/// escaped." Unreserved characters stay (RFC 3986 section 2.3).
fn escape(value: &str, text: &mut String) {
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            text.push(octet.into());
        } else {
            write!(text, "%{octet:02X}").expect("a String takes all that is written");
        }
    }
}

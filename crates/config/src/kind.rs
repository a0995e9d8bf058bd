//! What may be written for an option, and how it is read.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use ipnet::IpNet;
use mail::{Domain, Host, Mailbox, Place};
use relay_policy::{CertificatePattern, Entry, SenderPattern};
use route::HostSpec;
use toml::Spanned;
use toml::de::DeValue;

use crate::forms;
use crate::quantity::{self, DURATION_HELP, SIZE_HELP};
use crate::source::Span;
use crate::suggest::nearest;
use crate::value::{Item, Secret, Value};

/// What may be written for an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A whole number that may be negative.
    Signed {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// `600/1h` or `off`
    Rate,
    /// `5m`
    Duration,
    /// `5m` or `off`
    DurationOrOff,
    /// `25MB`
    Size,
    /// A path.
    Path,
    /// A host name.
    Name,
    /// A mail address.
    Mailbox,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `file:PATH` or `env:NAME`
    Secret,
    /// `0.0.0.0:25`
    Bind,
    /// `192.0.2.53` or `192.0.2.53:53`
    Resolver,
    /// An IP address.
    Address,
    /// `any`, `4` or `6`
    Family,
    /// An entry of a list of clients.
    Client,
    /// An entry of a list of senders.
    Sender,
    /// `10.0.0.0/8`
    Network,
    /// A host to hand mail to.
    Host,
    /// `mx`, a host, or the name of a route.
    Route,
    /// `anyone`, `relay`, or a list of clients.
    AcceptFrom,
    /// `127.0.0.2` or `127.0.0.2-127.0.0.11`: answers of a DNS list.
    Codes,
    /// `sha256:...`, `spki:sha256:...` or a name: a client certificate.
    Certificate,
    /// `file:PATH`, `ldap:NAME`, `verify`, or a list of recipients.
    Recipients,
    /// `https://...`
    HttpsUrl,
    /// `https://...` or `file:PATH`: the keys of an issuer of tokens.
    Keys,
    /// `ldap://...` or `ldaps://...`
    LdapUrl,
    /// A list.
    List(&'static Kind),
    /// One of a kind, or a list of it.
    OneOrMany(&'static Kind),
    /// Whatever: of an option that does nothing yet.
    Any,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub range: Range<usize>,
    /// What it should have been.
    pub expected: String,
    /// What it is, or how to write it.
    pub label: String,
}

impl Kind {
    /// In words: "a duration".
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Text => "text in quotes".into(),
            Self::Bool => "true or false".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Signed { min, max } => format!("a whole number from {min} to {max}"),
            Self::Rate => "a rate or \"off\"".into(),
            Self::Duration => "a duration".into(),
            Self::DurationOrOff => "a duration or \"off\"".into(),
            Self::Size => "a size".into(),
            Self::Path => "a path".into(),
            Self::Name => "a host name".into(),
            Self::Mailbox => "a mail address".into(),
            Self::Choice(words) => alternatives(words),
            Self::Secret => "a secret: \"file:PATH\" or \"env:NAME\"".into(),
            Self::Bind => "an address and port".into(),
            Self::Resolver => "a resolver's address".into(),
            Self::Address => "an IP address".into(),
            Self::Family => "\"any\", 4 or 6".into(),
            Self::Client => "a client: address, block, range or `*.host.name`".into(),
            Self::Sender => "a sender: user@domain, domain, *.domain or <>".into(),
            Self::Network => "an address or a block of addresses".into(),
            Self::Host => "a host: [address], [address]:port, name or name:port".into(),
            Self::Route => "\"mx\", a host, or the name of a route".into(),
            Self::AcceptFrom => "\"anyone\", \"relay\" or a list of clients".into(),
            Self::Codes => "an answer of a DNS list, or a range of them".into(),
            Self::Certificate => {
                "a client certificate: \"sha256:...\", \"spki:sha256:...\" or a name".into()
            }
            Self::Recipients => {
                "\"file:PATH\", \"ldap:NAME\", \"verify\" or a list of recipients".into()
            }
            Self::HttpsUrl => "an https URL".into(),
            Self::Keys => "an https URL or a file".into(),
            Self::LdapUrl => "an ldap or ldaps URL".into(),
            Self::List(kind) => format!("a list, each {}", kind.expected()),
            Self::OneOrMany(kind) => format!("{}, or a list", kind.expected()),
            Self::Any => "anything".into(),
        }
    }

    /// Reads a value; every element of a list that is wrong is a problem of its own.
    pub(crate) fn read(
        self,
        value: &Spanned<DeValue<'_>>,
        file: usize,
    ) -> Result<Value, Vec<Problem>> {
        match (self, value.get_ref()) {
            (Self::Any, _) => Ok(Value::Unread),
            (Self::List(kind) | Self::OneOrMany(kind), DeValue::Array(items)) => {
                read_list(*kind, items.iter(), file)
            }
            (Self::AcceptFrom, DeValue::Array(items)) => {
                read_list(Self::Client, items.iter(), file)
            }
            (Self::Recipients, DeValue::Array(items)) => read_list(Self::Text, items.iter(), file),
            (Self::OneOrMany(kind), _) => {
                let item = Item {
                    value: kind.read(value, file)?,
                    span: Span {
                        file,
                        range: value.span(),
                    },
                };
                Ok(Value::List(vec![item]))
            }
            _ => self.read_one(value.get_ref()).map_err(|label| {
                vec![Problem {
                    range: value.span(),
                    expected: self.expected(),
                    label,
                }]
            }),
        }
    }

    /// Reads a value that is no list; the error is what stands behind the caret.
    fn read_one(self, value: &DeValue<'_>) -> Result<Value, String> {
        match (self, value) {
            (Self::Bool, DeValue::Boolean(b)) => Ok(Value::Bool(*b)),
            (Self::Count { min, max }, DeValue::Integer(n)) => {
                let digits = n.as_str().replace('_', "");
                let number = u64::from_str_radix(&digits, n.radix()).ok();
                let number = number.filter(|n| (min..=max).contains(n));
                number
                    .map(Value::Number)
                    .ok_or_else(|| format!("{n} is out of range"))
            }
            (Self::Signed { min, max }, DeValue::Integer(n)) => {
                let digits = n.as_str().replace('_', "");
                let number = i64::from_str_radix(&digits, n.radix()).ok();
                let number = number.filter(|n| (min..=max).contains(n));
                number
                    .map(Value::Signed)
                    .ok_or_else(|| format!("{n} is out of range"))
            }
            (Self::Family | Self::Choice(_), DeValue::Integer(n)) => self.read_text(n.as_str()),
            (Self::Choice(_), DeValue::Float(n)) => self.read_text(n.as_str()),
            (Self::Bool | Self::Count { .. } | Self::Signed { .. }, DeValue::String(_)) => {
                Err("write it without quotes".into())
            }
            (Self::Duration | Self::DurationOrOff, DeValue::Integer(_)) => {
                Err(DURATION_HELP.into())
            }
            (Self::Size, DeValue::Integer(_)) => Err(SIZE_HELP.into()),
            (Self::List(_), DeValue::String(_)) => Err("write it in brackets: [\"...\"]".into()),
            (_, DeValue::String(text)) => self.read_text(text),
            (_, other) => Err(format!("this is {}", with_article(other.type_str()))),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text | Self::Route => Ok(Value::Text(text.to_owned())),
            Self::Path => path(text),
            Self::Rate if text == "off" => Ok(Value::Text(text.to_owned())),
            Self::Rate => forms::rate(text),
            Self::Duration => duration(text),
            Self::DurationOrOff if text == "off" => Ok(Value::Text(text.to_owned())),
            Self::DurationOrOff => duration(text),
            Self::Size => quantity::size(text)
                .map(Value::Size)
                .ok_or(SIZE_HELP.into()),
            Self::Name => Domain::parse(text)
                .map(Value::Name)
                .map_err(|why| why.to_string()),
            Self::Mailbox => Mailbox::parse(text)
                .map(Value::Mailbox)
                .map_err(|why| why.to_string()),
            Self::Choice(words) => choice(text, words),
            Self::Family => choice(text, &["any", "4", "6"]),
            Self::AcceptFrom => choice(text, &["anyone", "relay"]),
            Self::Secret => secret(text),
            Self::Bind => bind(text),
            Self::Resolver => resolver(text),
            Self::Address => text
                .parse()
                .map(Value::Address)
                .map_err(|_| "no IP address".into()),
            Self::Client => {
                let entry = Entry::parse(text, Place::Default).map_err(|why| why.to_string())?;
                Ok(Value::Clients(entry.clients, text.to_owned()))
            }
            Self::Sender => SenderPattern::parse(text).map(Value::Sender),
            Self::Network => network(text),
            Self::Host => host(text).map(Value::Host),
            Self::Codes => forms::codes(text),
            Self::Certificate => CertificatePattern::parse(text)
                .map(|pattern| Value::Certificate(pattern, text.to_owned())),
            Self::Recipients => forms::recipients(text),
            Self::HttpsUrl => forms::https_url(text),
            Self::Keys => forms::keys(text),
            Self::LdapUrl => forms::ldap_url(text),
            Self::Bool
            | Self::Count { .. }
            | Self::Signed { .. }
            | Self::List(_)
            | Self::OneOrMany(_)
            | Self::Any => Err("this is text".into()),
        }
    }
}

fn read_list<'a>(
    kind: Kind,
    items: impl Iterator<Item = &'a Spanned<DeValue<'a>>>,
    file: usize,
) -> Result<Value, Vec<Problem>> {
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        match kind.read(item, file) {
            Ok(value) => read.push(Item {
                value,
                span: Span {
                    file,
                    range: item.span(),
                },
            }),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(Value::List(read))
    } else {
        Err(problems)
    }
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// `"a", "b" or "c"`
fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn choice(text: &str, words: &[&'static str]) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    Err(match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => String::new(),
    })
}

fn duration(text: &str) -> Result<Value, String> {
    quantity::duration(text)
        .map(Value::Duration)
        .ok_or(DURATION_HELP.into())
}

fn path(text: &str) -> Result<Value, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path is not empty and holds no NUL".into());
    }
    Ok(Value::Text(text.to_owned()))
}

fn secret(text: &str) -> Result<Value, String> {
    let secret = match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Secret::File(path.into()),
        Some(("env", name)) if !name.is_empty() => Secret::Variable(name.to_owned()),
        Some(_) | None => return Err("a secret itself does not belong into this file".into()),
    };
    Ok(Value::Secret(secret))
}

fn bind(text: &str) -> Result<Value, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Value::Socket(socket));
    }
    let hint = if text.parse::<std::net::Ipv4Addr>().is_ok() {
        format!("the port is missing: \"{text}:25\"")
    } else if text
        .trim_matches(['[', ']'])
        .parse::<std::net::Ipv6Addr>()
        .is_ok()
    {
        format!(
            "the port is missing: \"[{}]:25\"",
            text.trim_matches(['[', ']'])
        )
    } else if text
        .strip_prefix(':')
        .or(text.strip_prefix("*:"))
        .is_some_and(|p| p.parse::<u16>().is_ok())
    {
        "the address is missing: \"0.0.0.0:25\" for all of IPv4, \"[::]:25\" for IPv6".to_owned()
    } else {
        "write \"0.0.0.0:25\" or \"[::]:25\"".to_owned()
    };
    Err(hint)
}

/// RFC 1035 section 4.2: the well-known port.
const DNS_PORT: u16 = 53;

fn resolver(text: &str) -> Result<Value, String> {
    let bare = text
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, DNS_PORT));
    let socket = bare.or_else(|_| text.parse());
    socket
        .map(Value::Socket)
        .map_err(|_| "write \"192.0.2.53\" or \"192.0.2.53:53\"".into())
}

fn network(text: &str) -> Result<Value, String> {
    let single = text.parse::<IpAddr>().map(IpNet::from).ok();
    let block = || text.parse::<IpNet>().ok();
    single
        .or_else(block)
        .map(Value::Network)
        .ok_or("write \"10.0.0.5\" or \"10.0.0.0/8\"".into())
}

/// Reads `[10.0.0.5]:25`, `10.0.0.5`, `[mail.example]`, `mail.example:587`. A bare address is taken
/// as an address.
pub(crate) fn host(text: &str) -> Result<HostSpec, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(literal(address, None));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(literal(
            socket.ip(),
            Some(port(&socket.port().to_string())?),
        ));
    }
    if let Some((inner, behind)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = match behind.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if behind.is_empty() => None,
            None => return Err("behind the bracket goes nothing, or `:port`".into()),
        };
        return bracketed(inner, port);
    }
    let (name, port) = match text.split_once(':') {
        Some((name, digits)) => (name, Some(port(digits)?)),
        None => (text, None),
    };
    let host = Host::Domain(host_name(name)?);
    Ok(HostSpec {
        host,
        exact: false,
        port,
    })
}

fn bracketed(inner: &str, port: Option<u16>) -> Result<HostSpec, String> {
    let address = inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
        .map_or(inner, |_| &inner[5..]);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok(literal(address, port));
    }
    let host = Host::Domain(host_name(inner)?);
    Ok(HostSpec {
        host,
        exact: true,
        port,
    })
}

fn literal(address: IpAddr, port: Option<u16>) -> HostSpec {
    HostSpec {
        host: Host::Literal(address.to_canonical()),
        exact: true,
        port,
    }
}

/// A name whose last label is a number is a mistyped address, not a host.
fn host_name(text: &str) -> Result<Domain, String> {
    let name = Domain::parse(text).map_err(|why| why.to_string())?;
    let last = name.as_str().rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("this is no valid address".into());
    }
    Ok(name)
}

fn port(digits: &str) -> Result<u16, String> {
    let port = digits.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "a port is a number from 1 to 65535".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_administrators_write_them() {
        let cases = [
            ("[192.168.1.254]", "[192.168.1.254]", true, None),
            ("192.168.1.254", "[192.168.1.254]", true, None),
            ("[10.0.0.5]:2525", "[10.0.0.5]", true, Some(2525)),
            ("10.0.0.5:2525", "[10.0.0.5]", true, Some(2525)),
            ("2001:db8::1", "[IPv6:2001:db8::1]", true, None),
            ("[2001:db8::1]:25", "[IPv6:2001:db8::1]", true, Some(25)),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", true, None),
            ("mx.isp.example", "mx.isp.example", false, None),
            ("mx.isp.example:587", "mx.isp.example", false, Some(587)),
            ("[mx.isp.example]", "mx.isp.example", true, None),
        ];
        for (text, name, exact, port) in cases {
            let spec = host(text).unwrap();
            assert_eq!(
                (spec.host.to_string().as_str(), spec.exact, spec.port),
                (name, exact, port),
                "{text}"
            );
        }
        for text in [
            "",
            "[",
            "[]",
            "[10.0.0.5]25",
            "a b",
            "10.0.0.256",
            "mx.example:0",
            "mx.example:x",
            "10.0.0.5:0",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_port_is_named() {
        for (text, hint) in [
            ("0.0.0.0", "0.0.0.0:25"),
            ("::", "[::]:25"),
            (":25", "0.0.0.0:25"),
            ("*:25", "[::]:25"),
        ] {
            assert!(bind(text).is_err_and(|why| why.contains(hint)), "{text}");
        }
    }
}

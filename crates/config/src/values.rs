//! The forms of single values: what a name, a rate, an address, a secret look like.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use admission::Rate;
use ipnet::IpNet;
use mail::{Domain, Host, Mailbox, Place, TimeOfDay};
use relay_policy::{
    CertificateEntry, CertificatePattern, Entry, Party, RecipientPattern, SenderPattern,
};
use route::{HostSpec, HoursSpan, RateUnit, SendRate};
use syslog::Destination;

use crate::config::{KeySource, ScannerAddress, Secret};
use crate::form::Text;
use crate::quantity::{self, DURATION_HELP, SIZE_HELP};

pub(crate) const TEXT: Text<String> = Text::new("text in quotes", |text| Ok(text.to_owned()));
pub(crate) const PATH: Text<PathBuf> = Text::new("a path", path);
pub(crate) const DURATION: Text<Duration> = Text::new("a duration", quantity::duration)
    .with_unit(DURATION_HELP, "^\\s*([0-9]+\\s*(ms|s|m|h|d|w)\\s*)+$");
pub(crate) const SIZE: Text<u64> = Text::new("a size", quantity::size)
    .with_unit(SIZE_HELP, "^\\s*[0-9]+\\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)\\s*$");
pub(crate) const RATE: Text<Rate> = Text::new("a rate", rate);
pub(crate) const HOURLY_RATE: Text<Rate> = Text::new("a rate in 1h to 24h", hourly_rate);
pub(crate) const SEND_RATE: Text<SendRate> =
    Text::new("a rate of messages or recipients", send_rate);
pub(crate) const HOURS: Text<HoursSpan> = Text::new("days and times of a week", |text| {
    text.parse().map_err(str::to_owned)
});
pub(crate) const TIME_OF_DAY: Text<TimeOfDay> = Text::new("a time of day", |text| {
    text.parse()
        .map_err(|_| "write hours and minutes: \"07:00\"".into())
});
pub(crate) const NAME: Text<Domain> =
    Text::new("a host name", |text| Domain::parse(text).map_err(said));
pub(crate) const CERTIFICATE_NAME: Text<String> =
    Text::new("a host name, with or without *. in front", certificate_name);
pub(crate) const MAILBOX: Text<Mailbox> =
    Text::new("a mail address", |text| Mailbox::parse(text).map_err(said));
pub(crate) const SECRET_EXPECTED: &str = "a secret: \"file:PATH\" or \"env:NAME\"";
pub(crate) const SECRET: Text<Secret> = Text::new(SECRET_EXPECTED, secret);
pub(crate) const BIND: Text<SocketAddr> = Text::new("an address and port", bind);
pub(crate) const RESOLVER: Text<SocketAddr> = Text::new("a resolver's address", resolver);
pub(crate) const ADDRESS: Text<IpAddr> = Text::new("an IP address", |text| {
    text.parse().map_err(|_| "no IP address".into())
});
pub(crate) const CLIENT: Text<Entry> =
    Text::new("a client: address, block, range or `*.host.name`", |text| {
        Entry::parse(text, Place::Default).map_err(said)
    });
pub(crate) const SENDER: Text<SenderPattern> = Text::new(
    "a sender: user@domain, domain, *.domain or <>",
    SenderPattern::parse,
);
pub(crate) const RECIPIENT: Text<RecipientPattern> = Text::new(
    "a recipient: user@domain, domain, *.domain or hosted",
    RecipientPattern::parse,
);
pub(crate) const MODE: Text<u32> = Text::new("the mode of a file, as chmod takes it", mode);
pub(crate) const PARTY: Text<Party> = Text::new("an address, or @domain", Party::parse);
pub(crate) const NETWORK: Text<IpNet> = Text::new("an address or a block of addresses", network);
pub(crate) const HOST: Text<HostSpec> = Text::new(
    "a host: [address], [address]:port, name, name:port or /path/of/socket",
    host,
);
pub(crate) const ROUTE: Text<String> =
    Text::new("\"mx\", a host, or the name of a route", |text| {
        Ok(text.to_owned())
    });
pub(crate) const CODES: Text<(Ipv4Addr, Ipv4Addr)> =
    Text::new("an answer of a DNS list, or a range of them", codes);
pub(crate) const CERTIFICATE: Text<CertificateEntry> = Text::new(
    "a client certificate: \"sha256:...\", \"spki:sha256:...\" or a name",
    certificate,
);
pub(crate) const RECIPIENTS: Text<RecipientsAt> =
    Text::new("\"file:PATH\", \"ldap:NAME\" or \"verify\"", recipients);
pub(crate) const HTTPS_URL: Text<String> = Text::new("an https URL", https_url);
pub(crate) const HTTP_URL: Text<String> = Text::new("an http or https URL", http_url);
pub(crate) const KEYS: Text<KeySource> = Text::new("an https URL or a file", keys);
pub(crate) const SYSLOG: Text<Destination> = Text::new("a syslog server", |text| {
    text.parse()
        .map_err(|_| "write \"/dev/log\", \"udp://host\", \"tcp://host\" or \"tls://host\"".into())
});
pub(crate) const SCANNER: Text<ScannerAddress> =
    Text::new("a scanner's address: /path/of/socket or host:port", scanner);
pub(crate) const SERVICE: Text<String> = Text::new("a path: \"/service\"", service_path);
pub(crate) const EXTENSION: Text<String> = Text::new("what stands behind a dot", extension);
pub(crate) const FIELD: Text<(String, String)> = Text::new("a field: \"Name: value\"", field);
pub(crate) const SUBJECT_TAG: Text<String> = Text::new("a short text in one line", subject_tag);
pub(crate) const LDAP_URL: Text<String> = Text::new("an ldap or ldaps URL", ldap_url);

/// A field of ours is one line (RFC 5322 section 2.1.1).
const FIELD_OCTETS_MAX: usize = 900;

/// What is longer leaves no room for the subject itself.
const TAG_OCTETS_MAX: usize = 100;

/// Where recipients are asked for, when it is no list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecipientsAt {
    File(PathBuf),
    Ldap(String),
    NextHop,
}

fn said(why: impl ToString) -> String {
    why.to_string()
}

const RATE_HELP: &str = "write a number, a stroke and a time: \"600/1h\", or \"off\"";

/// More in any time is no limit.
const RATE_COUNT_MAX: u32 = 1_000_000_000;

/// Reads a rate such as `600/1h`: a number, a stroke and a time.
fn rate(text: &str) -> Result<Rate, String> {
    let (count, per) = text.split_once('/').ok_or(RATE_HELP)?;
    let count = count.trim().parse().map_err(|_| RATE_HELP)?;
    let per = quantity::duration(per).map_err(|_| RATE_HELP)?;
    if !(1..=RATE_COUNT_MAX).contains(&count) || per.is_zero() {
        return Err("a rate lets something through: \"600/1h\"".into());
    }
    Ok(Rate { count, per })
}

/// Reads a rate of whole hours, a day at most: `200/1h`.
fn hourly_rate(text: &str) -> Result<Rate, String> {
    let rate = rate(text)?;
    let seconds = rate.per.as_secs();
    if rate.per.subsec_nanos() > 0 || seconds % 3600 != 0 || seconds > 24 * 3600 {
        return Err(
            "this is counted in whole hours, and for a day: \"200/1h\" to \"200/24h\"".into(),
        );
    }
    Ok(rate)
}

/// Reads `0660`: what owner, group and others may do.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777 && text.len() >= 3)
        .ok_or_else(|| "write three or four octal digits: \"0660\"".into())
}

const SEND_RATE_HELP: &str =
    "write a number, a stroke and a time, as \"30/1m\" for messages or \"100 recipients/1m\"";

/// Reads `30/1m`, `30 messages/1m` or `100 recipients/1m`.
fn send_rate(text: &str) -> Result<SendRate, String> {
    let (counted, per) = text.split_once('/').ok_or(SEND_RATE_HELP)?;
    let mut words = counted.split_whitespace();
    let count = words.next().unwrap_or_default();
    let unit = match (words.next(), words.next()) {
        (None | Some("messages"), None) => RateUnit::Messages,
        (Some("recipients"), None) => RateUnit::Recipients,
        (Some(_) | None, _) => return Err(SEND_RATE_HELP.into()),
    };
    let Rate { count, per } = rate(&format!("{count}/{per}")).map_err(|_| SEND_RATE_HELP)?;
    Ok(SendRate { count, unit, per })
}

/// Reads `127.0.0.2` or `127.0.0.2-127.0.0.11`.
fn codes(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let address = |text: &str| text.trim().parse::<Ipv4Addr>().ok();
    let (Some(first), Some(last)) = (address(first), address(last)) else {
        return Err("write \"127.0.0.2\" or \"127.0.0.2-127.0.0.11\"".into());
    };
    // RFC 5782 section 2.1: answers are in 127.0.0.0/8; anything else comes from a list that is
    // gone.
    if !first.is_loopback() || !last.is_loopback() || first > last {
        return Err("answers of DNS lists lie in 127.0.0.0/8, from lower to higher".into());
    }
    Ok((first, last))
}

fn recipients(text: &str) -> Result<RecipientsAt, String> {
    match text.split_once(':') {
        None if text == "verify" => Ok(RecipientsAt::NextHop),
        Some(("file", path)) if !path.is_empty() => Ok(RecipientsAt::File(path.into())),
        Some(("ldap", name)) if !name.is_empty() => Ok(RecipientsAt::Ldap(name.to_owned())),
        _ if Mailbox::parse(text).is_ok() => Err("write it in brackets: [\"...\"]".into()),
        _ => Err("write \"file:PATH\", \"ldap:NAME\", \"verify\", or a list".into()),
    }
}

/// Reads `mx.example.com` or `*.example.com`, in lower case. What no authority would take is refused
/// here: letters, digits and hyphens alone (RFC 952), and no address.
fn certificate_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let base = name.strip_prefix("*.").unwrap_or(&name);
    Domain::parse(base).map_err(said)?;
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'.';
    if let Some(wrong) = base.chars().find(|c| !c.is_ascii() || !plain(*c as u8)) {
        return Err(format!("no certificate is for a name with `{wrong}` in it"));
    }
    if base
        .split('.')
        .any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        return Err("a label neither begins nor ends with a hyphen".into());
    }
    if base.parse::<IpAddr>().is_ok() {
        return Err("a name, not an address".into());
    }
    Ok(name)
}

/// Reads `exe`, `.exe` or `*.exe`.
fn extension(text: &str) -> Result<String, String> {
    let bare = text.trim_start_matches('*').trim_start_matches('.');
    if bare.is_empty() || bare.contains(['.', '*', '/', ' ']) {
        return Err("write \"exe\"".into());
    }
    Ok(bare.to_lowercase())
}

/// Reads `Name: value`, as it goes into a header.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write \"Name: value\"")?;
    let value = value.trim();
    // RFC 5322 section 2.2.
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    let is_value = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if !is_name || !is_value || text.len() > FIELD_OCTETS_MAX {
        return Err("a field is one line of ASCII, \"Name: value\"".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn subject_tag(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) || text.len() > TAG_OCTETS_MAX {
        return Err("write \"[SPAM]\"".into());
    }
    Ok(text.trim().to_owned())
}

/// Gives `text` back when it is a URL of the form `https://host/path`.
fn https_url(text: &str) -> Result<String, String> {
    service(text, &["https://"])
        .then(|| text.to_owned())
        .ok_or_else(|| "write \"https://host/path\"".into())
}

/// Gives `text` back when it is a URL of the form `http://host/path` or `https://host/path`.
fn http_url(text: &str) -> Result<String, String> {
    service(text, &["http://", "https://"])
        .then(|| text.to_owned())
        .ok_or_else(|| "write \"http://host:4318/v1/traces\"".into())
}

/// Reads `https://host/path` or `file:PATH`.
fn keys(text: &str) -> Result<KeySource, String> {
    match text.strip_prefix("file:") {
        Some(path) if !path.is_empty() => Ok(KeySource::File(path.into())),
        _ if service(text, &["https://"]) => Ok(KeySource::Url(text.to_owned())),
        _ => Err("write \"https://host/path\" or \"file:PATH\"".into()),
    }
}

/// Reads `ldap://host:port` or `ldaps://host:port`.
fn ldap_url(text: &str) -> Result<String, String> {
    let plain = service(text, &["ldap://", "ldaps://"]);
    let host_only = text.matches('/').count() == 2;
    (plain && host_only)
        .then(|| text.to_owned())
        .ok_or_else(|| "write \"ldaps://host\" or \"ldap://host:389\"".into())
}

/// Whether `text` begins as one of `schemes`, names a host, and holds nothing that ends a line or a
/// request.
fn service(text: &str, schemes: &[&str]) -> bool {
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A user before the host would be a password in this file.
    !host.is_empty() && !host.contains('@') && text.bytes().all(|b| b.is_ascii_graphic())
}

fn certificate(text: &str) -> Result<CertificateEntry, String> {
    Ok(CertificateEntry {
        pattern: CertificatePattern::parse(text)?,
        text: text.into(),
        place: Place::Default,
    })
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path is not empty and holds no NUL".into());
    }
    if let Some(here) = without_drive(text) {
        return Err(format!(
            "a path of Windows: write where it is on this machine, as \"{here}\""
        ));
    }
    Ok(text.into())
}

/// A path of Windows that begins with a drive (`C:\x`) or a machine (`\\a\x`), as it is written here.
/// Taken as it stands it would be a file of that whole name beside the configuration.
fn without_drive(text: &str) -> Option<String> {
    let rest = match text.as_bytes() {
        [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() => text.get(2..)?,
        [b'\\', b'\\', ..] => text.get(1..)?,
        _ => return None,
    };
    Some(rest.replace('\\', "/"))
}

fn secret(text: &str) -> Result<Secret, String> {
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Secret::File(path.into())),
        Some(("env", name)) if !name.is_empty() => Ok(Secret::Variable(name.to_owned())),
        Some(_) | None => Err("a secret itself does not belong into this file".into()),
    }
}

fn bind(text: &str) -> Result<SocketAddr, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(socket);
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

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = text
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, DNS_PORT));
    let socket = bare.or_else(|_| text.parse());
    socket.map_err(|_| "write \"192.0.2.53\" or \"192.0.2.53:53\"".into())
}

fn network(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<IpAddr>().map(IpNet::from).ok();
    let block = || text.parse::<IpNet>().ok();
    single
        .or_else(block)
        .ok_or("write \"10.0.0.5\" or \"10.0.0.0/8\"".into())
}

/// What fits into an address of a socket in the file system, with the octet behind it (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Reads `[10.0.0.5]:25`, `10.0.0.5`, `[mail.example]`, `mail.example:587`, `/run/dovecot/lmtp`. A
/// bare address is taken as an address.
pub(crate) fn host(text: &str) -> Result<HostSpec, String> {
    if text.starts_with('/') {
        return host_socket(text);
    }
    if text.contains('/') {
        return Err("a socket is its whole path: \"/run/dovecot/lmtp\"".into());
    }
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
        port,
        ..HostSpec::new(host, false)
    })
}

/// The path stands in the names of sites, where a blank or a comma ends a name, and in log lines.
fn host_socket(path: &str) -> Result<HostSpec, String> {
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
        return Err("the path of a socket has no blanks, commas or letters beyond ASCII".into());
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the path of a socket has at most {SOCKET_PATH_BYTES_MAX} octets"
        ));
    }
    Ok(HostSpec::socket(path))
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
        port,
        ..HostSpec::new(host, true)
    })
}

fn literal(address: IpAddr, port: Option<u16>) -> HostSpec {
    let host = Host::Literal(address.to_canonical());
    HostSpec {
        port,
        ..HostSpec::new(host, true)
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

/// What stands in a reply is one line, and short (RFC 5321 section 4.5.3.1.5: a reply line has at
/// most 512 octets).
pub(crate) const REPLY_TEXT_BYTES_MAX: usize = 200;

/// Whether a text fits into one line of a reply.
pub(crate) fn is_reply_text(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    text.len() <= REPLY_TEXT_BYTES_MAX && plain
}

/// A path is a UNIX socket; else host and port.
fn scanner(text: &str) -> Result<ScannerAddress, String> {
    if text.starts_with('/') {
        return Ok(ScannerAddress::Unix(PathBuf::from(text)));
    }
    let help = "write \"/path/of/socket\", \"host:port\" or \"[address]:port\"";
    let (host, port) = text.rsplit_once(':').ok_or(help)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or(help)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_one = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok() || Domain::parse(host).is_ok(),
    };
    if !is_one {
        return Err(help.to_owned());
    }
    Ok(ScannerAddress::Tcp(bracketed.unwrap_or(host).into(), port))
}

fn service_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("write \"/service\", without blanks".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_in_a_time() {
        for (text, expected) in [
            ("600/1h", Some((600, 3600))),
            ("5 / 30s", Some((5, 30))),
            ("600", None),
            ("0/1h", None),
            ("5/0s", None),
            ("-5/1h", None),
            ("5/1", None),
            ("99999999999/1h", None),
        ] {
            let read = match rate(text) {
                Ok(rate) => Some((rate.count, rate.per)),
                Err(_) => None,
            };
            let expected = expected.map(|(n, s)| (n, Duration::from_secs(s)));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn rates_of_a_site_count_messages_or_recipients() {
        for (text, expected) in [
            ("30/1m", Some("30 messages/1m")),
            ("30 messages / 1m", Some("30 messages/1m")),
            ("10000 recipients/1d", Some("10000 recipients/1d")),
            ("30 mails/1m", None),
            ("30 recipients each/1m", None),
            ("recipients/1m", None),
            ("0/1m", None),
            ("30", None),
            ("", None),
        ] {
            let shown = send_rate(text).map(|rate| rate.to_string()).ok();
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn services_are_named_by_scheme_and_host() {
        for (text, https, ldap) in [
            ("https://login.example/token", true, false),
            ("http://login.example/token", false, false),
            ("https:///token", false, false),
            ("https://user:pass@login.example/", false, false),
            ("https://a b/", false, false),
            ("ldap://dc.example:389", false, true),
            ("ldaps://dc.example", false, true),
            ("ldaps://dc.example/o=x", false, false),
        ] {
            assert_eq!(
                (https_url(text).is_ok(), ldap_url(text).is_ok()),
                (https, ldap),
                "{text}"
            );
        }
    }

    #[test]
    fn codes_lie_in_the_loopback_network() {
        for (text, right) in [
            ("127.0.0.2", true),
            ("127.0.0.2-127.0.0.11", true),
            ("127.0.0.11-127.0.0.2", false),
            ("10.0.0.1", false),
            ("2", false),
        ] {
            assert_eq!(codes(text).is_ok(), right, "{text}");
        }
    }

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
            ("/run/dovecot/lmtp", "/run/dovecot/lmtp", true, None),
        ];
        for (text, name, exact, port) in cases {
            let spec = host(text).unwrap();
            assert_eq!(
                (spec.at.to_string().as_str(), spec.exact, spec.port),
                (name, exact, port),
                "{text}"
            );
        }
        for text in [
            "",
            "[",
            "[]",
            "[10.0.0.5]25",
            "run/lmtp",
            "unix:/run/lmtp",
            "/run/two words",
            "/run/a,/run/b",
            &format!("/{}", "s".repeat(107)),
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

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use mail::escaped;

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A datagram socket of this machine.
    Unix(PathBuf),
    /// RFC 5426; to a host and a port.
    Udp(Box<str>, u16),
    /// RFC 6587.
    Tcp(Box<str>, u16),
    /// RFC 5425.
    Tls(Box<str>, u16),
}

/// The text names no place where messages could go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDestination;

/// What is usual; IANA has 601 for TCP, which hardly any server listens on.
const PORT: u16 = 514;
/// RFC 5425 section 4.1.
const TLS_PORT: u16 = 6514;

impl Destination {
    /// Whether a message is a datagram of its own; otherwise it is a part of a stream.
    pub fn is_datagram(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Udp(..) => true,
            Self::Tcp(..) | Self::Tls(..) => false,
        }
    }
}

/// Reads `/dev/log`, `udp://host`, `tcp://host:514` or `tls://[2001:db8::1]:6514`.
impl FromStr for Destination {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, NoDestination> {
        if text.starts_with('/') && !text.contains('\0') {
            return Ok(Self::Unix(text.into()));
        }
        let (scheme, rest) = text.split_once("://").ok_or(NoDestination)?;
        let made: fn(Box<str>, u16) -> Self = match scheme {
            "udp" => Self::Udp,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            _ => return Err(NoDestination),
        };
        let usual = if scheme == "tls" { TLS_PORT } else { PORT };
        let (host, port) = host_and_port(rest).ok_or(NoDestination)?;
        Ok(made(host.into(), port.unwrap_or(usual)))
    }
}

/// An IPv6 address stands in brackets, of which the host has none.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_of_host = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet);
    if host.is_empty() || !host.bytes().all(is_of_host) {
        return None;
    }
    if rest.is_empty() {
        return Some((host, None));
    }
    let port = rest.strip_prefix(':')?.parse().ok();
    Some((host, Some(port.filter(|port| *port > 0)?)))
}

/// As it is written.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Unix(path) => return escaped(&path.to_string_lossy()).fmt(f),
            Self::Udp(host, port) => ("udp", host, port),
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Tls(host, port) => ("tls", host, port),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_shown() {
        for (written, shown) in [
            ("/dev/log", "/dev/log"),
            ("udp://logs.example", "udp://logs.example:514"),
            ("tcp://192.0.2.1:601", "tcp://192.0.2.1:601"),
            ("tls://logs.example", "tls://logs.example:6514"),
            ("tls://[2001:db8::1]:7000", "tls://[2001:db8::1]:7000"),
            ("udp://[2001:db8::1]", "udp://[2001:db8::1]:514"),
        ] {
            let read: Destination = written.parse().expect(written);
            assert_eq!(read.to_string(), shown);
            assert_eq!(shown.parse(), Ok(read));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in [
            "",
            "dev/log",
            "logs.example",
            "http://logs.example",
            "udp://",
            "udp://:514",
            "udp://logs.example:",
            "udp://logs.example:0",
            "udp://logs.example:70000",
            "tcp://user@logs.example",
            "tcp://logs.example/x",
            "tcp://[::1",
            "tcp://[::1]514",
            "tcp://[logs.example]:514",
            "tcp://2001:db8::1",
        ] {
            assert_eq!(wrong.parse::<Destination>(), Err(NoDestination), "{wrong}");
        }
    }
}

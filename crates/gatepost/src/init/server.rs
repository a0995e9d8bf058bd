//! A server as somebody types it.

use std::fmt;
use std::net::IpAddr;

use mail::Domain;

/// A host to which mail is handed, with its port where that is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    host: String,
    /// Where the host is an address.
    pub address: Option<IpAddr>,
    port: Option<u16>,
}

impl Server {
    /// Reads `mail.example.com`, `192.0.2.1:2525`, `2001:db8::1` or the forms of the configuration,
    /// `[mail.example.com]:25`.
    ///
    /// # Errors
    /// How to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is no server: {why}");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest
                .split_once(']')
                .ok_or_else(|| wrong("a bracket is open"))?,
            // An address of version 6 has colons of its own.
            None if text.parse::<IpAddr>().is_ok() => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong("a port is a number from 1 to 65535")),
                Ok(port) => Some(port),
            },
            None => return Err(wrong("write HOST or HOST:PORT")),
        };
        let address = host.parse().ok();
        if address.is_none() {
            Domain::parse(host).map_err(|why| wrong(&why.to_string()))?;
            // What looks like an address and is none is no name either.
            if host.rsplit('.').next().is_some_and(is_number) {
                return Err(wrong("no such address"));
            }
        }
        Ok(Self {
            host: host.to_owned(),
            address,
            port,
        })
    }
}

fn is_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
}

/// As the configuration has it; the brackets say that no MX is looked up.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_people_write_them() {
        for (text, expected) in [
            ("192.168.1.254", Some("[192.168.1.254]")),
            ("192.168.1.254:2525", Some("[192.168.1.254]:2525")),
            ("2001:db8::1", Some("[2001:db8::1]")),
            ("[2001:db8::1]:26", Some("[2001:db8::1]:26")),
            ("mail.example.com", Some("[mail.example.com]")),
            ("[mail.example.com]:587", Some("[mail.example.com]:587")),
            ("192.168.1.300", None),
            ("mail.example.com:", None),
            ("mail.example.com:0", None),
            ("mail.example.com:smtp", None),
            ("[mail.example.com", None),
            ("[mail.example.com]25", None),
            ("not a name", None),
            ("", None),
        ] {
            let read = Server::parse(text).map(|server| server.to_string());
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        }
    }
}

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use mail::{Client, Domain};

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One client: an IPv4 address, or the /64 that one IPv6 site has at least.
    Client(IpAddr),
    /// Its network: IPv4 /24, IPv6 /48.
    Network(IpAddr),
    /// A user who signed in.
    User(Arc<str>),
    /// An account of this machine, which hands messages in.
    Account(u32),
    /// Everybody who sends as this domain.
    SenderDomain(Domain),
}

impl Subject {
    /// Whoever has connected, for the slots.
    pub fn of(client: &Client) -> Self {
        client
            .uid
            .map_or_else(|| Self::client(client.address()), Self::Account)
    }

    /// The client at `address`.
    pub fn client(address: IpAddr) -> Self {
        Self::Client(prefix(address, 32, 64))
    }

    /// The network of the client at `address`.
    pub fn network(address: IpAddr) -> Self {
        Self::Network(prefix(address, 24, 48))
    }

    /// Which one of its kind.
    pub fn name(&self) -> String {
        match self {
            Self::Client(address) | Self::Network(address) => address.to_string(),
            Self::User(name) => name.to_string(),
            Self::Account(uid) => uid.to_string(),
            Self::SenderDomain(domain) => domain.to_string(),
        }
    }

    /// Its kind and name within a sentence: `user ann`.
    pub fn shown(&self) -> String {
        match self {
            Self::User(name) => format!("{self} {}", mail::user_shown(name)),
            _ => format!("{self} {}", self.name()),
        }
    }

    /// The one of this kind and with this name, as they are shown; `None` when there is no such
    /// kind, or that is no name of it.
    pub fn named(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "client" => name.parse().ok().map(Self::client),
            "network" => name.parse().ok().map(Self::network),
            "user" => Some(Self::User(name.into())),
            "account" => name.parse().ok().map(Self::Account),
            "sender domain" => Domain::parse(name).ok().map(Self::SenderDomain),
            _ => None,
        }
    }
}

/// The kind of subject, as a limit names it: `3 connections of one client`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "client",
            Self::Network(_) => "network",
            Self::User(_) => "user",
            Self::Account(_) => "account",
            Self::SenderDomain(_) => "sender domain",
        })
    }
}

/// The first address of the block around `address` with so many bits of prefix: `v4` from 1 to 32,
/// `v6` from 1 to 128. An IPv4 address that is mapped into IPv6 counts as IPv4.
pub(crate) fn prefix(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - v4))).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - v6))).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_shown() {
        for (kind, name, is_one) in [
            ("client", "192.0.2.1", true),
            ("client", "2001:db8::", true),
            ("network", "192.0.2.0", true),
            ("user", "ann", true),
            ("account", "33", true),
            ("sender domain", "contoso.example", true),
            ("client", "ann", false),
            ("account", "ann", false),
            ("sender domain", "con toso", false),
            ("planet", "venus", false),
        ] {
            let read = Subject::named(kind, name);
            let shown = read.map(|one| (one.to_string(), one.name()));
            let expected = is_one.then(|| (kind.to_owned(), name.to_owned()));
            assert_eq!(shown, expected, "{kind} {name}");
        }
    }

    #[test]
    fn neighbours_share_a_network_and_addresses_of_one_ipv6_site_are_one_client() {
        let client = |text: &str| Subject::client(text.parse().unwrap());
        let network = |text: &str| Subject::network(text.parse().unwrap());
        for (one, other, same_client, same_network) in [
            ("192.0.2.1", "192.0.2.1", true, true),
            ("192.0.2.1", "192.0.2.255", false, true),
            ("192.0.2.1", "::ffff:192.0.2.1", true, true),
            ("192.0.2.1", "192.0.3.1", false, false),
            ("2001:db8::1", "2001:db8::ffff", true, true),
            ("2001:db8::1", "2001:db8:0:1::1", false, true),
            ("2001:db8:1::1", "2001:db8:2::1", false, false),
        ] {
            assert_eq!(client(one) == client(other), same_client, "{one} {other}");
            assert_eq!(
                network(one) == network(other),
                same_network,
                "{one} {other}"
            );
        }
    }
}

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// Whose messages: an address, a block of addresses, or this machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// `local`: handed in on this machine, or a notice of our own.
    Local,
    /// `10.0.0.0/8`; a single address has all its bits as prefix.
    Block(IpNet),
}

impl Network {
    /// Reads `local`, an address or `address/bits`. Bits behind the prefix must be zero, or
    /// somebody meant another block.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("local") {
            return Some(Self::Local);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let block = match prefix {
            Some(prefix) => IpNet::new(address, prefix).ok()?,
            None => IpNet::from(address),
        };
        (block.network() == address).then_some(Self::Block(block))
    }

    /// Whether a message's client, as the spool keeps it, belongs to the network.
    pub fn contains(&self, client: &str) -> bool {
        match self {
            Self::Local => client == "local" || client.starts_with("uid:"),
            Self::Block(block) => client
                .parse::<IpAddr>()
                .is_ok_and(|client| block.contains(&client)),
        }
    }
}

/// A network is printed in the form in which it is read.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Block(block) if block.prefix_len() == block.max_prefix_len() => {
                block.addr().fmt(f)
            }
            Self::Block(block) => block.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "0.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::2", true),
            ("2001:db8::/32", "2001:db9::2", false),
            ("local", "local", true),
            ("local", "127.0.0.1", false),
            ("::/0", "local", false),
        ];
        for (network, client, expected) in cases {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(client), expected, "{client} in {network}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "host",
            "10.0.0.0/",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}

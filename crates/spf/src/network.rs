use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many bits of an address count, for both families (`dual-cidr-length`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    v4: u32,
    v6: u32,
}

/// An address with its prefix length, as `ip4` and `ip6` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: Prefix,
}

impl Prefix {
    pub const WHOLE: Self = Self { v4: 32, v6: 128 };

    /// Takes the lengths from the end of a term, `/24`, `//64` or `/24//64`. What stands before them
    /// comes back too; a domain cannot end like that, so there is no doubt where it ends.
    pub fn split(text: &str) -> Option<(&str, Self)> {
        let mut prefix = Self::WHOLE;
        let mut rest = text;
        if let Some((head, digits)) = rest.rsplit_once("//").filter(|(_, d)| is_digits(d)) {
            prefix.v6 = length(digits, 128)?;
            rest = head;
        }
        if let Some((head, digits)) = rest.rsplit_once('/').filter(|(_, d)| is_digits(d)) {
            prefix.v4 = length(digits, 32)?;
            rest = head;
        }
        Some((rest, prefix))
    }

    /// Whether the bits that count are the same. Addresses of two families never are.
    pub fn covers(self, network: IpAddr, address: IpAddr) -> bool {
        match (network, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let differing = u32::from(a) ^ u32::from(b);
                differing.leading_zeros() >= self.v4
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let differing = u128::from(a) ^ u128::from(b);
                differing.leading_zeros() >= self.v6
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl Network {
    /// Reads what follows `ip4:`.
    pub fn parse_v4(text: &str) -> Option<Self> {
        let (address, v4) = split(text, 32)?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix = Prefix { v4, v6: 128 };
        Some(Self {
            address: address.into(),
            prefix,
        })
    }

    /// Reads what follows `ip6:`.
    pub fn parse_v6(text: &str) -> Option<Self> {
        let (address, v6) = split(text, 128)?;
        let address: Ipv6Addr = address.parse().ok()?;
        let prefix = Prefix { v4: 32, v6 };
        Some(Self {
            address: address.into(),
            prefix,
        })
    }

    pub fn contains(self, address: IpAddr) -> bool {
        self.prefix.covers(self.address, address)
    }
}

fn split(text: &str, whole: u32) -> Option<(&str, u32)> {
    match text.split_once('/') {
        Some((address, digits)) if is_digits(digits) => Some((address, length(digits, whole)?)),
        Some(_) => None,
        None => Some((text, whole)),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The grammar has no zeros in front.
fn length(digits: &str, max: u32) -> Option<u32> {
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    let length = digits.parse().ok()?;
    (!is_padded && length <= max).then_some(length)
}

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mail::Domain;

/// `outbound.ip`: over which kind of address mail goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpFamily {
    /// IPv6 and IPv4.
    #[default]
    Any,
    /// IPv4 and nothing else.
    V4,
    /// IPv6 and nothing else.
    V6,
}

impl IpFamily {
    /// Whether `address` may be used.
    pub(crate) fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// Whether nobody can be reached there at all; not even an administrator means this address.
pub(crate) fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.octets()[0] == 0 || a.octets()[0] >= 224,
        IpAddr::V6(a) => a.is_unspecified() || a.is_multicast(),
    }
}

/// A name of four numbers is an address that somebody wrote where a name belongs; no DNS has it.
pub(crate) fn is_address_text(name: &Domain) -> bool {
    name.as_str().parse::<IpAddr>().is_ok()
}

/// Whether the address belongs to this machine or to an inner network: a stranger's MX record must
/// not point us there, or it could make us talk to hosts that only we can reach.
pub fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => is_inner_v4(a),
        IpAddr::V6(a) => is_inner_v6(a),
    }
}

fn is_inner_v4(a: Ipv4Addr) -> bool {
    let [first, second, ..] = a.octets();
    // 100.64.0.0/10 is shared address space (RFC 6598): inside of a carrier, never a public mail
    // server.
    let shared = first == 100 && second & 0xc0 == 64;
    a.is_loopback() || a.is_private() || a.is_link_local() || shared
}

fn is_inner_v6(a: Ipv6Addr) -> bool {
    let first = a.segments()[0];
    let unique_local = first & 0xfe00 == 0xfc00;
    // fe80::/10 link-local, fec0::/10 the old site-local.
    let local = first & 0xff80 == 0xfe80;
    // 64:ff9b:1::/48 is for translators of one network's own (RFC 8215); where the IPv4 address
    // stands in it, only that network knows.
    let translated = matches!(a.segments(), [0x64, 0xff9b, 1, ..]);
    a.is_loopback()
        || unique_local
        || local
        || translated
        || embedded_v4(a).is_some_and(|v4| is_inner_v4(v4) || is_nowhere(IpAddr::V4(v4)))
}

/// The IPv4 address that a translator would turn this one into: NAT64 (RFC 6052), 6to4 (RFC 3056),
/// the old compatible form.
fn embedded_v4(a: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = a.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

/// Both families by turns, each in its own order, beginning with the family of the first address:
/// when one family does not work from here, a cut list still holds addresses of the other.
pub(crate) fn interleaved(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (mut ones, mut others): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|a: &IpAddr| a.is_ipv4() == first.is_ipv4());
    let mut mixed = Vec::with_capacity(addresses.len());
    ones.reverse();
    others.reverse();
    while !ones.is_empty() || !others.is_empty() {
        mixed.extend(ones.pop());
        mixed.extend(others.pop());
    }
    mixed
}

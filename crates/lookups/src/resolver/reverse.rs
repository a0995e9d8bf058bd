//! Names of addresses.

use std::fmt::Write as _;
use std::net::IpAddr;

use domain::base::Rtype;
use mail::Domain;

use super::wire::{Found, Record};
use super::{Lookup, Resolver};

/// Names that a reverse look-up may give; more are not looked at.
const REVERSE_NAMES_MAX: usize = 5;

impl Resolver {
    /// The name that `address` points to, whether or not it points back; `None` also where nobody can
    /// tell.
    pub async fn reverse_name(&self, address: IpAddr) -> Option<Domain> {
        let reverse = self.lookup(&reverse_name(address), Rtype::PTR).await;
        let Found::Records(records) = &reverse.found else {
            return None;
        };
        records.iter().find_map(|record| match record {
            Record::Name(name) => Some(name.clone()),
            Record::Mx(..) | Record::Address(_) | Record::Text(_) | Record::Tlsa(_) => None,
        })
    }

    /// The name that `address` points to and that points back (forward-confirmed reverse DNS).
    /// `Ok(None)`: it has none. `Err`: could not tell, and why.
    pub async fn confirmed_name(&self, address: IpAddr) -> Result<Option<Domain>, Box<str>> {
        let reverse = self.lookup(&reverse_name(address), Rtype::PTR).await;
        let names = match &reverse.found {
            Found::Records(records) => records.iter().filter_map(|record| match record {
                Record::Name(name) => Some(name),
                Record::Mx(..) | Record::Address(_) | Record::Text(_) | Record::Tlsa(_) => None,
            }),
            Found::NoData | Found::NoSuchName => return Ok(None),
            Found::Failed(why) => return Err(why.clone()),
        };
        let mut trouble = None;
        for name in names.take(REVERSE_NAMES_MAX) {
            match self.addresses(name).await.found {
                Lookup::Found(found) if found.contains(&address) => {
                    return Ok(Some(name.clone()));
                }
                Lookup::Failed(why) => trouble = Some(why),
                Lookup::Found(_) | Lookup::NoData | Lookup::NoSuchName => {}
            }
        }
        trouble.map_or(Ok(None), Err)
    }
}

/// The name under which an address's own name is filed (RFC 1035 section 3.5, RFC 3596 section
/// 2.5).
pub(super) fn reverse_name(address: IpAddr) -> String {
    let zone = match address {
        IpAddr::V4(_) => "in-addr.arpa",
        IpAddr::V6(_) => "ip6.arpa",
    };
    reversed(address) + zone
}

/// The octets (IPv4) or nibbles (IPv6) of an address from last to first, a dot behind each.
pub(crate) fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}.")
        }
        IpAddr::V6(a) => {
            let mut name = String::with_capacity(64);
            for octet in a.octets().iter().rev() {
                let _infallible = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names() {
        let name = |a: &str| reverse_name(a.parse().unwrap());
        assert_eq!(name("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        assert!(name("2001:db8::1").starts_with("1.0.0.0.0."));
        assert!(name("2001:db8::1").ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
    }
}

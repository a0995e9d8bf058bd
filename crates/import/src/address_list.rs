//! The binary lists of clients that IIS and Exchange keep for relaying and for connections.
//!
//! Numbers are 32 bits, the lowest octet first; addresses stand in the order of the network. At the head are
//! four offsets, each with its highest bit set: refused addresses, permitted addresses, refused names, permitted
//! names; then flags and the size of the head. A list of addresses is the number of its groups, the number of its
//! addresses, and for each group: family (2: IPv4), number of entries, octets of an entry, a reserve, and an
//! offset. There the mask of the group stands first, and then its addresses. A list of names begins with how many
//! there are.

use std::net::Ipv4Addr;

use crate::addresses::Addresses;

/// What such a list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressList {
    pub refused: Addresses,
    pub permitted: Addresses,
    /// Whether everybody is permitted who is not refused.
    pub all_except: bool,
    /// Entries that were no IPv4 addresses, and names: they cannot be read here.
    pub unread: usize,
}

const OFFSET_FLAG: u32 = 0x8000_0000;
const IPV4: u32 = 2;
/// So many groups and addresses are read.
const GROUPS_MAX: u32 = 4096;
const ENTRIES_MAX: u32 = 100_000;

impl AddressList {
    /// Reads the octets; nothing at all means that everybody is permitted.
    pub fn read(octets: &[u8]) -> Result<Self, &'static str> {
        if octets.is_empty() {
            let all_except = true;
            return Ok(Self {
                all_except,
                ..Self::default()
            });
        }
        let cut = "it is cut short, or of an unknown form";
        let offset = |at: usize| {
            number(octets, at)
                .filter(|n| n & OFFSET_FLAG != 0)
                .map(|n| (n & !OFFSET_FLAG) as usize)
        };
        let mut list = Self::default();
        let (refused, _) = addresses(octets, offset(0).ok_or(cut)?, &mut list.unread).ok_or(cut)?;
        let (permitted, no_permitted) =
            addresses(octets, offset(4).ok_or(cut)?, &mut list.unread).ok_or(cut)?;
        list.refused = refused;
        list.permitted = permitted;
        for at in [8, 12] {
            let names = number(octets, offset(at).ok_or(cut)?).ok_or(cut)?;
            list.unread += names as usize;
        }
        let names_permitted = number(octets, offset(12).ok_or(cut)?).unwrap_or(0);
        // A list of permitted clients is the only way in; without one, all come in who are not refused.
        list.all_except = no_permitted && names_permitted == 0;
        Ok(list)
    }

    /// As hexadecimal digits or in base64.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let octets = hex(&text)
            .or_else(|| crate::base64::octets(&text))
            .ok_or("it is neither hexadecimal nor base64")?;
        Self::read(&octets)
    }
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    let bytes = octets.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// The addresses of a list, and whether it has none at all. 0.0.0.0 alone stands for an empty list.
fn addresses(octets: &[u8], at: usize, unread: &mut usize) -> Option<(Addresses, bool)> {
    let groups = number(octets, at)?;
    let mut all = Addresses::default();
    if groups > GROUPS_MAX {
        return None;
    }
    for group in 0..groups as usize {
        let head = at.checked_add(8)?.checked_add(group.checked_mul(20)?)?;
        let (family, entries, size) = (
            number(octets, head)?,
            number(octets, head + 4)?,
            number(octets, head + 8)?,
        );
        let start = (number(octets, head + 16)? & !OFFSET_FLAG) as usize;
        if family != IPV4 || size != 4 || entries > ENTRIES_MAX {
            *unread += entries.saturating_sub(1).max(1) as usize;
            continue;
        }
        let entry = |n: usize| {
            let from = start.checked_add(n.checked_mul(4)?)?;
            let bytes: [u8; 4] = octets.get(from..from.checked_add(4)?)?.try_into().ok()?;
            Some(Ipv4Addr::from(bytes))
        };
        let mask = entry(0)?;
        let mut of_group = Vec::new();
        for n in 1..entries as usize {
            let address = entry(n)?;
            if address.is_unspecified() && mask == Ipv4Addr::BROADCAST {
                continue;
            }
            match Addresses::masked(address, mask) {
                Some(block) => of_group.push(block),
                None => *unread += 1,
            }
        }
        all = all.union(&Addresses::of(of_group));
    }
    Some((all, groups == 0))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|n| n as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |n, d| n << 4 | d))
            .collect(),
    )
}

/// A list as IIS writes it, for fixtures: the groups of refused and of permitted addresses, each with its mask.
#[cfg(test)]
pub(crate) fn written(refused: &[(&str, &[&str])], permitted: &[(&str, &[&str])]) -> String {
    let list = |groups: &[(&str, &[&str])]| 8 + 20 * groups.len();
    let starts = [24, 24 + list(refused)];
    let names = starts[1] + list(permitted);
    let mut data_at = names + 16;
    let head = [starts[0], starts[1], names, names + 8].map(|at| at as u32 | OFFSET_FLAG);
    let mut numbers: Vec<u32> = head.to_vec();
    numbers.extend([1, data_at as u32]);
    let mut data = Vec::new();
    for groups in [refused, permitted] {
        let all: usize = groups.iter().map(|(_, addresses)| addresses.len()).sum();
        numbers.extend([groups.len() as u32, all as u32]);
        for (mask, addresses) in groups {
            let entries = addresses.len() + 1;
            numbers.extend([IPV4, entries as u32, 4, 0, data_at as u32 | OFFSET_FLAG]);
            data_at += 4 * entries;
            for address in std::iter::once(mask).chain(addresses.iter()) {
                data.extend(address.parse::<Ipv4Addr>().unwrap().octets());
            }
        }
    }
    numbers.extend([0, 0, 0, 0]);
    let octets = numbers.into_iter().flat_map(u32::to_le_bytes).chain(data);
    octets.map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What administrators have written down of lists that IIS made: 127.0.0.1 and 192.168.171.1 permitted.
    const TWO_PERMITTED: [u8; 88] = [
        24, 0, 0, 128, 32, 0, 0, 128, 60, 0, 0, 128, 68, 0, 0, 128, 1, 0, 0, 0, 76, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
        76, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 127, 0,
        0, 1, 192, 168, 171, 1,
    ];

    #[test]
    fn a_list_of_permitted_addresses_is_read() {
        let list = AddressList::read(&TWO_PERMITTED).unwrap();
        assert_eq!(list.permitted.entries(), ["127.0.0.1", "192.168.171.1"]);
        assert!(!list.all_except && list.refused.is_empty() && list.unread == 0);
        let hex: String = TWO_PERMITTED
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        assert_eq!(AddressList::parse(&hex), Ok(list.clone()));
        assert!(
            hex.starts_with("18000080200000803C"),
            "as MetaBase.xml has it"
        );
        let written = written(&[], &[("255.255.255.255", &["127.0.0.1", "192.168.171.1"])]);
        assert_eq!(written.to_uppercase(), hex);
    }

    #[test]
    fn base64_is_read_as_well() {
        let same = "GAAAgCAAAIA8AACARAAAgAEAAABMAAAAAAAAAAAAAAABAAAAAQAAAAIAAAACAAAABAAAAAAAAABMAACAAAAAAAAAAAAAAAAAAAAAAP////8KAAAB";
        let list = AddressList::parse(same).unwrap();
        assert_eq!(list.permitted.entries(), ["10.0.0.1"]);
    }

    #[test]
    fn groups_have_masks() {
        let of = |refused, permitted| AddressList::parse(&written(refused, permitted)).unwrap();
        let list = of(
            &[],
            &[
                ("255.255.255.255", &["192.0.2.1"]),
                ("255.255.0.0", &["10.1.0.0", "10.2.0.0"]),
            ],
        );
        assert_eq!(
            list.permitted.entries(),
            ["10.1.0.0/16", "10.2.0.0/16", "192.0.2.1"]
        );
        let list = of(&[("255.255.255.0", &["203.0.113.0"])], &[]);
        assert!(list.all_except && list.permitted.is_empty());
        assert_eq!(list.refused.entries(), ["203.0.113.0/24"]);
        assert_eq!(of(&[], &[("255.0.255.0", &["10.0.0.0"])]).unread, 1);
    }

    #[test]
    fn nothing_is_everybody_and_an_empty_list_is_nobody() {
        assert!(AddressList::parse("").unwrap().all_except);
        let list = AddressList::parse(&written(&[], &[("255.255.255.255", &["0.0.0.0"])])).unwrap();
        assert!(!list.all_except && list.permitted.is_empty());
        for wrong in [
            "1800",
            "zz!",
            "180000802000008",
            "ffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert!(AddressList::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_too_much(octets in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..88, to in any::<u8>()) {
            let _ = AddressList::read(&octets);
            let mut list = TWO_PERMITTED;
            list[at] = to;
            let _ = AddressList::read(&list);
        }
    }
}

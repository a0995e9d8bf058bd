//! The binary lists of clients that IIS and Exchange keep for relaying and for connections.
//!
//! Numbers are 32 bits, the lowest octet first; addresses stand in the order of the network. At the head are
//! four offsets, each with its highest bit set: refused addresses, permitted addresses, refused names, permitted
//! names; then flags and the size of the head. A list of addresses is the number of its groups, the number of its
//! addresses, and for each group: family (2: IPv4), number of entries, octets of an entry, a reserve, and an
//! offset. There the mask of the group stands first, and then its addresses. A list of names begins with how many
//! there are. How they go on is written down nowhere: their words are what of the octets is text, apart from heads
//! and addresses, in the order in which they stand.

use std::net::Ipv4Addr;
use std::ops::Range;

use crate::addresses::Addresses;

/// What such a list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressList {
    pub refused: Addresses,
    pub permitted: Addresses,
    /// Whether everybody is permitted who is not refused.
    pub all_except: bool,
    /// Entries that were no IPv4 addresses, and names: they are nothing that could be taken over.
    pub unread: usize,
    /// What of the names can be read.
    pub words: Vec<String>,
}

const OFFSET_FLAG: u32 = 0x8000_0000;
const IPV4: u32 = 2;
/// So many groups and addresses are read.
const GROUPS_MAX: u32 = 4096;
const ENTRIES_MAX: u32 = 100_000;
/// The octets of the head, of the head of a list of addresses, and of a group.
const HEAD: usize = 24;
const LIST_HEAD: usize = 8;
const GROUP: usize = 20;
/// A word of one letter may as well be a number; so many words are told.
const WORD_MIN: usize = 2;
const WORDS_MAX: usize = 20;
/// DNS has no longer names.
const WORD_MAX: usize = 253;

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
        let mut known: Vec<_> = std::iter::once(0..HEAD).collect();
        let starts = [offset(0).ok_or(cut)?, offset(4).ok_or(cut)?];
        let unread = &mut list.unread;
        let (refused, _) = addresses(octets, starts[0], unread, &mut known).ok_or(cut)?;
        let (permitted, no_permitted) =
            addresses(octets, starts[1], unread, &mut known).ok_or(cut)?;
        list.refused = refused;
        list.permitted = permitted;
        let mut names_there = 0;
        for at in [8, 12] {
            let names = number(octets, offset(at).ok_or(cut)?).ok_or(cut)?;
            names_there += names as usize;
        }
        list.unread += names_there;
        if names_there > 0 {
            list.words = words(octets, &known);
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

/// The addresses of a list, and whether it has none at all. 0.0.0.0 alone stands for an empty list. Where they
/// stand is added to `known`.
fn addresses(
    octets: &[u8],
    at: usize,
    unread: &mut usize,
    known: &mut Vec<Range<usize>>,
) -> Option<(Addresses, bool)> {
    let groups = number(octets, at)?;
    let mut all = Addresses::default();
    if groups > GROUPS_MAX {
        return None;
    }
    let behind = at.checked_add(LIST_HEAD)?;
    known.push(at..behind.checked_add(GROUP * groups as usize)?);
    for group in 0..groups as usize {
        let head = behind.checked_add(GROUP * group)?;
        let (family, entries, size) = (
            number(octets, head)?,
            number(octets, head + 4)?,
            number(octets, head + 8)?,
        );
        let start = (number(octets, head + 16)? & !OFFSET_FLAG) as usize;
        let taken = (entries as usize).checked_mul(size as usize)?;
        known.push(start..start.checked_add(taken)?);
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

/// The texts outside of `known` that may be a host name or a part of one.
fn words(octets: &[u8], known: &[Range<usize>]) -> Vec<String> {
    let mut text = octets.to_vec();
    for range in known {
        let end = range.end.min(text.len());
        text[range.start.min(end)..end].fill(0);
    }
    let is_of_name = |octet: &u8| octet.is_ascii_alphanumeric() || b".-_*".contains(octet);
    text.split(|octet| !is_of_name(octet))
        .filter(|word| (WORD_MIN..=WORD_MAX).contains(&word.len()))
        .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
        .take(WORDS_MAX)
        .collect()
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

/// The same list with permitted names behind it, whose words are these.
#[cfg(test)]
pub(crate) fn with_names(list: &str, names: u8, words: &[u8]) -> String {
    let mut octets = hex(list).unwrap();
    let at = (number(&octets, 12).unwrap() & !OFFSET_FLAG) as usize;
    octets[at] = names;
    octets.extend(words);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
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

    /// What can be read of names is told; addresses that are letters are none.
    #[test]
    fn names_are_counted_and_their_words_read() {
        let addresses = ["127.0.0.1", "99.111.109.0"];
        let plain = written(&[], &[("255.255.255.255", &addresses)]);
        assert_eq!(AddressList::parse(&plain).unwrap().words, [""; 0]);
        let list = with_names(&plain, 2, b"\0Contoso.com\0branch\0example\0");
        let list = AddressList::parse(&list).unwrap();
        assert_eq!(list.words, ["contoso.com", "branch", "example"]);
        assert_eq!(list.permitted.entries(), ["99.111.109.0", "127.0.0.1"]);
        assert!(list.unread == 2 && !list.all_except);
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

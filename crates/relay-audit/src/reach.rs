//! Sets of addresses as sorted intervals, and how many public ones they hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use relay_policy::{Access, AddressRange, List, Mode};

/// First and last, both included.
pub(crate) type Interval = (u128, u128);

/// A set of addresses of both families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    v4: Vec<Interval>,
    v6: Vec<Interval>,
}

const LAST_V4: u128 = u32::MAX as u128;

/// Not to be met on the Internet (IANA's registry of special IPv4 addresses), as first address and
/// bits.
const SPECIAL_V4: [(u32, u8); 15] = [
    (0x0000_0000, 8),  // this network
    (0x0A00_0000, 8),  // private
    (0x6440_0000, 10), // shared, behind a provider's NAT
    (0x7F00_0000, 8),  // loopback
    (0xA9FE_0000, 16), // link-local
    (0xAC10_0000, 12), // private
    (0xC000_0000, 24), // protocol assignments
    (0xC000_0200, 24), // documentation
    (0xC0A8_0000, 16), // private
    (0xC612_0000, 15), // benchmarks
    (0xC633_6400, 24), // documentation
    (0xCB00_7100, 24), // documentation
    (0xE000_0000, 4),  // multicast
    (0xF000_0000, 5),  // reserved
    (0xF800_0000, 5),  // reserved, broadcast
];

/// Global unicast, less documentation (RFC 3849, RFC 9637): sorted.
const PUBLIC_V6: [Interval; 3] = [
    (0x2000 << 112, (0x2001_0db8 << 96) - 1),
    (0x2001_0db9 << 96, (0x3fff << 112) - 1),
    ((0x3fff_1000) << 96, (0x4000 << 112) - 1),
];

/// All of IPv4, seen through a translator (RFC 6052).
const NAT64: Interval = (0x0064_ff9b << 96, (0x0064_ff9b << 96) + LAST_V4);

/// An IPv6 network of this many host bits counts as one address: one subscriber has it all.
const HOST_BITS_V6: u32 = 64;

impl Reach {
    /// The set of all IPv4 and all IPv6 addresses.
    pub fn everywhere() -> Self {
        Self {
            v4: vec![(0, LAST_V4)],
            v6: vec![(0, u128::MAX)],
        }
    }

    /// The addresses of a list; its names hold none.
    pub fn of_list(list: &List) -> Self {
        Self::of_ranges(list.ranges())
    }

    /// The addresses of one range.
    pub fn of_range(range: &AddressRange) -> Self {
        Self::of_ranges([(range.first(), range.last())])
    }

    /// The addresses of ranges that are in order and do not overlap.
    fn of_ranges(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let mut reach = Self {
            v4: Vec::new(),
            v6: Vec::new(),
        };
        for (first, last) in ranges {
            let intervals = if first.is_ipv4() {
                &mut reach.v4
            } else {
                &mut reach.v6
            };
            intervals.push((number(first), number(last)));
        }
        reach
    }

    /// The addresses that an access rule lets in, whatever their names.
    pub fn of_access(access: &Access) -> Self {
        let listed = Self::of_list(&access.list);
        match access.mode {
            Mode::OnlyList => listed,
            Mode::AllExcept => Self::everywhere().without(&listed),
        }
    }

    /// First and last ones, of IPv4 and of IPv6, in order.
    pub fn intervals(&self) -> (&[Interval], &[Interval]) {
        (&self.v4, &self.v6)
    }

    /// What is in both.
    pub fn intersected(&self, other: &Self) -> Self {
        Self {
            v4: intersect(&self.v4, &other.v4),
            v6: intersect(&self.v6, &other.v6),
        }
    }

    /// What is in `self` alone.
    pub fn without(&self, other: &Self) -> Self {
        let not_v4 = complement(&other.v4, LAST_V4);
        let not_v6 = complement(&other.v6, u128::MAX);
        Self {
            v4: intersect(&self.v4, &not_v4),
            v6: intersect(&self.v6, &not_v6),
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let n = number(address);
        let intervals = if address.is_ipv4() {
            &self.v4
        } else {
            &self.v6
        };
        intervals
            .iter()
            .any(|&(first, last)| first <= n && n <= last)
    }

    /// How many public addresses there are: IPv4 by address, IPv6 by /64.
    pub fn public_count(&self) -> u128 {
        let v6 = intersect(&self.v6, &PUBLIC_V6);
        let translated = intersect(&self.v6, &[NAT64]);
        size(&self.public_v4()) + networks(&v6) + size(&translated)
    }

    /// An address to show as an example: a well-known one for examples when it is there, else the
    /// first public one, else the first.
    pub fn example(&self) -> Option<IpAddr> {
        let well_known = ["203.0.113.9", "2001:db8::9"];
        let well_known = well_known.iter().filter_map(|text| text.parse().ok());
        let mut well_known = well_known.filter(|address| self.contains(*address));
        let first = |list: &[Interval]| list.first().map(|&(first, _)| first);
        let v4 = |n| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(n).unwrap_or(u32::MAX)));
        let v6 = |n| IpAddr::V6(Ipv6Addr::from_bits(n));
        well_known
            .next()
            .or_else(|| first(&self.public_v4()).map(v4))
            .or_else(|| first(&intersect(&self.v6, &PUBLIC_V6)).map(v6))
            .or_else(|| first(&intersect(&self.v6, &[NAT64])).map(v6))
            .or_else(|| first(&self.v4).map(v4))
            .or_else(|| first(&self.v6).map(v6))
    }

    fn public_v4(&self) -> Vec<Interval> {
        let special = SPECIAL_V4.map(|(first, bits)| {
            let first = u128::from(first);
            (first, first + (1 << (32 - bits)) - 1)
        });
        intersect(&self.v4, &complement(&special, LAST_V4))
    }
}

/// An address as a number within its family.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Both sorted and without overlaps; so is the result.
fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let (mut i, mut j, mut both) = (0, 0, Vec::new());
    while let (Some(&x), Some(&y)) = (a.get(i), b.get(j)) {
        let (first, last) = (x.0.max(y.0), x.1.min(y.1));
        if first <= last {
            both.push((first, last));
        }
        if x.1 <= y.1 { i += 1 } else { j += 1 }
    }
    both
}

fn complement(of: &[Interval], end: u128) -> Vec<Interval> {
    let mut gaps = Vec::with_capacity(of.len() + 1);
    let mut next = Some(0);
    for &(first, last) in of {
        if let Some(from) = next.filter(|from| *from < first) {
            gaps.push((from, first - 1));
        }
        next = last.checked_add(1).filter(|n| *n <= end);
    }
    gaps.extend(next.map(|from| (from, end)));
    gaps
}

fn size(intervals: &[Interval]) -> u128 {
    intervals.iter().map(|(first, last)| last - first + 1).sum()
}

/// How many /64 networks are touched; one that several intervals touch counts once.
fn networks(intervals: &[Interval]) -> u128 {
    let mut next = 0;
    let mut count = 0;
    for (first, last) in intervals {
        let (from, to) = ((first >> HOST_BITS_V6).max(next), last >> HOST_BITS_V6);
        if from <= to {
            count += to - from + 1;
            next = to + 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(texts: &[&str]) -> Reach {
        Reach::of_list(&List::from_texts(texts).unwrap())
    }

    #[test]
    fn public_addresses_are_counted_however_they_are_split() {
        let cases: [(&[&str], u128); 12] = [
            (&[], 0),
            (
                &[
                    "10.0.0.0/8",
                    "192.168.0.0/16",
                    "172.16.0.0/12",
                    "127.0.0.1",
                    "224.0.0.0/3",
                ],
                0,
            ),
            (
                &["203.0.113.0/24", "2001:db8::/32", "fe80::/10", "fc00::/7"],
                0,
            ),
            (&["8.8.8.8", "8.8.8.0/24"], 256),
            (&["8.8.8.0-8.8.8.127", "8.8.8.128/25"], 256),
            (&["9.255.255.0-11.0.0.255"], 512),
            (&["2600::1", "2600::2"], 1),
            (&["2600::/64", "2600:0:0:1::1"], 2),
            (&["2600::/48"], 65_536),
            (&["64:ff9b::/96"], 1 << 32),
            (&["::/0"], (1 << 61) - (1 << 32) - (1 << 44) + (1 << 32)),
            (&["0.0.0.0/1", "128.0.0.0/1"], 3_702_258_688),
        ];
        for (texts, count) in cases {
            assert_eq!(reach(texts).public_count(), count, "{texts:?}");
        }
    }

    #[test]
    fn sets_behave_as_sets() {
        let a = reach(&["10.0.0.0/24", "2001:db8::/64"]);
        let b = reach(&["10.0.0.128-10.0.1.5"]);
        assert_eq!(a.intersected(&b), reach(&["10.0.0.128/25"]));
        assert_eq!(a.without(&b), reach(&["10.0.0.0/25", "2001:db8::/64"]));
        let all = Reach::everywhere();
        assert_eq!(all.without(&all).example(), None);
        assert_eq!(all.without(&a).without(&all.without(&a)), reach(&[]));
        assert_eq!(all.example(), "203.0.113.9".parse().ok());
        assert_eq!(
            reach(&["10.0.0.5-10.0.0.9"]).example(),
            "10.0.0.5".parse().ok()
        );
        assert_eq!(reach(&["10.0.0.0/7"]).example(), "11.0.0.0".parse().ok());
    }
}

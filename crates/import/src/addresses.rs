//! Sets of client addresses, with which ordered lists become lists without order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of IPv4 and IPv6 addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

const LAST_V4: u128 = u32::MAX as u128;

impl Addresses {
    /// Every address there is.
    pub fn all() -> Self {
        Self {
            v4: vec![(0, LAST_V4)],
            v6: vec![(0, u128::MAX)],
        }
    }

    /// The block of `address` with its first `bits` bits; what stands behind them does not count.
    /// `None` when there are not so many.
    pub fn block(address: IpAddr, bits: u8) -> Option<Self> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let below = width - u32::from(bits).min(width);
        if u32::from(bits) > width {
            return None;
        }
        let host = hosts(below);
        let number = match address {
            IpAddr::V4(a) => u128::from(u32::from(a)),
            IpAddr::V6(a) => u128::from(a),
        };
        let span = vec![(number & !host, number | host)];
        Some(if address.is_ipv4() {
            Self {
                v4: span,
                v6: Vec::new(),
            }
        } else {
            Self {
                v4: Vec::new(),
                v6: span,
            }
        })
    }

    /// All from the first to the last; `None` when they are of two families, or in the wrong order.
    pub fn span(first: IpAddr, last: IpAddr) -> Option<Self> {
        let ordered = first <= last;
        let mut all = Self::default();
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                all.v4.push((u32::from(a).into(), u32::from(b).into()))
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => all.v6.push((a.into(), b.into())),
            _ => return None,
        }
        ordered.then_some(all)
    }

    /// How many there are.
    pub fn count(&self) -> u128 {
        let spans = self.v4.iter().chain(&self.v6);
        spans.fold(0u128, |n, (a, b)| n.saturating_add(b - a).saturating_add(1))
    }

    /// What two spans have in common where neither is narrower and lies within the other.
    pub fn crossing(&self, other: &Self) -> Option<Self> {
        let crossed = |a: &[(u128, u128)], b: &[(u128, u128)]| match (a, b) {
            (&[(first, last)], &[(begin, end)]) => {
                let within = first <= begin && end <= last || begin <= first && last <= end;
                let narrower = within && (first, last) != (begin, end);
                let common = (first.max(begin), last.min(end));
                (!narrower && common.0 <= common.1).then_some(common)
            }
            _ => None,
        };
        let v4: Vec<_> = crossed(&self.v4, &other.v4).into_iter().collect();
        let v6: Vec<_> = crossed(&self.v6, &other.v6).into_iter().collect();
        (!v4.is_empty() || !v6.is_empty()).then_some(Self { v4, v6 })
    }

    /// Those of one family.
    pub fn of_family(&self, v4: bool) -> Self {
        match v4 {
            true => Self {
                v4: self.v4.clone(),
                v6: Vec::new(),
            },
            false => Self {
                v4: Vec::new(),
                v6: self.v6.clone(),
            },
        }
    }

    /// `10.0.0.0/8`, `10.0.0.1`, `2001:db8::/32`, also with brackets around the address. Bits that are
    /// set behind the mask make it nothing, as they do in Postfix.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        let address: IpAddr = bare.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let set = Self::block(address, bits.unwrap_or(width))?;
        let first = set
            .v4
            .iter()
            .map(|&(a, _)| v4(a))
            .chain(set.v6.iter().map(|&(a, _)| v6(a)));
        (first.last() == Some(address)).then_some(set)
    }

    /// Address and mask; a mask with holes is none.
    pub fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        let mask = u32::from(mask);
        let bits = mask.leading_ones();
        let plain = bits == mask.count_ones();
        let bits = u8::try_from(bits).ok().filter(|_| plain)?;
        Self::block(IpAddr::V4(address), bits)
    }

    /// All of them in one.
    pub fn of(sets: Vec<Self>) -> Self {
        let v4 = sets.iter().flat_map(|set| set.v4.iter().copied()).collect();
        let v6 = sets.iter().flat_map(|set| set.v6.iter().copied()).collect();
        Self {
            v4: joined(v4),
            v6: joined(v6),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// All of one family at least.
    pub fn is_everybody(&self) -> bool {
        self.v4 == [(0, LAST_V4)] || self.v6 == [(0, u128::MAX)]
    }

    /// More than anybody has of their own: a sixteenth of the IPv4 addresses, or an eighth of the IPv6 ones.
    pub fn is_vast(&self) -> bool {
        let count = |spans: &[(u128, u128)]| {
            spans
                .iter()
                .fold(0u128, |n, (a, b)| n.saturating_add(b - a))
        };
        count(&self.v4) >= 1 << 28 || count(&self.v6) >= (1 << 125) - 1
    }

    pub fn union(&self, other: &Self) -> Self {
        let join = |a: &[_], b: &[_]| joined([a, b].concat());
        Self {
            v4: join(&self.v4, &other.v4),
            v6: join(&self.v6, &other.v6),
        }
    }

    /// Adds those of a few more: quicker than [`Self::union`] where this is done for many, one by one.
    pub fn insert(&mut self, other: &Self) {
        for (own, more) in [(&mut self.v4, &other.v4), (&mut self.v6, &other.v6)] {
            more.iter().for_each(|&span| insert(own, span));
        }
    }

    pub fn minus(&self, other: &Self) -> Self {
        Self {
            v4: less(&self.v4, &other.v4),
            v6: less(&self.v6, &other.v6),
        }
    }

    pub fn intersect(&self, other: &Self) -> Self {
        self.minus(&Self::all().minus(other))
    }

    /// As our lists are written: addresses, blocks and ranges.
    pub fn entries(&self) -> Vec<String> {
        let v4 = self.v4.iter().flat_map(|&(a, b)| written(a, b, 32, v4));
        let v6 = self.v6.iter().flat_map(|&(a, b)| written(a, b, 128, v6));
        v4.chain(v6).collect()
    }
}

fn v4(number: u128) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
}

fn v6(number: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(number))
}

/// So many blocks are easier to read than a range.
const BLOCKS_MAX: usize = 4;

fn written(first: u128, last: u128, width: u32, address: fn(u128) -> IpAddr) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut next = Some(first);
    while let Some(from) = next.filter(|&from| from <= last) {
        if blocks.len() == BLOCKS_MAX {
            return vec![format!("{}-{}", address(first), address(last))];
        }
        // The largest block that begins here and ends in time.
        let fits = |below: &u32| {
            let host = hosts(*below);
            from & host == 0 && from.checked_add(host).is_some_and(|end| end <= last)
        };
        let below = (0..=width).rev().find(fits).unwrap_or(0);
        blocks.push(match below {
            0 => address(from).to_string(),
            below => format!("{}/{}", address(from), width - below),
        });
        next = from
            .checked_add(hosts(below))
            .and_then(|end| end.checked_add(1));
    }
    blocks
}

/// So many low bits.
fn hosts(below: u32) -> u128 {
    1u128.checked_shl(below).map_or(u128::MAX, |bit| bit - 1)
}

/// Sorted, without overlaps, neighbours made one.
fn joined(mut spans: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    spans.sort_unstable();
    let mut kept: Vec<(u128, u128)> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match kept.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => kept.push((first, last)),
        }
    }
    kept
}

/// The spans are joined, and are so with one more.
fn insert(spans: &mut Vec<(u128, u128)>, (first, last): (u128, u128)) {
    let begin = spans.partition_point(|&(_, end)| end.saturating_add(1) < first);
    let end = spans.partition_point(|&(start, _)| start <= last.saturating_add(1));
    let met = spans.get(begin..end).unwrap_or_default();
    let first = met.first().map_or(first, |span| span.0.min(first));
    let last = met.last().map_or(last, |span| span.1.max(last));
    spans.splice(begin..end.max(begin), [(first, last)]);
}

/// Both are sorted and without overlaps.
fn less(from: &[(u128, u128)], taken: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut left = Vec::new();
    for &(first, last) in from {
        let mut next = Some(first);
        let begin = taken.partition_point(|&(_, end)| end < first);
        for &(a, b) in taken.iter().skip(begin).take_while(|&&(a, _)| a <= last) {
            if let Some(from) = next
                && from < a
            {
                left.push((from, a - 1));
            }
            next = b.checked_add(1).filter(|&next| next <= last);
        }
        if let Some(from) = next {
            left.push((from, last));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(entries: &[&str]) -> Addresses {
        let parsed = entries.iter().map(|text| Addresses::parse(text).unwrap());
        parsed.fold(Addresses::default(), |all, one| all.union(&one))
    }

    #[test]
    fn sets_are_written_as_our_lists_are() {
        let cases: [(&[&str], &[&str]); 4] = [
            (&["10.0.0.0/9", "10.128.0.0/9"], &["10.0.0.0/8"]),
            (&["10.0.0.1", "10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
            (
                &["[2001:db8::]/32", "192.0.2.1"],
                &["192.0.2.1", "2001:db8::/32"],
            ),
            (&["0.0.0.0/0"], &["0.0.0.0/0"]),
        ];
        for (given, written) in cases {
            assert_eq!(set(given).entries(), written);
        }
        assert_eq!(Addresses::parse("10.0.0.1/8"), None);
        assert_eq!(Addresses::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn what_is_taken_away_leaves_a_gap() {
        let left = set(&["10.0.0.0/8"]).minus(&set(&["10.0.0.0", "10.2.0.0/16"]));
        assert_eq!(
            left.entries(),
            ["10.0.0.1-10.1.255.255", "10.3.0.0-10.255.255.255"]
        );
        assert!(Addresses::all().minus(&Addresses::all()).is_empty());
    }

    fn any_set() -> impl Strategy<Value = Addresses> {
        let span = (0u128..200, 0u128..30).prop_map(|(a, n)| (a, a + n));
        proptest::collection::vec(span, 0..6).prop_map(|spans| Addresses {
            v4: joined(spans),
            v6: Vec::new(),
        })
    }

    proptest! {
        #[test]
        fn a_set_and_what_is_beside_it_are_everything(a in any_set(), b in any_set()) {
            let both = a.intersect(&b);
            prop_assert_eq!(a.minus(&b).union(&both), a.clone());
            prop_assert!(a.minus(&b).intersect(&b).is_empty());
            prop_assert_eq!(a.union(&b).minus(&b), a.minus(&b));
            let mut more = a.clone();
            more.insert(&b);
            prop_assert_eq!(more, a.union(&b));
        }
    }
}

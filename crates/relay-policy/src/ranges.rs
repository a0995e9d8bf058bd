use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses from a first to a last one of the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// One address. An IPv4 address mapped into IPv6 is taken as IPv4.
    pub fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            first: address,
            last: address,
        }
    }

    /// From `first` to `last`, both included. `None` when they are of different families or in the
    /// wrong order.
    pub fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let (first, last) = (first.to_canonical(), last.to_canonical());
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// The block of `address` with its first `prefix` bits. `None` when there are not so many, or
    /// when bits behind them are set: `10.0.0.1/8` is more likely a slip for one address than a
    /// wish for sixteen million.
    pub fn block(address: IpAddr, prefix: u8) -> Option<Self> {
        let block = IpNet::new(address, prefix).ok()?;
        if block.network() != address {
            return None;
        }
        Self::between(address, block.broadcast())
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }
}

/// An address as a number within its family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

/// The address of a number within a family; a number too large for IPv4 is cut to its last address.
pub(crate) fn from_number(n: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(n))
    }
}

/// A span of one family, with the entry that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u128,
    pub last: u128,
    pub entry: u32,
}

/// Sorted spans that do not overlap, so that one binary search answers even for a list of a hundred
/// thousand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Puts spans in order; where two overlap, the one that begins first keeps the common part.
    pub fn new(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable_by_key(|s| (s.first, std::cmp::Reverse(s.last), s.entry));
        let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match kept.last() {
                Some(before) if span.last <= before.last => {}
                Some(before) if span.first <= before.last => {
                    kept.push(Span {
                        first: before.last + 1,
                        ..span
                    });
                }
                Some(_) | None => kept.push(span),
            }
        }
        Self(kept)
    }

    /// The span that holds `n`.
    pub fn find(&self, n: u128) -> Option<&Span> {
        let after = self.0.partition_point(|span| span.first <= n);
        let candidate = self.0.get(after.checked_sub(1)?)?;
        (n <= candidate.last).then_some(candidate)
    }

    /// All spans in ascending order, without overlaps.
    pub fn as_slice(&self) -> &[Span] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_and_ranges_hold_what_they_say() {
        let cases = [
            (
                AddressRange::block(ip("10.0.0.0"), 8),
                "10.0.0.0",
                "10.255.255.255",
            ),
            (
                AddressRange::block(ip("0.0.0.0"), 0),
                "0.0.0.0",
                "255.255.255.255",
            ),
            (
                AddressRange::block(ip("192.0.2.1"), 32),
                "192.0.2.1",
                "192.0.2.1",
            ),
            (
                AddressRange::block(ip("2001:db8::"), 127),
                "2001:db8::",
                "2001:db8::1",
            ),
            (
                AddressRange::block(ip("::ffff:10.0.0.0"), 104),
                "10.0.0.0",
                "10.255.255.255",
            ),
            (
                AddressRange::between(ip("10.0.0.5"), ip("10.0.0.9")),
                "10.0.0.5",
                "10.0.0.9",
            ),
        ];
        for (range, first, last) in cases {
            let range = range.unwrap();
            assert_eq!((range.first(), range.last()), (ip(first), ip(last)));
        }
        assert_eq!(AddressRange::block(ip("10.0.0.1"), 8), None);
        assert_eq!(AddressRange::block(ip("10.0.0.0"), 33), None);
        assert_eq!(AddressRange::between(ip("10.0.0.2"), ip("10.0.0.1")), None);
        assert_eq!(AddressRange::between(ip("10.0.0.2"), ip("::1")), None);
    }

    #[test]
    fn overlapping_spans_become_one_line_without_gaps() {
        let span = |first, last, entry| Span { first, last, entry };
        let spans = Spans::new(vec![
            span(5, 9, 0),
            span(0, 6, 1),
            span(7, 8, 2),
            span(20, 20, 3),
        ]);
        assert_eq!(
            spans.as_slice(),
            [span(0, 6, 1), span(7, 9, 0), span(20, 20, 3)]
        );
        for (n, entry) in [
            (0, Some(1)),
            (6, Some(1)),
            (7, Some(0)),
            (10, None),
            (20, Some(3)),
        ] {
            assert_eq!(spans.find(n).map(|s| s.entry), entry, "{n}");
        }
        let all = Spans::new(vec![span(0, u128::MAX, 0), span(3, u128::MAX, 1)]);
        assert_eq!(all.as_slice().len(), 1);
    }
}

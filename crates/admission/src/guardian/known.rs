//! Who wrote to whom: two Bloom filters, a young one that learns and an old one that is forgotten
//! when the young one is full. Their size is fixed, whatever comes.

use aws_lc_rs::digest::{SHA256, digest};

/// Pairs of subject and recipient that one filter takes. There are 14 bits for each pair, of which it
/// sets 4: so 4 in 1,000 pairs that were never there seem to be, and in both filters 8.
const PAIRS_MAX: u32 = 600_000;
const WORDS: usize = 1 << 17;
const BITS: u32 = (WORDS * 64) as u32;

/// Octets of a whole memory, as it is kept.
pub(crate) const OCTETS: usize = 2 * (4 + WORDS * 8);

/// The last 600,000 pairs at least.
#[derive(Debug, Default)]
pub(crate) struct Known {
    young: Filter,
    old: Filter,
}

/// Empty until it is needed.
#[derive(Debug, Default)]
struct Filter {
    words: Vec<u64>,
    pairs: u32,
}

/// The bits that stand for a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair([u32; 4]);

impl Pair {
    /// The same in every version, as it is kept.
    pub(crate) fn new(subject: &str, recipient: &str) -> Self {
        // No name holds a zero octet.
        let text = format!("{subject}\0{}", recipient.to_ascii_lowercase());
        let hash = digest(&SHA256, text.as_bytes());
        let mut bits = [0; 4];
        for (bit, four) in bits.iter_mut().zip(hash.as_ref().chunks_exact(4)) {
            *bit = four
                .iter()
                .fold(0, |all, octet| all << 8 | u32::from(*octet))
                % BITS;
        }
        Self(bits)
    }
}

impl Known {
    /// Whether it is remembered.
    pub(crate) fn has(&self, pair: Pair) -> bool {
        self.young.has(pair) || self.old.has(pair)
    }

    /// Remembers it for as long as any.
    pub(crate) fn remember(&mut self, pair: Pair) {
        if self.young.has(pair) {
            return;
        }
        if self.young.pairs >= PAIRS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.put(pair);
    }

    /// What is to be kept, as [`Known::read`] takes it: [`OCTETS`].
    pub(crate) fn write_to(&self, kept: &mut Vec<u8>) {
        for filter in [&self.young, &self.old] {
            kept.extend_from_slice(&filter.pairs.to_le_bytes());
            let words = filter.words.iter().copied().chain(std::iter::repeat(0));
            for word in words.take(WORDS) {
                kept.extend_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// `None` when that is not what was kept.
    pub(crate) fn read(kept: &[u8]) -> Option<Self> {
        let (young, old) = (kept.len() == OCTETS).then(|| kept.split_at(OCTETS / 2))?;
        let (young, old) = (Filter::read(young)?, Filter::read(old)?);
        Some(Self { young, old })
    }
}

impl Filter {
    fn has(&self, pair: Pair) -> bool {
        let is_set = |bit: u32| {
            let word = self.words.get((bit / 64) as usize);
            word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
        };
        pair.0.into_iter().all(is_set)
    }

    fn put(&mut self, pair: Pair) {
        self.words.resize(WORDS, 0);
        for bit in pair.0 {
            if let Some(word) = self.words.get_mut((bit / 64) as usize) {
                *word |= 1 << (bit % 64);
            }
        }
        self.pairs += 1;
    }

    fn read(kept: &[u8]) -> Option<Self> {
        let (pairs, words) = kept.split_first_chunk()?;
        let words = words.as_chunks().0.iter();
        Some(Self {
            pairs: u32::from_le_bytes(*pairs),
            words: words.map(|word| u64::from_le_bytes(*word)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if it were a hash; a million of real ones would take long.
    fn pair(number: u32) -> Pair {
        let mut state = u64::from(number);
        Pair([(); 4].map(|()| {
            state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            state ^= state >> 29;
            (state >> 32) as u32 % BITS
        }))
    }

    #[test]
    fn as_many_are_remembered_as_is_said_and_few_seem_to_be() {
        let mut known = Known::default();
        // Those that seem to be there take no room: a filter is full a little later.
        let end = 2 * PAIRS_MAX + 10_000;
        for number in 0..end {
            known.remember(pair(number));
        }
        let remembered = (end - PAIRS_MAX..end).all(|number| known.has(pair(number)));
        assert!(remembered);
        let strange = 10_000_000..10_010_000;
        let mistaken = strange.filter(|number| known.has(pair(*number))).count();
        assert!(mistaken < 100, "{mistaken} in 10,000");
        // The first are forgotten, but for those that seem to be there.
        let first = (0..10_000).filter(|number| known.has(pair(*number)));
        assert!(first.count() < 100);
    }

    #[test]
    fn it_is_kept_and_read_as_it_was() {
        let (mut known, mut kept) = (Known::default(), Vec::new());
        known.remember(Pair::new("user ann", "Bob@There.test"));
        known.write_to(&mut kept);
        assert_eq!(kept.len(), OCTETS);
        let read = Known::read(&kept).unwrap();
        for (subject, recipient, expected) in [
            ("user ann", "bob@there.test", true),
            ("user bob", "bob@there.test", false),
            ("user ann", "carl@there.test", false),
        ] {
            assert_eq!(read.has(Pair::new(subject, recipient)), expected);
        }
        assert!(Known::read(&kept[1..]).is_none());
        assert!(Known::read(&[]).is_none());
    }
}

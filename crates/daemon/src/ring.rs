use serde::{Deserialize, Serialize};

/// What was counted in each of the last `N` stretches of time (minutes, days), which are numbered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "(u64, Vec<u32>)", into = "(u64, Vec<u32>)")]
pub(crate) struct Ring<const N: usize> {
    newest: u64,
    counts: [u32; N],
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self {
            newest: 0,
            counts: [0; N],
        }
    }
}

impl<const N: usize> Ring<N> {
    /// Counts so many more in stretch `now`; one that comes late is counted in the newest.
    pub(crate) fn add(&mut self, now: u64, count: u32) {
        let ahead = now.saturating_sub(self.newest);
        for step in 1..=ahead.min(N as u64) {
            *self.slot(self.newest + step) = 0;
        }
        self.newest = self.newest.max(now);
        let slot = self.slot(self.newest);
        *slot = slot.saturating_add(count);
    }

    /// How many there were in the last `stretches` up to `now`.
    pub(crate) fn sum(&self, now: u64, stretches: u64) -> u64 {
        let oldest = (now + 1).saturating_sub(stretches.min(N as u64));
        let kept = (self.newest + 1).saturating_sub(N as u64);
        let counted = oldest.max(kept)..=self.newest;
        counted.map(|number| u64::from(self.at(number))).sum()
    }

    fn at(&self, number: u64) -> u32 {
        let index = (number % N as u64) as usize;
        self.counts.get(index).copied().unwrap_or_default()
    }

    fn slot(&mut self, number: u64) -> &mut u32 {
        // N is no larger than memory.
        &mut self.counts[(number % N as u64) as usize]
    }
}

impl<const N: usize> From<Ring<N>> for (u64, Vec<u32>) {
    fn from(ring: Ring<N>) -> Self {
        (ring.newest, ring.counts.to_vec())
    }
}

/// What another version wrote with another length is counted anew.
impl<const N: usize> From<(u64, Vec<u32>)> for Ring<N> {
    fn from((newest, counts): (u64, Vec<u32>)) -> Self {
        match counts.try_into() {
            Ok(counts) => Self { newest, counts },
            Err(_) => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_stretches_count() {
        let mut ring = Ring::<3>::default();
        for (now, count) in [(100, 1), (101, 2), (101, 3), (100, 4)] {
            ring.add(now, count);
        }
        assert_eq!(
            [1, 2, 3, 9].map(|last| ring.sum(101, last)),
            [9, 10, 10, 10]
        );
        assert_eq!(
            [102, 103, 104, 900].map(|now| ring.sum(now, 3)),
            [10, 9, 0, 0]
        );
        ring.add(103, 5);
        assert_eq!((ring.sum(103, 3), ring.sum(103, 1)), (14, 5));
        ring.add(900, 7);
        assert_eq!(ring.sum(900, 3), 7);
        ring.add(u64::MAX - 1, u32::MAX);
        ring.add(u64::MAX - 1, 1);
        assert_eq!(ring.sum(u64::MAX - 1, 3), u64::from(u32::MAX));
        let text = serde_json::to_string(&ring).unwrap();
        let same: Ring<3> = serde_json::from_str(&text).unwrap();
        assert_eq!(same.sum(u64::MAX - 1, 3), u64::from(u32::MAX));
        let other: Ring<4> = serde_json::from_str(&text).unwrap();
        assert_eq!(other.sum(u64::MAX - 1, 3), 0);
    }
}

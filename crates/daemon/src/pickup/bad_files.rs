use std::sync::atomic::{AtomicU64, Ordering};

/// So many are named in the log in a time; of the others it says how many there were, so that whoever
/// fills the directory with bad files does not fill the log with their names.
const NAMED_MAX: u64 = 20;

/// Bad files since the log last told how many there were.
#[derive(Debug, Default)]
pub(super) struct BadFiles(AtomicU64);

impl BadFiles {
    /// There is one more; says whether the log names it.
    pub(super) fn one_more(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < NAMED_MAX
    }

    /// How many were not named, and begins anew.
    pub(super) fn unnamed(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed).saturating_sub(NAMED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ones_are_named_and_the_others_counted() {
        let bad = BadFiles::default();
        for round in 0..2 {
            assert_eq!(bad.unnamed(), 0, "{round}");
            let named = (0..1_000).filter(|_| bad.one_more()).count();
            assert_eq!(named as u64, NAMED_MAX, "{round}");
            assert_eq!(bad.unnamed(), 1_000 - NAMED_MAX, "{round}");
        }
    }
}

use std::time::Duration;

use mail::Timestamp;

/// So much in so long a time.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// When the whole is there again.
    full_at: Timestamp,
}

impl Allowance {
    /// Takes one of `count` in `per`, if any is left at `now`.
    pub(crate) fn take(&mut self, count: u32, per: Duration, now: Timestamp) -> bool {
        // A clock that was set back must not make us wait longer than the whole takes.
        let full_at = self.full_at.clamp(now, now + per);
        let next = full_at + per / count.max(1);
        let may = count > 0 && next <= now + per;
        self.full_at = if may { next } else { full_at };
        may
    }

    /// When there is something of `count` in `per` to be taken: at `now`, or else not before all of
    /// it is there again.
    pub(crate) fn next_at(&self, count: u32, per: Duration, now: Timestamp) -> Timestamp {
        let full_at = self.full_at.clamp(now, now + per);
        let may = count > 0 && full_at + per / count.max(1) <= now + per;
        if may { now } else { full_at }
    }

    /// Takes all of it at `now`: nothing is left before `per` has passed.
    pub(crate) fn exhaust(&mut self, per: Duration, now: Timestamp) {
        self.full_at = now + per;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER: Duration = Duration::from_secs(60);

    #[test]
    fn the_whole_may_be_taken_at_once_and_comes_back_bit_by_bit() {
        let mut allowance = Allowance::default();
        let now = Timestamp::from_millis(1_000_000);
        let taken = (0..10).filter(|_| allowance.take(6, PER, now)).count();
        assert_eq!(taken, 6);
        let later = now + Duration::from_secs(20);
        let taken = (0..10).filter(|_| allowance.take(6, PER, later)).count();
        assert_eq!(taken, 2);
        assert!(!Allowance::default().take(0, PER, now));
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_more_than_the_whole() {
        let mut allowance = Allowance::default();
        assert!(allowance.take(1, PER, Timestamp::from_millis(1_000_000_000)));
        let now = Timestamp::from_millis(1_000_000);
        assert!(!allowance.take(1, PER, now));
        assert!(allowance.take(1, PER, now + PER));
    }
}

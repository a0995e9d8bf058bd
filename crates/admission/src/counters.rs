//! Many small counters, each a single time.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::{Rate, Subject};

/// Counters kept at most; beyond, those go first that would be full again soonest.
pub const COUNTERS_MAX: usize = 100_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Connections that were made to us.
    Connections,
    /// Messages that were begun, whether they were stored in the end or not.
    Messages,
    /// Recipients of stored messages.
    Recipients,
    /// Recipients of stored messages to whom bounces of forwarded mail were turned back.
    Bounces,
    /// Recipients named that do not exist: somebody is guessing addresses.
    UnknownRecipients,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::Messages => "messages",
            Self::Recipients => "recipients",
            Self::Bounces => "bounces turned back",
            Self::UnknownRecipients => "unknown recipients",
        })
    }
}

/// Counters of the last while, for all sessions together.
///
/// A counter is the time at which its subject will have its whole allowance again (the generic cell
/// rate algorithm): so a subject that did nothing for long needs no counter, and an allowance of 60
/// in a minute comes back one a second.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    full_at: HashMap<(Subject, Counted), Duration>,
}

impl Counters {
    /// How many more `rate` allows at `now` (a time that only grows).
    pub(crate) fn left(
        &self,
        subject: &Subject,
        counted: Counted,
        rate: Rate,
        now: Duration,
    ) -> u32 {
        let Some(full_at) = self.full_at.get(&(subject.clone(), counted)) else {
            return rate.count;
        };
        let owed = full_at.saturating_sub(now);
        let free = rate.per.saturating_sub(owed);
        let each = rate.per.as_nanos() / u128::from(rate.count.max(1));
        u32::try_from(free.as_nanos() / each.max(1))
            .unwrap_or(u32::MAX)
            .min(rate.count)
    }

    /// Counts one more, if one is left; `false`, and nothing is counted, if not.
    pub(crate) fn take(
        &mut self,
        subject: &Subject,
        counted: Counted,
        rate: Rate,
        now: Duration,
    ) -> bool {
        let may = self.left(subject, counted, rate, now) > 0;
        if may {
            self.count(subject.clone(), counted, rate, 1, now);
        }
        may
    }

    /// Counts `times` more, whatever is left.
    pub(crate) fn count(
        &mut self,
        subject: Subject,
        counted: Counted,
        rate: Rate,
        times: u32,
        now: Duration,
    ) {
        if self.full_at.len() >= COUNTERS_MAX {
            self.forget(now);
        }
        let spent = rate
            .per
            .mul_f64(f64::from(times) / f64::from(rate.count.max(1)));
        let full_at = self.full_at.entry((subject, counted)).or_insert(now);
        *full_at = (*full_at)
            .max(now)
            .saturating_add(spent)
            .min(now + rate.per.saturating_mul(2));
    }

    /// Drops counters that say nothing any more; when that is not half of them, those that will say
    /// nothing soonest.
    fn forget(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() > COUNTERS_MAX / 2 {
            let mut times: Vec<Duration> = self.full_at.values().copied().collect();
            let (_, median, _) = times.select_nth_unstable(COUNTERS_MAX / 2);
            let median = *median;
            self.full_at.retain(|_, full_at| *full_at > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rate(count: u32) -> Rate {
        Rate { count, per: MINUTE }
    }

    fn client(text: &str) -> Subject {
        Subject::client(text.parse().unwrap())
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back_little_by_little() {
        let mut counters = Counters::default();
        let one = client("192.0.2.1");
        for (second, expected) in [
            (0, true),
            (0, true),
            (0, true),
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (9, false),
            (10, true),
            (10, false),
        ] {
            let now = Duration::from_secs(1000 + second);
            let taken = counters.take(&one, Counted::Messages, rate(6), now);
            assert_eq!(taken, expected, "after {second} s");
        }
        let later = Duration::from_secs(1000) + 2 * MINUTE;
        let left = counters.left(&one, Counted::Messages, rate(6), later);
        assert_eq!(left, 6);
    }

    #[test]
    fn subjects_and_kinds_are_counted_apart() {
        let mut counters = Counters::default();
        for (subject, counted, expected) in [
            (client("192.0.2.1"), Counted::Messages, true),
            (client("192.0.2.2"), Counted::Messages, true),
            (client("192.0.2.1"), Counted::Connections, true),
            (Subject::User("ann".into()), Counted::Messages, true),
            (client("::ffff:192.0.2.1"), Counted::Messages, false),
        ] {
            let taken = counters.take(&subject, counted, rate(1), MINUTE);
            assert_eq!(taken, expected, "{subject:?} {counted}");
        }
    }

    #[test]
    fn a_flood_of_clients_does_not_fill_the_memory() {
        let mut counters = Counters::default();
        for number in 0..COUNTERS_MAX as u32 + 10 {
            let address = IpAddr::from(Ipv4Addr::from_bits(number));
            let subject = Subject::client(address);
            counters.count(subject, Counted::Connections, rate(10), 1, MINUTE);
        }
        assert!(counters.full_at.len() <= COUNTERS_MAX);
    }

    proptest! {
        /// In any time as long as that of the rate, at most twice its number are taken: the whole
        /// allowance at once, and what comes back meanwhile.
        #[test]
        fn no_rate_is_passed(count in 1_u32..50, pauses in prop::collection::vec(0_u64..9_000, 1..300)) {
            let (mut counters, one) = (Counters::default(), client("192.0.2.1"));
            let (mut now, mut taken) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                if counters.take(&one, Counted::Messages, rate(count), now) {
                    taken.push(now);
                }
            }
            for (at, start) in taken.iter().enumerate() {
                let within = taken[at..].iter().take_while(|time| **time < *start + MINUTE);
                prop_assert!(within.count() <= 2 * count as usize);
            }
        }
    }
}

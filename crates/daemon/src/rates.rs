//! How much happened in each minute of the last day.

use std::collections::VecDeque;
use std::time::Duration;

use mail::Timestamp;

/// Minutes that are kept.
const MINUTES: usize = 24 * 60;
/// Steps of a series: an hour has one for each minute, a day one for each quarter of an hour.
const STEPS_MAX: u64 = 96;

/// What is counted, in recipients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted {
    Received,
    Refused,
    Postponed,
    Delivered,
    Deferred,
    Failed,
}

/// The last day, by the minute.
#[derive(Debug)]
pub(crate) struct Rates {
    /// The newest is the last one.
    minutes: VecDeque<Minute>,
    newest: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    counts: [u32; 6],
    queued: Option<u64>,
}

/// A part of the day in steps, the oldest first; the newest is not over.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// When the first step began, on the queue's line of time.
    pub(crate) since: Timestamp,
    pub(crate) step: Duration,
    counts: Vec<[u64; 6]>,
    /// Recipients that were in the queue when they were last counted in each step.
    pub(crate) queued: Vec<Option<u64>>,
}

impl Series {
    /// How many there were of these in each step.
    pub(crate) fn of(&self, what: Counted) -> Vec<u64> {
        let step = |counts: &[u64; 6]| counts.get(what as usize).copied().unwrap_or_default();
        self.counts.iter().map(step).collect()
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            minutes: VecDeque::from(vec![Minute::default(); MINUTES]),
            newest: 0,
        }
    }
}

impl Rates {
    /// So many more.
    pub(crate) fn count(&mut self, now: Timestamp, what: Counted, recipients: usize) {
        let more = u32::try_from(recipients).unwrap_or(u32::MAX);
        if let Some(count) = self.minute(now).counts.get_mut(what as usize) {
            *count = count.saturating_add(more);
        }
    }

    /// So many are in the queue.
    pub(crate) fn queued(&mut self, now: Timestamp, recipients: u64) {
        self.minute(now).queued = Some(recipients);
    }

    /// The last so many minutes of the day, at least one.
    pub(crate) fn series(&mut self, now: Timestamp, length: Duration) -> Series {
        self.minute(now);
        let wanted = length.as_secs().div_ceil(60).clamp(1, MINUTES as u64);
        let step = wanted.div_ceil(STEPS_MAX);
        // Whole steps, so that one ends with the newest minute.
        let steps = (wanted / step).max(1);
        let first = MINUTES - (steps * step) as usize;
        let minutes: Vec<Minute> = self.minutes.iter().skip(first).copied().collect();
        let since = (self.newest + 1).saturating_sub(steps * step);
        let mut series = Series {
            since: Timestamp::from_millis(since.saturating_mul(60_000)),
            step: Duration::from_secs(step * 60),
            ..Series::default()
        };
        for step in minutes.chunks(step as usize) {
            let mut sums = [0; 6];
            for minute in step {
                for (sum, count) in sums.iter_mut().zip(minute.counts) {
                    *sum += u64::from(count);
                }
            }
            series.counts.push(sums);
            let queued = step.iter().rev().find_map(|minute| minute.queued);
            series.queued.push(queued);
        }
        series
    }

    /// This minute; what comes late is counted in the newest.
    fn minute(&mut self, now: Timestamp) -> &mut Minute {
        let now = now.as_secs() / 60;
        let ahead = now.saturating_sub(self.newest).min(MINUTES as u64);
        for _ in 0..ahead {
            self.minutes.rotate_left(1);
            if let Some(newest) = self.minutes.back_mut() {
                *newest = Minute::default();
            }
        }
        self.newest = self.newest.max(now);
        let last = self.minutes.len() - 1;
        &mut self.minutes[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn an_hour_is_told_by_the_minute_and_a_day_by_the_quarter() {
        let mut rates = Rates::default();
        rates.count(START, Counted::Received, 3);
        rates.queued(START, 9);
        rates.count(START + MINUTE, Counted::Received, 4);
        rates.count(START + MINUTE, Counted::Failed, 1);
        let hour = rates.series(START + MINUTE, HOUR);
        let received = hour.of(Counted::Received);
        assert_eq!((received.len(), &received[57..]), (60, &[0, 3, 4][..]));
        assert_eq!(hour.of(Counted::Failed).iter().sum::<u64>(), 1);
        assert_eq!(&hour.queued[57..], &[None, Some(9), None]);
        assert_eq!(hour.step, MINUTE);
        assert_eq!(hour.since + 58 * MINUTE, START);
        let day = rates.series(START + MINUTE, 24 * HOUR);
        let received = day.of(Counted::Received);
        assert_eq!((received.len(), received.last()), (96, Some(&7)));
        assert_eq!(day.queued.last(), Some(&Some(9)));
        assert_eq!(day.step, 15 * MINUTE);
    }

    #[test]
    fn what_is_older_than_a_day_is_forgotten() {
        let mut rates = Rates::default();
        rates.count(START, Counted::Refused, 1);
        let sum = |rates: &mut Rates, now| {
            rates
                .series(now, 100 * HOUR)
                .of(Counted::Refused)
                .iter()
                .sum::<u64>()
        };
        assert_eq!(sum(&mut rates, START + 23 * HOUR), 1);
        assert_eq!(sum(&mut rates, START + 24 * HOUR), 0);
        // Time stands still rather than going back.
        rates.count(START, Counted::Refused, 2);
        assert_eq!(sum(&mut rates, START), 2);
        assert_eq!(rates.series(START, Duration::ZERO).queued.len(), 1);
    }
}

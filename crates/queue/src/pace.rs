//! How fast mail goes to a site: the rates that the configuration sets, and the pace that the site
//! itself shows to be too fast.
//!
//! A rate holds in every stretch of its time, wherever that begins: what is under way counts, and
//! what is over counts from its end for the whole time. What was counted for the longer times goes on
//! after a restart, as a [`RateCount`]; the pace that a site shows is found out anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mail::{Failure, Timestamp};
use route::{RateUnit, SendRate};

use crate::RateCount;
use crate::allowance::Allowance;
use crate::rate_count::KEPT_FROM;

/// A time is counted in so many slices: what a rate allows comes back a slice late at most.
const SLICES: u32 = 60;
/// When what is under way uses up a rate, nobody knows when it ends: it is looked at so often.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The pace of a site is measured over this time.
const MEASURED: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// No site is slowed down to less than a message in a minute.
const PER_HOUR_MIN: u32 = 60;
/// Every message that a slowed site takes raises its pace by so many an hour: by a quarter in each
/// minute in which all goes well.
const RAISE_PER_HOUR: u32 = 15;
/// So long after the site last said that we are too fast, that is forgotten.
const SLOWED_MAX: Duration = HOUR;

/// What went out within the last while, in slices of it.
#[derive(Debug, Clone, Default)]
struct Window {
    /// When a slice began, and how much went out in it; the oldest first.
    slices: VecDeque<(Timestamp, u32)>,
}

impl Window {
    /// Counts `count` at `now`, to be remembered for `per`.
    fn add(&mut self, count: u32, per: Duration, now: Timestamp) {
        self.forget(per, now);
        let length = slice_millis(per);
        let began = Timestamp::from_millis(now.as_millis() / length * length);
        match self.slices.back_mut() {
            Some((last, counted)) if *last == began => *counted = counted.saturating_add(count),
            _ => self.slices.push_back((began, count)),
        }
    }

    /// Drops what is older than `per`.
    fn forget(&mut self, per: Duration, now: Timestamp) {
        while (self.slices.front()).is_some_and(|(began, _)| gone_at(*began, per) <= now) {
            self.slices.pop_front();
        }
    }

    /// How much of the time `per` before `now` it holds.
    fn sum(&self, per: Duration, now: Timestamp) -> u32 {
        let recent = self.slices.iter();
        let recent = recent.filter(|(began, _)| gone_at(*began, per) > now);
        recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// From when no more than `most` of it is left.
    fn falls_to(&self, most: u32, per: Duration, now: Timestamp) -> Timestamp {
        let mut left = self.sum(per, now);
        let mut at = now;
        for (began, count) in &self.slices {
            if left <= most {
                break;
            }
            let gone = gone_at(*began, per);
            if gone > now {
                left = left.saturating_sub(*count);
                at = gone;
            }
        }
        at
    }
}

fn slice_millis(per: Duration) -> u64 {
    let millis = u64::try_from(per.as_millis()).unwrap_or(u64::MAX);
    (millis / u64::from(SLICES)).max(1)
}

/// When nothing that went out in this slice lies within `per` any more.
fn gone_at(began: Timestamp, per: Duration) -> Timestamp {
    began + Duration::from_millis(slice_millis(per)) + per
}

/// The site said that we are too fast.
#[derive(Debug)]
struct Slowed {
    /// Messages an hour, at present.
    per_hour: u32,
    /// As many as went out when it said so.
    was: u32,
    /// When it said so last.
    at: Timestamp,
    /// In what words.
    why: Failure,
    allowance: Allowance,
}

impl Slowed {
    /// So many may go at once, and the time in which they come back: a second's worth, or one.
    fn burst(&self) -> (u32, Duration) {
        let count = (self.per_hour / 3600).max(1);
        (count, HOUR * count / self.per_hour.max(1))
    }
}

/// How fast mail goes to one site.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    rates: Vec<(SendRate, Window)>,
    /// Messages under way, and their recipients.
    out: (u32, u32),
    /// Messages that the site took of late.
    taken: Window,
    slowed: Option<Slowed>,
    /// Until then nothing goes there, for a message of so many recipients.
    pub(crate) rest: Option<(Timestamp, u32)>,
}

impl Pace {
    /// Holds these rates from now on. Of those that are new nothing is counted yet.
    pub(crate) fn set_rates(&mut self, rates: &[SendRate]) {
        if self.rates.iter().map(|(rate, _)| rate).eq(rates) {
            return;
        }
        let mut old = std::mem::take(&mut self.rates);
        self.rates = rates
            .iter()
            .map(|rate| {
                let same =
                    |(known, _): &(SendRate, _)| (known.unit, known.per) == (rate.unit, rate.per);
                let known = old.iter().position(same).map(|at| old.swap_remove(at).1);
                (*rate, known.unwrap_or_default())
            })
            .collect();
    }

    /// Goes on with what was counted before a restart, until [`Pace::set_rates`] says which rates
    /// there are. What would lie ahead of `now`, because the line of time began anew, counts as of
    /// now: it is forgotten after its time like everything else.
    pub(crate) fn resume(&mut self, count: &RateCount, now: Timestamp) {
        let RateCount { unit, per, .. } = *count;
        let mut window = Window::default();
        for (at, number) in &count.slices {
            window.add(*number, per, now.min(*at));
        }
        window.forget(per, now);
        let count = u32::MAX;
        self.rates.push((SendRate { count, unit, per }, window));
    }

    /// Those of its rates of which something is to be known after a restart, each with the thousandths
    /// of it that are used up.
    pub(crate) fn used(&self, now: Timestamp) -> impl Iterator<Item = (usize, u64)> {
        let rates = self.rates.iter().enumerate();
        rates.filter_map(move |(at, (rate, window))| {
            let used = window.sum(rate.per, now);
            let used = u64::from(used.saturating_add(self.out_of(rate.unit)));
            let is_kept = rate.per > KEPT_FROM && used > 0;
            is_kept.then(|| (at, used * 1000 / u64::from(rate.count.max(1))))
        })
    }

    /// What is to be known of one of these. What is under way counts, since a server may have it by
    /// then.
    pub(crate) fn count(&self, at: usize, site: &Arc<str>, now: Timestamp) -> Option<RateCount> {
        let (SendRate { unit, per, .. }, window) = self.rates.get(at)?;
        let mut window = window.clone();
        window.add(self.out_of(*unit), *per, now);
        let slices = window.slices.into_iter();
        Some(RateCount {
            site: Arc::clone(site),
            unit: *unit,
            per: *per,
            slices: slices.filter(|(_, number)| *number > 0).collect(),
        })
    }

    /// When a message for so many recipients may go at the earliest: at `now`, or later.
    pub(crate) fn next_at(&self, recipients: u32, now: Timestamp) -> Timestamp {
        let of_rates = self.rates.iter();
        let of_rates = of_rates.map(|rate| self.next_by_rate(rate, recipients, now));
        let of_slowed = self.slowed.iter().map(|slowed| {
            let (count, per) = slowed.burst();
            // What the site took before it said so fills its time as well.
            let most = (slowed.per_hour / 60).saturating_sub(1);
            let measured = self.taken.falls_to(most, MEASURED, now);
            slowed.allowance.next_at(count, per, now).max(measured)
        });
        of_rates.chain(of_slowed).max().unwrap_or(now)
    }

    fn next_by_rate(
        &self,
        (rate, window): &(SendRate, Window),
        recipients: u32,
        now: Timestamp,
    ) -> Timestamp {
        let most = rate.count.saturating_sub(rate.unit.of(recipients));
        match most.checked_sub(self.out_of(rate.unit)) {
            Some(most) => window.falls_to(most, rate.per, now),
            None => now + LOOK_PAUSE,
        }
    }

    /// How many messages may go at `now`; `None`: as many as one likes.
    pub(crate) fn left(&self, now: Timestamp) -> Option<usize> {
        let of_rates = self.rates.iter().map(|(rate, window)| {
            let used = window.sum(rate.per, now);
            rate.count
                .saturating_sub(used.saturating_add(self.out_of(rate.unit)))
        });
        let of_slowed = self.slowed.iter().map(|slowed| slowed.burst().0);
        let least = of_rates.chain(of_slowed).min()?;
        Some(usize::try_from(least).unwrap_or(usize::MAX))
    }

    fn out_of(&self, unit: RateUnit) -> u32 {
        match unit {
            RateUnit::Messages => self.out.0,
            RateUnit::Recipients => self.out.1,
        }
    }

    /// A message for so many recipients is on its way. True when the site is slowed down no more.
    pub(crate) fn on_sent(&mut self, recipients: u32, now: Timestamp) -> bool {
        self.out.0 += 1;
        self.out.1 = self.out.1.saturating_add(recipients);
        let lifted = self.lift_old(now);
        if let Some(slowed) = &mut self.slowed {
            let (count, per) = slowed.burst();
            slowed.allowance.take(count, per, now);
        }
        lifted
    }

    /// What the site said long ago counts no more. True when that is why it was slowed down.
    pub(crate) fn lift_old(&mut self, now: Timestamp) -> bool {
        let old = |slowed: &mut Slowed| slowed.at + SLOWED_MAX <= now;
        self.slowed.take_if(old).is_some()
    }

    /// It is no more. `seen`: a server knows of it, so that it counts.
    pub(crate) fn on_ended(&mut self, recipients: u32, seen: bool, now: Timestamp) {
        self.out.0 = self.out.0.saturating_sub(1);
        self.out.1 = self.out.1.saturating_sub(recipients);
        if seen {
            for (rate, window) in &mut self.rates {
                window.add(rate.unit.of(recipients), rate.per, now);
            }
        }
    }

    /// The site took a message. True when it is slowed down no more.
    pub(crate) fn on_taken(&mut self, now: Timestamp) -> bool {
        self.taken.add(1, MEASURED, now);
        if let Some(slowed) = &mut self.slowed {
            slowed.per_hour = slowed.per_hour.saturating_add(RAISE_PER_HOUR);
        }
        // Well above what was too fast then: it is so no more.
        let faster = |slowed: &mut Slowed| slowed.per_hour >= slowed.was.saturating_mul(2);
        self.slowed.take_if(faster).is_some()
    }

    /// The site said to an attempt that began at `began` that we are too fast: half of what it took
    /// of late is the pace from now on. What was on its way by then says nothing more. False when
    /// there is nothing to be halved.
    pub(crate) fn on_too_fast(&mut self, why: &Failure, began: Timestamp, now: Timestamp) -> bool {
        if self.slowed.as_ref().is_some_and(|slowed| slowed.at > began) {
            return true;
        }
        let per_hour = |messages: u32| messages.saturating_mul(60);
        let measured = Some(per_hour(self.taken.sum(MEASURED, now))).filter(|pace| *pace > 0);
        let slowed = self.slowed.as_ref().map(|slowed| slowed.per_hour);
        let Some(was) = measured.into_iter().chain(slowed).min() else {
            return false;
        };
        let mut slowed = Slowed {
            per_hour: (was / 2).max(PER_HOUR_MIN),
            was,
            at: now,
            why: why.clone(),
            allowance: Allowance::default(),
        };
        let (_, per) = slowed.burst();
        slowed.allowance.exhaust(per, now);
        self.slowed = Some(slowed);
        true
    }

    /// The pace to which the site has brought us down, and its words.
    pub(crate) fn slowed_text(&self) -> Option<String> {
        let Slowed { per_hour, why, .. } = self.slowed.as_ref()?;
        let host = why.host.as_deref().unwrap_or("the site");
        Some(format!(
            "{} messages/1m: {host} said {}",
            per_hour / 60,
            why.reply
        ))
    }

    /// What the site rests for at `now`: the rate that is used up longest, or the site's own words.
    pub(crate) fn reason(&self, now: Timestamp) -> Option<String> {
        let (_, recipients) = self.rest?;
        let rates = self.rates.iter();
        let latest = rates
            .map(|rate| (self.next_by_rate(rate, recipients, now), rate.0))
            .max_by_key(|(at, _)| *at);
        let of_rate = latest.filter(|(at, _)| *at > now);
        of_rate
            .map(|(_, rate)| rate.to_string())
            .or_else(|| self.slowed_text())
    }

    /// Forgets what has no meaning any more; true when nothing is left.
    pub(crate) fn forget(&mut self, now: Timestamp) -> bool {
        for (rate, window) in &mut self.rates {
            window.forget(rate.per, now);
        }
        self.taken.forget(MEASURED, now);
        let empty = self
            .rates
            .iter()
            .all(|(_, window)| window.slices.is_empty());
        empty
            && self.taken.slices.is_empty()
            && self.out.0 == 0
            && self.slowed.is_none()
            && self.rest.is_none()
    }
}

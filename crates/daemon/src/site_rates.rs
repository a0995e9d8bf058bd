//! How sites did in the last hour.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;

use crate::ring::Ring;

/// Sites of which something is known; with more of them the one not tried for longest is forgotten.
const SITES_MAX: usize = 2_000;
/// The last attempts of a site, whose durations are kept.
const ATTEMPTS_MAX: usize = 64;
/// Minutes that count.
const MINUTES: u64 = 60;

#[derive(Debug, Default)]
pub(crate) struct SiteRates {
    sites: HashMap<Arc<str>, Site>,
}

#[derive(Debug, Default)]
struct Site {
    last: Timestamp,
    delivered: Ring<{ MINUTES as usize }>,
    /// When each ended, and how long it took.
    attempts: VecDeque<(Timestamp, Duration)>,
}

impl SiteRates {
    /// An attempt took so long, and so many recipients were delivered by it.
    pub(crate) fn count(
        &mut self,
        now: Timestamp,
        site: &Arc<str>,
        delivered: usize,
        took: Duration,
    ) {
        if self.sites.len() >= SITES_MAX && !self.sites.contains_key(site) {
            let oldest = self.sites.iter().min_by_key(|(_, site)| site.last);
            let oldest = oldest.map(|(name, _)| Arc::clone(name));
            oldest.map(|oldest| self.sites.remove(&oldest));
        }
        let site = self.sites.entry(Arc::clone(site)).or_default();
        site.last = now;
        let more = u32::try_from(delivered).unwrap_or(u32::MAX);
        site.delivered.add(now.as_secs() / 60, more);
        if site.attempts.len() >= ATTEMPTS_MAX {
            site.attempts.pop_front();
        }
        site.attempts.push_back((now, took));
    }

    /// Recipients that were delivered there in the last hour, and the time within which 95 of 100 of
    /// its last attempts ended.
    pub(crate) fn of(&self, now: Timestamp, site: &str) -> (u64, Option<Duration>) {
        let Some(site) = self.sites.get(site) else {
            return (0, None);
        };
        let delivered = site.delivered.sum(now.as_secs() / 60, MINUTES);
        let hour = Duration::from_secs(MINUTES * 60);
        let of_late = site.attempts.iter().filter(|(at, _)| now.since(*at) < hour);
        let mut took: Vec<Duration> = of_late.map(|(_, took)| *took).collect();
        took.sort_unstable();
        let rank = (took.len() * 95).div_ceil(100);
        (
            delivered,
            rank.checked_sub(1).and_then(|at| took.get(at).copied()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_site_is_judged_by_its_last_attempts_within_an_hour() {
        let (mut rates, site) = (SiteRates::default(), Arc::from("mx:a.example"));
        assert_eq!(rates.of(START, &site), (0, None));
        for seconds in 1..=200 {
            rates.count(START, &site, 2, Duration::from_secs(seconds));
        }
        // The last 64 took 137 to 200 seconds.
        let p95 = Duration::from_secs(136 + 61);
        assert_eq!(rates.of(START, &site), (400, Some(p95)));
        assert_eq!(rates.of(START + Duration::from_mins(61), &site), (0, None));
    }

    #[test]
    fn so_many_sites_are_known() {
        let mut rates = SiteRates::default();
        for number in 0..SITES_MAX + 1 {
            let now = START + Duration::from_millis(number as u64);
            rates.count(now, &number.to_string().into(), 1, Duration::ZERO);
        }
        assert_eq!(rates.of(START, "0").0, 0);
        assert_eq!(rates.of(START, "1").0, 1);
        assert_eq!(rates.sites.len(), SITES_MAX);
    }
}

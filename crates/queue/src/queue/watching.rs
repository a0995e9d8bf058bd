//! The watchdog: what does not go on, although nothing says that it should stand still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mail::Timestamp;

use super::Queue;
use crate::alarm::{JOB_MAX, NO_PROGRESS_MAX, NOT_TRIED_MAX};
use crate::site::{Awaiting, Health, SiteState};
use crate::{Alarm, Stuck};

/// How long a site has been down, and what it says.
#[derive(Debug)]
pub(super) struct Failing {
    since: Timestamp,
    why: String,
}

impl Queue {
    /// An attempt has found the site down.
    pub(super) fn note_failing(&mut self, name: &Arc<str>, why: String, now: Timestamp) {
        let known = self.failing.remove(name);
        let since = known.map_or(now, |failing| failing.since);
        let failing = Failing { since, why };
        self.failing.insert(Arc::clone(name), failing);
    }

    /// What kept mail from this site has ended just now.
    pub(super) fn watch_anew(&mut self, site: &str, now: Timestamp) {
        if let Some(state) = self.sites.get_mut(site) {
            state.watched_since = Some(now);
        }
    }

    /// All that is wrong at this moment, in the order of the sites' names. Looks at every host with
    /// waiting mail, so it is to be asked now and then only.
    pub fn alarms(&mut self, now: Timestamp) -> Vec<Alarm> {
        let awaited: BTreeSet<_> = self.hosts.sites().collect();
        self.failing.retain(|name, _| awaited.contains(name));
        let oldest = self.oldest_due();
        let not_tried = oldest
            .iter()
            .map(|(name, due)| self.not_tried(name, *due, now));
        let mut alarms: Vec<Alarm> = not_tried.flatten().collect();
        alarms.extend(self.no_progress(now));
        alarms.extend(self.long_jobs(now));
        alarms.sort_by(|one, other| one.site.cmp(&other.site));
        alarms
    }

    /// Since when mail is due at each site, in memory or in the spool.
    fn oldest_due(&self) -> BTreeMap<Arc<str>, Timestamp> {
        let mut oldest: BTreeMap<Arc<str>, Timestamp> = BTreeMap::new();
        let mut note = |site: &Arc<str>, due: Timestamp| {
            let known = oldest.entry(Arc::clone(site)).or_insert(due);
            *known = due.min(*known);
        };
        for (site, due) in self.hosts.due() {
            note(site, due);
        }
        for (name, state) in &self.sites {
            for recipient in state.ready.iter().flat_map(|ready| &ready.job.recipients) {
                note(name, recipient.due);
            }
        }
        oldest
    }

    fn not_tried(&self, name: &Arc<str>, due: Timestamp, now: Timestamp) -> Option<Alarm> {
        let state = self.sites.get(name);
        let health = state.map(|state| state.health);
        let is_suspended = matches!(health, Some(Health::Suspended { .. }));
        let stands_still = is_suspended || self.rests_until(name).is_some();
        let last = state.and_then(|state| state.last_attempt.max(state.watched_since));
        let since = due.max(self.watched_since).max(last.unwrap_or(due));
        (!stands_still && since + NOT_TRIED_MAX <= now).then(|| Alarm {
            site: Arc::clone(name),
            what: Stuck::NotTried,
            since,
            why: state
                .map_or("its turn never comes", |state| self.why_not_tried(state))
                .to_owned(),
        })
    }

    fn why_not_tried(&self, state: &SiteState) -> &'static str {
        if !self.settling.is_well() {
            return "what attempts did cannot be written to the spool";
        }
        match state.awaits {
            Awaiting::Connection => "all connections are in use by others",
            Awaiting::Share => "its kind of traffic has its share of the connections",
            Awaiting::Nothing if state.awaits_load && self.is_full(state.named) => {
                "there is no room for it in memory"
            }
            Awaiting::Nothing if state.awaits_load => "the spool does not answer",
            Awaiting::Nothing => "no reason is known",
        }
    }

    fn no_progress(&self, now: Timestamp) -> impl Iterator<Item = Alarm> {
        let long = self.failing.iter().filter(move |(name, failing)| {
            failing.since + NO_PROGRESS_MAX <= now && self.stands_until(name).is_none()
        });
        long.map(|(name, failing)| Alarm {
            site: Arc::clone(name),
            what: Stuck::NoProgress,
            since: failing.since,
            why: failing.why.clone(),
        })
    }

    fn long_jobs(&self, now: Timestamp) -> impl Iterator<Item = Alarm> {
        let jobs = self.agents.busy();
        let long = jobs.filter(move |(_, _, since)| *since + JOB_MAX <= now);
        long.map(|(agent, job, since)| Alarm {
            site: Arc::clone(&job.site.name),
            what: Stuck::Agent(agent, job.message.id),
            since,
            why: format!("for {} of its recipients", job.recipients.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use route::Routes;

    use super::*;
    use crate::hosts::Phase;
    use crate::{Event, Settings};

    #[test]
    fn mail_that_is_due_for_a_site_that_has_no_turn_is_told_of() {
        let settings = Settings::default();
        let routes = Arc::new(Routes::builder().build().unwrap());
        let mut queue = Queue::new(settings.clone(), Arc::clone(&routes));
        let start = Timestamp::from_millis(1_800_000_000_000);
        let domains = Vec::new();
        queue.handle(start, Event::Started { domains }, &mut Vec::new());
        // As it must never be.
        let host = queue.hosts.entry("x.test", &routes, &settings);
        (host.phase, host.next_due) = (Phase::Due, Some(start));
        assert_eq!(queue.alarms(start + NOT_TRIED_MAX / 2), []);
        let alarms = queue.alarms(start + NOT_TRIED_MAX);
        let [alarm] = &alarms[..] else {
            panic!("{alarms:?}")
        };
        assert_eq!((&*alarm.site, alarm.what), ("mx:x.test", Stuck::NotTried));
        assert_eq!(alarm.why, "its turn never comes");
    }
}

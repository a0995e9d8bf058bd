//! Sites to which mail goes no faster than a rate allows, or than they can take.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mail::{Failure, Outcome, Timestamp};
use route::{NextHop, RateUnit, Routes, SendRate, Site};

use super::{Queue, Turn};
use crate::agents::{Ended, IDLE_MAX};
use crate::pace::Pace;
use crate::rate_count::KEPT_MAX;
use crate::ready::{Probe, Ready};
use crate::site::SiteState;
use crate::{Action, Job, JobReport, Occurrence, RateCount, Reach, Settings};

/// So many are remembered before those are dropped that say nothing any more.
const PACES_MIN: usize = 1000;

/// The pace of every site that has taken mail of late.
#[derive(Debug)]
pub(crate) struct Paces {
    all: BTreeMap<Arc<str>, Pace>,
    /// Those that rest, by when that ends.
    rests: BTreeSet<(Timestamp, Arc<str>)>,
    /// With so many the next look for those that can be dropped.
    forget_at: usize,
    /// Those that are slowed down no more, as long as that is still to be told.
    lifted: Vec<Arc<str>>,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            rests: BTreeSet::new(),
            forget_at: PACES_MIN,
            lifted: Vec::new(),
        }
    }
}

impl Paces {
    pub(crate) fn get(&self, site: &str) -> Option<&Pace> {
        self.all.get(site)
    }

    /// The name of a site as it is shared.
    pub(crate) fn name(&self, site: &str) -> Option<&Arc<str>> {
        self.all.get_key_value(site).map(|(name, _)| name)
    }

    /// Those of which there is something to be told, in the order of their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let of_note = |pace: &Pace| pace.rest.is_some() || pace.slowed_text().is_some();
        self.all
            .iter()
            .filter(move |(_, pace)| of_note(pace))
            .map(|(name, _)| name)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.rests.first().map(|(at, _)| *at)
    }

    /// A site whose rest is over.
    pub(crate) fn next_rested(&mut self, now: Timestamp) -> Option<Arc<str>> {
        let (_, name) = self.rests.first().filter(|(at, _)| *at <= now).cloned()?;
        self.end_rest(&name);
        Some(name)
    }

    /// Until when nothing goes to the site.
    pub(crate) fn rests_until(&self, site: &str) -> Option<Timestamp> {
        self.get(site)?.rest.map(|(until, _)| until)
    }

    fn rest(&mut self, site: &Arc<str>, until: Timestamp, recipients: u32) {
        self.end_rest(site);
        if let Some(pace) = self.all.get_mut(site) {
            pace.rest = Some((until, recipients));
            self.rests.insert((until, Arc::clone(site)));
        }
    }

    fn end_rest(&mut self, site: &Arc<str>) {
        let rest = self.all.get_mut(site).and_then(|pace| pace.rest.take());
        if let Some((until, _)) = rest {
            self.rests.remove(&(until, Arc::clone(site)));
        }
    }

    /// What was counted before a restart.
    pub(crate) fn resume(&mut self, counts: &[RateCount], now: Timestamp) {
        for count in counts {
            let pace = self.all.entry(Arc::clone(&count.site)).or_default();
            pace.resume(count, now);
        }
    }

    /// What is to be known after a restart, by site.
    fn counts(&self, now: Timestamp) -> Vec<RateCount> {
        let all = self.all.iter();
        let used = all.flat_map(|(site, pace)| pace.used(now).map(move |used| (site, pace, used)));
        let mut used: Vec<_> = used.collect();
        if used.len() > KEPT_MAX {
            used.select_nth_unstable_by_key(KEPT_MAX, |(.., (_, used))| Reverse(*used));
            used.truncate(KEPT_MAX);
        }
        let counts = used.into_iter();
        let counts = counts.filter_map(|(site, pace, (at, _))| pace.count(at, site, now));
        let mut counts: Vec<RateCount> = counts.collect();
        counts.sort_by(|one, other| one.site.cmp(&other.site));
        counts
    }

    fn entry(&mut self, site: &Arc<str>, rates: &[SendRate], now: Timestamp) -> &mut Pace {
        if self.all.len() >= self.forget_at {
            let Self { all, lifted, .. } = self;
            all.retain(|name, pace| {
                lifted.extend(pace.lift_old(now).then(|| Arc::clone(name)));
                !pace.forget(now)
            });
            self.forget_at = (2 * self.all.len()).max(PACES_MIN);
        }
        let pace = self.all.entry(Arc::clone(site)).or_default();
        pace.set_rates(rates);
        pace
    }
}

/// The rates that the configuration sets for a site. What is filed on this machine has none.
fn rates<'a>(site: &Site, routes: &'a Routes, settings: &'a Settings) -> &'a [SendRate] {
    if matches!(&*site.next_hop, NextHop::Directory(_) | NextHop::Caller) {
        return &[];
    }
    let own = routes.options(&site.name);
    let own = own.and_then(|options| options.rates.as_deref());
    own.unwrap_or(&settings.site_rates)
}

impl Queue {
    /// How much went by rates that look far back: what [`Event::Counted`](crate::Event::Counted)
    /// tells after a restart.
    pub fn rate_counts(&self, now: Timestamp) -> Vec<RateCount> {
        self.paces.counts(now)
    }

    /// The pace of a site, by the configuration as it is now.
    fn pace(&mut self, site: &Site, now: Timestamp) -> &mut Pace {
        let rates = rates(site, &self.routes, &self.settings);
        self.paces.entry(&site.name, rates, now)
    }

    /// A message goes out to its site.
    pub(super) fn pace_sent(&mut self, job: &Job, now: Timestamp) {
        let lifted = self.pace(&job.site, now).on_sent(recipients(job), now);
        self.paces
            .lifted
            .extend(lifted.then(|| Arc::clone(&job.site.name)));
    }

    /// A message that was out is so no more. What no server has begun to take does not count.
    pub(super) fn pace_ended(&mut self, ended: &Ended, report: &JobReport, now: Timestamp) {
        let job = &ended.ready.job;
        let Some(pace) = self.paces.all.get_mut(&job.site.name) else {
            return;
        };
        pace.on_ended(recipients(job), report.reach != Reach::BeforeMail, now);
        let is_delivered = |(_, outcome): &(u32, Outcome)| matches!(outcome, Outcome::Delivered(_));
        if report.results.iter().any(is_delivered) && pace.on_taken(now) {
            self.paces.lifted.push(Arc::clone(&job.site.name));
        }
    }

    /// Tells which sites are slowed down no more.
    pub(super) fn tell_lifted(&mut self, turn: &mut Turn<'_>) {
        let lifted = self.paces.lifted.drain(..).map(Occurrence::PaceBack);
        turn.actions.extend(lifted.map(Action::Log));
    }

    /// The site said that mail comes too fast: half the pace from now on. False when it took
    /// nothing of late, so that there is no pace.
    pub(super) fn slow_down(&mut self, ended: &Ended, why: &Failure, turn: &mut Turn<'_>) -> bool {
        let site = &ended.ready.job.site.name;
        let Some(pace) = self.paces.all.get_mut(site) else {
            return false;
        };
        let before = pace.slowed_text();
        let is_slowed = pace.on_too_fast(why, ended.began, turn.now);
        if let Some(pace) = pace
            .slowed_text()
            .filter(|pace| before.as_ref() != Some(pace))
        {
            let site = Arc::clone(site);
            let slowed = Occurrence::Slowed { site, pace };
            turn.actions.push(Action::Log(slowed));
        }
        is_slowed
    }

    /// When a message of the site for so many recipients may go, if not now.
    fn next_at(&mut self, name: &str, recipients: u32, now: Timestamp) -> Option<Timestamp> {
        if let Some(until) = self.stands_until(name) {
            return Some(until);
        }
        let site = self.sites.get(name)?.site.clone();
        let pace = self.pace(&site, now);
        let rest = pace.rest.map(|(until, _)| until);
        let at = rest.unwrap_or_else(|| pace.next_at(recipients, now));
        (at > now).then_some(at)
    }

    /// Whether the job that a site has ready at this place has to wait for its pace; then the site
    /// rests.
    pub(super) fn holds_back(&mut self, name: &Arc<str>, at: usize, turn: &mut Turn<'_>) -> bool {
        let ready = self.sites.get(name).and_then(|state| state.ready.get(at));
        let Some(count) = ready.map(|ready| recipients(&ready.job)) else {
            return false;
        };
        let Some(until) = self.next_at(name, count, turn.now) else {
            return false;
        };
        if self.stands_until(name).is_none() {
            self.rest(name, (until, count), turn);
        }
        self.serve_awaiting_load(turn);
        true
    }

    /// How many more messages the pace of a site lets into memory. A site with none ready that may
    /// not send any rests.
    pub(super) fn room_by_pace(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> usize {
        if let Some(until) = self.next_at(name, 1, turn.now) {
            let is_done = |state: &SiteState| state.ready.is_empty() && state.reserved == 0;
            if self.rests_until(name).is_none()
                && self.sites.get(name).is_some_and(|state| is_done(state))
            {
                self.rest(name, (until, 1), turn);
            }
            return 0;
        }
        let left = self.paces.get(name).and_then(|pace| pace.left(turn.now));
        let state = self.sites.get(name);
        let taken = state.map_or(0, |state| state.ready.len() + state.reserved);
        left.map_or(usize::MAX, |left| left.saturating_sub(taken))
    }

    /// Nothing goes to the site until then, for a message of so many recipients.
    fn rest(&mut self, name: &Arc<str>, rest: (Timestamp, u32), turn: &mut Turn<'_>) {
        let (until, recipients) = rest;
        self.paces.rest(name, until, recipients);
        // Connections that it will want again within a moment stay.
        self.set_aside(name, until > turn.now + IDLE_MAX, turn);
    }

    /// A site has rested long enough.
    pub(super) fn on_rested(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        self.request_loads(name, turn);
        self.tidy_site(name);
    }

    /// Until when nothing goes to a site, because an operator said so or for its hours.
    pub(super) fn stands_until(&self, site: &str) -> Option<Timestamp> {
        self.pauses.until(site).max(self.closing.until(site))
    }

    /// The same, or for its pace.
    pub(super) fn rests_until(&self, site: &str) -> Option<Timestamp> {
        self.stands_until(site)
            .or_else(|| self.paces.rests_until(site))
    }

    /// Whether mail that comes new has to wait behind what waits in the spool, as it does where the
    /// configuration sets a rate or hours.
    pub(super) fn keeps_order(&self, site: &Site) -> bool {
        let waits = |state: &SiteState| !state.wants.is_empty() || state.reserved > 0;
        let is_behind = self.sites.get(&site.name).is_some_and(|state| waits(state));
        let options = self.routes.options(&site.name);
        let has_hours = options.is_some_and(|options| options.hours.is_some());
        is_behind && (has_hours || !rates(site, &self.routes, &self.settings).is_empty())
    }

    /// A job in pieces that are each within the rates of its site.
    pub(super) fn within_rates(&self, mut ready: Ready) -> Vec<Ready> {
        let rates = rates(&ready.job.site, &self.routes, &self.settings).iter();
        let counted = rates.filter(|rate| rate.unit == RateUnit::Recipients);
        let max = counted.map(|rate| rate.count as usize).min();
        let max = max.unwrap_or(usize::MAX).max(1);
        let mut pieces = Vec::new();
        while ready.job.recipients.len() > max {
            let rest = ready.job.recipients.split_off(max);
            let job = Job {
                recipients: rest,
                ..ready.job.clone()
            };
            let next = Ready::new(job, ready.fresh, Probe::No);
            pieces.push(std::mem::replace(&mut ready, next));
        }
        pieces.push(ready);
        pieces
    }

    /// The configuration is new: whether a site has to rest is asked anew, by its new rates.
    pub(super) fn end_rests(&mut self) {
        while let Some((_, name)) = self.paces.rests.first().cloned() {
            self.paces.end_rest(&name);
        }
    }
}

fn recipients(job: &Job) -> u32 {
    u32::try_from(job.recipients.len()).unwrap_or(u32::MAX)
}

/// What the site said when it took nothing of a message because mail comes too fast.
pub(super) fn too_fast(results: &[(u32, Outcome)]) -> Option<&Failure> {
    let failures = results.iter().map(|(_, outcome)| match outcome {
        Outcome::Deferred(failure) => Some(failure),
        Outcome::Delivered(_) | Outcome::Failed(_) => None,
    });
    let failures: Option<Vec<&Failure>> = failures.collect();
    failures?.into_iter().find(|failure| failure.is_too_fast())
}

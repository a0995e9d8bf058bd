//! From the spool into memory, and what is noted about the rest.

use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use spool::{DuePage, DuePlace, Message, Recipient, RecipientState, SpoolError, Wanted};

use super::{Queue, Turn};
use crate::hosts::{Behind, Load, Phase};
use crate::pauses::paused;
use crate::ready::{Probe, Ready};
use crate::schedule;
use crate::site::{Health, SiteState};
use crate::{Action, Decided, Disposition, Job, Judged, Settings};

/// Questions to the spool under way at one time.
const LOADS_MAX: usize = 16;
/// How long after the spool could not answer it is asked again.
const LOAD_PAUSE: Duration = Duration::from_secs(5);
/// How long after a page brought nothing that could be used the next one is read.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);
/// Between two hosts of a site that is down, when many are to be looked at.
const SCAN_PAUSE: Duration = Duration::from_millis(10);
/// While a message tries the site, those that are too old are looked at so often.
const PROBE_LOOK: Duration = Duration::from_secs(10);
/// So far behind the first due time that cannot be true, others like it are asked for in one page.
const ASK_AHEAD: Duration = Duration::from_secs(86_400);
/// Messages looked at to find the one that tries a site which was down.
const PROBE_BATCH: usize = 50;
/// How long after pages brought nothing but kinds of traffic that have no room in memory the host
/// is asked again.
const SHARE_PAUSE: Duration = Duration::from_secs(10);
/// So many messages whose kind has no room in memory a page may bring beside those that are wanted:
/// they are in memory for that moment.
const REACH_MAX: usize = 4000;
/// So many octets of content come along with a page at most: more of them are in memory for that
/// moment than `Settings::content_bytes_max` says, by as many pages as are under way.
const LOAD_CONTENT_MAX: usize = 2 << 20;
/// So many due hosts of a site share its room; with more than that, the others wait for the next
/// turn.
const ROOM_SHARED_MAX: usize = 8;

/// What a page leaves in the spool at the host that was asked for.
pub(super) struct Left {
    due: Option<Timestamp>,
    milestone: Option<Timestamp>,
    /// Something of the page is on its way now.
    used: bool,
    /// How many messages may still be made ready: what the load has reserved, however much more the
    /// page brings.
    room: usize,
    /// Something of the page is of a kind of traffic that has its share of the room in memory.
    pub(super) over_share: bool,
    /// Something else that is due was left as well.
    others: bool,
    /// Somebody is left who may have to go, or to be looked at, at any time.
    any_time: bool,
}

impl Left {
    /// A recipient is left that is due then, and too old then.
    pub(super) fn note(&mut self, due: Timestamp, milestone: Timestamp) {
        self.any_time = true;
        self.note_until(due, milestone);
    }

    /// The same of one that is left until then, when all that is due is looked at anew.
    fn note_until(&mut self, due: Timestamp, milestone: Timestamp) {
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
        self.milestone = Some(self.milestone.map_or(milestone, |old| old.min(milestone)));
    }
}

impl Queue {
    /// Somebody who is filed under `host` waits in the spool, due at `due`.
    pub(super) fn note_due(
        &mut self,
        host: &str,
        due: Timestamp,
        milestone: Timestamp,
        turn: &mut Turn<'_>,
    ) {
        // It may be the first of all who are due then.
        let (id, number) = (QueueId::from_bytes([0; 16]), 0);
        self.note_place(host, DuePlace { due, id, number }, milestone, turn);
    }

    /// The same of one whose place is known.
    pub(super) fn note_place(
        &mut self,
        host: &str,
        place: DuePlace,
        milestone: Timestamp,
        turn: &mut Turn<'_>,
    ) {
        self.hosts.entry(host, &self.routes, &self.settings);
        let name = self.hosts.shared_name(host);
        let due = self.credible_due(&name, place.due, turn.now);
        let Some(state) = self.hosts.get_mut(&name) else {
            return;
        };
        state.look_before(place);
        let known = state.next_due.is_some();
        state.milestone = if known {
            state.milestone.min(milestone)
        } else {
            milestone
        };
        state.note_due(due);
        match state.phase {
            // What a load under way leaves is looked at when it ends.
            Phase::Loading(_) => {}
            Phase::Waiting => self.plan_host(&name, turn),
            Phase::Due => self.plan_milestone(&name, turn),
        }
    }

    /// Somebody at `host` may be due, nobody knows since when.
    pub(super) fn look_anew(&mut self, host: &str, milestone: Timestamp, turn: &mut Turn<'_>) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.look_anew();
        }
        self.note_due(host, turn.now, milestone, turn);
    }

    /// A due time in the spool, as it counts: one that is further ahead than any pause was written
    /// by a clock that went wrong, and is now.
    fn credible_due(&mut self, host: &str, due: Timestamp, now: Timestamp) -> Timestamp {
        if due <= now + schedule::pause_max(&self.settings) {
            return due;
        }
        if let Some(state) = self.hosts.get_mut(host) {
            state.ask_until = state.ask_until.max(due + ASK_AHEAD);
        }
        now
    }

    /// Decides about a host that is not being asked for: when to wake, or that mail is due.
    pub(super) fn plan_host(&mut self, host: &Arc<str>, turn: &mut Turn<'_>) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        match state.next_due {
            None => {
                self.hosts.set_alarm(host, None);
                self.hosts.tidy(host);
            }
            Some(_) if state.awaits_ask() => self.plan_unasked(host, turn),
            Some(due) if due > turn.now => self.hosts.set_alarm(host, Some(due)),
            Some(_) => {
                state.phase = Phase::Due;
                let first = !state.in_wants;
                state.in_wants = true;
                let site = state.site.clone();
                let wants = &mut self.site_mut(&site).wants;
                if first {
                    wants.push_back(Arc::clone(host));
                }
                self.plan_milestone(host, turn);
                self.request_loads(&site.name, turn);
            }
        }
    }

    /// While a site is left alone, or rests, its due hosts wake only for what becomes too old.
    fn plan_milestone(&mut self, host: &Arc<str>, turn: &mut Turn<'_>) {
        if let Some(state) = self.hosts.get_mut(host).filter(|state| state.awaits_ask()) {
            state.phase = Phase::Waiting;
            return self.plan_unasked(host, turn);
        }
        let Some(state) = self.hosts.get(host) else {
            return;
        };
        let milestone = state.milestone;
        let site = &*state.site.name;
        let health = self.sites.get(site).map_or(Health::Up, |site| site.health);
        let rests = self.rests_until(site).is_some();
        match health {
            Health::Up if !rests => self.hosts.set_alarm(host, None),
            Health::Up | Health::Suspended { .. } | Health::Probing { .. }
                if milestone > turn.now =>
            {
                self.hosts.set_alarm(host, Some(milestone));
            }
            Health::Up | Health::Suspended { .. } | Health::Probing { .. } => self.scan(host, turn),
        }
    }

    /// Those at `host` who are too old already have been looked at just now, or wait for their turn.
    pub(super) fn look_later(&mut self, host: &str, now: Timestamp) {
        if let Some(state) = self
            .hosts
            .get_mut(host)
            .filter(|state| state.milestone <= now)
        {
            state.milestone = now + PROBE_LOOK;
        }
    }

    pub(super) fn on_alarm(&mut self, host: &Arc<str>, turn: &mut Turn<'_>) {
        match self.hosts.get(host).map(|state| state.phase) {
            Some(Phase::Waiting) => self.plan_host(host, turn),
            Some(Phase::Due) => self.plan_milestone(host, turn),
            Some(Phase::Loading(_)) | None => {}
        }
    }

    /// Reads what is due at a host although nothing can be sent: some of it may be too old.
    pub(super) fn scan(&mut self, host: &Arc<str>, turn: &mut Turn<'_>) {
        if self.claims.loads() >= LOADS_MAX {
            // One after the other: all of them at once would be turned away again.
            let site = self
                .hosts
                .get(host)
                .and_then(|state| self.sites.get(&state.site.name));
            let hosts = site.map_or(1, |site| site.wants.len().max(1));
            self.scans = (self.scans + 1) % hosts;
            let spread = SCAN_PAUSE * u32::try_from(self.scans).unwrap_or(u32::MAX);
            self.hosts
                .set_alarm(host, Some(turn.now + EMPTY_PAUSE + spread));
        } else {
            self.start_load(host, self.settings.load_batch.max(1), turn);
        }
    }

    /// Asks for mail of a site's due hosts, as long as there is room for it.
    pub(super) fn request_loads(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        let named = self.sites.get(name).is_some_and(|state| state.named);
        loop {
            let share = self.share(named);
            let blocked = self.claims.loads() >= LOADS_MAX || self.is_full(named);
            let batch = self.settings.load_batch.max(1);
            let Some(state) = self
                .sites
                .get_mut(name)
                .filter(|state| !state.wants.is_empty())
            else {
                return;
            };
            let Some(wanted) = room_to_load(state, share, batch) else {
                return;
            };
            let wanted = wanted.min(self.room_by_pace(name, turn));
            let Some(state) = self.sites.get_mut(name).filter(|_| wanted > 0) else {
                return;
            };
            if blocked {
                if !state.awaits_load {
                    state.awaits_load = true;
                    self.awaiting_load.of(named).push_back(Arc::clone(name));
                }
                return;
            }
            match self.next_due_host(name) {
                Some(host) => self.start_load(&host, wanted, turn),
                None => return,
            }
        }
    }

    /// Sites that wait for a load to end or for room take turns.
    pub(super) fn serve_awaiting_load(&mut self, turn: &mut Turn<'_>) {
        while self.claims.loads() < LOADS_MAX {
            let mut next = None;
            for named in [true, false] {
                if next.is_none() && !self.is_full(named) {
                    next = self.awaiting_load.of(named).pop_front();
                }
            }
            let Some(name) = next else {
                return;
            };
            if let Some(state) = self.sites.get_mut(&name) {
                state.awaits_load = false;
            }
            self.request_loads(&name, turn);
            self.tidy_site(&name);
        }
    }

    fn next_due_host(&mut self, name: &str) -> Option<Arc<str>> {
        loop {
            let host = self.sites.get_mut(name)?.wants.pop_front()?;
            let Some(state) = self.hosts.get_mut(&host) else {
                continue;
            };
            state.in_wants = false;
            if state.phase == Phase::Due {
                return Some(host);
            }
            self.hosts.tidy(&host);
        }
    }

    fn start_load(&mut self, host: &Arc<str>, wanted: usize, turn: &mut Turn<'_>) {
        let began = self.claims.begin_load();
        self.hosts.set_alarm(host, None);
        let Some(state) = self.hosts.get(host) else {
            return;
        };
        let (site, awaits_ask) = (state.site.clone(), state.awaits_ask());
        let site_state = self.site_mut(&site);
        site_state.reserved += wanted;
        // What a site that is left alone has due, or nobody has asked for, is looked at for its age
        // alone.
        let is_up = site_state.health == Health::Up;
        let goes = is_up && !awaits_ask && self.rests_until(&site.name).is_none();
        let content = if goes { self.content_room() } else { 0 };
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        state.phase = Phase::Loading(Load {
            began,
            reserved: wanted,
            stale: false,
        });
        state.next_due = None;
        state.milestone = Timestamp::default();
        let before = turn.now.max(std::mem::take(&mut state.ask_until));
        // What is claimed still stands in the spool as due.
        let (limit, except) = (wanted + state.reach, state.claimed.clone());
        let left_longer = |behind: &Behind| behind.left_until.is_none_or(|at| at > turn.now);
        state.behind = state.behind.filter(|behind| goes && left_longer(behind));
        let behind = state.behind.map(|behind| behind.place);
        self.reserved += wanted;
        let wanted = Wanted {
            before,
            limit,
            except,
            behind,
            content: content.min(LOAD_CONTENT_MAX),
        };
        turn.actions.push(Action::Load {
            host: Arc::clone(host),
            wanted,
        });
    }

    pub(super) fn on_loaded(
        &mut self,
        host: &Arc<str>,
        result: Result<DuePage, SpoolError>,
        turn: &mut Turn<'_>,
    ) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let Phase::Loading(load) = state.phase else {
            return;
        };
        let site = state.site.clone();
        self.reserved -= load.reserved;
        let site_state = self.site_mut(&site);
        site_state.reserved = site_state.reserved.saturating_sub(load.reserved);
        match result {
            Ok(page) if !load.stale => self.take_page(host, page, load, turn),
            Ok(_) => self.note_left(host, Some(turn.now), Timestamp::default()),
            Err(_) => self.note_left(host, Some(turn.now + LOAD_PAUSE), Timestamp::default()),
        }
        self.claims.end_load(load.began);
        // Not earlier: as long as it is loading, nobody forgets it or asks again.
        if let Some(state) = self.hosts.get_mut(host) {
            state.phase = Phase::Waiting;
        }
        self.plan_host(host, turn);
        self.request_loads(&site.name, turn);
        self.serve_awaiting_load(turn);
        self.tidy_site(&site.name);
    }

    fn take_page(&mut self, host: &Arc<str>, mut page: DuePage, load: Load, turn: &mut Turn<'_>) {
        // One of them may become the probe of a site that was left alone: one that has not failed
        // yet tells most.
        page.messages
            .sort_by_key(|waiting| waiting.recipients.iter().any(|r| r.tries > 0));
        let mut left = Left {
            due: None,
            milestone: None,
            used: false,
            room: load.reserved,
            over_share: false,
            others: false,
            any_time: false,
        };
        for waiting in page.messages {
            let message = waiting.message;
            let mut free = waiting.recipients;
            free.retain(|recipient| {
                recipient.state == RecipientState::Waiting
                    && !self
                        .claims
                        .is_taken((message.id, recipient.number), load.began)
            });
            self.note_misfiled(&message, &free, turn.now);
            let free = self.keep_unasked(&message, free, host, &mut left, turn);
            for (site, recipients) in self.by_site(&message, free) {
                let job = Job {
                    message: Arc::clone(&message),
                    content: waiting.content.clone(),
                    recipients,
                    site,
                    resting: Arc::default(),
                    shut: None,
                    excused: 0,
                };
                self.offer(job, host, &mut left, turn);
            }
        }
        let next = page
            .next
            .map(|next| self.credible_due(host, next, turn.now));
        let cut = next.is_some_and(|next| next <= turn.now);
        let left_before = self.hosts.get(host).and_then(|state| state.behind);
        let left_before = left_before.and_then(|behind| behind.left_until);
        let goes_on = self.go_on_behind(host, page.read_to, &left);
        // A page that was of no use must not be read again at once.
        let of_no_use = !left.used && left.due.is_none() && !goes_on;
        let empty = (cut && of_no_use).then_some(EMPTY_PAUSE);
        let empty = empty.map(|pause| turn.now + pause);
        let pause = self.reach_past(host, &left, cut, turn.now).or(empty);
        // What lies beyond the page may become too old as well.
        let beyond = next.map(|next| next.max(turn.now + EMPTY_PAUSE));
        let later = |due: Timestamp| pause.map_or(due, |pause| pause.max(due));
        let due = [left.due, left_before, next].into_iter().flatten();
        let due = due.map(later).min();
        let beyond = beyond.filter(|_| left.used || !cut);
        // Nothing known: what is beyond may be looked at as often as the site.
        let milestone = left.milestone.unwrap_or(turn.now + self.settings.probe);
        let milestone = milestone.max(turn.now + EMPTY_PAUSE);
        self.note_left(
            host,
            due,
            beyond.map_or(milestone, |beyond| beyond.min(milestone)),
        );
    }

    /// The next page begins behind this one; where this one did if somebody in it may have to go at
    /// any time; and with the first if somebody was noted meanwhile. Whether it begins further on.
    fn go_on_behind(&mut self, host: &str, read_to: Option<DuePlace>, left: &Left) -> bool {
        let Some(state) = self.hosts.get_mut(host) else {
            return false;
        };
        let before = state.behind.take();
        let left_before = before.and_then(|behind| behind.left_until);
        let place_before = before.map(|behind| behind.place);
        let (place, left_due) = match left.any_time {
            true => (place_before, None),
            false => (read_to.or(place_before), left.due),
        };
        let left_until = [left_before, left_due].into_iter().flatten().min();
        state.behind = place.map(|place| Behind { place, left_until });
        let lowered = state.next_due;
        let is_behind = |behind: &Behind| lowered.is_none_or(|due| due > behind.place.due);
        state.behind = state.behind.filter(is_behind);
        state.behind.map(|behind| behind.place) > place_before
    }

    /// After a page in which messages lay whose kind of traffic has no room in memory: the next one
    /// reaches past them, each time twice as far, until all is seen or the bound is met. Gives back
    /// until when the host is left alone after that.
    fn reach_past(
        &mut self,
        host: &str,
        left: &Left,
        cut: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let batch = self.settings.load_batch.max(1);
        let state = self.hosts.get_mut(host)?;
        if !left.over_share {
            state.reach = 0;
            return None;
        }
        if left.others {
            // The same page is wanted again as soon as its site has room.
            return None;
        }
        if cut && state.reach < REACH_MAX && state.reach_again <= now {
            state.reach = (state.reach * 2).max(batch).min(REACH_MAX);
            return None;
        }
        state.reach = 0;
        let pause = now + SHARE_PAUSE;
        // Who comes meanwhile does not make it longer, nor does a clock that was set back.
        state.reach_again = if state.reach_again > now {
            state.reach_again.min(pause)
        } else {
            pause
        };
        Some(state.reach_again)
    }

    /// Takes in what came with a load, beside what was lowered meanwhile.
    fn note_left(&mut self, host: &Arc<str>, due: Option<Timestamp>, milestone: Timestamp) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let lowered = state.next_due.is_some();
        state.milestone = if lowered {
            state.milestone.min(milestone)
        } else {
            milestone
        };
        if let Some(due) = due {
            state.note_due(due);
        }
    }

    /// Recipients of one message at one site, as the spool shows them: made ready, given up, or
    /// left.
    fn offer(&mut self, mut job: Job, host: &Arc<str>, left: &mut Left, turn: &mut Turn<'_>) {
        let state = self.sites.get(&job.site.name);
        let share = self.share(state.is_some_and(|state| state.named));
        let health = state.map_or(Health::Up, |state| state.health);
        let taken = state.map_or(0, |state| state.loaded() + state.reserved);
        let rests = self.rests_until(&job.site.name).is_some();
        let large = self.closing.large_until(&job.site.name, job.message.size);
        let ready = match health {
            _ if large.is_some() => None,
            Health::Up if rests => None,
            Health::Up => (taken < share).then_some(Probe::No),
            Health::Probing { out, .. } => (!out && !rests).then_some(Probe::Yes),
            Health::Suspended { .. } => None,
        };
        let goes = health == Health::Up && !rests;
        if !goes {
            self.settle_overdue(&mut job, left, turn);
        }
        if job.recipients.is_empty() {
            return;
        }
        let offered = Ready::new(job, false, ready.unwrap_or(Probe::No));
        let has_room = self.has_room(&offered);
        if ready.is_some() && has_room && left.room > 0 {
            left.used = true;
            left.room -= 1;
            return self.make_ready(offered, turn);
        }
        left.over_share |= !has_room;
        // Who is too old and still here waits for the site's next attempt.
        let closed = self.closing.until(&offered.job.site.name).or(large);
        let next_look = match health {
            _ if let Some(until) = closed => until,
            Health::Suspended { until, .. } if self.settling.is_well() => until + EMPTY_PAUSE,
            Health::Probing { .. } if self.settling.is_well() => turn.now + PROBE_LOOK,
            Health::Up if rests && self.settling.is_well() => turn.now + PROBE_LOOK,
            Health::Suspended { .. } | Health::Probing { .. } | Health::Up => turn.now,
        };
        for recipient in &offered.job.recipients {
            // Recipients at other hosts are covered by their own hosts.
            if *recipient.filed_under() == **host {
                // What is to be filed elsewhere, or too large for now, holds up nobody else.
                let is_misfiled = self.is_misfiled(&offered.job.message, recipient);
                left.over_share |= is_misfiled;
                left.others |= has_room && !is_misfiled && large.is_none();
                let due = self.credible_due(host, recipient.due, turn.now);
                let milestone =
                    schedule::milestone(&self.settings, &offered.job.message, recipient);
                let milestone = if milestone > turn.now {
                    milestone
                } else {
                    next_look
                };
                match large.filter(|_| goes && !is_misfiled) {
                    Some(until) => left.note_until(until.max(due), milestone),
                    None => left.note(due, milestone),
                }
            }
        }
    }

    /// Settles those of a job who are too old, or whose sender is to be told of the delay, without
    /// an attempt; the others stay.
    fn settle_overdue(&mut self, job: &mut Job, left: &mut Left, turn: &mut Turn<'_>) {
        let is_paused = self.is_paused(&job.site.name);
        // Outside its hours mail waits as it is meant to.
        let is_large = self
            .closing
            .large_until(&job.site.name, job.message.size)
            .is_some();
        let is_closed = !is_paused && (is_large || self.is_closed(&job.site.name));
        if !self.settling.is_well() || is_closed {
            return;
        }
        let state = self.sites.get(&job.site.name);
        let (trouble, tried) = if is_paused {
            // No attempt will come, so nobody is kept waiting for one.
            (Some(paused()), Some(turn.now))
        } else {
            let trouble = state.and_then(|state| state.trouble.clone());
            (trouble, state.and_then(|state| state.tried))
        };
        let now = turn.now;
        let overdue = |settings: &Settings, message: &Message, recipient: &Recipient| {
            // Nobody is given up without one attempt.
            let tried = tried.filter(|_| !is_paused || recipient.tries > 0);
            schedule::overdue(settings, now, message, recipient, trouble.as_ref(), tried)
        };
        self.settle_untried(job, overdue, left, turn);
    }

    /// Settles those of a job about whom `judge` decides without an attempt; the others stay.
    pub(super) fn settle_untried(
        &mut self,
        job: &mut Job,
        judge: impl Fn(&Settings, &Message, &Recipient) -> Option<Disposition>,
        left: &mut Left,
        turn: &mut Turn<'_>,
    ) {
        let message = &job.message;
        let mut decided: Vec<Judged> = Vec::new();
        for recipient in std::mem::take(&mut job.recipients) {
            match judge(&self.settings, message, &recipient) {
                None => job.recipients.push(recipient),
                Some(disposition) => {
                    if self.claim((message.id, recipient.number), &recipient.filed_under()) {
                        decided.push(Judged {
                            recipient,
                            disposition,
                            site: Arc::clone(&job.site.name),
                            tried: false,
                        });
                    }
                }
            }
        }
        if !decided.is_empty() {
            left.used = true;
            let decided = Decided {
                message: Arc::clone(message),
                content: None,
                untold: Vec::new(),
                dsn_passed: Vec::new(),
                recipients: decided,
            };
            self.settle(decided, turn);
        }
    }
}

/// How many messages a site may ask the spool for; none when it has enough.
fn room_to_load(state: &SiteState, share: usize, batch: usize) -> Option<usize> {
    match state.health {
        Health::Suspended { .. } | Health::Probing { out: true, .. } => None,
        Health::Probing { out: false, .. } => (state.reserved == 0).then_some(PROBE_BATCH),
        Health::Up => {
            let room = share.saturating_sub(state.loaded() + state.reserved);
            // Half a share at least: a page steps over what is claimed, so small ones are dear.
            let enough = room >= share.div_ceil(2);
            enough.then(|| (room / state.wants.len().clamp(1, ROOM_SHARED_MAX)).clamp(1, batch))
        }
    }
}

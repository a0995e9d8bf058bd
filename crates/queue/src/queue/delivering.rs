//! From a message in memory to an agent.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mail::{Reply, Timestamp};
use route::Site;
use spool::{Message, Recipient, RecipientState};

use super::{Queue, Turn};
use crate::agents::AgentState;
use crate::claims::{Key, Stage};
use crate::ready::{Probe, Ready};
use crate::schedule;
use crate::site::{Awaiting, Health};
use crate::slots::Kind;
use crate::{Action, AgentId, Job};

/// What became of a site's turn for a connection.
enum Started {
    /// A job went out; whether the site could use another turn.
    One { more: bool },
    /// The site has nothing to do, or all the connections that it may have.
    Nothing,
    /// All that is ready is of kinds of traffic that have their share; this one would have to have
    /// room.
    Blocked(Kind),
    /// No connection is free.
    Full,
}

impl Queue {
    /// A message was stored: into memory where there is room, else its place in the spool is noted.
    pub(super) fn on_stored(
        &mut self,
        message: &Arc<Message>,
        recipients: Vec<Recipient>,
        content: Option<&Bytes>,
        turn: &mut Turn<'_>,
    ) {
        self.note_misfiled(message, &recipients, turn.now);
        let waiting = recipients
            .into_iter()
            .filter(|r| r.state == RecipientState::Waiting);
        let waiting = self.leave_on_demand(message, waiting.collect(), turn);
        for (site, group) in self.by_site(message, waiting) {
            let due = group.iter().all(|r| r.due <= turn.now);
            let is_large = self.closing.large_until(&site.name, message.size).is_some();
            let room = self.fresh_room(&site).filter(|_| due && !is_large);
            let (message, content) = (Arc::clone(message), content.cloned());
            let job = Job {
                message,
                content,
                recipients: group,
                site,
                resting: Arc::default(),
                shut: None,
                excused: 0,
            };
            let ready = Ready::new(job, true, room.unwrap_or(Probe::No));
            if room.is_some() && self.has_room(&ready) {
                self.make_ready(ready, turn);
            } else {
                let job = ready.job;
                self.leave_in_spool(&job.message, &job.recipients, turn);
                self.tidy_site(&job.site.name);
            }
        }
    }

    /// Whether a message straight from reception may go into memory, and as what.
    fn fresh_room(&mut self, site: &Site) -> Option<Probe> {
        let named = self.site_mut(site).named;
        let (share, full) = (self.share(named), self.is_full(named));
        let waits = self.rests_until(&site.name).is_some() || self.keeps_order(site);
        let state = self.site_mut(site);
        match state.health {
            _ if waits => None,
            Health::Up => (!full && state.fresh < share).then_some(Probe::No),
            Health::Probing { out: false, .. } if state.reserved == 0 => Some(Probe::Yes),
            Health::Probing { .. } | Health::Suspended { .. } => None,
        }
    }

    /// Jobs of one origin (reception or spool) that a site may have in memory. When memory is half
    /// full, sites that do not drain get less of what is left, unless the configuration names them.
    pub(super) fn share(&self, named: bool) -> usize {
        let share = (self.settings.ready_per_site_max / 2).max(1);
        let half_full = self.ready + self.reserved >= self.settings.ready_max / 2;
        if half_full && !named {
            (share / 50).max(1)
        } else {
            share
        }
    }

    /// Whether a site has no room in memory.
    pub(super) fn is_full(&self, named: bool) -> bool {
        let all = self.settings.ready_max;
        let max = if named { all } else { self.in_common(all) };
        self.ready + self.reserved >= max
    }

    /// Whether the kinds of traffic that a job is of have room in memory.
    pub(super) fn has_room(&self, ready: &Ready) -> bool {
        let all = self.settings.ready_max;
        let full = self.ready_slots.full(&ready.kinds, &self.settings, all);
        full.is_none()
    }

    /// Groups the recipients of a message by where they go: one transaction each.
    pub(super) fn by_site(
        &self,
        message: &Message,
        recipients: Vec<Recipient>,
    ) -> Vec<(Site, Vec<Recipient>)> {
        if let [only] = &recipients[..] {
            return vec![(self.site_of(message, only), recipients)];
        }
        let mut groups: Vec<(Site, Vec<Recipient>)> = Vec::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for recipient in recipients {
            let site = self.site_of(message, &recipient);
            match places
                .get(&site.name)
                .and_then(|place| groups.get_mut(*place))
            {
                Some((_, group)) => group.push(recipient),
                None => {
                    places.insert(Arc::clone(&site.name), groups.len());
                    groups.push((site, vec![recipient]));
                }
            }
        }
        groups
    }

    /// By the routes of now, whatever it is filed under.
    pub(super) fn site_of(&self, message: &Message, recipient: &Recipient) -> Site {
        if let Some(site) = recipient.rerouted() {
            return self.routes.site_rerouted(site);
        }
        if let Some(site) = self.own_way(message, recipient) {
            return site;
        }
        let filed = recipient.filed.is_none().then(|| recipient.filed_under());
        match filed.and_then(|host| self.hosts.get(&host)) {
            Some(state) => state.site.clone(),
            None => self.routes.site(recipient.admitted.recipient().host()),
        }
    }

    /// Octets of content for which there is still room in memory.
    pub(super) fn content_room(&self) -> usize {
        let all = self.settings.content_bytes_max;
        all.saturating_sub(self.content_bytes)
    }

    /// Takes a recipient that is filed under `host`; false when it is taken already.
    pub(super) fn claim(&mut self, key: Key, host: &str) -> bool {
        let is_free = self.claims.claim(key);
        if is_free {
            let state = self.hosts.entry(host, &self.routes, &self.settings);
            state.claimed.insert(key);
        }
        is_free
    }

    /// Claims the recipients and makes the job ready. Those that are claimed already are in good
    /// hands.
    pub(super) fn make_ready(&mut self, mut ready: Ready, turn: &mut Turn<'_>) {
        let job = &mut ready.job;
        let id = job.message.id;
        (job.recipients)
            .retain(|recipient| self.claim((id, recipient.number), &recipient.filed_under()));
        if job.recipients.is_empty() {
            return;
        }
        let room = self.content_room();
        job.content.take_if(|content| content.len() > room);
        let site = job.site.clone();
        for piece in self.within_rates(ready) {
            self.add_ready(&piece);
            self.site_mut(&site).push(piece);
        }
        if let Health::Probing { out, .. } = &mut self.site_mut(&site).health {
            *out = true;
        }
        self.dispatch(&site.name, turn);
    }

    /// Sends out what a site has ready, as far as connections allow.
    pub(super) fn dispatch(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        if let Ok(at) = self.next_allowed(name) {
            self.holds_back(name, at, turn);
        }
        let well = self.settling.is_well();
        while well && self.give_one(name, turn) {}
        let limit = self.connections_max(name);
        let Some(state) = self.sites.get_mut(name) else {
            return self.serve_waiting_sites(turn);
        };
        let wanting = !state.ready.is_empty() && (!well || state.agents < limit);
        let (awaits, named) = (state.awaits, state.named);
        let joins = match awaits {
            Awaiting::Nothing => wanting,
            Awaiting::Connection => false,
            Awaiting::Share => wanting && self.next_allowed(name).is_ok(),
        };
        if joins {
            self.set_awaits(name, Awaiting::Connection);
            self.awaits_another(named, Arc::clone(name));
        }
        self.serve_waiting_sites(turn);
    }

    fn set_awaits(&mut self, name: &str, awaits: Awaiting) {
        if let Some(state) = self.sites.get_mut(name) {
            state.awaits = awaits;
        }
    }

    /// Gives connections to the sites that wait for one, one at a turn; first to those that the
    /// configuration names.
    pub(super) fn serve_waiting_sites(&mut self, turn: &mut Turn<'_>) {
        self.serve_sites(true, turn);
        self.serve_sites(false, turn);
        self.plan_look(turn);
    }

    fn serve_sites(&mut self, named: bool, turn: &mut Turn<'_>) {
        while self.settling.is_well() {
            let Some(name) = self.next_waiting_site(named) else {
                return;
            };
            match self.start_one(&name, turn) {
                Started::One { more: true } => self.awaits_another(named, name),
                Started::One { more: false } | Started::Nothing => {
                    self.set_awaits(&name, Awaiting::Nothing);
                    self.tidy_site(&name);
                }
                Started::Blocked(kind) => {
                    self.set_awaits(&name, Awaiting::Share);
                    self.awaiting_connection.of(named).block(kind, name);
                }
                Started::Full => {
                    let agents = self.agents_at(&name);
                    self.awaiting_connection.of(named).push_front(name, agents);
                    self.free_idle(named, turn);
                    return;
                }
            }
        }
    }

    fn next_waiting_site(&mut self, named: bool) -> Option<Arc<str>> {
        let waiting = self.awaiting_connection.of(named).pop();
        waiting.or_else(|| self.unblock(named))
    }

    /// The next site whose kind of traffic may have a connection more.
    fn unblock(&mut self, named: bool) -> Option<Arc<str>> {
        let (active, settings, all) = (&self.active_slots, &self.settings, self.slots());
        let has_room = |kind: &Kind| {
            let kinds = std::slice::from_ref(kind);
            active.full(kinds, settings, all).is_none()
        };
        let sites = self.awaiting_connection.of(named);
        loop {
            let name = sites.unblock(has_room)?;
            let state = self.sites.get_mut(&name);
            if let Some(state) = state.filter(|state| state.awaits == Awaiting::Share) {
                state.awaits = Awaiting::Connection;
                return Some(name);
            }
        }
    }

    /// A job has ended: another of its kinds may have the slot.
    pub(super) fn release(&mut self, kinds: &[Kind]) {
        self.active_slots.give_back(kinds);
        for named in [true, false] {
            if let Some(name) = self.unblock(named) {
                self.awaits_another(named, name);
            }
        }
    }

    fn awaits_another(&mut self, named: bool, name: Arc<str>) {
        let agents = self.agents_at(&name);
        self.awaiting_connection.of(named).push(name, agents);
    }

    /// Connections of a site.
    pub(super) fn agents_at(&self, site: &str) -> usize {
        self.sites.get(site).map_or(0, |state| state.agents)
    }

    /// Connections that nobody uses make room for sites that wait.
    fn free_idle(&mut self, named: bool, turn: &mut Turn<'_>) {
        let of_all = !self.has_slot(true);
        while self.agents.leaving_len() < self.awaiting_connection.of(named).waiting() {
            let idle = if of_all {
                self.agents.longest_idle().map(|(_, agent)| agent)
            } else {
                self.agents.longest_idle_unnamed()
            };
            let Some(agent) = idle else {
                return;
            };
            self.dismiss(agent, turn);
        }
    }

    /// The first ready job of a site whose kinds of traffic may have a connection more; or which of
    /// them may not.
    fn next_allowed(&self, name: &str) -> Result<usize, Option<Kind>> {
        let mut first = None;
        let ready = self.sites.get(name).map(|state| state.ready.iter());
        for (at, ready) in ready.into_iter().flatten().enumerate() {
            let full = (self.active_slots).full(&ready.kinds, &self.settings, self.slots());
            match full {
                None => return Ok(at),
                Some(kind) => first = first.or_else(|| Some(kind.clone())),
            }
        }
        Err(first)
    }

    fn start_one(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> Started {
        let limit = self.connections_max(name);
        let given = self.give_one(name, turn);
        let Some(state) = self.sites.get(name) else {
            return Started::Nothing;
        };
        let wanting = !state.ready.is_empty() && (state.agents < limit || !state.idle.is_empty());
        if given {
            return Started::One { more: wanting };
        }
        if !wanting {
            return Started::Nothing;
        }
        let named = state.named;
        let at = match self.next_allowed(name) {
            Ok(at) => at,
            Err(Some(kind)) => return Started::Blocked(kind),
            Err(None) => return Started::Nothing,
        };
        if self.holds_back(name, at, turn) {
            return Started::Nothing;
        }
        if !self.has_slot(named) {
            return Started::Full;
        }
        let Some(ready) = self.take_ready(name, at, turn.now) else {
            return Started::Nothing;
        };
        let mut job = ready.job.clone();
        let agent = self.agents.hire(Arc::clone(name), named, ready, turn.now);
        job.resting = self.rests.resting(&job.site, Some(agent), turn.now);
        turn.actions.push(Action::Hire { agent, job });
        let mut more = false;
        if let Some(state) = self.sites.get_mut(name) {
            state.agents += 1;
            more = !state.ready.is_empty() && state.agents < limit;
        }
        self.after_start(name, turn);
        Started::One { more }
    }

    /// The next job of a site to one of its idle agents.
    fn give_one(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> bool {
        let idle = |state: &crate::site::SiteState| !state.idle.is_empty();
        if !self.sites.get(name).is_some_and(|state| idle(state)) {
            return false;
        }
        let Ok(at) = self.next_allowed(name) else {
            return false;
        };
        if self.holds_back(name, at, turn) {
            return false;
        }
        let Some(agent) = self.sites.get_mut(name).and_then(|state| state.idle.pop()) else {
            return false;
        };
        let Some(ready) = self.take_ready(name, at, turn.now) else {
            return false;
        };
        let mut job = ready.job.clone();
        self.agents.give(agent, ready, turn.now);
        job.resting = self.rests.resting(&job.site, None, turn.now);
        turn.actions.push(Action::Give { agent, job });
        self.after_start(name, turn);
        true
    }

    /// A job went out, so there is room for another.
    fn after_start(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        if self
            .sites
            .get(name)
            .is_some_and(|state| !state.wants.is_empty())
        {
            self.request_loads(name, turn);
        }
        self.serve_awaiting_load(turn);
    }

    fn take_ready(&mut self, name: &str, at: usize, now: Timestamp) -> Option<Ready> {
        let state = self.sites.get_mut(name)?;
        let mut ready = state.take(at)?;
        state.last_attempt = Some(now);
        ready.job.shut = self.shut_behind(&ready.job);
        self.remove_ready(&ready);
        self.active_slots.take(&ready.kinds);
        for recipient in &ready.job.recipients {
            self.claims
                .set((ready.job.message.id, recipient.number), Stage::Active);
        }
        self.active_recipients += ready.job.recipients.len();
        self.pace_sent(&ready.job, now);
        Some(ready)
    }

    /// Why a message may not go now where it goes when its site is of no use, if that is so.
    fn shut_behind(&self, job: &Job) -> Option<Reply> {
        let behind = &*job.site.otherwise.as_ref()?.name;
        let large = self.closing.large_until(behind, job.message.size);
        let why = match self.is_paused(behind) {
            true => "is paused by the administrator",
            false if self.is_closed(behind) || large.is_some() => "is outside its hours",
            false => return None,
        };
        // RFC 3463 section 3.4: X.3.2, system not accepting network messages.
        Some(Reply::new(
            451,
            3,
            2,
            format!("No server was reached, and {behind} {why}"),
        ))
    }

    /// Connections that a site may have at present.
    pub(super) fn connections_max(&self, site: &str) -> usize {
        let present = self.sites.get(site).and_then(|state| state.present_limit);
        let configured = self.configured_max(site);
        present.map_or(configured, |present| present.min(configured))
    }

    /// Connections that a site may have as long as it turns none away.
    pub(super) fn configured_max(&self, site: &str) -> usize {
        if self.calls.contains_key(site) {
            // They come by themselves.
            return self.agents_at(site).max(1);
        }
        let own = self
            .routes
            .options(site)
            .and_then(|options| options.connections_max);
        own.unwrap_or(self.settings.site_connections_max).max(1) as usize
    }

    /// Whether an agent without a job may get another one.
    pub(super) fn may_go_on(&self, agent: AgentId) -> bool {
        let Some(agent) = self.agents.get(agent) else {
            return false;
        };
        let own = self
            .routes
            .options(&agent.site)
            .and_then(|o| o.messages_per_connection);
        let limit = match self.calls.contains_key(&agent.site) {
            true => u32::MAX,
            false => own.unwrap_or(self.settings.messages_per_connection),
        };
        let health = self.sites.get(&agent.site).map(|state| state.health);
        let waiting = matches!(agent.state, AgentState::Idle(_));
        health == Some(Health::Up) && waiting && !agent.outdated && agent.messages < limit
    }

    /// Sends away an agent that has no job.
    pub(super) fn dismiss(&mut self, agent: AgentId, turn: &mut Turn<'_>) {
        let Some(site) = self.agents.get(agent).map(|c| Arc::clone(&c.site)) else {
            return;
        };
        if self.agents.dismiss(agent) {
            if let Some(state) = self.sites.get_mut(&site) {
                state.idle.retain(|id| *id != agent);
            }
            turn.actions.push(Action::Dismiss { agent });
        }
    }

    /// Recipients that wait in the spool: their hosts learn when they are due.
    pub(super) fn leave_in_spool(
        &mut self,
        message: &Message,
        recipients: &[Recipient],
        turn: &mut Turn<'_>,
    ) {
        for recipient in recipients {
            let milestone = schedule::milestone(&self.settings, message, recipient);
            self.note_waiting(message, recipient, (recipient.due, milestone), turn);
        }
    }
}

//! From a message in memory to a courier.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use route::Site;
use spool::{Message, Recipient, RecipientState};

use super::{Queue, Turn};
use crate::claims::Stage;
use crate::couriers::{Duty, Probe};
use crate::hosts::host_text;
use crate::schedule;
use crate::site::{Health, Ready};
use crate::{Action, CourierId, Job};

/// What became of a site's turn for a connection.
enum Started {
    /// A job went out; whether the site could use another turn.
    One { more: bool },
    /// The site has nothing to do, or all the connections that it may have.
    Nothing,
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
        let waiting = recipients
            .into_iter()
            .filter(|r| r.state == RecipientState::Waiting);
        for (site, group) in self.by_site(waiting.collect()) {
            let due = group.iter().all(|r| r.due <= turn.now);
            match self.fresh_room(&site) {
                Some(probe) if due => {
                    let (message, content) = (Arc::clone(message), content.cloned());
                    let job = Job {
                        message,
                        content,
                        recipients: group,
                        site,
                    };
                    self.make_ready(
                        Ready {
                            job,
                            fresh: true,
                            probe,
                        },
                        turn,
                    );
                }
                Some(_) | None => {
                    self.leave_in_spool(message, &group, turn);
                    self.tidy_site(&site.name);
                }
            }
        }
    }

    /// Whether a message straight from reception may go into memory, and as what.
    fn fresh_room(&mut self, site: &Site) -> Option<Probe> {
        let share = self.share();
        let full = self.is_full();
        let state = self.site_mut(site);
        match state.health {
            Health::Up => (!full && state.fresh < share).then_some(Probe::No),
            Health::Probing { out: false, .. } if state.reserved == 0 => Some(Probe::Yes),
            Health::Probing { .. } | Health::Suspended { .. } => None,
        }
    }

    /// Jobs of one origin (reception or spool) that a site may have in memory. When memory is half full, sites that do not drain get
    /// less of what is left.
    pub(super) fn share(&self) -> usize {
        let share = (self.settings.ready_per_site_max / 2).max(1);
        let crowded = self.ready + self.reserved >= self.settings.ready_max / 2;
        if crowded { (share / 50).max(1) } else { share }
    }

    pub(super) fn is_full(&self) -> bool {
        self.ready + self.reserved >= self.settings.ready_max
    }

    /// Groups the recipients of a message by where they go: one transaction each.
    pub(super) fn by_site(&self, recipients: Vec<Recipient>) -> Vec<(Site, Vec<Recipient>)> {
        if let [only] = &recipients[..] {
            return vec![(self.site_of(only), recipients)];
        }
        let mut groups: Vec<(Site, Vec<Recipient>)> = Vec::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for recipient in recipients {
            let site = self.site_of(&recipient);
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

    fn site_of(&self, recipient: &Recipient) -> Site {
        let host = recipient.admitted.recipient().host();
        match self.hosts.get(&host_text(host)) {
            Some(state) => state.site.clone(),
            None => self.routes.site(host),
        }
    }

    /// Claims the recipients and lines the job up. Those that are claimed already are in good hands.
    pub(super) fn make_ready(&mut self, mut ready: Ready, turn: &mut Turn<'_>) {
        let job = &mut ready.job;
        let id = job.message.id;
        job.recipients
            .retain(|recipient| self.claims.claim((id, recipient.number)));
        if job.recipients.is_empty() {
            return;
        }
        for recipient in &job.recipients {
            self.hosts
                .entry(recipient.admitted.recipient().host(), &self.routes)
                .claimed += 1;
        }
        let room = self
            .settings
            .content_bytes_max
            .saturating_sub(self.content_bytes);
        job.content.take_if(|content| content.len() > room);
        self.content_bytes += job.content.as_ref().map_or(0, Bytes::len);
        self.ready += 1;
        let site = job.site.clone();
        let state = self.site_mut(&site);
        if let Health::Probing { out, .. } = &mut state.health {
            *out = true;
        }
        state.push(ready);
        self.dispatch(&site.name, turn);
    }

    /// Sends out what a site has ready, as far as connections allow.
    pub(super) fn dispatch(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        let well = self.settling.is_well();
        while well && self.give_one(name, turn) {}
        let limit = self.connections_max(name);
        let Some(state) = self.sites.get_mut(name) else {
            return self.serve_line(turn);
        };
        let wanting = !state.ready.is_empty() && (!well || state.couriers < limit);
        if wanting && !state.in_line {
            state.in_line = true;
            self.line.push_back(Arc::clone(name));
        }
        self.serve_line(turn);
    }

    /// Gives connections to the sites in line, one at a turn.
    pub(super) fn serve_line(&mut self, turn: &mut Turn<'_>) {
        while self.settling.is_well() {
            let Some(name) = self.line.pop_front() else {
                return;
            };
            match self.start_one(&name, turn) {
                Started::One { more: true } => self.line.push_back(name),
                Started::One { more: false } | Started::Nothing => {
                    if let Some(state) = self.sites.get_mut(&name) {
                        state.in_line = false;
                    }
                    self.tidy_site(&name);
                }
                Started::Full => {
                    self.line.push_front(name);
                    self.free_idle(turn);
                    return;
                }
            }
        }
    }

    /// Connections that nobody uses make room for sites in line.
    fn free_idle(&mut self, turn: &mut Turn<'_>) {
        while self.couriers.leaving_len() < self.line.len() {
            let Some((_, courier)) = self.couriers.longest_idle() else {
                return;
            };
            self.dismiss(courier, turn);
        }
    }

    fn start_one(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> Started {
        let limit = self.connections_max(name);
        let given = self.give_one(name, turn);
        let Some(state) = self.sites.get(name) else {
            return Started::Nothing;
        };
        let wanting = !state.ready.is_empty() && (state.couriers < limit || !state.idle.is_empty());
        if given {
            return Started::One { more: wanting };
        }
        if !wanting {
            return Started::Nothing;
        }
        if self.couriers.len() >= self.settings.connections_max.max(1) as usize {
            return Started::Full;
        }
        let Some(ready) = self.take_ready(name) else {
            return Started::Nothing;
        };
        let courier =
            self.couriers
                .hire(Arc::clone(name), ready.job.clone(), turn.now, ready.probe);
        turn.actions.push(Action::Hire {
            courier,
            job: ready.job,
        });
        let mut more = false;
        if let Some(state) = self.sites.get_mut(name) {
            state.couriers += 1;
            more = !state.ready.is_empty() && state.couriers < limit;
        }
        self.after_start(name, turn);
        Started::One { more }
    }

    /// The next job of a site to one of its idle couriers.
    fn give_one(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> bool {
        let Some(state) = self
            .sites
            .get_mut(name)
            .filter(|state| !state.ready.is_empty())
        else {
            return false;
        };
        let Some(courier) = state.idle.pop() else {
            return false;
        };
        let Some(ready) = self.take_ready(name) else {
            return false;
        };
        self.couriers
            .give(courier, ready.job.clone(), turn.now, ready.probe);
        turn.actions.push(Action::Give {
            courier,
            job: ready.job,
        });
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
            self.feed(name, turn);
        }
        self.serve_feeders(turn);
    }

    fn take_ready(&mut self, name: &str) -> Option<Ready> {
        let ready = self.sites.get_mut(name)?.pop()?;
        self.ready -= 1;
        self.content_bytes -= ready.job.content.as_ref().map_or(0, Bytes::len);
        for recipient in &ready.job.recipients {
            self.claims
                .set((ready.job.message.id, recipient.number), Stage::Active);
        }
        self.active_recipients += ready.job.recipients.len();
        Some(ready)
    }

    fn connections_max(&self, site: &str) -> usize {
        let own = self
            .routes
            .options(site)
            .and_then(|options| options.connections_max);
        own.unwrap_or(self.settings.site_connections_max).max(1) as usize
    }

    /// Whether a courier without a job may get another one.
    pub(super) fn may_go_on(&self, courier: CourierId) -> bool {
        let Some(courier) = self.couriers.get(courier) else {
            return false;
        };
        let own = self
            .routes
            .options(&courier.site)
            .and_then(|o| o.messages_per_connection);
        let limit = own.unwrap_or(self.settings.messages_per_connection);
        let health = self.sites.get(&courier.site).map(|state| state.health);
        let waiting = matches!(courier.duty, Duty::Idle(_));
        health == Some(Health::Up) && waiting && !courier.outdated && courier.messages < limit
    }

    /// Sends away a courier that has no job.
    pub(super) fn dismiss(&mut self, courier: CourierId, turn: &mut Turn<'_>) {
        let Some(site) = self.couriers.get(courier).map(|c| Arc::clone(&c.site)) else {
            return;
        };
        if self.couriers.dismiss(courier) {
            if let Some(state) = self.sites.get_mut(&site) {
                state.idle.retain(|id| *id != courier);
            }
            turn.actions.push(Action::Dismiss { courier });
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
            let host = recipient.admitted.recipient().host();
            self.lower(host, recipient.due, milestone, turn);
        }
    }
}

//! Mail that somebody fetches on a connection of his own (ATRN): a site for each who does, whose
//! agents come with their connections, and which takes up the hosts of that mail while it lasts.

use std::sync::Arc;
use std::time::Duration;

use mail::{Place, Timestamp};
use relay_policy::Requested;
use route::{NextHop, Site};

use super::{Queue, Turn};
use crate::hosts::Phase;
use crate::{Action, AgentId};

/// How long whoever fetches mail waits for the first of it to be read from the spool.
const FIRST_JOB_MAX: Duration = Duration::from_secs(30);

impl Queue {
    /// Somebody, known by this name, takes what is requested of what waits, on a connection that is
    /// open: the number of the agent that has it from now on, and its site. None where nothing
    /// waits. The agent is dismissed when all that waited at this moment was brought once.
    pub fn call(
        &mut self,
        now: Timestamp,
        requested: &Requested,
        by: &str,
        actions: &mut Vec<Action>,
    ) -> Option<(AgentId, Site)> {
        let hosts = self.requested_hosts(requested);
        if hosts.is_empty() {
            return None;
        }
        let turn = &mut Turn { now, actions };
        let site = Site {
            name: format!("atrn:{by}").into(),
            next_hop: Arc::new(NextHop::Caller),
            place: Place::Default,
            otherwise: None,
            despite_policies: false,
        };
        let agent = (self.agents).welcome(Arc::clone(&site.name), now + FIRST_JOB_MAX);
        let call = self.calls.entry(Arc::clone(&site.name)).or_default();
        call.extend(hosts.iter().cloned());
        let state = self.site_mut(&site);
        state.agents += 1;
        state.idle.push(agent);
        for host in &hosts {
            self.move_host(host, site.clone());
            self.hosts.ask(host, now);
            self.on_alarm(host, turn);
        }
        self.dispatch(&site.name, turn);
        self.dismiss_callers(turn);
        Some((agent, site))
    }

    /// What waits at the host goes to this site from now on.
    fn move_host(&mut self, host: &Arc<str>, site: Site) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        let old = std::mem::replace(&mut state.site, site.clone());
        // Its name may stand among the wants of the old site, where it is passed over.
        state.in_wants = false;
        match state.phase {
            Phase::Due => state.phase = Phase::Waiting,
            Phase::Loading(load) => {
                if let Some(old) = self.sites.get_mut(&old.name) {
                    old.reserved = old.reserved.saturating_sub(load.reserved);
                }
                self.site_mut(&site).reserved += load.reserved;
            }
            Phase::Waiting => {}
        }
        self.tidy_site(&old.name);
    }

    /// Whoever fetches mail and has all of it is sent away.
    pub(super) fn dismiss_callers(&mut self, turn: &mut Turn<'_>) {
        let mut done = Vec::new();
        for (name, hosts) in &self.calls {
            let is_open = |host: &Arc<str>| {
                let state = self
                    .hosts
                    .get(host)
                    .filter(|state| state.site.name == *name);
                state.is_some_and(|state| state.phase != Phase::Waiting)
            };
            let state = self.sites.get(name);
            let state = state.filter(|state| state.ready.is_empty() && !hosts.iter().any(is_open));
            done.extend(state.map(|state| state.idle.clone()).into_iter().flatten());
        }
        for agent in done {
            self.dismiss(agent, turn);
        }
    }

    /// One of those who fetched mail by this name has gone; with the last one what is left waits
    /// again.
    pub(super) fn on_caller_gone(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        if self.calls.contains_key(name) && self.agents_at(name) == 0 {
            self.end_call(name, turn);
        }
    }

    /// All of them end with what they have in hand.
    pub(super) fn end_calls(&mut self, turn: &mut Turn<'_>) {
        while let Some(name) = self.calls.keys().next().cloned() {
            self.end_call(&name, turn);
        }
    }

    fn end_call(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        self.hosts.end_asking(name, turn.now);
        let mut hosts = self.calls.remove(name).unwrap_or_default();
        hosts.retain(|host| {
            let state = self.hosts.get(host);
            state.is_some_and(|state| state.site.name == *name)
        });
        for host in &hosts {
            let site = self.routes.site_filed(host);
            self.move_host(host, site);
        }
        self.drop_ready(name, turn);
        for host in &hosts {
            self.on_alarm(host, turn);
        }
    }
}

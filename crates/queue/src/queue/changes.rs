//! Start, reload, and changes by an operator: what is known about many hosts at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use mail::Timestamp;
use route::Routes;
use spool::rerouted;

use super::{Queue, Turn};
use crate::Settings;
use crate::hosts::Phase;
use crate::site::{Health, SiteState};
use crate::ways::site_filed;

impl Queue {
    /// Hosts, and sites under which mail is filed, with their earliest due times, as the spool has
    /// them.
    pub(super) fn on_domains(&mut self, domains: Vec<(String, Timestamp)>, turn: &mut Turn<'_>) {
        for (text, due) in domains {
            self.note_due(&text, due, Timestamp::default(), turn);
            if rerouted(&text).is_some() {
                self.reroutes.insert(text.into());
            }
        }
    }

    /// The operator's change may concern anything that is in memory: all of it is read again.
    pub(super) fn on_changed(&mut self, domains: Vec<(String, Timestamp)>, turn: &mut Turn<'_>) {
        self.rests.clear();
        let names = self.drop_all(turn);
        for name in &names {
            if let Some(Health::Suspended { until, .. }) = self.sites.get(name).map(|s| s.health) {
                self.probe_times.remove(&(until, Arc::clone(name)));
                self.on_probe_time(name, turn);
            }
        }
        self.on_domains(domains, turn);
        self.load_anew(&names, turn);
    }

    /// Some of what is in memory may not go out any more: all of it is read again. Where nobody takes
    /// mail, that is so as before.
    pub(super) fn on_withheld(&mut self, turn: &mut Turn<'_>) {
        let names = self.drop_all(turn);
        self.load_anew(&names, turn);
    }

    /// Forgets what is in memory, or on its way there; gives the names of all sites.
    fn drop_all(&mut self, turn: &mut Turn<'_>) -> Vec<Arc<str>> {
        self.mark_loads_stale();
        // What is out may be held or deleted by now: whoever is turned away with it must not put it
        // back into memory as it was.
        self.agents.jobs().for_each(Self::excuse_no_more);
        let names = self.site_names();
        for name in &names {
            self.drop_ready(name, turn);
            if let Some(Health::Probing { out, .. }) =
                self.sites.get_mut(name).map(|state| &mut state.health)
            {
                // A probe that was not yet sent was dropped with the rest.
                *out = false;
            }
        }
        names
    }

    fn load_anew(&mut self, names: &[Arc<str>], turn: &mut Turn<'_>) {
        for name in names {
            self.request_loads(name, turn);
            self.tidy_site(name);
        }
        self.serve_awaiting_load(turn);
    }

    /// New routes: sites are made anew. Agents on their way finish the job that they have.
    pub(super) fn on_reloaded(
        &mut self,
        routes: Arc<Routes>,
        settings: Settings,
        turn: &mut Turn<'_>,
    ) {
        self.end_calls(turn);
        self.mark_loads_stale();
        let names = self.site_names();
        for name in &names {
            // Suspended for the moment, so that nothing is fetched by the old routes.
            if let Some(state) = self.sites.get_mut(name) {
                state.health = Health::Suspended {
                    until: Timestamp::from_millis(u64::MAX),
                    failures: 0,
                };
            }
            self.drop_ready(name, turn);
        }
        if !routes.files_as(&self.routes) {
            self.file_all(turn.now);
        }
        self.routes = routes;
        self.settings = settings;
        self.look_at_hours(turn);
        for named in [true, false] {
            self.awaiting_connection.of(named).clear();
            self.awaiting_load.of(named).clear();
        }
        self.probe_times.clear();
        self.rests.clear();
        self.end_rests();
        self.limit_raises.clear();
        self.agents.outdate_all();
        while let Some((_, agent)) = self.agents.longest_idle() {
            self.dismiss(agent, turn);
        }
        self.renew_sites();
        self.renew_hosts(turn);
    }

    /// In order: the same events must give the same actions.
    fn site_names(&self) -> Vec<Arc<str>> {
        self.sites.keys().cloned().collect()
    }

    /// Keeps of the old sites only what agents still hold on to.
    fn renew_sites(&mut self) {
        self.sites.retain(|_, state| {
            let mut fresh = SiteState::new(state.site.clone(), state.named);
            fresh.agents = state.agents;
            **state = fresh;
            state.agents > 0
        });
    }

    fn renew_hosts(&mut self, turn: &mut Turn<'_>) {
        let names = self.hosts.names();
        let mut moved = BTreeSet::new();
        for name in &names {
            let site = site_filed(&self.routes, name);
            let named = self.routes.is_named(&site);
            if let Some(old) = self.sites.get_mut(&site.name) {
                old.site = site.clone();
                old.named = named;
            }
            let Some(state) = self.hosts.get_mut(name) else {
                continue;
            };
            if state.site.name != site.name {
                moved.insert(name);
            }
            state.site = site.clone();
            state.on_demand = self.settings.on_demand_at(name).is_some();
            state.in_wants = false;
            state.behind = None;
            if let Phase::Loading(load) = state.phase {
                self.site_mut(&site).reserved += load.reserved;
            } else {
                state.phase = Phase::Waiting;
            }
        }
        for name in &names {
            if self
                .hosts
                .get(name)
                .is_some_and(|state| state.phase == Phase::Waiting)
            {
                // What waited for its site waits no longer.
                if moved.contains(name) {
                    self.look_anew(name, Timestamp::default(), turn);
                }
                self.plan_host(name, turn);
            }
        }
    }

    /// Pages on their way show what was before.
    fn mark_loads_stale(&mut self) {
        for name in self.hosts.names() {
            if let Some(Phase::Loading(load)) = self.hosts.get_mut(&name).map(|s| &mut s.phase) {
                load.stale = true;
            }
        }
    }
}

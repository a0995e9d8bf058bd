use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use mail::{QueueId, Timestamp};
use route::{Routes, Site};

use crate::agents::Agents;
use crate::allowance::Allowance;
use crate::claims::{Claims, Stage};
use crate::gathering::Gathering;
use crate::hosts::Hosts;
use crate::pace::Pace;
use crate::pauses::Pauses;
use crate::rests::Rests;
use crate::settling::Settling;
use crate::site::{Health, SiteState};
use crate::slots::{Ranked, SlotUsage, WaitingSites};
use crate::{Action, Condition, Event, Settings, SiteShape};

mod bouncing;
mod calls;
mod changes;
mod closing;
mod connections;
mod delivering;
mod ending;
mod filing;
mod loading;
mod on_demand;
mod pacing;
mod pausing;
mod watching;

use self::bouncing::Bouncing;
use self::closing::Closing;
use self::filing::Filing;
use self::pacing::Paces;
use self::watching::Failing;

/// The queue manager. One task owns it and feeds it all events, those of the spool in the order in
/// which the spool did them.
///
/// A recipient's way: in the spool (covered by its host's next due time), *ready* in memory,
/// *active* with an agent, *settling*, and gone or back in the spool. From ready to settling it is
/// claimed.
pub struct Queue {
    settings: Settings,
    routes: Arc<Routes>,
    claims: Claims,
    hosts: Hosts,
    /// A tree, which gives back its room when they go; apart from their names, since a third of the
    /// tree's places is empty.
    sites: BTreeMap<Arc<str>, Box<SiteState>>,
    agents: Agents,
    settling: Settling,
    gathering: Gathering,
    bouncing: Bouncing,
    filing: Filing,
    /// How fast mail goes where.
    paces: Paces,
    /// What operators have paused.
    pauses: Pauses,
    /// What is outside its hours.
    closing: Closing,
    /// Hosts that get no mail for now.
    rests: Rests,
    /// The sites of those who fetch mail on connections of their own, with the hosts of that mail.
    calls: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Sites with ready jobs, for which no connection is free.
    awaiting_connection: Ranked<WaitingSites>,
    /// Sites with mail due in the spool, which wait for a load to end or for room in memory.
    awaiting_load: Ranked<VecDeque<Arc<str>>>,
    /// Which kinds of traffic the agents have in hand.
    active_slots: SlotUsage,
    /// Of which kinds the messages are that are ready in memory.
    ready_slots: SlotUsage,
    /// Sites that have fewer connections than configured, by when they may have more.
    limit_raises: BTreeSet<(Timestamp, Arc<str>)>,
    /// When those who hold on to a connection for which others wait are looked at.
    next_look: Option<Timestamp>,
    /// How many notices of success may be sent to strangers by now.
    success: Allowance,
    /// Sites that are left alone, by when that ends.
    probe_times: BTreeSet<(Timestamp, Arc<str>)>,
    ready: usize,
    reserved: usize,
    active_recipients: usize,
    content_bytes: usize,
    /// Sites that were found down and have not been seen at work since.
    failing: BTreeMap<Arc<str>, Failing>,
    /// Before this nobody was to be tried, anywhere, that the watchdog would miss.
    watched_since: Timestamp,
    /// Names under which operators had mail filed since the start: not more than there are routes.
    reroutes: BTreeSet<Arc<str>>,
    /// Spreads looks at hosts of sites that are down.
    scans: usize,
}

/// Figures for `status` and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Agents, busy, idle and leaving.
    pub agents: usize,
    /// Agents without a job.
    pub idle: usize,
    /// Recipients that are being delivered right now.
    pub active_recipients: usize,
    /// Messages in memory, waiting for an agent (a message for two sites counts twice).
    pub ready: usize,
    /// Settlements not yet written.
    pub settling: usize,
    /// Sites that are left alone for now.
    pub suspended_sites: usize,
    /// Hosts of which something is in memory: those for whom somebody waits.
    pub hosts: usize,
    /// Sites of which something is in memory.
    pub sites: usize,
}

/// The time of an event, and what is to be done about it.
struct Turn<'a> {
    now: Timestamp,
    actions: &'a mut Vec<Action>,
}

impl Queue {
    /// An empty queue; [`Event::Started`] comes first.
    pub fn new(settings: Settings, routes: Arc<Routes>) -> Self {
        Self {
            settings,
            routes,
            claims: Claims::default(),
            hosts: Hosts::default(),
            sites: BTreeMap::new(),
            agents: Agents::default(),
            settling: Settling::default(),
            gathering: Gathering::default(),
            bouncing: Bouncing::default(),
            filing: Filing::default(),
            paces: Paces::default(),
            pauses: Pauses::default(),
            closing: Closing::default(),
            rests: Rests::default(),
            calls: BTreeMap::new(),
            awaiting_connection: Ranked::default(),
            awaiting_load: Ranked::default(),
            active_slots: SlotUsage::default(),
            ready_slots: SlotUsage::default(),
            limit_raises: BTreeSet::new(),
            next_look: None,
            success: Allowance::default(),
            probe_times: BTreeSet::new(),
            ready: 0,
            reserved: 0,
            active_recipients: 0,
            content_bytes: 0,
            failing: BTreeMap::new(),
            watched_since: Timestamp::default(),
            reroutes: BTreeSet::new(),
            scans: 0,
        }
    }

    /// Takes one event; appends what is to be done.
    pub fn handle(&mut self, now: Timestamp, event: Event, actions: &mut Vec<Action>) {
        let turn = &mut Turn { now, actions };
        match event {
            Event::Started { domains } => {
                self.watched_since = now;
                self.look_at_hours(turn);
                self.load_bouncing(turn);
                self.on_domains(domains, turn);
                if self.routes.files_elsewhere() {
                    self.file_all(now + filing::START_PAUSE);
                }
            }
            Event::Stored {
                message,
                recipients,
                content,
            } => {
                self.on_stored(&message, recipients, content.as_ref(), turn);
            }
            Event::Loaded { host, result } => self.on_loaded(&host, result, turn),
            Event::Begun { agent, host } => self.on_begun(agent, &host, turn),
            Event::HostDown {
                agent,
                host,
                failure,
            } => self.on_host_down(agent, host, failure, turn),
            Event::JobEnded { agent, report } => self.on_job_ended(agent, report, turn),
            Event::AgentGone { agent } => self.on_agent_gone(agent, turn),
            Event::Settled { id, numbers, ok } => self.on_settled(id, &numbers, ok, turn),
            Event::Reloaded(routes, settings) => {
                self.watched_since = now;
                self.on_reloaded(routes, *settings, turn);
            }
            Event::Withheld => {
                self.load_bouncing(turn);
                self.on_withheld(turn);
            }
            Event::Changed { domains } => {
                self.load_bouncing(turn);
                self.on_changed(domains, turn);
            }
            Event::MoreDue { domains } => {
                self.load_bouncing(turn);
                self.on_domains(domains, turn);
            }
            Event::Clock { ahead } => self.on_clock(ahead, turn),
            Event::Counted(counts) => self.paces.resume(&counts, turn.now),
            Event::Paused { pauses } => self.on_paused(pauses, turn),
            Event::BouncingLoaded { result } => self.on_bouncing_loaded(result, turn),
            Event::FiledLoaded { result } => self.on_filed_loaded(result, turn),
            Event::Filed { ok } => self.on_filed(ok, turn),
        }
        self.dismiss_callers(turn);
        self.tell_gathered(turn);
        self.tell_lifted(turn);
    }

    /// When [`Queue::on_tick`] is wanted next.
    pub fn deadline(&self) -> Option<Timestamp> {
        let idle = self.agents.longest_idle().map(|(at, _)| at);
        let probe = self.probe_times.first().map(|(at, _)| *at);
        let limit_raise = self.limit_raises.first().map(|(at, _)| *at);
        [
            self.hosts.deadline(),
            self.settling.deadline(),
            self.next_look,
            self.gathering.deadline(),
            self.bouncing.deadline(),
            self.filing.deadline(),
            idle,
            probe,
            limit_raise,
            self.paces.deadline(),
            self.pauses.deadline(),
            self.closing.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due by `now`. Harmless when nothing is.
    pub fn on_tick(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let turn = &mut Turn { now, actions };
        while let Some(decided) = self.settling.next_due(now) {
            turn.actions.push(Action::Settle(decided));
        }
        if self.pauses.deadline().is_some_and(|at| at <= now) {
            self.end_pauses(turn);
        }
        if self.closing.deadline().is_some_and(|at| at <= now) {
            self.look_at_hours(turn);
        }
        if self.bouncing.deadline().is_some_and(|at| at <= now) {
            self.load_bouncing(turn);
        }
        if self.filing.deadline().is_some_and(|at| at <= now) {
            self.load_filed(turn);
        }
        while let Some((_, agent)) = self.agents.longest_idle().filter(|(at, _)| *at <= now) {
            self.dismiss(agent, turn);
        }
        while let Some((at, name)) = self
            .probe_times
            .first()
            .cloned()
            .filter(|(at, _)| *at <= now)
        {
            self.probe_times.remove(&(at, Arc::clone(&name)));
            self.on_probe_time(&name, turn);
        }
        while let Some((at, name)) = self
            .limit_raises
            .first()
            .cloned()
            .filter(|(at, _)| *at <= now)
        {
            self.limit_raises.remove(&(at, Arc::clone(&name)));
            self.raise_limit(&name, turn);
        }
        while let Some(name) = self.paces.next_rested(now) {
            self.on_rested(&name, turn);
        }
        if self.next_look.is_some_and(|at| at <= now) {
            self.look_at_silent(turn);
        }
        self.heed_later(turn);
        while let Some(host) = self.hosts.next_alarm(now) {
            self.on_alarm(&host, turn);
        }
        self.dismiss_callers(turn);
        self.tell_gathered(turn);
        self.tell_lifted(turn);
    }

    /// Figures at this moment.
    pub fn counts(&self) -> Counts {
        Counts {
            agents: self.agents.len(),
            idle: self.agents.idle_len(),
            active_recipients: self.active_recipients,
            ready: self.ready,
            settling: self.settling.len() + self.gathering.len(),
            suspended_sites: self.probe_times.len(),
            hosts: self.hosts.len(),
            sites: self.sites.len(),
        }
    }

    /// A site as it is at this moment; nothing is known of one that has nothing to do, unless it is
    /// paused.
    pub fn shape_of(&self, site: &str, now: Timestamp) -> Option<SiteShape> {
        let (name, state) = self.sites.get_key_value(site).unzip();
        let pause = self.pauses.of(site);
        let name = match name
            .or_else(|| self.paces.name(site))
            .or_else(|| self.rests.name(site))
        {
            Some(name) => Arc::clone(name),
            None if pause.is_some() || self.closing.sites().any(|name| name == site) => {
                Arc::from(site)
            }
            None => return None,
        };
        let pace = self.paces.get(site);
        let rests = self.rests_until(site);
        let condition = match (state.map(|state| state.health), rests) {
            _ if let Some(pause) = pause => Condition::Paused(pause.clone()),
            _ if let Some(until) = self.closing.until(site) => Condition::Closed { until },
            (Some(Health::Suspended { until, .. }), _) => Condition::Suspended {
                until,
                why: state.and_then(|state| state.trouble.clone()),
            },
            (_, Some(until)) => Condition::Paced {
                until,
                why: pace.and_then(|pace| pace.reason(now)).unwrap_or_default(),
            },
            (Some(Health::Probing { .. }), None) => Condition::Probing,
            (Some(Health::Up) | None, None) => Condition::Up,
        };
        Some(SiteShape {
            name,
            condition,
            connections: state.map_or(0, |state| state.agents),
            connections_max: self.connections_max(site),
            ready: state.map_or(0, |state| state.ready.len()),
            resting: self.rests.of(site, now),
            large: self.closing.large(site),
            slowed: pace.and_then(Pace::slowed_text),
        })
    }

    /// All sites of which there is something to be told, in the order of their names; behind them the
    /// domains whose mail waits until somebody asks for it.
    pub fn shape(&self, now: Timestamp) -> Vec<SiteShape> {
        let others = self.paces.names().chain(self.rests.sites(now));
        let known = self.sites.keys().chain(others);
        let names = known.map(|name| &**name).chain(self.pauses.sites());
        let names = names.chain(self.closing.sites());
        let names: BTreeSet<&str> = names.collect();
        let shapes = names.into_iter().map(|name| self.shape_of(name, now));
        shapes.flatten().chain(self.unasked()).collect()
    }

    /// How many connections a site may have at present, if it has turned some away.
    pub fn present_limit(&self, site: &str) -> Option<usize> {
        self.sites.get(site)?.present_limit
    }

    /// Whether an agent has this recipient right now.
    pub fn is_active(&self, id: QueueId, number: u32) -> bool {
        self.claims.stage((id, number)) == Some(Stage::Active)
    }

    fn site_mut(&mut self, site: &Site) -> &mut SiteState {
        self.sites
            .entry(Arc::clone(&site.name))
            .or_insert_with(|| Box::new(SiteState::new(site.clone(), self.routes.is_named(site))))
    }

    fn tidy_site(&mut self, name: &str) {
        let state = self.sites.get(name);
        if state.is_some_and(|state| state.is_forgettable()) {
            self.sites.remove(name);
        }
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mail::Timestamp;
use route::{Routes, Site};
use spool::DuePlace;

use crate::Settings;
use crate::claims::Key;
use crate::ways::site_filed;

/// A host that somebody waits for, or that has recipients in memory; or a site under whose name they
/// are filed ([`Recipient::filed_under`](spool::Recipient::filed_under)).
#[derive(Debug)]
pub(crate) struct HostState {
    pub(crate) site: Site,
    /// No recipient at this host that waits in the spool without a claim is due before this; none
    /// waits when it is `None`.
    pub(crate) next_due: Option<Timestamp>,
    /// Recipients at this host in memory. They still stand in the spool as due.
    pub(crate) claimed: BTreeSet<Key>,
    pub(crate) phase: Phase,
    /// Its mail waits until somebody asks for it.
    pub(crate) on_demand: bool,
    /// Somebody has asked for what was due by then, and an attempt has not failed since that says
    /// that nobody is there.
    pub(crate) asked: Option<Timestamp>,
    /// When an ask last took effect, whatever came of it.
    pub(crate) heeded: Option<Timestamp>,
    /// It stands in its site's `wants`.
    pub(crate) in_wants: bool,
    /// While its site is left alone: when somebody here may have to be given up or told of the
    /// delay, as far as known.
    pub(crate) milestone: Timestamp,
    /// The next load asks for what is due by then, if that is later than now: see
    /// [`crate::queue`]'s `credible_due`.
    pub(crate) ask_until: Timestamp,
    /// How many messages more than wanted the next load asks for, to come past those whose kind of
    /// traffic has no room in memory.
    pub(crate) reach: usize,
    /// Not before this is it tried again to come past them, once nothing more was found behind
    /// them.
    pub(crate) reach_again: Timestamp,
    /// Where the next load begins, if not with the first who is due.
    pub(crate) behind: Option<Behind>,
    /// Its place in the list of alarms.
    alarm: Option<Timestamp>,
}

/// A place among those who are due at a host. Whoever comes up to it and waits is claimed, withheld
/// by a pending operation, or left for a known time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) place: DuePlace,
    /// When the first of those may go who were left.
    pub(crate) left_until: Option<Timestamp>,
}

/// What is done about the recipients of a host in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody is due there yet.
    Waiting,
    /// Somebody is due; waits in its site for its turn.
    Due,
    /// The spool was asked.
    Loading(Load),
}

/// A question to the spool that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// When it began, for [`crate::claims::Claims`].
    pub(crate) began: u64,
    /// The room that is kept for what it brings.
    pub(crate) reserved: usize,
    /// What it brings was changed meanwhile: ask again.
    pub(crate) stale: bool,
}

/// All of them: as many as there are hosts with waiting mail, not as many as messages. A tree,
/// which gives back its room when they go; apart from their names, since a third of the tree's
/// places is empty.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    map: BTreeMap<Arc<str>, Box<HostState>>,
    alarms: BTreeSet<(Timestamp, Arc<str>)>,
    /// Those for which somebody has asked: few of many.
    asked: BTreeSet<Arc<str>>,
    /// When somebody asked who has to wait until the time in front, and for which host.
    asked_later: BTreeMap<(Timestamp, Arc<str>), Timestamp>,
}

impl Hosts {
    pub(crate) fn get(&self, host: &str) -> Option<&HostState> {
        self.map.get(host).map(|state| &**state)
    }

    pub(crate) fn get_mut(&mut self, host: &str) -> Option<&mut HostState> {
        self.map.get_mut(host).map(|state| &mut **state)
    }

    /// Its state; made when it is new.
    pub(crate) fn entry(
        &mut self,
        host: &str,
        routes: &Routes,
        settings: &Settings,
    ) -> &mut HostState {
        let name = self.shared_name(host);
        self.map.entry(name).or_insert_with(|| {
            let on_demand = settings.on_demand_at(host).is_some();
            Box::new(HostState::new(site_filed(routes, host), on_demand))
        })
    }

    /// The name as it is shared.
    pub(crate) fn shared_name(&self, host: &str) -> Arc<str> {
        self.map
            .get_key_value(host)
            .map_or_else(|| host.into(), |(name, _)| Arc::clone(name))
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// The sites at which somebody waits to be tried, some of them more than once.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &Arc<str>> {
        let awaited = self.map.values().filter(|host| !host.awaits_ask());
        awaited.map(|host| &host.site.name)
    }

    /// Somebody asks for what is due at this host by then.
    pub(crate) fn ask(&mut self, host: &Arc<str>, asked: Timestamp) {
        if let Some(state) = self.map.get_mut(host) {
            state.asked = state.asked.max(Some(asked));
            self.asked.insert(Arc::clone(host));
        }
    }

    /// An ask that is to take effect at `at`, with those before it that are.
    pub(crate) fn ask_later(&mut self, host: &Arc<str>, at: Timestamp, asked: Timestamp) {
        self.asked_later.insert((at, Arc::clone(host)), asked);
    }

    /// An ask that is to take effect by now, and when it came; it is taken out.
    pub(crate) fn next_ask(&mut self, now: Timestamp) -> Option<(Arc<str>, Timestamp)> {
        let first = self.asked_later.first_entry();
        let ((_, host), asked) = first.filter(|first| first.key().0 <= now)?.remove_entry();
        Some((host, asked))
    }

    /// Nobody is there who could take what was asked for by then at hosts of this site. Whether
    /// somebody has asked there since.
    pub(crate) fn end_asking(&mut self, site: &str, by: Timestamp) -> bool {
        let mut asked_since = false;
        self.asked.retain(|host| match self.map.get_mut(host) {
            Some(state) if &*state.site.name == site => {
                state.asked = state.asked.filter(|asked| *asked > by);
                asked_since |= state.asked.is_some();
                state.asked.is_some()
            }
            Some(_) => true,
            None => false,
        });
        asked_since
    }

    /// Hosts whose mail waits until somebody asks for it.
    pub(crate) fn on_demand(&self) -> impl Iterator<Item = &Arc<str>> {
        let on_demand = self.map.iter().filter(|(_, state)| state.on_demand);
        on_demand.map(|(name, _)| name)
    }

    /// The sites that are owed a look, each host with when mail was first due there.
    pub(crate) fn due(&self) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
        let due = self.map.values().filter(|host| host.phase == Phase::Due);
        due.filter_map(|host| Some((&host.site.name, host.next_due?)))
    }

    /// Those of a site, in order.
    pub(crate) fn at_site(&self, site: &str) -> Vec<Arc<str>> {
        let hosts = self
            .map
            .iter()
            .filter(|(_, state)| *state.site.name == *site);
        hosts.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// In order: the same events must give the same actions.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.map.keys().cloned().collect()
    }

    /// Wake the queue for this host at `at` (and at no other time).
    pub(crate) fn set_alarm(&mut self, host: &Arc<str>, at: Option<Timestamp>) {
        let Some(state) = self.map.get_mut(host) else {
            return;
        };
        if state.alarm == at {
            return;
        }
        if let Some(old) = state.alarm.take() {
            self.alarms.remove(&(old, Arc::clone(host)));
        }
        if let Some(new) = at {
            self.alarms.insert((new, Arc::clone(host)));
            state.alarm = at;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let ask = self.asked_later.keys().next().map(|(at, _)| *at);
        alarm.into_iter().chain(ask).min()
    }

    /// A host whose alarm is due; the alarm is off then.
    pub(crate) fn next_alarm(&mut self, now: Timestamp) -> Option<Arc<str>> {
        let (_, host) = self.alarms.first().filter(|(at, _)| *at <= now).cloned()?;
        self.alarms.pop_first();
        if let Some(state) = self.map.get_mut(&host) {
            state.alarm = None;
        }
        Some(host)
    }

    /// Forgets the host when nobody waits for it.
    pub(crate) fn tidy(&mut self, host: &str) {
        let done = self.map.get(host).is_some_and(|state| {
            state.claimed.is_empty()
                && state.next_due.is_none()
                && state.phase == Phase::Waiting
                && !state.in_wants
        });
        if done {
            self.map.remove(host);
            self.asked.remove(host);
        }
    }
}

impl HostState {
    fn new(site: Site, on_demand: bool) -> Self {
        Self {
            site,
            on_demand,
            asked: None,
            heeded: None,
            next_due: None,
            claimed: BTreeSet::new(),
            phase: Phase::Waiting,
            in_wants: false,
            milestone: Timestamp::default(),
            ask_until: Timestamp::default(),
            reach: 0,
            reach_again: Timestamp::default(),
            behind: None,
            alarm: None,
        }
    }

    /// The recipient is in memory no more.
    pub(crate) fn unclaim(&mut self, key: Key) {
        self.claimed.remove(&key);
        if self.claimed.is_empty() {
            // An empty set keeps room for eleven, and most hosts have nobody in memory.
            self.claimed = BTreeSet::new();
        }
    }

    /// Whether a recipient at this host that is due then may be tried now.
    pub(crate) fn lets_go(&self, due: Timestamp) -> bool {
        !self.on_demand || self.asked.is_some_and(|asked| due <= asked)
    }

    /// Whether nobody here may be tried before somebody asks.
    pub(crate) fn awaits_ask(&self) -> bool {
        self.next_due.is_some_and(|due| !self.lets_go(due))
    }

    pub(crate) fn note_due(&mut self, due: Timestamp) {
        self.next_due = Some(self.next_due.map_or(due, |old| old.min(due)));
    }

    /// Somebody waits at this place, whom the next load is not to pass by.
    pub(crate) fn look_before(&mut self, place: DuePlace) {
        self.behind = self.behind.filter(|behind| place > behind.place);
    }

    /// Whoever is due is looked at anew, from the first on.
    pub(crate) fn look_anew(&mut self) {
        self.behind = None;
        if let Phase::Loading(load) = &mut self.phase {
            load.stale = true;
        }
    }
}

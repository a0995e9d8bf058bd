//! Mail that waits until somebody asks for it: it stays in the spool, without attempts, and is given
//! up at its own age.
//!
//! An ask is for what is due by that moment. What an attempt then puts off is due behind that
//! moment, and so waits for the next ask; and so does what comes new.

use std::sync::Arc;
use std::time::Duration;

use mail::{Host, Timestamp};
use relay_policy::Requested;
use spool::{Message, Recipient};

use super::loading::Left;
use super::{Queue, Turn};
use crate::hosts::HostState;
use crate::schedule;
use crate::site::Health;
use crate::{Action, Condition, Job, Settings, SiteShape};

/// Whoever asks again within this time is heeded when it is over: each ask costs an attempt of all
/// that waits, or a connection to a site that is down.
const ASK_PAUSE: Duration = Duration::from_secs(10);
/// While the spool cannot take outcomes, how long until those that are too old are looked at again.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

impl Queue {
    /// Sends what is requested of what waits until somebody asks for it, each message once, to where
    /// its route leads. Whether any waits.
    pub fn ask(
        &mut self,
        now: Timestamp,
        requested: &Requested,
        actions: &mut Vec<Action>,
    ) -> bool {
        let turn = &mut Turn { now, actions };
        let hosts = self.requested_hosts(requested);
        for host in &hosts {
            let last = self.hosts.get(host).and_then(|state| state.heeded);
            match last.map(|last| last + ASK_PAUSE).filter(|at| *at > now) {
                Some(at) => self.hosts.ask_later(host, at, now),
                None => self.heed(host, now, turn),
            }
        }
        !hosts.is_empty()
    }

    /// Asks that came too soon and have waited long enough.
    pub(super) fn heed_later(&mut self, turn: &mut Turn<'_>) {
        while let Some((host, asked)) = self.hosts.next_ask(turn.now) {
            self.heed(&host, asked, turn);
        }
    }

    /// Lets go what was due at the host when somebody asked for it.
    fn heed(&mut self, host: &Arc<str>, asked: Timestamp, turn: &mut Turn<'_>) {
        let Some(state) = self.hosts.get_mut(host) else {
            return;
        };
        state.heeded = Some(turn.now);
        let site = Arc::clone(&state.site.name);
        self.hosts.ask(host, asked);
        self.rouse(&site, turn);
        self.on_alarm(host, turn);
    }

    /// The hosts of this mail at which somebody waits.
    pub(super) fn requested_hosts(&self, requested: &Requested) -> Vec<Arc<str>> {
        let is_requested = |name: &&Arc<str>| {
            let Ok(host) = Host::parse(name) else {
                return false;
            };
            let on_demand = self.settings.on_demand(&host);
            let named = host.domain().zip(on_demand);
            named.is_some_and(|(domain, on_demand)| requested.covers(domain, &on_demand.entry))
        };
        self.hosts
            .on_demand()
            .filter(is_requested)
            .cloned()
            .collect()
    }

    /// Whoever asks is there: its site is not left alone any longer.
    pub(super) fn rouse(&mut self, site: &Arc<str>, turn: &mut Turn<'_>) {
        if let Some(Health::Suspended { until, .. }) = self.sites.get(site).map(|s| s.health) {
            self.probe_times.remove(&(until, Arc::clone(site)));
            self.on_probe_time(site, turn);
        }
    }

    /// Nobody at this host is tried before somebody asks: it wakes only for what becomes too old.
    pub(super) fn plan_unasked(&mut self, host: &Arc<str>, turn: &mut Turn<'_>) {
        match self.hosts.get(host).map(|state| state.milestone) {
            Some(milestone) if milestone > turn.now => {
                self.hosts.set_alarm(host, Some(milestone));
            }
            Some(_) => self.scan(host, turn),
            None => {}
        }
    }

    /// Domains whose mail waits until somebody asks for it, in the order of their names.
    pub(super) fn unasked(&self) -> impl Iterator<Item = SiteShape> {
        let waits = |name: &&Arc<str>| self.hosts.get(name).is_some_and(HostState::awaits_ask);
        self.hosts.on_demand().filter(waits).filter_map(|name| {
            let host = Host::parse(name).ok()?;
            Some(SiteShape {
                name: format!("on-demand:{name}").into(),
                condition: Condition::Unasked(self.settings.on_demand(&host)?.place.clone()),
                connections: 0,
                connections_max: 0,
                ready: 0,
                resting: Vec::new(),
                large: None,
                slowed: None,
            })
        })
    }

    /// Whether this recipient may be tried now, as far as somebody has to ask for it.
    fn lets_go(&self, recipient: &Recipient) -> bool {
        let asked = || {
            let state = self.hosts.get(&recipient.filed_under());
            state.is_some_and(|state| state.on_demand && state.lets_go(recipient.due))
        };
        self.settings.on_demand_of(recipient).is_none() || asked()
    }

    /// New recipients for whom somebody has to ask stay in the spool; gives back the others.
    pub(super) fn leave_on_demand(
        &mut self,
        message: &Message,
        recipients: Vec<Recipient>,
        turn: &mut Turn<'_>,
    ) -> Vec<Recipient> {
        let (free, kept) = recipients.into_iter().partition(|one| self.lets_go(one));
        let kept: Vec<Recipient> = kept;
        self.leave_in_spool(message, &kept, turn);
        free
    }

    /// Of recipients as the spool shows them: gives up those that are too old and for whom nobody
    /// has asked, and leaves the rest of those; gives back all others. Who is at another host than
    /// the one that was asked for is covered by that.
    pub(super) fn keep_unasked(
        &mut self,
        message: &Arc<Message>,
        recipients: Vec<Recipient>,
        host: &Arc<str>,
        left: &mut Left,
        turn: &mut Turn<'_>,
    ) -> Vec<Recipient> {
        let (free, mut kept): (Vec<_>, Vec<_>) =
            recipients.into_iter().partition(|one| self.lets_go(one));
        kept.retain(|one| *one.filed_under() == **host);
        let Some(site) = self.hosts.get(host).map(|state| state.site.clone()) else {
            return free;
        };
        let mut job = Job {
            message: Arc::clone(message),
            content: None,
            recipients: kept,
            site,
            resting: Arc::default(),
            shut: None,
            excused: 0,
        };
        let now = turn.now;
        if self.settling.is_well() {
            let judge = |settings: &Settings, message: &Message, one: &Recipient| {
                schedule::unasked(settings, now, message, one)
            };
            self.settle_untried(&mut job, judge, left, turn);
        }
        for recipient in &job.recipients {
            // What is to be filed elsewhere is left alone until it is.
            left.over_share |= self.is_misfiled(message, recipient);
            let milestone = schedule::milestone(&self.settings, message, recipient);
            left.note(recipient.due, milestone.max(now + LOOK_PAUSE));
        }
        free
    }
}

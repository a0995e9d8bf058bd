use std::collections::VecDeque;
use std::sync::Arc;

use mail::{Failure, Timestamp};
use route::Site;

use crate::AgentId;
use crate::ready::{Ready, ReadyJobs};

/// What the queue knows of a site that it has something to do with.
#[derive(Debug)]
pub(crate) struct SiteState {
    pub(crate) site: Site,
    /// The configuration names it.
    pub(crate) named: bool,
    pub(crate) ready: ReadyJobs,
    /// How many of `ready` came straight from reception. These and the ones from the spool have
    /// half the room each, so neither a flood of new mail nor an old backlog starves the other.
    pub(crate) fresh: usize,
    /// Hosts with mail due in the spool, in the order of their turns. May hold hosts that need
    /// nothing any more.
    pub(crate) wants: VecDeque<Arc<str>>,
    /// Messages that loads under way may bring.
    pub(crate) reserved: usize,
    /// Busy, idle and leaving.
    pub(crate) agents: usize,
    /// Those that wait, the latest last: it is used first, so that surplus ones grow old and go.
    pub(crate) idle: Vec<AgentId>,
    pub(crate) health: Health,
    /// What it waits for, with something ready.
    pub(crate) awaits: Awaiting,
    /// Connections that it may have at present, when it has turned some away: fewer than
    /// configured.
    pub(crate) present_limit: Option<usize>,
    /// When it may have more again.
    pub(crate) limit_raise_at: Option<Timestamp>,
    /// Messages in a row that were taken in and then lost with their connection.
    pub(crate) lost_within: u32,
    /// It waits for a load from the spool.
    pub(crate) awaits_load: bool,
    /// When a server of the site last took MAIL.
    pub(crate) last_begun: Option<Timestamp>,
    /// When a server of the site last answered for a message.
    pub(crate) last_alive: Option<Timestamp>,
    /// When something was last sent out to it.
    pub(crate) last_attempt: Option<Timestamp>,
    /// Before this nobody was to be tried here that the watchdog would miss.
    pub(crate) watched_since: Option<Timestamp>,
    /// What was wrong last time.
    pub(crate) trouble: Option<Failure>,
    /// When the latest attempt began that reached nobody.
    pub(crate) tried: Option<Timestamp>,
}

/// Whether a site is worth a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// As far as we know.
    Up,
    /// It did not answer: left alone until then.
    Suspended { until: Timestamp, failures: usize },
    /// The time is over: one message tries; `out` when it is chosen.
    Probing { failures: usize, out: bool },
}

/// What a site with something ready waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaiting {
    /// Nothing: it has no need, or all the connections that it may have.
    Nothing,
    /// A connection, whichever becomes free first.
    Connection,
    /// That its kind of traffic holds less than its share of the connections.
    Share,
}

impl SiteState {
    pub(crate) fn new(site: Site, named: bool) -> Self {
        Self {
            site,
            named,
            ready: ReadyJobs::default(),
            fresh: 0,
            wants: VecDeque::new(),
            reserved: 0,
            agents: 0,
            idle: Vec::new(),
            health: Health::Up,
            awaits: Awaiting::Nothing,
            present_limit: None,
            limit_raise_at: None,
            lost_within: 0,
            awaits_load: false,
            last_begun: None,
            last_alive: None,
            last_attempt: None,
            watched_since: None,
            trouble: None,
            tried: None,
        }
    }

    /// Ready jobs that came from the spool.
    pub(crate) fn loaded(&self) -> usize {
        self.ready.len() - self.fresh
    }

    pub(crate) fn push(&mut self, ready: Ready) {
        self.fresh += usize::from(ready.fresh);
        self.ready.push_back(ready);
    }

    /// One that was out and comes back as if it had not been.
    pub(crate) fn push_front(&mut self, ready: Ready) {
        self.fresh += usize::from(ready.fresh);
        self.ready.push_front(ready);
    }

    /// Takes the one at this place.
    pub(crate) fn take(&mut self, at: usize) -> Option<Ready> {
        let ready = self.ready.remove(at)?;
        self.fresh -= usize::from(ready.fresh);
        Some(ready)
    }

    /// Nothing is lost by forgetting it.
    pub(crate) fn is_forgettable(&self) -> bool {
        let calm = !matches!(self.health, Health::Suspended { .. });
        let empty = self.ready.is_empty() && self.wants.is_empty() && self.reserved == 0;
        let out = self.awaits == Awaiting::Nothing && !self.awaits_load;
        calm && empty && out && self.agents == 0 && self.present_limit.is_none()
    }
}

use std::collections::VecDeque;
use std::sync::Arc;

use mail::{Failure, Timestamp};
use route::Site;

use crate::couriers::Probe;
use crate::{CourierId, Job};

/// What the queue knows of a site that it has something to do with.
#[derive(Debug)]
pub(crate) struct SiteState {
    pub(crate) site: Site,
    pub(crate) ready: VecDeque<Ready>,
    /// How many of `ready` came straight from reception. These and the ones from the spool have half the room each, so neither a
    /// flood of new mail nor an old backlog starves the other.
    pub(crate) fresh: usize,
    /// Hosts with mail due in the spool, in the order of their turns. May hold hosts that need nothing any more.
    pub(crate) wants: VecDeque<Arc<str>>,
    /// Messages that loads under way may bring.
    pub(crate) reserved: usize,
    /// Busy, idle and leaving.
    pub(crate) couriers: usize,
    /// Those that wait, the latest last: it is used first, so that surplus ones grow old and go.
    pub(crate) idle: Vec<CourierId>,
    pub(crate) health: Health,
    /// It stands in the line for connections.
    pub(crate) in_line: bool,
    /// It stands in the line for loads.
    pub(crate) in_feeders: bool,
    /// When a server of the site last answered for a message.
    pub(crate) last_alive: Option<Timestamp>,
    /// What was wrong last time.
    pub(crate) trouble: Option<Failure>,
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

/// A job in memory.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) job: Job,
    pub(crate) fresh: bool,
    pub(crate) probe: Probe,
}

impl SiteState {
    pub(crate) fn new(site: Site) -> Self {
        Self {
            site,
            ready: VecDeque::new(),
            fresh: 0,
            wants: VecDeque::new(),
            reserved: 0,
            couriers: 0,
            idle: Vec::new(),
            health: Health::Up,
            in_line: false,
            in_feeders: false,
            last_alive: None,
            trouble: None,
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

    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let ready = self.ready.pop_front()?;
        self.fresh -= usize::from(ready.fresh);
        Some(ready)
    }

    /// Nothing is lost by forgetting it.
    pub(crate) fn is_forgettable(&self) -> bool {
        let calm = !matches!(self.health, Health::Suspended { .. });
        let empty = self.ready.is_empty() && self.wants.is_empty() && self.reserved == 0;
        calm && empty && self.couriers == 0 && !self.in_line && !self.in_feeders
    }
}

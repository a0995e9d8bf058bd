//! Sites to which nothing goes outside their hours, or no large message.

use std::collections::BTreeMap;
use std::sync::Arc;

use mail::Timestamp;
use route::Hours;

use super::{Queue, Turn};
use crate::LargeClosed;
use crate::time_line::shifted;

/// Which sites are outside their hours.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// How far the system's clock is ahead of the line, in milliseconds.
    ahead: i64,
    /// Those that are, by when their hours begin.
    closed: BTreeMap<Arc<str>, Timestamp>,
    /// Those that are outside their hours for large messages.
    large: BTreeMap<Arc<str>, LargeClosed>,
    /// When that changes for one of them.
    next: Option<Timestamp>,
}

impl Closing {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.next
    }

    /// Until when a site is outside its hours, if it is.
    pub(super) fn until(&self, site: &str) -> Option<Timestamp> {
        self.closed.get(site).copied()
    }

    /// Which messages are too large to go to a site now.
    pub(super) fn large(&self, site: &str) -> Option<LargeClosed> {
        self.large.get(site).copied()
    }

    /// Until when a message of this size is too large to go there.
    pub(super) fn large_until(&self, site: &str, size: u64) -> Option<Timestamp> {
        let large = self.large(site).filter(|large| size > large.over)?;
        Some(large.until)
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = &str> {
        let sites = self.closed.keys().chain(self.large.keys());
        sites.map(|name| &**name)
    }

    /// Until when it is outside these hours, if it is.
    fn ask(&mut self, hours: &Hours, now: Timestamp) -> Option<Timestamp> {
        let state = hours.state(shifted(now, self.ahead));
        let until = state
            .until
            .map(|at| shifted(at, self.ahead.saturating_neg()));
        self.next = [self.next, until].into_iter().flatten().min();
        (!state.open).then(|| until.unwrap_or(Timestamp::from_millis(u64::MAX)))
    }
}

impl Queue {
    /// The system's clock is so far ahead of the line now.
    pub(super) fn on_clock(&mut self, ahead: i64, turn: &mut Turn<'_>) {
        self.closing.ahead = ahead;
        self.look_at_hours(turn);
    }

    /// Whose hours have ended or begun.
    pub(super) fn look_at_hours(&mut self, turn: &mut Turn<'_>) {
        let before = std::mem::take(&mut self.closing);
        self.closing.ahead = before.ahead;
        let routes = Arc::clone(&self.routes);
        for (site, hours) in routes.hours() {
            if let Some(until) = self.closing.ask(hours, turn.now) {
                self.closing.closed.insert(Arc::clone(site), until);
            }
        }
        for (site, large) in routes.large_hours() {
            if let Some(until) = self.closing.ask(&large.hours, turn.now) {
                let over = large.over;
                let closed = LargeClosed { over, until };
                self.closing.large.insert(Arc::clone(site), closed);
            }
        }
        let closed: Vec<Arc<str>> = self.closing.closed.keys().cloned().collect();
        for name in closed
            .iter()
            .filter(|name| !before.closed.contains_key(*name))
        {
            self.set_aside(name, true, turn);
        }
        for name in before.closed.keys() {
            if !self.is_closed(name) {
                self.watch_anew(name, turn.now);
                self.on_rested(name, turn);
            }
        }
        self.look_at_large(&before.large, turn);
    }

    /// Where other messages are too large than before: what is ready is looked at anew, and what
    /// waits.
    fn look_at_large(&mut self, before: &BTreeMap<Arc<str>, LargeClosed>, turn: &mut Turn<'_>) {
        let sites: Vec<Arc<str>> = before
            .keys()
            .chain(self.closing.large.keys())
            .cloned()
            .collect();
        for site in sites {
            if before.get(&site).copied() == self.closing.large(&site) {
                continue;
            }
            self.set_aside(&site, false, turn);
            for host in self.hosts.at_site(&site) {
                self.look_anew(&host, Timestamp::default(), turn);
            }
            self.watch_anew(&site, turn.now);
        }
    }

    /// Whether a site is outside its hours.
    pub(super) fn is_closed(&self, site: &str) -> bool {
        self.closing.until(site).is_some()
    }
}

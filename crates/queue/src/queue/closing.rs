//! Sites to which nothing goes outside their hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use mail::Timestamp;

use super::{Queue, Turn};
use crate::time_line::shifted;

/// Which sites are outside their hours.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// How far the system's clock is ahead of the line, in milliseconds.
    ahead: i64,
    /// Those that are, by when their hours begin.
    closed: BTreeMap<Arc<str>, Timestamp>,
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

    pub(super) fn sites(&self) -> impl Iterator<Item = &str> {
        self.closed.keys().map(|name| &**name)
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
        let before = std::mem::take(&mut self.closing.closed);
        self.closing.next = None;
        let ahead = self.closing.ahead;
        let wall = shifted(turn.now, ahead);
        for (site, hours) in self.routes.hours() {
            let state = hours.state(wall);
            let until = state.until.map(|at| shifted(at, ahead.saturating_neg()));
            self.closing.next = [self.closing.next, until].into_iter().flatten().min();
            if !state.open {
                let until = until.unwrap_or(Timestamp::from_millis(u64::MAX));
                self.closing.closed.insert(Arc::clone(site), until);
            }
        }
        let closed: Vec<Arc<str>> = self.closing.closed.keys().cloned().collect();
        for name in closed.iter().filter(|name| !before.contains_key(*name)) {
            self.set_aside(name, true, turn);
        }
        for name in before.keys() {
            if !self.is_closed(name) {
                // Nobody was to be tried before.
                self.watched_since = turn.now;
                self.on_rested(name, turn);
            }
        }
    }

    /// Whether a site is outside its hours.
    pub(super) fn is_closed(&self, site: &str) -> bool {
        self.closing.until(site).is_some()
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use mail::Timestamp;

use super::Event;

/// 2026-01-01: any time will do, as long as it is always the same.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Virtual time: what happens when. Two things at one moment happen in the order in which they were
/// entered.
pub(crate) struct Clock {
    now: Timestamp,
    entries: BTreeMap<(Timestamp, u64), Event>,
    last: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            now: START,
            entries: BTreeMap::new(),
            last: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Since the start of the run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    pub(crate) fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now + Duration::from_millis(millis), event);
    }

    pub(super) fn at(&mut self, when: Timestamp, event: Event) {
        self.last += 1;
        self.entries.insert((when.max(self.now), self.last), event);
    }

    /// Moves on to the next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((when, _), event) = self.entries.pop_first()?;
        self.now = when;
        Some(event)
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use mail::Timestamp;

use super::Event;

/// 2026-01-01: any time will do, as long as it is always the same.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Virtual time: what happens when. Two things at one moment happen in the order in which they were
/// entered.
#[derive(Default)]
pub(crate) struct Clock {
    elapsed: Duration,
    entries: BTreeMap<(Duration, u64), Event>,
    last: u64,
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        START + self.elapsed
    }

    /// Since the start of the run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(crate) fn after(&mut self, millis: u64, event: Event) {
        self.last += 1;
        let when = self.elapsed + Duration::from_millis(millis);
        self.entries.insert((when, self.last), event);
    }

    /// At this time; now if it is over.
    pub(crate) fn at(&mut self, when: Timestamp, event: impl Into<Event>) {
        let left = when.since(self.now()).as_millis() as u64;
        self.after(left, event.into());
    }

    /// Moves on to the next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((when, _), event) = self.entries.pop_first()?;
        self.elapsed = when;
        Some(event)
    }

    /// Whether nothing but such events will happen.
    pub(crate) fn has_only(&self, which: impl Fn(&Event) -> bool) -> bool {
        self.entries.values().all(which)
    }

    /// Such events will not happen.
    pub(super) fn forget(&mut self, which: impl Fn(&Event) -> bool) {
        self.entries.retain(|_, event| !which(event));
    }
}

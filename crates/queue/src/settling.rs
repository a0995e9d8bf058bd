use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};

use crate::Decided;
use crate::claims::Key;

/// How long after a settlement could not be written it is tried again.
const SETTLE_PAUSE: Duration = Duration::from_secs(5);
/// Settlements on their way to the disk; above it nothing new goes out, so that a slow disk does
/// not pile up what a crash would deliver twice.
const SETTLING_MAX: usize = 4096;

/// Settlements that are not yet on stable storage.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// By message and its first number; claims make that unique.
    pending: HashMap<Key, Pending>,
    /// Those that failed, by the time of the next try.
    again: BTreeSet<(Timestamp, Key)>,
    failed: usize,
}

#[derive(Debug)]
struct Pending {
    decided: Arc<Decided>,
    failed: bool,
}

impl Settling {
    pub(crate) fn begin(&mut self, decided: Arc<Decided>) {
        if let Some(first) = decided.recipients.first() {
            let key = (decided.message.id, first.recipient.number);
            self.pending.insert(
                key,
                Pending {
                    decided,
                    failed: false,
                },
            );
        }
    }

    /// Takes out what is written.
    pub(crate) fn finish(&mut self, id: QueueId, first: u32) -> Option<Arc<Decided>> {
        let pending = self.pending.remove(&(id, first))?;
        self.failed -= usize::from(pending.failed);
        Some(pending.decided)
    }

    /// It could not be written: again after a pause.
    pub(crate) fn fail(&mut self, now: Timestamp, id: QueueId, first: u32) {
        if let Some(pending) = self.pending.get_mut(&(id, first)) {
            self.failed += usize::from(!pending.failed);
            pending.failed = true;
            self.again.insert((now + SETTLE_PAUSE, (id, first)));
        }
    }

    /// One that is to be written again.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> Option<Arc<Decided>> {
        while self.deadline().is_some_and(|at| at <= now) {
            let (_, key) = self.again.pop_first()?;
            if let Some(pending) = self.pending.get(&key) {
                return Some(Arc::clone(&pending.decided));
            }
        }
        None
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.again.first().map(|(at, _)| *at)
    }

    /// Whether attempts may begin: what they do could be written down.
    pub(crate) fn is_well(&self) -> bool {
        self.failed == 0 && self.pending.len() < SETTLING_MAX
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

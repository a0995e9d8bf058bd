//! What is known of the store's condition, shared between the writer, the readers and the
//! checkpoints.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::QueueId;

use crate::{Health, SpoolError};

/// Notes kept until somebody takes them; the oldest go first.
const NOTES_MAX: usize = 100;
/// Damaged recipients remembered until the writer sets them aside; more are simply found again.
const DAMAGED_MAX: usize = 10_000;

/// Health, notes for the log, and damaged recipients that the next commit sets aside.
pub(super) struct Watch {
    health: Mutex<Health>,
    /// How often the store went from working to failed.
    failures: AtomicU64,
    notes: Mutex<VecDeque<String>>,
    damaged: Mutex<BTreeSet<(QueueId, u32)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(super) fn new(health: Health) -> Self {
        Self {
            health: Mutex::new(health),
            failures: AtomicU64::new(0),
            notes: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    pub(super) fn health(&self) -> Health {
        locked(&self.health).clone()
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// A store that had failed works again.
    pub(super) fn healed(&self) {
        let mut health = locked(&self.health);
        if let Health::Failed(why) = std::mem::replace(&mut *health, Health::Accepting) {
            self.note(format!(
                "the spool failed: {why}; it was reopened and works again"
            ));
        }
    }

    /// It could not be healed; why not.
    pub(super) fn still_failed(&self, error: SpoolError) {
        *locked(&self.health) = Health::Failed(error);
    }

    /// A new measurement of free space; it does not heal a store that has failed.
    pub(super) fn set_space(&self, measured: Health) {
        let mut health = locked(&self.health);
        if !matches!(*health, Health::Failed(_)) {
            self.count_failure(&measured);
            *health = measured;
        }
    }

    /// A write or a sync went wrong: the first such error is kept until the store is healed.
    pub(super) fn fail(&self, error: SpoolError) {
        let mut health = locked(&self.health);
        if !matches!(*health, Health::Failed(_)) {
            *health = Health::Failed(error);
            self.count_failure(&health);
        }
    }

    /// Asked where the health changes, and was not `Failed`.
    fn count_failure(&self, health: &Health) {
        if let Health::Failed(_) = health {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn note(&self, note: String) {
        let mut notes = locked(&self.notes);
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    pub(super) fn take_notes(&self) -> Vec<String> {
        locked(&self.notes).drain(..).collect()
    }

    /// A recipient whose record, or whose message's record, cannot be read.
    pub(super) fn set_aside(&self, id: QueueId, number: u32, why: &str) {
        let mut damaged = locked(&self.damaged);
        if damaged.len() < DAMAGED_MAX && damaged.insert((id, number)) {
            self.note(format!(
                "recipient {number} of {id} is set aside, unreadable: {why}"
            ));
        }
    }

    pub(super) fn is_damaged(&self, id: QueueId, number: u32) -> bool {
        let damaged = locked(&self.damaged);
        !damaged.is_empty() && damaged.contains(&(id, number))
    }

    pub(super) fn damaged(&self) -> Vec<(QueueId, u32)> {
        let damaged = locked(&self.damaged);
        damaged.iter().copied().collect()
    }

    /// These are marked on disk now.
    pub(super) fn marked(&self, marked: &[(QueueId, u32)]) {
        let mut damaged = locked(&self.damaged);
        for recipient in marked {
            damaged.remove(recipient);
        }
    }
}

//! The pickup directory, with files that programs of this machine put there. Outlasts the relay.

use std::collections::BTreeMap;

use mail::QueueId;

use crate::random::Random;

/// Files by the numbers of the messages in them.
#[derive(Default)]
pub(crate) struct Folder {
    /// Each with the queue id under which it was taken, once it was.
    files: BTreeMap<usize, Option<QueueId>>,
    /// Removed; a crash may bring these back.
    unsynced: BTreeMap<usize, QueueId>,
}

impl Folder {
    /// Somebody puts a file there.
    pub(crate) fn put(&mut self, number: usize) {
        self.files.insert(number, None);
    }

    /// All that are there.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        self.files.keys().copied().collect()
    }

    /// Moves a file to its queue id, at once on stable storage: to `new`, unless it has one. `None`
    /// when it is not there.
    pub(crate) fn take(&mut self, number: usize, new: QueueId) -> Option<QueueId> {
        let id = self.files.get_mut(&number)?;
        Some(*id.get_or_insert(new))
    }

    /// The queue id of a file is forgotten.
    pub(crate) fn forget_id(&mut self, number: usize) {
        if let Some(id) = self.files.get_mut(&number) {
            *id = None;
        }
    }

    /// Removes a file; a crash before the next sync may bring it back.
    pub(crate) fn remove(&mut self, number: usize) {
        if let Some(Some(id)) = self.files.remove(&number) {
            self.unsynced.insert(number, id);
        }
    }

    /// What was removed stays so.
    pub(crate) fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// The power is cut.
    pub(super) fn crash(&mut self, random: &mut Random) {
        for (number, id) in std::mem::take(&mut self.unsynced) {
            if random.chance(50) {
                self.files.insert(number, Some(id));
            }
        }
    }
}

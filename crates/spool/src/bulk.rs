//! The bulk verbs, and how far each has come: a verb that reached its limit goes on where it
//! stopped when it is given again, so a million recipients are looked at once and not once per
//! batch.

use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::{HoldReason, RecipientState};

/// What a bulk change does to each recipient that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Retry(Timestamp),
    Hold(HoldReason),
    Release(Timestamp),
    Delete,
}

impl Verb {
    /// Whether the verb means recipients in this state at all.
    pub(crate) fn concerns(self, state: RecipientState) -> bool {
        match (self, state) {
            (Self::Retry(_) | Self::Hold(_), RecipientState::Waiting) => true,
            (Self::Retry(_) | Self::Hold(_), RecipientState::Held(_)) => false,
            (Self::Release(_), RecipientState::Waiting) => false,
            (Self::Release(_), RecipientState::Held(_)) => true,
            (Self::Delete, RecipientState::Waiting | RecipientState::Held(_)) => true,
        }
    }
}

/// A verb and whom it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bulk {
    pub(crate) verb: Verb,
    pub(crate) filter: Filter,
}

/// The recipient that was looked at last.
pub(crate) type Cursor = (QueueId, u32);

/// Bulk changes under way at once; a further one makes the oldest start again from the first
/// message, which is only slower.
const BULKS_MAX: usize = 16;

/// How far the bulk changes that asked to be given again have come.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Vec<(Bulk, Cursor)>);

impl Cursors {
    /// Where to go on; from the beginning when `None`.
    pub(crate) fn take(&mut self, bulk: &Bulk) -> Option<Cursor> {
        let at = self.0.iter().position(|(known, _)| known == bulk)?;
        Some(self.0.remove(at).1)
    }

    /// Remembers where to go on.
    pub(crate) fn put(&mut self, bulk: Bulk, cursor: Cursor) {
        if self.0.len() == BULKS_MAX {
            self.0.remove(0);
        }
        self.0.push((bulk, cursor));
    }
}

/// Recipients looked at in one commit of a bulk change, whether they match or not.
pub(crate) const BULK_LOOKED_AT_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bulk_goes_on_where_it_stopped_and_the_list_is_bounded() {
        let bulk = |millis| Bulk {
            verb: Verb::Retry(Timestamp::from_millis(millis)),
            filter: Filter::everything(),
        };
        let cursor = |n| (QueueId::from_bytes([7; 16]), n);
        let mut cursors = Cursors::default();
        for n in 0..=BULKS_MAX as u32 {
            cursors.put(bulk(u64::from(n)), cursor(n));
        }
        assert_eq!(cursors.take(&bulk(0)), None);
        assert_eq!(cursors.take(&bulk(1)), Some(cursor(1)));
        assert_eq!(cursors.take(&bulk(1)), None);
        assert_eq!(cursors.0.len(), BULKS_MAX - 1);
    }
}

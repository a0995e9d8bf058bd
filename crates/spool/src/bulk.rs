//! The bulk verbs, and how far each has come: a verb that reached its limit goes on where it
//! stopped when it is given again, so a million recipients are looked at once and not once per
//! batch.

use std::fmt;
use std::str::FromStr;

use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::{HoldReason, RecipientState};

/// What an operator can do to all recipients that match a filter. Here is all that a verb means:
/// its word (on the command line, over the control socket), whom it concerns, and what it makes of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Whoever waits is tried at once.
    Retry,
    /// Whoever waits is kept, and not tried.
    Hold,
    /// Whoever is held waits again, and is tried at once.
    Release,
    /// Everybody is forgotten, without a notice.
    Delete,
    /// Everybody is given up, and the sender told as after a refusal: marked at once, the notices
    /// follow.
    Bounce,
}

/// What a verb makes of a recipient that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is in this state from now on, and due at this time and with these last words, if they are
    /// given.
    Becomes(RecipientState, Option<Timestamp>, Option<Box<str>>),
    /// It is gone, and with the last recipient the message.
    Forgotten,
}

impl Verb {
    /// All verbs, in the order in which they are shown.
    pub const ALL: [Verb; 5] = [
        Verb::Retry,
        Verb::Hold,
        Verb::Release,
        Verb::Delete,
        Verb::Bounce,
    ];

    /// The word by which it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Bounce => "bounce",
        }
    }

    /// Whether the verb concerns recipients in this state at all.
    pub(crate) fn concerns(self, state: RecipientState) -> bool {
        match (self, state) {
            (Self::Retry | Self::Hold, RecipientState::Waiting) => true,
            (Self::Retry | Self::Hold, RecipientState::Held(_)) => false,
            (Self::Release, RecipientState::Waiting) => false,
            (Self::Release, RecipientState::Held(_)) => true,
            (Self::Delete, RecipientState::Waiting | RecipientState::Held(_)) => true,
            // The first reason stays.
            (Self::Bounce, RecipientState::Held(HoldReason::Bouncing)) => false,
            (Self::Bounce, RecipientState::Waiting | RecipientState::Held(_)) => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVerb;

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(word: &str) -> Result<Self, UnknownVerb> {
        let named = |verb: &Verb| verb.as_str() == word;
        Self::ALL.into_iter().find(named).ok_or(UnknownVerb)
    }
}

/// A verb for all recipients that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// What is done to them.
    pub verb: Verb,
    /// The recipients to whom it is done, as far as it concerns them.
    pub filter: Filter,
    /// When those are due that are to be tried at once: now. Given again to go on, it is the same.
    pub due: Timestamp,
    /// Why those are given up who bounce, for their senders.
    pub reason: Option<Box<str>>,
}

impl Bulk {
    pub(crate) fn effect(&self) -> Effect {
        let held = RecipientState::Held;
        match self.verb {
            Verb::Retry | Verb::Release => {
                Effect::Becomes(RecipientState::Waiting, Some(self.due), None)
            }
            Verb::Hold => Effect::Becomes(held(HoldReason::Operator), None, None),
            Verb::Bounce => Effect::Becomes(held(HoldReason::Bouncing), None, Some(self.words())),
            Verb::Delete => Effect::Forgotten,
        }
    }

    /// The last words about whoever is given up, as one printable line.
    fn words(&self) -> Box<str> {
        let by = "given up by the administrator";
        match &self.reason {
            Some(reason) => format!("{by}: {}", mail::escaped(reason)).into(),
            None => by.into(),
        }
    }

    /// Whether the verb concerns a recipient in this state; `None` is one whose record is damaged:
    /// an operator can get rid of it, and nothing else.
    pub(crate) fn concerns(&self, state: Option<RecipientState>) -> bool {
        match state {
            Some(state) => self.verb.concerns(state),
            None => self.verb == Verb::Delete,
        }
    }
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
pub(crate) const BULK_LOOKED_AT_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_read_by_its_word() {
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(verb));
        }
        assert_eq!("Delete".parse::<Verb>(), Err(UnknownVerb));
    }

    #[test]
    fn each_bulk_goes_on_where_it_stopped_and_the_list_is_bounded() {
        let bulk = |millis| Bulk {
            verb: Verb::Retry,
            filter: Filter::everything(),
            due: Timestamp::from_millis(millis),
            reason: None,
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

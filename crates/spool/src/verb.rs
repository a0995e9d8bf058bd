use std::fmt;
use std::str::FromStr;

use mail::{Timestamp, TrackedResult};

use crate::message::rerouted_name;
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
    /// Everybody goes by a route that the operator names, or again as sender and domain say.
    Reroute,
}

/// What a verb makes of a recipient that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is in this state from now on, and due at this time and with these last words, if they are
    /// given.
    Becomes(RecipientState, Option<Timestamp>, Option<Box<str>>),
    /// It is filed under this name, or where it would be if nobody had rerouted it.
    Filed(Option<Box<str>>),
    /// It is gone, and with the last recipient the message.
    Forgotten,
}

impl Verb {
    /// All verbs, in the order in which they are shown.
    pub const ALL: [Verb; 6] = [
        Verb::Retry,
        Verb::Hold,
        Verb::Release,
        Verb::Delete,
        Verb::Bounce,
        Verb::Reroute,
    ];

    /// The word by which it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Bounce => "bounce",
            Self::Reroute => "reroute",
        }
    }

    /// What happened to those to whom it was done; `None` when only an attempt follows, which is told
    /// of by itself.
    pub fn tracked(self) -> Option<TrackedResult> {
        match self {
            Self::Retry => None,
            Self::Hold => Some(TrackedResult::Held),
            Self::Release => Some(TrackedResult::Released),
            Self::Delete => Some(TrackedResult::Deleted),
            Self::Bounce => Some(TrackedResult::Bounced),
            Self::Reroute => Some(TrackedResult::Rerouted),
        }
    }

    /// Whether there is something to do for the queue manager with those to whom it was done.
    pub fn makes_due(self) -> bool {
        match self {
            Self::Retry | Self::Release | Self::Bounce | Self::Reroute => true,
            Self::Hold | Self::Delete => false,
        }
    }

    /// Whether those to whom it was done are to be tried at once.
    pub fn tries_at_once(self) -> bool {
        match self {
            Self::Retry | Self::Release | Self::Reroute => true,
            Self::Hold | Self::Delete | Self::Bounce => false,
        }
    }

    /// What becomes of those whom it concerns, said `at` that moment: with the `route` to which they
    /// are led, the `words` for those who are given up.
    pub(crate) fn effect(
        self,
        at: Timestamp,
        route: Option<&str>,
        words: impl FnOnce() -> Box<str>,
    ) -> Effect {
        let held = RecipientState::Held;
        match self {
            Self::Retry | Self::Release => Effect::Becomes(RecipientState::Waiting, Some(at), None),
            Self::Hold => Effect::Becomes(held(HoldReason::Operator), None, None),
            Self::Bounce => Effect::Becomes(held(HoldReason::Bouncing), None, Some(words())),
            Self::Delete => Effect::Forgotten,
            Self::Reroute => Effect::Filed(route.map(rerouted_name)),
        }
    }

    /// Whether whoever it concerns goes out no more, from the moment on at which it is stored.
    pub fn withholds(self) -> bool {
        match self {
            Self::Retry | Self::Release => false,
            Self::Hold | Self::Delete | Self::Bounce | Self::Reroute => true,
        }
    }

    /// Whether the verb concerns recipients in this state; `None` is one whose record is damaged:
    /// an operator can get rid of it, and nothing else.
    pub(crate) fn concerns(self, state: Option<RecipientState>) -> bool {
        let Some(state) = state else {
            return self == Self::Delete;
        };
        match (self, state) {
            (Self::Retry | Self::Hold, RecipientState::Waiting) => true,
            (Self::Retry | Self::Hold, RecipientState::Held(_)) => false,
            (Self::Release, RecipientState::Waiting) => false,
            // Nothing goes out that was not looked at.
            (Self::Release, RecipientState::Held(HoldReason::Unscreened)) => false,
            (Self::Release, RecipientState::Held(_)) => true,
            (Self::Delete, RecipientState::Waiting | RecipientState::Held(_)) => true,
            // The first reason stays.
            (Self::Bounce | Self::Reroute, RecipientState::Held(HoldReason::Bouncing)) => false,
            (Self::Bounce | Self::Reroute, RecipientState::Waiting | RecipientState::Held(_)) => {
                true
            }
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
}

use std::collections::HashSet;
use std::sync::Arc;

use mail::{Host, Mailbox, Place};

use crate::{Fact, Facts, Question, RecipientSource, senders};

/// Who knows which recipients of a domain exist.
#[derive(Debug, Clone, Default)]
pub enum Recipients {
    /// Nobody: every recipient is taken.
    #[default]
    Any,
    /// The recipients on this list exist, and no others.
    List(Arc<RecipientList>),
    /// Somebody who has to be asked.
    Ask {
        /// Who is asked whether a recipient exists.
        source: RecipientSource,
        /// Whether a recipient is taken when nobody can be asked; postponed otherwise.
        accept_unasked: bool,
        /// Where that was written.
        place: Place,
    },
}

/// What is known of one recipient.
pub(crate) enum Existence<'a> {
    /// There is no reason to refuse it.
    Granted,
    /// It does not exist.
    Unknown(&'a Place),
    /// Nobody could be asked.
    Unasked {
        accept: bool,
        place: &'a Place,
    },
    Ask(Question),
}

impl Recipients {
    /// Whether `recipient` exists. An answer about another recipient is none.
    pub(crate) fn existence(&self, recipient: &Mailbox, facts: &Facts) -> Existence<'_> {
        match self {
            Self::Any => Existence::Granted,
            Self::List(list) if list.contains(recipient) => Existence::Granted,
            Self::List(list) => Existence::Unknown(list.place()),
            Self::Ask {
                source,
                accept_unasked,
                place,
            } => match facts
                .recipients
                .iter()
                .find(|(asked, _)| asked == recipient)
            {
                Some((_, fact)) => match fact {
                    Fact::Yes(()) => Existence::Granted,
                    Fact::No => Existence::Unknown(place),
                    Fact::CannotTell => Existence::Unasked {
                        accept: *accept_unasked,
                        place,
                    },
                },
                None => Existence::Ask(Question::Recipient {
                    mailbox: recipient.clone(),
                    source: source.clone(),
                }),
            },
        }
    }
}

/// A written list of recipients; case and quotes make no difference, as nobody tells two recipients
/// apart by them.
#[derive(Debug, Clone, Default)]
pub struct RecipientList {
    known: HashSet<(String, Host)>,
    place: Place,
}

impl RecipientList {
    /// An empty list.
    pub fn new(place: Place) -> Self {
        Self {
            known: HashSet::new(),
            place,
        }
    }

    /// Adds a recipient; one that is on the list already changes nothing.
    pub fn insert(&mut self, recipient: &Mailbox) {
        self.known.insert(senders::key(recipient));
    }

    /// Whether it is on the list.
    pub fn contains(&self, recipient: &Mailbox) -> bool {
        self.known.contains(&senders::key(recipient))
    }

    /// All of them, in no particular order, as they are compared: in small letters.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.known
            .iter()
            .map(|(local, host)| format!("{local}@{host}"))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Where it was written.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

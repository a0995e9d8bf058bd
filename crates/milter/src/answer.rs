use mail::{Mailbox, Reply};

use crate::Modification;

/// What a milter says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of the message.
    pub verdict: Verdict,
    /// The recipients that it refuses, each with its reply. When those are all, the verdict is a
    /// refusal too.
    pub refused: Vec<(Mailbox, Reply)>,
    /// What it changes, in this order, when the message is taken: all of it or nothing.
    pub modifications: Vec<Modification>,
    /// The message is to be held, for this reason, when it is taken.
    pub quarantine: Option<Box<str>>,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// It is refused, for now (4yz) or for good (5yz). With 421 the connection ends too.
    Refuse(Reply),
    /// It is taken and thrown away.
    Discard,
}

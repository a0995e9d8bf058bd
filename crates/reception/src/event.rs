use mail::{QueueId, Reply, Timestamp};
use relay_policy::{Envelope, Question};

use crate::SessionFact;

/// What a session wants of whoever drives it.
#[derive(Debug)]
pub enum Event {
    /// Find this out and call [`crate::Session::on_fact`]. Nothing is read meanwhile.
    Ask(Question),
    /// A message is about to begin: see whether there is room, make a queue id, and call [`crate::Session::begin_message`].
    /// Nothing is read meanwhile.
    Begin,
    /// The content is too large for memory: take it ([`crate::Session::take_content`]), append it to the message's body on disk, and
    /// call [`crate::Session::content_taken`]. Nothing is read meanwhile.
    Spill,
    /// The message is complete: store it and call [`crate::Session::on_stored`]. Nothing is read meanwhile.
    Message(Box<Accepted>),
    /// The message begun last is not coming after all; what was spilled of it can go. Only sent when something was spilled.
    Abandoned,
    /// Something to be logged.
    Log(SessionFact),
}

/// The answer to [`Event::Begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes; the message's name.
    Open {
        /// Its name in the spool, in `Received` and in every log line.
        id: QueueId,
    },
    /// The disk is too full: 452 4.3.1.
    LowSpace,
    /// The spool does not work: 451 4.3.0.
    Failed,
}

/// Why a message could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreTrouble {
    /// No room: 452 4.3.1.
    Full,
    /// Anything else, also when it is not known whether it was stored: 451 4.3.0.
    Failed,
}

impl StoreTrouble {
    /// What the client hears.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Full => Reply::new(452, 3, 1, "Insufficient system storage, try again later"),
            Self::Failed => Reply::new(451, 3, 0, "Message cannot be stored now, try again later"),
        }
    }
}

/// A whole message, waiting to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub id: QueueId,
    /// Sender and recipients, all of them admitted.
    pub envelope: Envelope,
    /// `Received`, and `Date` and `Message-ID` where a permitted submitter left them out. Each line ends in CRLF.
    pub head: Vec<u8>,
    /// The content as received, or what is left of it after what was spilled.
    pub content: Vec<u8>,
    /// Octets that were spilled before.
    pub spilled: u64,
    /// Octets of head, spilled and remaining content together.
    pub size: u64,
    /// When the final dot came.
    pub arrived: Timestamp,
    /// What the client called itself.
    pub hello: Box<str>,
    /// How it came: `ESMTP`, `SMTP`, `UTF8SMTP`.
    pub protocol: &'static str,
}

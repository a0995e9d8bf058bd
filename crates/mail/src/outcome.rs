use std::fmt;

use crate::Reply;

/// What one attempt did for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility.
    Delivered(Delivery),
    /// Not now: try again later.
    Deferred(Failure),
    /// Never: the sender is told.
    Failed(Failure),
}

impl Outcome {
    /// The reply that stands behind the outcome.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(delivery) => &delivery.reply,
            Self::Deferred(failure) | Self::Failed(failure) => &failure.reply,
        }
    }
}

/// Who took responsibility for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the server said, or what we say of a file that we wrote.
    pub reply: Reply,
    /// The server, as in [`Failure::host`]; none when it was filed on this machine, which is where
    /// the recipient reads it.
    pub host: Option<Box<str>>,
}

/// Why an attempt did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How far the trouble reaches.
    pub scope: Scope,
    /// What the server said, or what we say about the trouble when no server spoke:
    /// [`Reply::is_from_peer`].
    pub reply: Reply,
    /// The host that spoke or could not be reached, as `mx1.example.com [192.0.2.1]:25`; none when
    /// no host was involved.
    pub host: Option<Box<str>>,
}

/// How far a failure reaches; decides what is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This recipient only: the others of the message go on.
    Recipient,
    /// This message, whatever the host: other messages to the site go on.
    Message,
    /// This host: the next one of the site is tried.
    Host,
    /// The whole site: nothing more is tried there for a while.
    Site,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Host => "host",
            Self::Site => "site",
        })
    }
}

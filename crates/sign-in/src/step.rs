use crate::{Account, Unavailable, Why};

/// The answer to a message of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this (334, in base64) and come back with the answer.
    Challenge(Vec<u8>),
    /// The client is this user: 235.
    Done(Account),
    /// It is not: 535, the same whatever the reason.
    Refused(Why),
    /// Nobody can tell now: 454.
    Unavailable(Unavailable),
}

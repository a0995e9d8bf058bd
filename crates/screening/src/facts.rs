use authentication::Summary;
use contents::Contents;
use mail::{Client, Mailbox, ReversePath};
use relay_policy::Grounds;

/// One message, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who brings it: address, listener, user.
    pub client: &'a Client,
    /// Its sender.
    pub sender: &'a ReversePath,
    /// Octets of what is stored of it.
    pub size: u64,
    /// What is in it.
    pub contents: &'a Contents,
    /// Whether it comes from whom it says, as far as that was checked.
    pub authentication: Summary,
}

/// One of its recipients.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    /// To whom it goes.
    pub mailbox: &'a Mailbox,
    /// Which way that is.
    pub direction: Direction,
}

/// Which way a message goes, seen from the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To a domain of ours, from whoever that may send to it.
    In,
    /// From those who may relay, wherever it goes.
    Out,
}

impl Direction {
    /// By the grounds on which the recipient was let in: mail that anybody may send comes in.
    pub fn of(grounds: Grounds) -> Self {
        if grounds.is_of_strangers() {
            Self::In
        } else {
            Self::Out
        }
    }
}

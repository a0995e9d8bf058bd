use mail::QueueId;
use relay_policy::Envelope;

use crate::Named;

/// How the client greeted.
#[derive(Debug)]
pub(crate) struct Hello {
    pub name: Box<str>,
    /// EHLO rather than HELO.
    pub extended: bool,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub hello: Hello,
    pub id: QueueId,
    pub envelope: Envelope,
    /// Recipients that were named and taken; those to whom one is forwarded do not count.
    pub named: u32,
    /// Who they are, where the client takes a reply for each.
    pub each: Option<Named>,
    /// The one that was named is an SRS address of ours, whose message is a bounce.
    pub is_bounce: bool,
    /// How many recipients it may have for now, where that is less than our limits allow.
    pub recipients_for_now: Option<u32>,
    /// How many of them may be senders to whom bounces are turned back, where that is limited.
    pub bounces_for_now: Option<u32>,
    /// Some recipient was named and not taken.
    pub refused: bool,
}

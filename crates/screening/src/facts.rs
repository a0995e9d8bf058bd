use authentication::Summary;
use contents::Contents;
use mail::{Client, Domain, Mailbox, ReversePath};

use crate::Scan;

/// One message, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who brings it: address, listener, user.
    pub client: &'a Client,
    /// Which way it goes.
    pub direction: Direction,
    /// Its sender.
    pub sender: &'a ReversePath,
    /// Octets of what is stored of it.
    pub size: u64,
    /// What is in it.
    pub contents: &'a Contents,
    /// The DNS lists that name its client, by their zones.
    pub listed: &'a [Domain],
    /// Whether it comes from whom it says, as far as that was checked.
    pub authentication: Summary,
    /// What its client and its sender's domain are worth by what they did here; of mail that anybody
    /// may send.
    pub reputation: Option<Reputation>,
    /// How far the scanners have come that are asked about it.
    pub scans: &'a [Scan],
}

/// What a client's network and a sender's domain are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reputation {
    /// The client's network.
    pub client: i32,
    /// The sender's domain, where SPF vouches for it: anybody can write any sender.
    pub domain: Option<i32>,
}

/// One of its recipients.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    /// To whom it goes.
    pub mailbox: &'a Mailbox,
    /// Whom the client named: somebody else where the configuration forwards that one.
    pub named: &'a Mailbox,
}

/// Which way a message goes, seen from the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From anybody, to a domain of ours.
    In,
    /// From those who may relay, wherever it goes.
    Out,
}

impl Direction {
    /// By whether anybody could have sent it.
    pub fn of(from_stranger: bool) -> Self {
        if from_stranger { Self::In } else { Self::Out }
    }
}

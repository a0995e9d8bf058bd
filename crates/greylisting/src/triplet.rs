use ipnet::IpNet;
use mail::Domain;
use relay_policy::Approach;

use crate::constant_sender::constant_sender;

/// Who wrote to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Triplet {
    pub origin: Origin,
    /// What is constant of it. Empty for the null sender.
    pub sender: Box<str>,
    /// In lower case.
    pub recipient: Box<str>,
}

/// From where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Network(IpNet),
    /// Any client that passes SPF for the sender's domain.
    Sender,
}

impl Triplet {
    pub fn new(origin: Origin, approach: &Approach) -> Self {
        Self {
            origin,
            sender: constant_sender(approach.sender.as_str()),
            recipient: approach.recipient.as_str().to_lowercase().into(),
        }
    }

    /// Whether the sender is at this domain.
    pub fn is_of(&self, domain: &Domain) -> bool {
        let at = self.sender.rsplit_once('@');
        at.is_some_and(|(_, host)| host.eq_ignore_ascii_case(domain.as_str()))
    }
}

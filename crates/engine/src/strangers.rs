//! What [`greylisting`] is to see of those of whom nothing is known but what they do here.

use std::net::IpAddr;

use greylisting::Deed;
use mail::{Client, Domain};
use reception::SessionFact;

use crate::{Incoming, Storing};

/// Who sends a message that anybody could send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The client's address.
    pub client: IpAddr,
    /// The sender's domain, where it has one.
    pub domain: Option<Domain>,
}

impl Storing {
    /// Whoever sends it, where that is a stranger.
    pub fn stranger(&self) -> Option<Stranger> {
        let client = &self.client;
        // What comes back from a filter says nothing of who gives it back.
        let recipients = &self.accepted.envelope.recipients;
        let is_filtered = recipients
            .iter()
            .any(|one| one.admitted.grounds().is_filtered());
        let is_stranger = self.accepted.from_stranger && is_unknown(client) && !is_filtered;
        is_stranger.then(|| Stranger {
            client: client.address(),
            domain: self.reverse_path().domain().cloned(),
        })
    }

    /// Whether it is kept for everybody, if only until it is looked at.
    pub fn is_held(&self) -> bool {
        let is_held = !self.held.is_empty() && self.held.iter().all(Option::is_some);
        is_held || self.unscreened.is_some()
    }
}

impl Incoming {
    /// What a stranger did by this, if that says anything of it. What is postponed does not.
    pub fn deed(&self, fact: &SessionFact) -> Option<Deed> {
        let SessionFact::RefusedRecipient(refused) = fact else {
            return None;
        };
        let is_stranger = self.sender().is_none() && is_unknown(self.client());
        let is_stranger = is_stranger && !self.is_way_back();
        if !is_stranger || !refused.reply.is_permanent() {
            return None;
        }
        let reason = refused.reason.as_ref();
        let is_of_nobody = reason.is_some_and(|reason| reason.why.is_of_nobody());
        Some(if is_of_nobody {
            Deed::Unknown
        } else {
            Deed::Refused
        })
    }
}

fn is_unknown(client: &Client) -> bool {
    client.user.is_none() && client.uid.is_none()
}

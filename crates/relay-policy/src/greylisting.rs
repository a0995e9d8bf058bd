use mail::Place;

use crate::{List, SenderPattern};

/// Whom greylisting does not delay, beside those who are no strangers.
#[derive(Debug, Clone)]
pub struct Greylisting {
    /// Clients.
    pub clients: List,
    /// Senders, whoever claims to be one of them.
    pub senders: Box<[Listed]>,
    /// Recipients.
    pub recipients: Box<[Listed]>,
    /// Where it was switched on.
    pub place: Place,
}

/// One entry of a list of addresses and domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whom it names.
    pub pattern: SenderPattern,
    /// Where it was written.
    pub place: Place,
}

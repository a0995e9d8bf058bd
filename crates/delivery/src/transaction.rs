use std::sync::Arc;

use mail::ReversePath;
use message::EightBitUse;
use spool::{Message, Recipient};

use crate::EightBit;

/// One message for one next hop.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// What the spool knows of it, and the head that goes before its content.
    pub message: Arc<Message>,
    /// At least one. Outcomes name them by [`Recipient::number`].
    pub recipients: Vec<Recipient>,
    /// The reverse path that goes out.
    pub reverse_path: ReversePath,
    /// The one for those who are forwarded, where it is another.
    pub forwarded_from: Option<ReversePath>,
    /// Where octets above 127 are, when somebody looked ([`EightBitUse::of`],
    /// [`EightBitUse::of_start`]). When nobody did, what the client declared is taken for true.
    pub eight_bit: Option<EightBitUse>,
    /// What to do about them when the server does not offer 8BITMIME: the domains of this message's
    /// recipients say it, whatever message the connection was made for.
    pub eight_bit_policy: EightBit,
}

impl Transaction {
    /// Octets of content that are to be fed after the head.
    pub fn content_size(&self) -> u64 {
        self.message
            .size
            .saturating_sub(self.message.head.len() as u64)
    }
}

use mail::{MailParameters, Mailbox, RcptParameters, ReversePath};

/// From whom a message is and to whom it goes, as milters are told and change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub sender: ReversePath,
    /// What MAIL said beside it.
    pub parameters: MailParameters,
    /// The recipients, in their order.
    pub recipients: Vec<Recipient>,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its address.
    pub mailbox: Mailbox,
    /// What RCPT said beside it.
    pub parameters: RcptParameters,
    /// A milter has added it: nobody has decided yet whether we may send it there.
    pub is_added: bool,
}

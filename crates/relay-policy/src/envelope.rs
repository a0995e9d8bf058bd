use mail::{MailParameters, RcptParameters, ReversePath};

use crate::{Admitted, Reason};

/// What MAIL and RCPT built: the sender, the admitted recipients, and what was asked for on the
/// way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender that MAIL FROM named; `<>` is the null sender.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order given, or in place of one all to whom it is forwarded; only admitted
    /// ones.
    pub recipients: Vec<EnvelopeRecipient>,
    /// What MAIL said of the message.
    pub parameters: MailParameters,
    /// `SIZE=`: what the client announced, in octets.
    pub announced_size: Option<u64>,
}

impl Envelope {
    /// An envelope without recipients and without parameters.
    pub fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            recipients: Vec::new(),
            parameters: MailParameters::default(),
            announced_size: None,
        }
    }
}

/// One recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeRecipient {
    /// Who, and on what grounds.
    pub admitted: Admitted,
    /// What decided so, and its line of the configuration: for the log, as a refusal has it. Not
    /// stored.
    pub why: Reason,
    /// What RCPT said of it.
    pub parameters: RcptParameters,
}

use mail::{BodyKind, Notify, OriginalRecipient, Ret, ReversePath};

use crate::{Admitted, Reason};

/// What MAIL and RCPT built: the sender, the admitted recipients, and what was asked for on the
/// way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in the order given; only admitted ones.
    pub recipients: Vec<EnvelopeRecipient>,
    /// `BODY=`
    pub body: BodyKind,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `RET=` (RFC 3461)
    pub ret: Option<Ret>,
    /// `ENVID=`, still in xtext.
    pub envid: Option<Box<str>>,
    /// `SIZE=`: what the client announced, in octets.
    pub announced_size: Option<u64>,
}

impl Envelope {
    /// An envelope without recipients and without wishes.
    pub fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            recipients: Vec::new(),
            body: BodyKind::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
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
    /// `NOTIFY=`; none when the client said nothing (RFC 3461 section 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=`
    pub original: Option<OriginalRecipient>,
}

use mail::{QueueId, Reply};
use message::HeaderScan;
use relay_policy::{Envelope, Question};
use smtp::{Chunk, ContentCheck, ContentFault, DataDecoder, Rcpt};

use crate::{AcceptedRecipient, StoreTrouble};

/// Where a client stands in the order of commands (RFC 5321 section 4.1.4). Each phase owns exactly
/// the facts that hold in it.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Connected; neither EHLO nor HELO came.
    Greeted,
    /// Between messages.
    Ready(Hello),
    /// MAIL came; our side has yet to say whether there is room.
    Beginning(Box<Opening>),
    /// After MAIL: recipients may be named.
    Addressing(Box<Transaction>),
    /// RCPT came; a fact must be found out first.
    Deciding(Box<Transaction>, Box<Rcpt>, Question),
    /// 354 was sent: what arrives now is message, not commands.
    Receiving(Box<Incoming>, DataDecoder),
    /// Between two BDAT commands of one message.
    Chunking(Box<Incoming>, ContentCheck),
    /// The octets of a chunk.
    Chunk(Box<Incoming>, ContentCheck, Chunk),
    /// The octets of a refused chunk, passed over, never read as commands.
    PassingOver(Box<PassingOver>),
    /// The message is complete; our side has yet to say whether it is stored.
    Committing(Box<Committing>),
    /// STARTTLS was answered with 220: what comes now is a handshake, and not ours to read.
    Encrypting(Hello),
    /// AUTH or the answer to a challenge came; our side has yet to say what it proves.
    Proving(Box<SigningIn>),
    /// 334 was sent: the next line is the answer to a challenge, not a command.
    Challenged(Box<SigningIn>),
    /// Nothing is read any more.
    Closed,
}

/// How the client greeted.
#[derive(Debug)]
pub(crate) struct Hello {
    pub name: Box<str>,
    /// EHLO rather than HELO.
    pub extended: bool,
}

#[derive(Debug)]
pub(crate) struct Opening {
    pub hello: Hello,
    pub envelope: Envelope,
}

/// From AUTH to its end.
#[derive(Debug)]
pub(crate) struct SigningIn {
    pub hello: Hello,
    /// In upper case.
    pub mechanism: Box<str>,
}

/// From MAIL to the end of the message.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub hello: Hello,
    pub id: QueueId,
    pub envelope: Envelope,
    /// How many recipients it may have for now, where that is less than our limits allow.
    pub recipients_for_now: Option<u32>,
    /// Some recipient was named and not taken.
    pub refused: bool,
}

/// A message on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub transaction: Transaction,
    pub content: Vec<u8>,
    pub scan: HeaderScan,
    /// Octets of content so far, kept, spilled or passed over.
    pub octets: u64,
    /// Octets on the wire so far: with stuffed dots.
    pub wire: u64,
    /// Octets already taken from `content`.
    pub spilled: u64,
    /// `content` is waiting to be taken.
    pub spilling: bool,
    /// It is known that the message cannot be accepted: its content is passed over from here on.
    pub refused: bool,
    /// A line of content is too long.
    pub overlong: bool,
    /// A chunk was announced that makes the message too big.
    pub too_big: bool,
    /// What was spilled could not be written.
    pub trouble: Option<StoreTrouble>,
    /// A chunk held a bare CR or LF or a NUL: the connection is closed after it.
    pub fault: Option<ContentFault>,
    /// Octets since the time limit was last renewed.
    pub block: usize,
    /// Whether the first block has come.
    pub begun: bool,
    /// Octets of content when a chunk last completed a block.
    pub forward: u64,
    /// Chunks since then.
    pub small_chunks: u32,
}

#[derive(Debug)]
pub(crate) struct PassingOver {
    pub chunk: Chunk,
    pub reply: Reply,
    pub then: Phase,
    pub block: usize,
}

#[derive(Debug)]
pub(crate) struct Committing {
    pub hello: Hello,
    pub id: QueueId,
    pub reverse_path: mail::ReversePath,
    pub recipients: Vec<AcceptedRecipient>,
    pub size: u64,
}

impl Incoming {
    pub(crate) fn new(transaction: Transaction, content_inline: usize) -> Self {
        // The announced size spares the buffer its growth; it is not believed beyond what is kept
        // in memory anyway.
        let announced = transaction.envelope.announced_size.unwrap_or(0);
        let capacity = usize::try_from(announced).map_or(content_inline, |n| n.min(content_inline));
        Self {
            transaction,
            content: Vec::with_capacity(capacity),
            scan: HeaderScan::new(),
            octets: 0,
            wire: 0,
            spilled: 0,
            spilling: false,
            refused: false,
            overlong: false,
            too_big: false,
            trouble: None,
            fault: None,
            block: 0,
            begun: false,
            forward: 0,
            small_chunks: 0,
        }
    }
}

impl Phase {
    /// The greeting of the client, when the phase is left for good.
    pub(crate) fn into_hello(self) -> Option<Hello> {
        match self {
            Self::Greeted | Self::Closed => None,
            Self::Ready(hello) | Self::Encrypting(hello) => Some(hello),
            Self::Proving(signing_in) | Self::Challenged(signing_in) => Some(signing_in.hello),
            Self::Beginning(opening) => Some(opening.hello),
            Self::Addressing(transaction) | Self::Deciding(transaction, _, _) => {
                Some(transaction.hello)
            }
            Self::Receiving(incoming, _)
            | Self::Chunking(incoming, _)
            | Self::Chunk(incoming, _, _) => Some(incoming.transaction.hello),
            Self::PassingOver(passing) => passing.then.into_hello(),
            Self::Committing(committing) => Some(committing.hello),
        }
    }

    /// The message on its way in, if there is one.
    pub(crate) fn incoming(&self) -> Option<&Incoming> {
        match self {
            Self::Receiving(incoming, _)
            | Self::Chunking(incoming, _)
            | Self::Chunk(incoming, _, _) => Some(incoming),
            Self::Greeted
            | Self::Ready(_)
            | Self::Beginning(_)
            | Self::Addressing(_)
            | Self::Deciding(_, _, _)
            | Self::PassingOver(_)
            | Self::Committing(_)
            | Self::Encrypting(_)
            | Self::Proving(_)
            | Self::Challenged(_)
            | Self::Closed => None,
        }
    }

    pub(crate) fn incoming_mut(&mut self) -> Option<&mut Incoming> {
        match self {
            Self::Receiving(incoming, _)
            | Self::Chunking(incoming, _)
            | Self::Chunk(incoming, _, _) => Some(incoming),
            Self::Greeted
            | Self::Ready(_)
            | Self::Beginning(_)
            | Self::Addressing(_)
            | Self::Deciding(_, _, _)
            | Self::PassingOver(_)
            | Self::Committing(_)
            | Self::Encrypting(_)
            | Self::Proving(_)
            | Self::Challenged(_)
            | Self::Closed => None,
        }
    }

    /// Whether lines are read: commands, or answers to a challenge.
    pub(crate) fn reads_lines(&self) -> bool {
        match self {
            Self::Greeted
            | Self::Ready(_)
            | Self::Addressing(_)
            | Self::Chunking(_, _)
            | Self::Challenged(_) => true,
            Self::Beginning(_)
            | Self::Deciding(_, _, _)
            | Self::Receiving(_, _)
            | Self::Chunk(_, _, _)
            | Self::PassingOver(_)
            | Self::Committing(_)
            | Self::Encrypting(_)
            | Self::Proving(_)
            | Self::Closed => false,
        }
    }

    /// Whether our own side has to answer before anything is read.
    pub(crate) fn awaits_answer(&self) -> bool {
        match self {
            Self::Beginning(_)
            | Self::Deciding(_, _, _)
            | Self::Committing(_)
            | Self::Encrypting(_)
            | Self::Proving(_) => true,
            Self::Receiving(incoming, _)
            | Self::Chunking(incoming, _)
            | Self::Chunk(incoming, _, _) => incoming.spilling,
            Self::Greeted
            | Self::Ready(_)
            | Self::Addressing(_)
            | Self::PassingOver(_)
            | Self::Challenged(_)
            | Self::Closed => false,
        }
    }
}

use mail::{QueueId, Reply, ReversePath};
use relay_policy::{AskedBy, Envelope, NamedDomain, Question};
use smtp::{Chunk, Rcpt};

use crate::incoming::Incoming;
use crate::transaction::{Hello, Transaction};
use crate::{AcceptedRecipient, Named, Refusal};

/// Where a client stands in the order of commands (RFC 5321 section 4.1.4). Each phase owns exactly
/// the facts that hold in it.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Connected; neither EHLO nor HELO came.
    Greeted,
    /// Greeted, and between messages.
    Ready(Hello),
    /// 334 was sent: the next line is the answer to a challenge, not a command.
    SigningIn(Box<SigningIn>),
    /// After MAIL: recipients may be named.
    Addressing(Box<Transaction>),
    /// After DATA or the first BDAT: what arrives is message, but for the commands between two
    /// chunks.
    Receiving(Box<Incoming>),
    /// Our own side has to answer a question before anything is read.
    Waiting(Waiting),
    /// Nothing is read any more.
    Closed,
}

/// A question to our own side, with what goes on once it is answered.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// MAIL came: is there room for a message?
    Begin(Box<Opening>),
    /// RCPT came: what is the fact that the relay policy needs?
    Fact(Box<Deciding>),
    /// The content is too large for memory: is what was taken of it on disk?
    Spill(Box<Incoming>),
    /// The message is complete: is it on stable storage?
    Receipt(Box<Committing>),
    /// STARTTLS was answered with 220: what comes now is a handshake, and not ours to read.
    Handshake(Hello),
    /// AUTH or the answer to a challenge came: what does it prove?
    SignIn(Box<SigningIn>),
    /// ETRN or ATRN came: what is the fact by which the client may ask for mail?
    Right(Box<AskingFor>),
    /// It may: does any wait?
    Start(Hello),
    /// The same after ATRN: then the client takes it on this connection.
    TurnAround(Hello),
}

/// What MAIL said, before there is a message.
#[derive(Debug)]
pub(crate) struct Opening {
    pub hello: Hello,
    pub envelope: Envelope,
    /// The client takes a reply for each recipient.
    pub prdr: bool,
}

/// From AUTH to its end.
#[derive(Debug)]
pub(crate) struct SigningIn {
    pub hello: Hello,
    /// The registered name of the mechanism, in upper case.
    pub mechanism: Box<str>,
}

/// Mail that is asked for, while it is found out whether this client may.
#[derive(Debug)]
pub(crate) struct AskingFor {
    pub hello: Hello,
    pub asked_for: AskedFor,
    pub question: Question,
}

/// What ETRN or ATRN names.
#[derive(Debug, Clone)]
pub(crate) struct AskedFor {
    pub by: AskedBy,
    pub domains: Vec<NamedDomain>,
}

/// A recipient about whom a fact is being found out.
#[derive(Debug)]
pub(crate) struct Deciding {
    pub transaction: Box<Transaction>,
    pub rcpt: Rcpt,
    pub question: Question,
}

/// A message that was handed over to be stored.
#[derive(Debug)]
pub(crate) struct Committing {
    pub hello: Hello,
    pub id: QueueId,
    pub reverse_path: ReversePath,
    pub recipients: Vec<AcceptedRecipient>,
    pub size: u64,
    pub named: Option<Named>,
    /// For each of those named, why it is refused for it, if it is; empty where all fare alike.
    pub refused: Vec<Option<Refusal>>,
}

/// The octets of a refused chunk, counted off and never read as commands. They leave the phase as
/// it is.
#[derive(Debug)]
pub(crate) struct PassingOver {
    pub chunk: Chunk,
    /// What the client hears at their end.
    pub reply: Reply,
    /// Octets since the time limit was last renewed.
    pub block: usize,
}

impl Phase {
    /// The greeting of the client, when the phase is left for good.
    pub(crate) fn into_hello(self) -> Option<Hello> {
        match self {
            Self::Greeted | Self::Closed => None,
            Self::Ready(hello) => Some(hello),
            Self::SigningIn(signing_in) => Some(signing_in.hello),
            Self::Addressing(transaction) => Some(transaction.hello),
            Self::Receiving(incoming) => Some(incoming.transaction.hello),
            Self::Waiting(waiting) => Some(waiting.into_hello()),
        }
    }

    /// The greeting of the client, once it has come and as long as the session goes on.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        match self {
            Self::Greeted | Self::Closed => None,
            Self::Ready(hello) => Some(hello),
            Self::SigningIn(signing_in) => Some(&signing_in.hello),
            Self::Addressing(transaction) => Some(&transaction.hello),
            Self::Receiving(incoming) => Some(&incoming.transaction.hello),
            Self::Waiting(waiting) => Some(waiting.hello()),
        }
    }

    /// The message on its way in, if there is one.
    pub(crate) fn incoming(&self) -> Option<&Incoming> {
        match self {
            Self::Receiving(incoming) | Self::Waiting(Waiting::Spill(incoming)) => Some(incoming),
            Self::Waiting(
                Waiting::Begin(_)
                | Waiting::Fact(_)
                | Waiting::Receipt(_)
                | Waiting::Handshake(_)
                | Waiting::SignIn(_)
                | Waiting::Right(_)
                | Waiting::Start(_)
                | Waiting::TurnAround(_),
            )
            | Self::Greeted
            | Self::Ready(_)
            | Self::SigningIn(_)
            | Self::Addressing(_)
            | Self::Closed => None,
        }
    }

    /// Whether a line is read next: a command, or the answer to a challenge.
    pub(crate) fn reads_lines(&self) -> bool {
        match self {
            Self::Greeted | Self::Ready(_) | Self::SigningIn(_) | Self::Addressing(_) => true,
            Self::Receiving(incoming) => incoming.is_between_chunks(),
            Self::Waiting(_) | Self::Closed => false,
        }
    }

    /// Whether our own side has to answer before anything is read.
    pub(crate) fn awaits_answer(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// In a word or two, for whoever looks at the session.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Greeted => "greeted",
            Self::Ready(_) => "ready",
            Self::SigningIn(_) | Self::Waiting(Waiting::SignIn(_)) => "signing in",
            Self::Addressing(_) | Self::Waiting(Waiting::Begin(_) | Waiting::Fact(_)) => {
                "naming recipients"
            }
            Self::Receiving(_) | Self::Waiting(Waiting::Spill(_)) => "sending a message",
            Self::Waiting(Waiting::Receipt(_)) => "being stored",
            Self::Waiting(Waiting::Handshake(_)) => "shaking hands",
            Self::Waiting(Waiting::Right(_) | Waiting::Start(_) | Waiting::TurnAround(_)) => {
                "asking for mail"
            }
            Self::Closed => "closed",
        }
    }

    /// Whether a sign-in has begun and not ended.
    pub(crate) fn is_signing_in(&self) -> bool {
        matches!(self, Self::SigningIn(_) | Self::Waiting(Waiting::SignIn(_)))
    }
}

impl Waiting {
    fn hello(&self) -> &Hello {
        match self {
            Self::Begin(opening) => &opening.hello,
            Self::Fact(deciding) => &deciding.transaction.hello,
            Self::Spill(incoming) => &incoming.transaction.hello,
            Self::Receipt(committing) => &committing.hello,
            Self::Handshake(hello) => hello,
            Self::SignIn(signing_in) => &signing_in.hello,
            Self::Right(asking) => &asking.hello,
            Self::Start(hello) | Self::TurnAround(hello) => hello,
        }
    }

    fn into_hello(self) -> Hello {
        match self {
            Self::Begin(opening) => opening.hello,
            Self::Fact(deciding) => deciding.transaction.hello,
            Self::Spill(incoming) => incoming.transaction.hello,
            Self::Receipt(committing) => committing.hello,
            Self::Handshake(hello) => hello,
            Self::SignIn(signing_in) => signing_in.hello,
            Self::Right(asking) => asking.hello,
            Self::Start(hello) | Self::TurnAround(hello) => hello,
        }
    }
}

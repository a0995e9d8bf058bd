use std::sync::Arc;

use mail::{Mailbox, Place, QueueId, Reply, ReversePath, TlsFacts};
use relay_policy::{EnvelopeRecipient, Grounds, Reason, Requested};
use smtp::Verb;

/// What happened in a session that an administrator may want to find later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFact {
    /// A recipient was refused or postponed.
    RefusedRecipient(Box<RefusedRecipient>),
    /// A message was refused, at MAIL or at its end, or could not be stored.
    RefusedMessage(Box<RefusedMessage>),
    /// A message was refused for these of its recipients, in a reply of their own. What became of it
    /// for the others is told by another fact, if it was taken for any.
    RefusedFor(Box<RefusedMessage>),
    /// A message is on stable storage and its client was told.
    Accepted(AcceptedFact),
    /// A command was refused for its form or its order.
    Complaint(Complaint),
    /// The session is encrypted from here on.
    Encrypted(TlsFacts),
    /// A user signed in.
    SignedIn(SignedInFact),
    /// The client asked by this command for mail that waits for it, and may have it.
    AskedForMail(Verb, Requested),
    /// Somebody tried to sign in and did not succeed.
    SignInFailed(SignInFailed),
    /// The session is over. Always the last fact.
    Ended(Box<Summary>),
}

/// A recipient that was refused or postponed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecipient {
    /// The message it would have been for.
    pub id: QueueId,
    /// The sender, as MAIL named it.
    pub reverse_path: ReversePath,
    /// Who was asked for: an address as written, or `postmaster`.
    pub recipient: Box<str>,
    /// What was answered.
    pub reply: Reply,
    /// Which rule decided, and its line; none when a limit or the form of the address did.
    pub reason: Option<Reason>,
}

/// A message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMessage {
    /// Its queue id, if it was let in at MAIL.
    pub id: Option<QueueId>,
    /// The sender, as MAIL named it.
    pub reverse_path: ReversePath,
    /// What was answered.
    pub reply: Reply,
    /// Octets of content that had come by then.
    pub octets: u64,
    /// For whom it would have been, as far as they were let in.
    pub recipients: Vec<AcceptedRecipient>,
    /// The rule that refused it for what is in it.
    pub by: Option<RefusedBy>,
}

/// A rule that refused a message for what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBy {
    /// Where it was written.
    pub place: Place,
    /// What it is called and what it went by.
    pub why: Box<str>,
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedFact {
    /// Its queue id.
    pub id: QueueId,
    /// Everybody it is for, in the order in which they were named.
    pub recipients: Vec<AcceptedRecipient>,
    /// Octets, head included.
    pub size: u64,
}

/// A recipient of a message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRecipient {
    /// Who it is.
    pub recipient: Mailbox,
    /// On what grounds it was let in.
    pub grounds: Grounds,
    /// Which rule decided so, and its line.
    pub why: Reason,
}

impl AcceptedRecipient {
    pub(crate) fn new(named: &EnvelopeRecipient) -> Self {
        Self {
            recipient: named.admitted.recipient().clone(),
            grounds: named.admitted.grounds(),
            why: named.why.clone(),
        }
    }
}

/// A command that was refused for its form or its order. Its text is not kept: it may be a password
/// in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which command; none when the line could not be read as one.
    pub verb: Option<Verb>,
    /// What was answered.
    pub reply: Reply,
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInFact {
    /// The user's name.
    pub user: Arc<str>,
    /// By which mechanism.
    pub mechanism: Box<str>,
}

/// A sign-in that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInFailed {
    /// By which mechanism.
    pub mechanism: Box<str>,
    /// What was answered, to whom, and why.
    pub refusal: SignInRefusal,
}

/// What comes of a sign-in that does not succeed: what its client hears, and what it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRefusal {
    /// 535, or 454 when nobody can tell now.
    pub reply: Reply,
    /// The name that was tried, in its one spelling, when it got that far. Never a password or a
    /// token, but for those who type one in the place of a name.
    pub user: Option<Box<str>>,
    /// Why; empty where there is no more to say.
    pub why: Box<str>,
}

/// Of whom, and why, is not known.
impl From<Reply> for SignInRefusal {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            user: None,
            why: Box::default(),
        }
    }
}

/// A whole session in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the client called itself last.
    pub hello: Option<Box<str>>,
    /// How it ended.
    pub end: End,
    /// Commands that were read, refused ones among them.
    pub commands: u32,
    /// Messages that were let in at MAIL.
    pub messages: u32,
    /// Messages that are on stable storage.
    pub accepted: u32,
    /// Recipients that were let in, of whatever became of their messages.
    pub recipients: u32,
    /// Recipients refused or postponed.
    pub refused: u32,
    /// Commands and recipients refused for good.
    pub errors: u32,
    /// Commands behind which a client must wait for the reply (RFC 2920 section 3.1), but sent more
    /// without waiting.
    pub hasty: u32,
    /// Octets of content.
    pub octets: u64,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The client said QUIT.
    Quit,
    /// The client takes its mail on the connection, as the server on it.
    TurnedAround,
    /// The client went away.
    Disconnected,
    /// The client took too long.
    TimedOut,
    /// We are stopping.
    Shutdown,
    /// The client may not connect, or there are too many connections.
    TurnedAway,
    /// Too many refused commands and recipients, or too many commands that lead nowhere.
    TooManyErrors,
    /// The client reached what one session may send.
    Exhausted,
    /// A bare CR or LF, a NUL, or a line or message without end: the stream cannot be understood
    /// safely.
    Garbled,
    /// The client sent on where it has to wait: before the greeting, behind STARTTLS, or as a
    /// stranger behind EHLO or DATA.
    Hasty,
    /// The client speaks another protocol.
    Foreign,
}

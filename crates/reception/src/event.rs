use mail::{QueueId, Reply};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use message::TraceParent;
use relay_policy::{Envelope, Question, Requested, Rights};
use smtp::{Origin, Said};

use crate::{Named, SessionFact, SignInRefusal};

/// What a session wants of whoever drives it.
#[derive(Debug)]
pub enum Event {
    /// Find this out and call [`crate::Session::on_fact`]. Nothing is read meanwhile.
    Ask(Question),
    /// Write the output, then shake hands as a TLS server, and call
    /// [`crate::Session::on_encrypted`] (or `on_disconnected` when that fails). Nothing is read
    /// meanwhile, and no octet that was read before the handshake may be given to the session
    /// afterwards: whoever drives it drops what it kept (RFC 3207 section 4.2). The session drops
    /// what it has, and ends when it is offered any meanwhile.
    StartTls,
    /// The client may have this mail sent: do that, and call [`crate::Session::on_started`]. Nothing
    /// is read meanwhile.
    Start(Requested),
    /// The client may take this mail on this connection: see whether any waits, and call
    /// [`crate::Session::on_turned_around`]. Nothing is read meanwhile. Where some waits the session
    /// ends; once its output is written the connection belongs to whoever brings the mail, who is
    /// the client on it from there on.
    TurnAround(Requested),
    /// One step of a sign-in: find out and call [`crate::Session::on_sign_in`], except for
    /// [`SignIn::Cancelled`]. Nothing is read meanwhile.
    SignIn(SignIn),
    /// Wait so long, then call [`crate::Session::on_paused`]: a stranger waits for its refusal.
    /// Nothing is read meanwhile; what is in the output may be written. A client that leaves and a
    /// process that stops need not wait.
    Pause(Duration),
    /// A message is about to begin: see whether there is room, make a queue id, and call
    /// [`crate::Session::begin_message`]. Nothing is read meanwhile.
    Begin,
    /// The content is too large for memory: take it ([`crate::Session::take_content`]), append it
    /// to the message's body on disk, and call [`crate::Session::content_taken`]. Nothing is read
    /// meanwhile.
    Spill,
    /// The message is complete: store it and call [`crate::Session::on_stored`]. Nothing is read
    /// meanwhile.
    Message(Box<Accepted>),
    /// The message begun last is not coming after all; what was spilled of it can go. Only sent
    /// when something was spilled.
    Abandoned,
    /// Something to be logged.
    Log(SessionFact),
    /// Something that was said, in order; only where [`crate::Session::record`] was called.
    Said(Said),
}

/// What a client does about signing in (RFC 4954), its base64 taken off.
#[derive(Clone, PartialEq, Eq)]
pub enum SignIn {
    /// AUTH with a mechanism that we offer.
    Start {
        /// Its registered name, in upper case.
        mechanism: Box<str>,
        /// The initial response; present and empty for `=`.
        initial: Option<Vec<u8>>,
    },
    /// The answer to our challenge.
    Response(Vec<u8>),
    /// The client gave up (`*`), sent what is no base64, or ended: forget the exchange. Needs no
    /// answer.
    Cancelled,
}

/// Says what kind of step it is; passwords are in it, and never in a log.
impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start { .. } => "Start",
            Self::Response(_) => "Response",
            Self::Cancelled => "Cancelled",
        })
    }
}

/// The answer to [`Event::SignIn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIn {
    /// Ask further: 334.
    Challenge(Vec<u8>),
    /// The client is this user: 235.
    Yes {
        /// The user's name.
        user: Arc<str>,
        /// What it may do.
        rights: Arc<Rights>,
    },
    /// It is not. Counts as a failure when permanent.
    No(SignInRefusal),
}

/// The answer to [`Event::Begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Yes; the message's name.
    Open {
        /// Its name in the spool, in `Received` and in every log line.
        id: QueueId,
        /// How many recipients this client or user may still name for now; beyond: 452 4.7.1. None:
        /// as many as the limits allow.
        recipients: Option<u32>,
        /// How many of them may be senders to whom bounces of forwarded mail are turned back; beyond:
        /// 451 4.7.1. None: as many.
        bounces: Option<u32>,
    },
    /// This client or user sends too fast: this reply, 4yz.
    TooFast(Reply),
    /// The disk is too full: 452 4.3.1.
    LowSpace,
    /// The spool does not work: 451 4.3.0.
    Failed,
}

/// Why a message could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreTrouble {
    /// No room: 452 4.3.1.
    Full,
    /// Anything else, also when it is not known whether it was stored: 451 4.3.0.
    Failed,
}

impl StoreTrouble {
    /// What the client hears.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Full => Reply::new(452, 3, 1, "Insufficient system storage, try again later"),
            Self::Failed => Reply::new(451, 3, 0, "Message cannot be stored now, try again later"),
        }
    }
}

/// A whole message, waiting to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The queue id that it got when it was begun.
    pub id: QueueId,
    /// Sender and recipients, all of them admitted.
    pub envelope: Envelope,
    /// Whom the client named, where it takes a reply for each of them: it may be refused for some.
    pub named: Option<Named>,
    /// `Received`; `Date` and `Message-ID` where a permitted submitter left them out, and `From`
    /// where a listed client did; and what has to stand between them and content that does not
    /// begin with a field ([`message::HeaderScan::separator`]).
    pub head: Vec<u8>,
    /// The content as received, or what is left of it after what was spilled.
    pub content: Vec<u8>,
    /// Octets of the head and of all content, spilled or not.
    pub size: u64,
    /// What the client called itself.
    pub hello: Box<str>,
    /// The client is not known to be one that may relay: where that depends on its host name, nobody
    /// asked for it.
    pub from_stranger: bool,
    /// Who had signed in.
    pub user: Option<Arc<str>>,
    /// Where it came from before the filter that gives it back, as that says.
    pub origin: Option<Box<Origin>>,
    /// Its Message-ID, without brackets; empty when it has none.
    pub message_id: Box<str>,
    /// Its subject as written, or the start of it.
    pub subject: Box<str>,
    /// The trace that it belonged to before it came.
    pub trace_parent: Option<TraceParent>,
}

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use filter::Facts;
use mail::{Host, MailParameters, QueueId, RcptParameters, ReversePath, Timestamp};
use relay_policy::Admitted;

/// What never changes about a message once it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The queue id: its name in spool, log and Received.
    pub id: QueueId,
    /// When it was accepted; expiry and the notice of delay count from here.
    pub arrived: Timestamp,
    /// To whom notices about it go; none in `<>`.
    pub reverse_path: ReversePath,
    /// What MAIL said of it.
    pub parameters: MailParameters,
    /// The client's address as text, or `local` for our own notices.
    pub client: Box<str>,
    /// Who had signed in.
    pub user: Option<Box<str>>,
    /// Its client was not known to be one that may relay, so its sender may be forged.
    pub from_stranger: bool,
    /// Header fields that we put before the content as received: `Received`, and `Date` and
    /// `Message-ID` where they were left out. Each line ends in CRLF. Kept apart, so that a body on
    /// its way to disk need not be written again.
    pub head: Bytes,
    /// Octets of `head` and content together.
    pub size: u64,
}

impl Message {
    /// What a filter is asked about one of its recipients.
    pub(crate) fn facts<'a>(&'a self, recipient: &'a Recipient) -> Facts<'a> {
        Facts {
            id: self.id,
            from: self.reverse_path.as_str(),
            to: recipient.admitted.recipient().as_str(),
            held: recipient.state != RecipientState::Waiting,
            badmail: recipient.state == RecipientState::Held(HoldReason::Badmail),
            quarantined: recipient.state == RecipientState::Held(HoldReason::Screening),
            bouncing: recipient.state == RecipientState::Held(HoldReason::Bouncing),
            unscreened: recipient.state == RecipientState::Held(HoldReason::Unscreened),
            tries: recipient.tries,
            arrived: self.arrived,
            size: self.size,
            client: &self.client,
            user: self.user.as_deref(),
            last: recipient.last.as_deref(),
            tracked: None,
        }
    }
}

/// The content as received: header, blank line, body; lines end in CRLF, dots not stuffed.
#[derive(Debug, Clone)]
pub enum Content {
    /// Handed over in memory.
    Inline(Bytes),
    /// Written beside the rows, and synced, by a [`crate::BodyWriter`].
    Large(LargeBody),
}

/// A large body that is on stable storage, waiting for the row that makes it count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeBody {
    /// How many octets it has.
    pub size: u64,
    /// What the store calls it.
    pub name: Box<str>,
}

/// Content on its way out.
pub enum Body {
    /// The whole content, in memory.
    Memory(Bytes),
    /// To be read to its end.
    Stream(Box<dyn Read + Send>),
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// What never changes about the message.
    pub message: Arc<Message>,
    /// Its recipients, at least one.
    pub recipients: Vec<Recipient>,
    /// Its content as received.
    pub content: Content,
}

/// One recipient of a stored message, not yet settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its place in the envelope, from 0; with the queue id, its name.
    pub number: u32,
    /// Who, and on what grounds.
    pub admitted: Admitted,
    /// The site under whose name it waits in the spool, where that is not its host: its sender has
    /// a route of its own, or an operator led it there ([`Recipient::rerouted`]). Mail for such a site is found by itself, whatever else waits for the
    /// host.
    pub filed: Option<Arc<str>>,
    /// What RCPT said of it.
    pub parameters: RcptParameters,
    /// Whether it waits or is held.
    pub state: RecipientState,
    /// When it is to be tried next.
    pub due: Timestamp,
    /// How often it was tried so far.
    pub tries: u32,
    /// The sender was told that it is late.
    pub delay_told: bool,
    /// What the last attempt ended with, as one printable line.
    pub last: Option<Box<str>>,
}

impl Recipient {
    /// One that has not been tried yet, and of whom RCPT said nothing but the address.
    pub fn waiting(number: u32, admitted: Admitted, due: Timestamp) -> Self {
        Self {
            number,
            admitted,
            filed: None,
            parameters: RcptParameters::default(),
            state: RecipientState::Waiting,
            due,
            tries: 0,
            delay_told: false,
            last: None,
        }
    }
}

impl Recipient {
    /// The name under which it waits in the spool.
    pub fn filed_under(&self) -> Cow<'_, str> {
        match &self.filed {
            Some(site) => Cow::Borrowed(site),
            None => host_name(self.admitted.recipient().host()),
        }
    }

    /// The site to which an operator led it, whatever its sender and its domain say.
    pub fn rerouted(&self) -> Option<&str> {
        self.filed.as_deref().and_then(rerouted)
    }

    /// The same with its number, as [`crate::LateVerdict::led`] names it.
    pub fn led(&self) -> Option<(u32, Box<str>)> {
        self.rerouted().map(|site| (self.number, site.into()))
    }

    /// It waits under this name from now on: its host, or the name of a site.
    pub fn file_under(&mut self, name: &str) {
        let by_host = *host_name(self.admitted.recipient().host()) == *name;
        self.filed = (!by_host).then(|| name.into());
    }
}

/// Before the name of a site, what is led there by an operator waits under both: no host and no site
/// is called so.
const REROUTED: &str = "rerouted:";

/// The site to which an operator led what is filed under this name, if that is so.
pub fn rerouted(filed_under: &str) -> Option<&str> {
    filed_under.strip_prefix(REROUTED)
}

/// The name under which is filed what an operator leads to a site.
//
// This makes no open relay: who is filed so was admitted for this relay to carry, and an operator
// says by which of the configuration's own routes it does.
pub(crate) fn rerouted_name(site: &str) -> Box<str> {
    format!("{REROUTED}{site}").into()
}

/// The name of a host as it is printed.
pub(crate) fn host_name(host: &Host) -> Cow<'_, str> {
    match host {
        Host::Domain(domain) => Cow::Borrowed(domain.as_str()),
        Host::Literal(_) => Cow::Owned(host.to_string()),
    }
}

/// Whether a recipient is tried when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// It is tried when it is due.
    Waiting,
    /// Kept until somebody releases or deletes it.
    Held(HoldReason),
}

/// Why a recipient is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldReason {
    /// An operator said so.
    Operator,
    /// A notice of our own that could not be delivered: it is never answered by another (RFC 5321
    /// section 6.1).
    Badmail,
    /// An operator gave it up: `last` says why, and its bounce is on its way.
    Bouncing,
    /// A rule of screening said so; `last` says which, and what it went by.
    Screening,
    /// It was taken, and screening has yet to say what becomes of it: it is looked at when it is due.
    Unscreened,
}

/// What an attempt changes for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Delivered, or given up with its notice (if any) in the same transaction: nothing owed.
    Done,
    /// To be tried again; one that was held meanwhile stays held.
    Again {
        /// When it is to be tried next.
        due: Timestamp,
        /// Attempts so far, this one included.
        tries: u32,
        /// What it ended with.
        last: Box<str>,
        /// The sender has been told that it is late.
        delay_told: bool,
    },
    /// It is kept and not tried.
    Held {
        /// Why it is held.
        reason: HoldReason,
        /// What it ended with.
        last: Box<str>,
    },
}

/// A message with those of its recipients that are waiting and due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What never changes about the message.
    pub message: Arc<Message>,
    /// Some or all of its unsettled recipients.
    pub recipients: Vec<Recipient>,
    /// Its content (without the head), when that came along.
    pub content: Option<Bytes>,
}

/// A message that was taken and has yet to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscreened {
    /// The message, with those of its recipients that are held for it.
    pub waiting: Waiting,
    /// What was stored with it ([`crate::Change::StoreUnscreened`]); empty where that cannot be read.
    pub facts: Bytes,
}

/// Under which name a recipient is to wait from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The message whose recipient it is.
    pub id: QueueId,
    /// The number of the recipient.
    pub number: u32,
    /// Its host, or the name of a site.
    pub name: Arc<str>,
}

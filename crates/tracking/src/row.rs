use std::sync::Arc;
use std::time::Duration;

use filter::{Facts, TrackedFacts};
use mail::{QueueId, Timestamp, TrackedResult};

/// One thing that happened to one recipient; or to a message, a sign-in or a connection that never
/// came to name one. What is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When, by the system's clock.
    pub at: Timestamp,
    /// What.
    pub result: TrackedResult,
    /// At what it happened.
    pub stage: Stage,
    /// The message.
    pub id: Option<QueueId>,
    /// The recipient's number within it.
    pub number: Option<u32>,
    /// The session's number in the log.
    pub session: Option<u64>,
    /// The listener that it came through.
    pub listener: Arc<str>,
    /// Who handed it in: an address, `local`, `uid:33`.
    pub client: Box<str>,
    /// The client's host name, where it was asked for and leads back to its address.
    pub client_name: Box<str>,
    /// What the client called itself.
    pub hello: Box<str>,
    /// Version, cipher, key exchange group and kind of handshake of the connection, parted by blanks;
    /// of the client's or, when it was tried, of that to the next hop.
    pub tls: Box<str>,
    /// Who had signed in; of a refused sign-in the name that was tried.
    pub user: Box<str>,
    /// MAIL FROM without brackets, empty for `<>`; none where there was no MAIL.
    pub sender: Option<Box<str>>,
    /// The recipient's address.
    pub recipient: Box<str>,
    /// Octets of the message.
    pub size: u64,
    /// Its Message-ID, without brackets.
    pub message_id: Box<str>,
    /// Its subject as people read it, where it is kept.
    pub subject: Box<str>,
    /// The site where it was to go.
    pub route: Box<str>,
    /// The server that was asked, as `mx1.example.com [192.0.2.1]:25`.
    pub host: Box<str>,
    /// What was answered, by us or by that server.
    pub reply: Box<str>,
    /// The line of the configuration that decided.
    pub place: Box<str>,
    /// More words about it: why, by whom, to where.
    pub note: Box<str>,
    /// How long the message had been with us.
    pub queued: Option<Duration>,
    /// How long the attempt took.
    pub took: Option<Duration>,
    /// How long the server took to answer the final dot.
    pub replied: Option<Duration>,
    /// Which attempt it was.
    pub tries: u32,
    /// The other message that it has to do with: of a notice, what it is about; of what a notice is
    /// about, the notice.
    pub other: Option<QueueId>,
    /// The row was lost in a crash, and made again from what the spool knew.
    pub recovered: bool,
}

/// At what something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A client connected.
    Connect,
    /// It tried to sign in.
    SignIn,
    /// It named a sender.
    Mail,
    /// It named a recipient.
    Rcpt,
    /// The message came whole, or was to come.
    Data,
    /// It was brought to its next hop.
    Delivery,
    /// It waited.
    Queue,
    /// An operator did something about it.
    Operator,
}

impl Stage {
    const ALL: [(Self, &str); 8] = [
        (Self::Connect, "connect"),
        (Self::SignIn, "sign-in"),
        (Self::Mail, "mail"),
        (Self::Rcpt, "rcpt"),
        (Self::Data, "data"),
        (Self::Delivery, "delivery"),
        (Self::Queue, "queue"),
        (Self::Operator, "operator"),
    ];

    /// How many there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).map(|(stage, _)| *stage)
    }
}

impl Row {
    /// A row of which no more is known than this.
    pub fn new(at: Timestamp, result: TrackedResult, stage: Stage) -> Self {
        Self {
            at,
            result,
            stage,
            id: None,
            number: None,
            session: None,
            listener: Arc::default(),
            client: Box::default(),
            client_name: Box::default(),
            hello: Box::default(),
            tls: Box::default(),
            user: Box::default(),
            sender: None,
            recipient: Box::default(),
            size: 0,
            message_id: Box::default(),
            subject: Box::default(),
            route: Box::default(),
            host: Box::default(),
            reply: Box::default(),
            place: Box::default(),
            note: Box::default(),
            queued: None,
            took: None,
            replied: None,
            tries: 0,
            other: None,
            recovered: false,
        }
    }

    /// What a filter is asked about it.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            id: self.id.unwrap_or(QueueId::from_bytes([0; 16])),
            from: self.sender.as_deref().unwrap_or(NO_SENDER),
            to: &self.recipient,
            held: false,
            badmail: false,
            quarantined: false,
            bouncing: false,
            unscreened: false,
            tries: self.tries,
            arrived: self.at,
            size: self.size,
            client: &self.client,
            user: Some(&*self.user).filter(|user| !user.is_empty()),
            last: Some(&*self.reply).filter(|reply| !reply.is_empty()),
            tracked: Some(TrackedFacts {
                result: self.result,
                listener: &self.listener,
                hello: &self.hello,
                route: &self.route,
                host: &self.host,
                reply: &self.reply,
                message_id: &self.message_id,
                subject: &self.subject,
            }),
        }
    }
}

/// In place of the sender of what never had one: no address, so that only `from:*` asks for it, and
/// not `from:<>`, which is somebody.
pub(crate) const NO_SENDER: &str = "\0";

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::{
    Body, Bulk, Content, Filed, HoldReason, Message, NewMessage, Operation, Part, Pause, Recipient,
    RecipientState, Settled, Unscreened, Waiting,
};

/// The spool: synchronous, blocking, shared between threads. The local store and the in-memory
/// model pass one conformance suite.
///
/// Every method may be called from any thread. `commit` is called by one writer at a time; it
/// groups what all sessions have ready.
pub trait Spool: Send + Sync {
    /// Opens a place for a body that is too large for memory. Dropped without
    /// [`BodyWriter::finish`], it leaves nothing behind. Fails with [`SpoolError::Full`] when there
    /// is no room for it, as its writer does when it grows: bodies on their way leave the floor
    /// free.
    fn open_body(&self, id: QueueId) -> Result<Box<dyn BodyWriter>, SpoolError>;

    /// The body that was finished under this name is in no commit, and will be in none.
    fn abandon(&self, id: QueueId);

    /// Applies all `changes` in one transaction, syncs once, and answers for each in order. Neither
    /// [`Commit::Rejected`] nor [`Commit::Unknown`] may be taken for success. One change
    /// that cannot be applied is rejected alone; a write or sync error rejects (or leaves unknown)
    /// all of them and turns [`Spool::health`] to `Failed`. While it is `Failed`, all are rejected;
    /// while it is `LowSpace`, all new mail is, with [`SpoolError::Full`], as is what would
    /// take the store there. A `Store`, `StoreAll` or `Replace` whose first answer is `Rejected` takes its large
    /// bodies with it: the messages are not to be given again.
    fn commit(&self, changes: Vec<Change>) -> Vec<Commit>;

    /// Recipients that are filed under `host` ([`Recipient::filed_under`](crate::Recipient)), wait
    /// and are due, the earliest first, as far as they are `wanted`; each message comes with *all*
    /// its recipients that wait and are due, whatever their host, in order of number. Those
    /// whom a pending operation is to hold, delete or bounce are left out, as if it were through.
    fn due(&self, host: &str, wanted: &Wanted) -> Result<DuePage, SpoolError>;

    /// Every name under which somebody waits, with the earliest due time.
    fn domains(&self) -> Result<Vec<(String, Timestamp)>, SpoolError>;

    /// The content of a message (without its head). `None` when the message is gone.
    fn body(&self, id: QueueId) -> Result<Option<Body>, SpoolError>;

    /// The content of a message that is in a file of its own, found to be whole, to be read from any
    /// place on; `None` where it is elsewhere ([`Spool::body`] has it then), or the message gone.
    fn shared_body(&self, id: QueueId) -> Result<Option<Arc<dyn SharedBody>>, SpoolError>;

    /// Messages that have to be looked at ([`HoldReason::Unscreened`]) and are due `before` or at that
    /// moment, at most `limit`, the earliest first, none with a recipient that a pending operation
    /// withholds; and when the next one is due behind it.
    fn unscreened(&self, before: Timestamp, limit: usize) -> Result<UnscreenedPage, SpoolError>;

    /// Messages with a matching recipient, ordered by id, each with its matching recipients only. A
    /// page may be short when messages are settled while it is gathered; only an empty one is the
    /// last.
    fn find(&self, filter: &Filter, page: Page) -> Result<Vec<Waiting>, SpoolError> {
        Ok(self.find_within(filter, page, usize::MAX)?.messages)
    }

    /// The same, after at most about `looks` recipients that were looked at.
    fn find_within(&self, filter: &Filter, page: Page, looks: usize) -> Result<Found, SpoolError>;

    /// Messages with a recipient whose bounce is to be written, as [`Spool::find`] gives them. Those
    /// whom a pending operation is to delete are left out, as if it were through.
    fn bouncing(&self, page: Page) -> Result<Vec<Waiting>, SpoolError>;

    /// How many recipients match, by state.
    fn count(&self, filter: &Filter) -> Result<Counts, SpoolError> {
        self.count_within(filter, usize::MAX)
    }

    /// The same, after at most `looks` recipients that were looked at, the oldest ones
    /// ([`Counts::is_cut`]). Everything is counted at once, however much that is.
    fn count_within(&self, filter: &Filter, looks: usize) -> Result<Counts, SpoolError>;

    /// What operators have paused, also what is over by now, in the order of the sites' names, the
    /// whole queue first.
    fn pauses(&self) -> Result<Vec<Pause>, SpoolError>;

    /// The operations that are pending and the last ones that ended, the oldest first.
    fn operations(&self) -> Result<Vec<Operation>, SpoolError>;

    /// Whether new mail can be taken. Cheap: asked at every MAIL.
    fn health(&self) -> Health;

    /// Tries to come back to health: measures free space; after an error closes, makes durable anew
    /// what can be read, reopens, checks, and syncs a probe. Answers the health afterwards. Called
    /// now and then, whatever the health is.
    fn heal(&self) -> Health;
}

/// Takes a large body, piece by piece.
pub trait BodyWriter: Send {
    /// Appends a piece.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError>;
    /// Reads what was written, from an octet on, into `to` and tells how many octets it were; none
    /// behind the last.
    fn read_at(&mut self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError>;
    /// A reader of what was written so far, for several at one time; it outlives this.
    fn share(&mut self) -> Result<Arc<dyn SharedBody>, SpoolError>;
    /// Gives up its name, so that another body may be opened under it. What was written can be read
    /// until this is dropped, and not be finished any more.
    fn give_up_name(&mut self);
    /// Syncs the data; after this the body survives a power cut once a commit names it.
    fn finish(self: Box<Self>) -> Result<Content, SpoolError>;
}

/// A body that several read at one time.
pub trait SharedBody: Send + Sync {
    /// Reads from an octet on into `to` and tells how many octets it were; none behind the last.
    fn read_at(&self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError>;
}

/// One thing to be made durable.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new message: the 250 waits for this.
    Store(NewMessage),
    /// New messages that came as one: all of them are stored, or none is. The receipt is that of the
    /// first.
    StoreAll(Vec<NewMessage>),
    /// A new message that has yet to be looked at, for which its recipients are held: the 250 waits for
    /// this. With it what has to be known for that; it is kept for as long as one of them is held so.
    StoreUnscreened(NewMessage, Bytes),
    /// What became of a message that was looked at.
    Screened(LateVerdict),
    /// What attempts did, together with the notices that follow from it. Recipients already gone,
    /// or already as they are to be, are passed over. When that is all that are named, the notices
    /// are left out too: a settlement whose first answer was [`Commit::Unknown`] can be given again
    /// and bounces once.
    Settle(Settlement),
    /// An operator's verb for all recipients that match a filter: it counts from now on. What was
    /// said before it is done before it. Rejected when too many are pending.
    Begin(Bulk),
    /// The next part of the oldest operation that is pending, which ends now if nothing is left.
    Advance {
        /// Now.
        now: Timestamp,
    },
    /// A pending operation ends where it stands.
    Stop {
        /// The number of the operation.
        number: u64,
        /// Now.
        now: Timestamp,
    },
    /// Those recipients of a message that are held for this reason are forgotten, and with the last
    /// recipient the message.
    DropHeld(QueueId, HoldReason),
    /// A new message takes the place of one that is held, for some of its recipients or all.
    Replace(Replacement),
    /// Some wait under other names than before. Recipients that are gone, or were rerouted, are
    /// passed over.
    File(Vec<Filed>),
    /// A pause, in place of the one that its site has, if any.
    Pause(Pause),
    /// The pause of this site is over, or with `None` that of the whole queue.
    Resume(Option<Box<str>>),
}

impl Change {
    /// The messages that are to be stored by it: new mail, or notices.
    pub fn messages(&self) -> &[NewMessage] {
        match self {
            Self::Store(new) | Self::StoreUnscreened(new, _) => std::slice::from_ref(new),
            Self::StoreAll(all) => all,
            Self::Replace(replacement) => std::slice::from_ref(&replacement.by),
            Self::Screened(verdict) => &verdict.others,
            Self::Settle(settlement) => &settlement.notices,
            Self::Begin(_)
            | Self::Advance { .. }
            | Self::Stop { .. }
            | Self::DropHeld(..)
            | Self::File(_)
            | Self::Pause(_)
            | Self::Resume(_) => &[],
        }
    }

    /// Whether its messages are given once: whoever gives them forgets them when they are rejected.
    pub(crate) fn is_new_mail(&self) -> bool {
        match self {
            Self::Store(_) | Self::StoreUnscreened(..) | Self::StoreAll(_) | Self::Replace(_) => {
                true
            }
            Self::Screened(verdict) => !verdict.others.is_empty(),
            Self::Settle(_)
            | Self::Begin(_)
            | Self::Advance { .. }
            | Self::Stop { .. }
            | Self::DropHeld(..)
            | Self::File(_)
            | Self::Pause(_)
            | Self::Resume(_) => false,
        }
    }
}

/// A message in the place of one that is held: one transaction, so that each recipient has exactly
/// one of the two. Rejected where one of the recipients is not held any longer for this reason.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The message that is held.
    pub id: QueueId,
    /// Why it is held.
    pub reason: HoldReason,
    /// The one that takes its place, for the recipients that have these numbers in it.
    pub by: NewMessage,
}

/// What became of a message that was taken before it was looked at: one transaction, so that each
/// recipient is either held still or as it is to be. Rejected where not exactly these recipients are
/// held for it any longer, an operator led one elsewhere meanwhile, or a pending operation
/// has yet to come to one and withholds it: it is looked at anew, if it is there then.
#[derive(Debug, Clone)]
pub struct LateVerdict {
    /// The message.
    pub id: QueueId,
    /// The numbers of all its recipients that were looked at for, in order: these are forgotten.
    pub numbers: Vec<u32>,
    /// Those of them whom an operator had led elsewhere by then, and to which site.
    pub led: Vec<(u32, Box<str>)>,
    /// What there is of it in their place, with the content that it has; `None`: it is gone, unless
    /// others than these keep it.
    pub kept: Option<KeptMessage>,
    /// Further messages that were made of it.
    pub others: Vec<NewMessage>,
}

/// A message that keeps its content.
#[derive(Debug, Clone)]
pub struct KeptMessage {
    /// The same message: its sender, its head and its size may be others than before.
    pub message: Arc<Message>,
    /// Its recipients, at least one, none with the number of one that keeps its place.
    pub recipients: Vec<Recipient>,
}

/// Outcomes of one message, and the notices that they cause: one transaction, so that no crash can
/// lose a bounce.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The message whose recipients they are.
    pub id: QueueId,
    /// What changes, by recipient number.
    pub recipients: Vec<(u32, Settled)>,
    /// Our own notices to the sender.
    pub notices: Vec<NewMessage>,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// The new message is on stable storage.
    Stored(Receipt),
    /// The change is on stable storage.
    Applied {
        /// How many recipients the change touched, or pauses, or operations.
        recipients: u64,
    },
    /// The operation is on stable storage, under this number.
    Begun(u64),
    /// A part of an operation is on stable storage; `None`: none is pending.
    Advanced(Option<Box<Part>>),
    /// It certainly has not been applied.
    Rejected(SpoolError),
    /// It may or may not be on stable storage: never a 250.
    Unknown(SpoolError),
}

/// Proof that a message is on stable storage. The 250 after DATA needs one, and only a spool makes
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    id: QueueId,
}

impl Receipt {
    /// For the stores of this crate alone.
    pub(crate) fn new(id: QueueId) -> Self {
        Self { id }
    }

    /// The message that is on stable storage.
    pub fn id(&self) -> QueueId {
        self.id
    }
}

/// What is asked for of the mail at a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Due at this moment or earlier.
    pub before: Timestamp,
    /// At most so many messages.
    pub limit: usize,
    /// Recipients that whoever asks has in hand: as far as they are at this host, it is as if they
    /// were not there.
    pub except: BTreeSet<(QueueId, u32)>,
    /// Who comes behind this place only, if one is given.
    pub behind: Option<DuePlace>,
    /// So many octets of content may come along. Messages have it in their order, if it is such as is
    /// read into memory ([`crate::Body::Memory`]) and can be read, until one does not fit any more.
    pub content: usize,
}

impl Wanted {
    /// Whatever is due at `before` or earlier, without content, at most `limit` messages.
    pub fn due(before: Timestamp, limit: usize) -> Self {
        Self {
            before,
            limit,
            ..Self::default()
        }
    }
}

/// A page of due messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuePage {
    /// The messages, the earliest due first.
    pub messages: Vec<Waiting>,
    /// The due time of the first recipient at this host that is neither in the page nor excepted;
    /// `None` when there is none.
    pub next: Option<Timestamp>,
    /// How far was read, if anything was: who is due and comes behind [`Wanted::behind`], as far as
    /// this place, is in the page or excepted, or a pending operation withholds it.
    pub read_to: Option<DuePlace>,
}

/// Messages that have yet to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnscreenedPage {
    /// Those that are due, the earliest first.
    pub messages: Vec<Unscreened>,
    /// When the first one is due that is later than what was asked for.
    pub next: Option<Timestamp>,
}

/// The place of a recipient among those at its host, in the order in which they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuePlace {
    /// When it is due.
    pub due: Timestamp,
    /// Its message.
    pub id: QueueId,
    /// Its number in the message.
    pub number: u32,
}

/// Which part of a long answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Messages after this one; from the first when `None`.
    pub after: Option<QueueId>,
    /// At most so many messages.
    pub limit: usize,
}

/// What was found, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Messages, as [`Spool::find`] gives them.
    pub messages: Vec<Waiting>,
    /// Nothing behind this message was looked at ([`Page::after`]); `None` when there is nothing more.
    pub next: Option<QueueId>,
}

/// How many recipients are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages with a matching recipient.
    pub messages: u64,
    /// Recipients that wait for their time.
    pub waiting: u64,
    /// Recipients that are held.
    pub held: u64,
    /// Those of them that are badmail.
    pub badmail: u64,
    /// Those of them that screening holds.
    pub quarantined: u64,
    /// Those of them whose message screening has yet to look at.
    pub unscreened: u64,
    /// When the oldest message with a recipient that waits came, by its id.
    pub oldest: Option<Timestamp>,
    /// Recipients set aside because their record cannot be read any more; counted only when the
    /// filter is empty or names the message.
    pub corrupt: u64,
    /// Not all were looked at: there may be more.
    pub is_cut: bool,
}

impl Counts {
    /// Counts a recipient of a message that is no older than the one before.
    pub(crate) fn add(&mut self, id: QueueId, state: RecipientState) {
        self.put(state, 1);
        if state == RecipientState::Waiting {
            self.oldest.get_or_insert(id.made());
        }
    }

    /// Counts so many in a state.
    pub(crate) fn put(&mut self, state: RecipientState, count: u64) {
        match state {
            RecipientState::Waiting => self.waiting += count,
            RecipientState::Held(why) => {
                self.held += count;
                match why {
                    HoldReason::Badmail => self.badmail += count,
                    HoldReason::Screening => self.quarantined += count,
                    HoldReason::Unscreened => self.unscreened += count,
                    HoldReason::Operator | HoldReason::Bouncing => (),
                }
            }
        }
    }
}

/// Whether new mail can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// New mail is taken.
    Accepting,
    /// Free space is under the floor: 452 4.3.1 until there is room.
    LowSpace {
        /// Octets free, and promised to nobody.
        free: u64,
        /// Octets that new mail leaves free.
        floor: u64,
    },
    /// A write or a sync failed: 451 4.3.0 until the store is healed.
    Failed(SpoolError),
}

/// Why the spool could not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolError {
    /// The disk said no; what it said.
    Io(Box<str>),
    /// There is no room on the disk.
    Full,
    /// Something in the store cannot be read as what it should be; what, and where.
    Corrupt(Box<str>),
    /// The change contradicts what is stored (an id used twice, no recipients).
    Invalid(Box<str>),
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "disk error: {why}"),
            Self::Full => f.write_str("the disk is full"),
            Self::Corrupt(what) => write!(f, "unreadable in the spool: {what}"),
            Self::Invalid(why) => write!(f, "change refused by the spool: {why}"),
        }
    }
}

impl std::error::Error for SpoolError {}

/// Why a body is not finished that has given up its name.
pub(crate) fn nameless() -> SpoolError {
    SpoolError::Invalid("the body has given up its name".into())
}

use std::sync::Arc;

use engine::{Agent, Incoming, Late, LateOutcome, Order, Pending, dispatch};
use mail::QueueId;
use queue::AgentId;
use screening::Finding;
use spool::{Commit, Unscreened};

use super::SocketId;

/// What can happen.
pub(crate) enum Event {
    /// Octets, or the end of them, reach one end of a connection.
    Arrival(SocketId),
    /// A client connects.
    ClientConnects(usize),
    /// A client has waited long enough for what comes after this step of a connection.
    ClientTimeout(usize, SocketId, u32),
    /// A server finds that an agent has connected.
    Accept(SocketId),
    /// A file is there, whole, in the pickup directory: that with the message of this number.
    FileAppears(usize),
    /// A server of the domain on demand connects, to sign in and fetch its mail (ATRN).
    Fetch,
    /// It has waited long enough for what comes after this step of a connection.
    FetcherTimeout(SocketId, u32),
    /// The relay is started again after a crash.
    Restart,
    /// The administrator changes the configuration.
    Reload,
    /// The administrator says the wish of this number.
    Operator(usize),
    /// The relay dies in the middle of an operation.
    Crash,
    /// The disk is nearly full, or has room again.
    Space { low: bool },
    /// From now on nothing fails any more.
    FaultsEnd,
    /// Something within the relay; void when it dies before.
    Relay(RelayEvent),
}

/// What can happen within the relay.
pub(crate) enum RelayEvent {
    /// The queue manager's task has its turn.
    Turn,
    /// Something reaches the queue manager.
    Dispatch(dispatch::Event),
    /// An agent hears an order.
    Order(AgentId, Order),
    /// The disk writes what it has.
    Write,
    /// The next part of the administrator's operations is due.
    Advance,
    /// The disk tells what became of it.
    Written(Vec<(Asker, Commit)>),
    /// The spool's health is looked after.
    Heal,
    /// A file of the pickup directory has its turn, if it is there.
    PickUp(usize),
    /// What was removed there is so on stable storage.
    FolderSynced,
    /// A session has its answer.
    Session(SocketId, Hearing<Incoming>),
    /// A scanner has answered a session about this message.
    Scanned(SocketId, QueueId, Arc<str>, Finding),
    /// There may be messages that have yet to be looked at.
    LookLate,
    /// A scanner has answered about a message that was taken before.
    LateScanned(QueueId, Arc<str>, Finding),
    /// An operator ends the session, while scanners look at this message.
    Killed(SocketId, QueueId),
    /// A session has had its time, if it did not set another one since.
    SessionTimer(SocketId),
    /// An agent has what it waited for, if this is the number of its wait.
    Agent(AgentId, u64, Hearing<Agent>),
    /// An agent may have had its time.
    AgentTimer(AgentId),
}

/// How somebody hears an answer.
pub(crate) type Hearing<T> = Box<dyn FnOnce(&mut T)>;

impl From<RelayEvent> for Event {
    fn from(event: RelayEvent) -> Self {
        Self::Relay(event)
    }
}

/// Who wants to know what became of a change.
pub(crate) enum Asker {
    /// A session: its message.
    Session(SocketId, Box<Pending>),
    /// The administrator, who tries again until it is stored.
    Operator(usize),
    /// Who carries out what the administrator wants.
    Operations,
    /// Who looks at messages after their 250: before it does so.
    LateBegins(Box<Unscreened>),
    /// And after it.
    LateEnds(Box<(Late, LateOutcome)>),
    /// The queue manager: what it decided, by number.
    Dispatch(u64),
    /// The queue manager: under which names mail waits.
    Filing,
}

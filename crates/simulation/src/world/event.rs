use engine::dispatch::{self, Action};
use engine::{Incoming, Pending};
use queue::AgentId;
use spool::{Commit, Verb};

use super::{End, LinkId};

/// What can happen.
pub(crate) enum Event {
    /// Octets, or the end of them, reach one end of a connection.
    Arrival { link: LinkId, to: End },
    /// A client connects.
    ClientConnects(usize),
    /// A client has waited long enough for what comes after this step of a connection.
    ClientTimeout {
        client: usize,
        link: LinkId,
        step: u32,
    },
    /// The relay is started again after a crash.
    Restart,
    /// The administrator changes the configuration.
    Reload,
    /// The administrator wants something of all mail for a host.
    Operator { host: &'static str, verb: Verb },
    /// The disk is nearly full, or has room again.
    Space { low: bool },
    /// From now on nothing fails any more.
    FaultsEnd,
    /// Something within the relay; void when that life of it is over.
    Relay { life: u64, event: RelayEvent },
}

/// What can happen within the relay.
pub(crate) enum RelayEvent {
    /// The queue manager's task has its turn.
    Turn,
    /// Something reaches the queue manager.
    Dispatch(dispatch::Event),
    /// What the queue manager wanted is done.
    Action(Action),
    /// The disk writes what it has.
    Write,
    /// The disk tells what became of it.
    Written(Vec<(Asker, Commit)>),
    /// The spool's health is looked after.
    Heal,
    /// A session has its answer.
    Answer {
        session: u64,
        answer: Box<dyn FnOnce(&mut Incoming)>,
    },
    /// A session has had its time, if this timer is the last that it set.
    SessionTimer { session: u64, timer: u64 },
    /// An agent's wait of this number is over; or the time that it has may be.
    Agent { agent: AgentId, wait: Option<u64> },
}

/// Who wants to know what became of a change.
pub(crate) enum Asker {
    /// A session: its message.
    Session { session: u64, pending: Box<Pending> },
    /// The administrator, who tries again until it is done.
    Operator { host: &'static str, verb: Verb },
    /// The queue manager: what it decided.
    Settlement { number: u64 },
}

use std::sync::Arc;

use engine::{BodyWritten, Pending};
use mail::Timestamp;
use queue::AgentId;
use reception::StoreTrouble;
use spool::{Commit, Receipt, SpoolError, Verb};

use crate::link::{End, LinkId};

/// Who wants to know what became of a change.
pub(crate) enum Answer {
    /// A session: its message.
    Message { session: u64, pending: Box<Pending> },
    /// The administrator, who tries again until it is done.
    Operator { host: &'static str, verb: Verb },
    /// The queue manager: what it decided.
    Settlement { number: u64 },
}

/// What can happen.
pub(crate) enum Event {
    /// Octets, or the end of them, reach one end of a connection.
    Arrive { link: LinkId, to: End },
    /// A client connects.
    ClientComes(usize),
    /// A client has waited long enough on this connection.
    ClientTires {
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
    /// From now on the world is kind.
    Fine,
    /// Something within the relay; void when that life of it is over.
    Relay { life: u64, event: Inner },
}

/// What a session may wait for.
pub(crate) enum Answered {
    Fact(relay_policy::Answer),
    Written(Result<BodyWritten, SpoolError>),
    Stored(Result<Receipt, StoreTrouble>),
}

/// What can happen within the relay.
pub(crate) enum Inner {
    /// The queue manager's task has its turn.
    Dispatch,
    /// A page of due messages is read.
    ReadDue {
        host: Arc<str>,
        before: Timestamp,
        limit: usize,
    },
    /// Something reaches the queue manager.
    Tell(engine::dispatch::Event),
    /// Something reaches an agent.
    Order {
        agent: AgentId,
        order: engine::Order,
    },
    /// Notices are composed.
    Compose {
        number: u64,
        composition: engine::Composition,
    },
    /// The disk writes what it has.
    Write,
    /// The disk tells what became of it.
    Written(Vec<(Answer, Commit)>),
    /// The spool's health is looked after.
    Heal,
    SessionTimer {
        session: u64,
        stamp: u64,
    },
    /// A session has its answer.
    Answered {
        session: u64,
        answer: Answered,
    },
    /// An agent's wait of this stamp is over; or the time that it has may be.
    Agent {
        agent: AgentId,
        stamp: Option<u64>,
    },
}

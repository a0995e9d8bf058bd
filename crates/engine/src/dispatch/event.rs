use std::sync::Arc;

use mail::QueueId;
use queue::{AgentId, Decided, Occurrence};
use spool::{Commit, Filed, NewMessage, Page, Settlement, SpoolError, Wanted};

#[cfg(doc)]
use super::Dispatch;
use crate::settle::Composition;
use crate::{Agent, Order, Setup};

/// What happened that [`Dispatch`] has to hear of.
pub enum Event {
    /// For the queue manager as it is.
    Queue(queue::Event),
    /// An agent has left. All that it told comes before.
    AgentLeft {
        /// The agent that has left.
        agent: AgentId,
        /// It said so itself; otherwise it broke down.
        in_order: bool,
    },
    /// The answer to [`Action::Compose`].
    Composed {
        /// As in the action.
        number: u64,
        /// What [`Composition::compose`] gave; `None` if it broke down.
        result: Option<Result<Settlement, SpoolError>>,
    },
    /// The answer to [`Action::Commit`].
    Committed {
        /// As in the action.
        number: u64,
        /// The spool's answer.
        commit: Commit,
    },
    /// The configuration was reloaded.
    Reloaded(Arc<Setup>),
    /// The relay stops.
    Stop(Stop),
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    Running,
    /// No new sessions and attempts; those under way finish.
    Draining,
    /// Whoever is still there is cut off. What is known by then is still written down, and with its
    /// notices, so that it does not go out again.
    Now,
}

/// What is to be done.
pub enum Action {
    /// Ask `Spool::due(host, wanted)` and answer with [`queue::Event::Loaded`].
    Load {
        /// Host, as the spool indexes it.
        host: Arc<str>,
        /// What of it.
        wanted: Wanted,
    },
    /// Ask `Spool::find` for this page of what is `state:bouncing`, and answer with
    /// [`queue::Event::BouncingLoaded`].
    LoadBouncing(Page),
    /// Ask `Spool::find` for this page of all there is, and answer with
    /// [`queue::Event::FiledLoaded`].
    LoadFiled(Page),
    /// Hand this to the spool as one change that nobody waits for, and answer with
    /// [`queue::Event::Filed`].
    File(Vec<Filed>),
    /// Run this agent until it leaves; then [`Event::AgentLeft`].
    Start(Box<Agent>),
    /// Let an agent hear this ([`Agent::on_order`]), unless it has left.
    Tell {
        /// The agent that is to hear the order.
        agent: AgentId,
        /// What it is told to do.
        order: Order,
    },
    /// End all agents where they are, and tell of each that it has left.
    EndAgents,
    /// Call [`Composition::compose`], where it may block, and answer with [`Event::Composed`].
    Compose {
        /// To tell the answers apart.
        number: u64,
        /// What to compose.
        composition: Composition,
    },
    /// Hand this to the spool as one change that nobody waits for, and answer with
    /// [`Event::Committed`].
    Commit {
        /// To tell the answers apart.
        number: u64,
        /// The outcomes to write down, with the notices that they cause.
        settlement: Settlement,
    },
    /// There is more badmail than before: look whether some has to go.
    TrimBadmail,
    /// For the log.
    Log(Fact),
}

/// What the log is to say.
#[derive(Debug)]
pub enum Fact {
    /// A decision is on stable storage.
    Settled {
        /// What was decided.
        decided: Arc<Decided>,
        /// So many of its recipients are given up with nobody to tell.
        dropped: u64,
    },
    /// The same of a notice that was refused for its size: a shorter one follows.
    Shortened(QueueId),
    /// A notice is stored.
    Notice {
        /// The message that it is about.
        about: QueueId,
        /// The notice itself, a new message in the spool.
        notice: NewMessage,
    },
    /// No notice of success: strangers ask for too many.
    Untold(QueueId),
    /// The message could not be read for its notice; it is tried again.
    Unreadable(QueueId, SpoolError),
    /// A notice could not be composed: its message is held for an operator.
    NotComposed(QueueId),
    /// Something became of a site by itself.
    Occurred(Occurrence),
    /// An outcome could not be written down; it is tried again.
    NotSettled(QueueId, Commit),
    /// The stop came before all notices were written: what they are about is tried again, and may
    /// arrive twice.
    NoticesCutOff,
}

//! What the queue manager is told or asked, by whoever has something for it.

use std::sync::Arc;

use engine::dispatch::Event;
use engine::{Agent, Order};
use mail::{Client, QueueId};
use queue::{AgentId, Alarm, RateCount, SiteShape};
use relay_policy::Requested;
use tls::Stream;
use tokio::sync::{mpsc, oneshot};

/// What the queue manager is told or asked.
pub(crate) enum Input {
    /// Something happened that the queue manager has to know.
    Event(Event),
    /// How much does the queue manager have in hand right now?
    Counts(oneshot::Sender<queue::Counts>),
    /// Which of these recipients does an agent have right now?
    Active(Vec<(QueueId, u32)>, oneshot::Sender<Vec<bool>>),
    /// How are all sites?
    Shape(oneshot::Sender<Vec<SiteShape>>),
    /// Have this mail sent, which somebody asks for; does any wait?
    Ask(Requested, oneshot::Sender<bool>),
    /// This client takes such mail on its connection; by which agent, if any waits?
    Call(Requested, Client, oneshot::Sender<Option<Hired>>),
    /// The client has heard so: the connection is the agent's.
    Turned(Box<Hired>, Stream),
    /// What has come to a stand?
    Alarms(oneshot::Sender<Vec<Alarm>>),
    /// How much went by rates that look far back?
    RateCounts(oneshot::Sender<Vec<RateCount>>),
    /// How are these?
    ShapeOf(Vec<Arc<str>>, oneshot::Sender<Vec<SiteShape>>),
}

impl Input {
    /// Something for the queue itself.
    pub(crate) fn queue(event: queue::Event) -> Self {
        Self::Event(Event::Queue(event))
    }
}

/// Asks the queue manager; no answer comes once it has stopped.
pub(crate) async fn ask<T>(
    dispatch: &mpsc::UnboundedSender<Input>,
    question: impl FnOnce(oneshot::Sender<T>) -> Input,
) -> Option<T> {
    let (asked, answer) = oneshot::channel();
    // What nobody takes is dropped before the wait: with it goes the end that was to answer.
    dispatch.send(question(asked)).ok()?;
    answer.await.ok()
}

/// An agent that is not run yet, with what it hears by. Where it never is, this tells that it has
/// left.
pub(crate) struct Hired {
    pub(crate) agent: Agent,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    pub(crate) leaving: Leaving,
}

/// Tells that an agent has left, however it went: after all that it told itself.
pub(crate) struct Leaving {
    agent: AgentId,
    in_order: bool,
    dispatch: mpsc::UnboundedSender<Input>,
}

impl Leaving {
    pub(crate) fn new(agent: AgentId, dispatch: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            agent,
            in_order: false,
            dispatch,
        }
    }

    /// It has said so itself.
    pub(crate) fn in_order(mut self) {
        self.in_order = true;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let left = Event::AgentLeft {
            agent: self.agent,
            in_order: self.in_order,
        };
        let _ended = self.dispatch.send(Input::Event(left));
    }
}

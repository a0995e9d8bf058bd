//! The queue manager: drives an [`engine::dispatch::Dispatch`], which hears of everything late and
//! in turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::dispatch::{Action, Dispatch, Event, Fact};
use engine::{Agent, Order, Setup};
use mail::Timestamp;
use queue::{AgentId, Job};
use spool::{Change, Commit, Settlement, Spool, SpoolError};

use super::Relay;
use crate::Sabotage;
use crate::world::{Asker, RelayEvent, World};

/// Events taken in one turn.
const EVENTS_AT_ONCE: usize = 8;

/// The queue manager, and what is on its way to it.
pub(super) struct QueueManager {
    dispatch: Dispatch,
    inbox: VecDeque<Event>,
    /// When the next turn is entered.
    next_turn: Option<Timestamp>,
    /// The newest agent: one with a number up to this was started before.
    newest: AgentId,
}

impl QueueManager {
    pub(super) fn new(setup: &Arc<Setup>, world: &mut World) -> Self {
        let mut manager = Self {
            dispatch: Dispatch::new(Arc::clone(setup), world.random.next()),
            inbox: VecDeque::new(),
            next_turn: None,
            newest: 0,
        };
        let domains = world.spool.domains().unwrap_or_default();
        manager.tell(Event::Queue(queue::Event::Started { domains }), world);
        manager
    }

    /// Figures of the queue.
    pub(super) fn counts(&self) -> queue::Counts {
        self.dispatch.counts()
    }

    /// Something for it to know, in order.
    pub(super) fn tell(&mut self, event: Event, world: &mut World) {
        let overtakes = world.is_broken_by(Sabotage::OvertakeReports);
        if overtakes && matches!(event, Event::AgentLeft { .. }) {
            self.inbox.push_front(event);
        } else {
            self.inbox.push_back(event);
        }
        let at_once = world.random.chance(80);
        let pause = if at_once {
            0
        } else {
            world.random.between(1, 50)
        };
        self.plan_turn(world.now() + Duration::from_millis(pause), world);
    }

    fn plan_turn(&mut self, at: Timestamp, world: &mut World) {
        if self.next_turn.is_none_or(|planned| planned > at) {
            self.next_turn = Some(at);
            world.clock.at(at, RelayEvent::Turn);
        }
    }
}

impl Relay {
    /// The manager's turn: takes some of what has come, and does what follows.
    pub(super) fn on_turn(&mut self, world: &mut World) {
        let (manager, now) = (&mut self.manager, world.now());
        // A turn that was entered for a later time than the one that came first finds its work
        // done.
        if manager.next_turn.is_none_or(|planned| planned > now) {
            return;
        }
        manager.next_turn = None;
        for event in manager
            .inbox
            .drain(..EVENTS_AT_ONCE.min(manager.inbox.len()))
        {
            manager.dispatch.handle(now, event);
        }
        manager.dispatch.on_time(now);
        for action in manager.dispatch.take_actions() {
            self.act(action, world);
        }
        let manager = &mut self.manager;
        if !manager.inbox.is_empty() {
            manager.plan_turn(now, world);
        } else if let Some(deadline) = manager.dispatch.deadline() {
            manager.plan_turn(deadline, world);
        }
    }

    /// Does what the manager wants, or lets it be done in a while.
    fn act(&mut self, action: Action, world: &mut World) {
        match action {
            Action::Load { .. } | Action::Compose { .. } => {
                world.within(20, RelayEvent::Action(action));
            }
            Action::Tell { agent, ref order } => {
                if let Order::Give(job) = order {
                    note_job(agent, job, world);
                }
                world.after(0, RelayEvent::Action(action));
            }
            Action::Start(agent) => self.hire(*agent, world),
            Action::Commit { number, settlement } => self.settle(number, settlement, world),
            Action::Log(Fact::NotSettled(..)) => {
                world.count("settlements that must be written again");
            }
            // No configuration of this world lets badmail go, and it never stops in order.
            Action::Log(_) | Action::TrimBadmail | Action::EndAgents => {}
        }
    }

    /// Now it is done.
    pub(super) fn on_action(&mut self, action: Action, world: &mut World) {
        match action {
            // A page that arrives later, and may be old by then.
            Action::Load {
                host,
                before,
                limit,
            } => {
                let result = if world.fails(2) {
                    world.count("pages that could not be read");
                    Err(SpoolError::Io("unreadable today".into()))
                } else {
                    world.spool.due(&host, before, limit)
                };
                world.count("pages read");
                let loaded = Event::Queue(queue::Event::Loaded { host, result });
                world.within(30, RelayEvent::Dispatch(loaded));
            }
            Action::Compose {
                number,
                composition,
            } => {
                let (now, random) = (world.now(), &mut world.random);
                let mut next_id = || random.queue_id(now);
                let moment = queue::Moment::of(now);
                let result = Some(composition.compose(moment, &mut next_id, &world.spool));
                self.manager.tell(Event::Composed { number, result }, world);
            }
            Action::Tell { agent, order } => self.on_order(agent, order, world),
            Action::Start(_)
            | Action::Commit { .. }
            | Action::Log(_)
            | Action::TrimBadmail
            | Action::EndAgents => {}
        }
    }

    fn hire(&mut self, agent: Agent, world: &mut World) {
        let (id, newest) = (agent.id(), &mut self.manager.newest);
        let is_anew = id <= *newest;
        *newest = id.max(*newest);
        match agent.job() {
            Some(_) if is_anew => world.count("jobs for agents that were leaving"),
            Some(job) => note_job(id, job, world),
            None => {}
        }
        if !is_anew || !world.is_broken_by(Sabotage::ForgetLateJobs) {
            self.start_agent(agent, world);
        }
    }

    fn settle(&mut self, number: u64, mut settlement: Settlement, world: &mut World) {
        if world.is_broken_by(Sabotage::DropNotices) {
            settlement.notices.clear();
        }
        if world.is_broken_by(Sabotage::ReleaseEarly) {
            let commit = APPLIED;
            self.manager
                .tell(Event::Committed { number, commit }, world);
        }
        world.commit(Change::Settle(settlement), Asker::Dispatch(number));
    }

    /// The disk answers for a settlement.
    pub(super) fn on_settled(&mut self, number: u64, mut commit: Commit, world: &mut World) {
        let announces = world.is_broken_by(Sabotage::AnnounceAnyway);
        if announces && matches!(commit, Commit::Applied { .. }) {
            commit = APPLIED;
        }
        self.manager
            .tell(Event::Committed { number, commit }, world);
    }
}

/// What those hear who are told that a settlement is written, whatever is so.
const APPLIED: Commit = Commit::Applied {
    recipients: 1,
    more: false,
};

fn note_job(agent: AgentId, job: &Job, world: &mut World) {
    for recipient in &job.recipients {
        let (id, address) = (job.message.id, recipient.admitted.recipient().as_str());
        world.note(format_args!("agent {agent} gets {id} for {address}"));
        world.checker.on_job(agent, id, address);
        if world.is_broken_by(Sabotage::JobsTwice) {
            world.checker.on_job(agent + 1_000_000, id, address);
        }
    }
}

//! The queue manager of this world: drives an [`engine::dispatch::Dispatch`], which hears of
//! everything late and in turns.

mod agents;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::dispatch::{Action, Dispatch, Event, Fact};
use engine::{Order, Setup};
use mail::{QueueId, Timestamp};
use queue::{AgentId, Job};
use spool::{Change, Commit, Settlement, Spool, SpoolError};

use crate::Sabotage;
use crate::disk::Disk;
use crate::event::{Answer, Inner};
use crate::stage::Stage;
pub(crate) use agents::Agents;

/// Events taken in one turn.
const EVENTS_AT_ONCE: usize = 8;

/// The queue manager, and what is on its way to it.
pub(crate) struct QueueManager {
    dispatch: Dispatch,
    inbox: VecDeque<Event>,
    /// When the next turn is entered.
    next_turn: Option<Timestamp>,
    /// The newest agent: one with a number up to this was started before.
    newest: AgentId,
}

impl QueueManager {
    pub(crate) fn new(setup: &Arc<Setup>, stage: &mut Stage) -> Self {
        let mut manager = Self {
            dispatch: Dispatch::new(Arc::clone(setup), stage.random.next()),
            inbox: VecDeque::new(),
            next_turn: None,
            newest: 0,
        };
        let domains = stage.spool.domains().unwrap_or_default();
        manager.tell(Event::Queue(queue::Event::Started { domains }), stage);
        manager
    }

    /// Figures of the queue.
    pub(crate) fn counts(&self) -> queue::Counts {
        self.dispatch.counts()
    }

    /// Something for it to know, in order.
    pub(crate) fn tell(&mut self, event: Event, stage: &mut Stage) {
        match (&event, stage.sabotage) {
            (Event::AgentLeft { .. }, Some(Sabotage::OvertakeReports)) => {
                self.inbox.push_front(event);
            }
            _ => self.inbox.push_back(event),
        }
        let pause = if stage.random.chance(80) {
            0
        } else {
            stage.random.between(1, 50)
        };
        let at = stage.now() + Duration::from_millis(pause);
        self.plan_turn(at, stage);
    }

    fn plan_turn(&mut self, at: Timestamp, stage: &mut Stage) {
        if self.next_turn.is_none_or(|planned| planned > at) {
            self.next_turn = Some(at);
            stage.within_at(at, Inner::Dispatch);
        }
    }

    /// Its turn: takes some of what has come, and does what follows.
    pub(crate) fn on_turn(&mut self, agents: &mut Agents, disk: &mut Disk, stage: &mut Stage) {
        let now = stage.now();
        // A turn that was entered for a later time than the one that came first finds its work
        // done.
        if self.next_turn.is_none_or(|planned| planned > now) {
            return;
        }
        self.next_turn = None;
        for event in self.inbox.drain(..EVENTS_AT_ONCE.min(self.inbox.len())) {
            self.dispatch.handle(now, event);
        }
        self.dispatch.on_time(now);
        for action in self.dispatch.take_actions() {
            self.act(action, agents, disk, stage);
        }
        if !self.inbox.is_empty() {
            self.plan_turn(now, stage);
        } else if let Some(deadline) = self.dispatch.deadline() {
            self.plan_turn(deadline, stage);
        }
    }

    fn act(&mut self, action: Action, agents: &mut Agents, disk: &mut Disk, stage: &mut Stage) {
        match action {
            Action::Load {
                host,
                before,
                limit,
            } => {
                let pause = stage.random.between(0, 20);
                let read = Inner::ReadDue {
                    host,
                    before,
                    limit,
                };
                stage.within(pause, read);
            }
            Action::Start(agent) => {
                let anew = agent.id() <= self.newest;
                self.newest = self.newest.max(agent.id());
                match agent.job() {
                    Some(_) if anew => stage.totals.count("jobs for agents that were leaving"),
                    Some(job) => note_job(agent.id(), job, stage),
                    None => {}
                }
                if !anew || stage.sabotage != Some(Sabotage::ForgetLateJobs) {
                    agents.start(*agent, stage);
                }
            }
            Action::Tell { agent, order } => {
                if let Order::Give(job) = &order {
                    note_job(agent, job, stage);
                }
                stage.within(0, Inner::Order { agent, order });
            }
            Action::Compose {
                number,
                composition,
            } => {
                let pause = stage.random.between(0, 20);
                let compose = Inner::Compose {
                    number,
                    composition,
                };
                stage.within(pause, compose);
            }
            Action::Commit { number, settlement } => {
                self.commit(number, settlement, disk, stage);
            }
            Action::Log(Fact::NotSettled(..)) => {
                stage.totals.count("settlements that must be written again");
            }
            // No configuration of this world lets badmail go, and it never stops in order.
            Action::Log(_) | Action::TrimBadmail | Action::EndAgents => {}
        }
    }

    fn commit(
        &mut self,
        number: u64,
        mut settlement: Settlement,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        match stage.sabotage {
            Some(Sabotage::DropNotices) => settlement.notices.clear(),
            Some(Sabotage::ReleaseEarly) => {
                let commit = applied(1);
                self.tell(Event::Committed { number, commit }, stage);
            }
            Some(_) | None => {}
        }
        let answer = Answer::Settlement { number };
        disk.commit(Change::Settle(settlement), answer, stage);
    }

    /// The disk answers for a settlement.
    pub(crate) fn on_committed(&mut self, number: u64, mut commit: Commit, stage: &mut Stage) {
        if stage.sabotage == Some(Sabotage::AnnounceAnyway)
            && matches!(commit, Commit::Applied { .. })
        {
            commit = applied(1);
        }
        self.tell(Event::Committed { number, commit }, stage);
    }

    /// Composes the notices of a decision.
    pub(crate) fn on_compose(
        &mut self,
        number: u64,
        composition: &engine::Composition,
        stage: &mut Stage,
    ) {
        let now = stage.now();
        let random = &mut stage.random;
        let mut next_id = || {
            let random = u128::from(random.next()) << 64 | u128::from(random.next());
            QueueId::new(now, random)
        };
        let moment = queue::Moment::of(now);
        let result = Some(composition.compose(moment, &mut next_id, &stage.spool));
        self.tell(Event::Composed { number, result }, stage);
    }
}

fn applied(recipients: u64) -> Commit {
    Commit::Applied {
        recipients,
        more: false,
    }
}

/// Reads a page; it arrives later, and may be old by then.
pub(crate) fn read_due(host: Arc<str>, before: Timestamp, limit: usize, stage: &mut Stage) {
    let result = if stage.mishap(2) {
        stage.totals.count("pages that could not be read");
        Err(SpoolError::Io("unreadable today".into()))
    } else {
        stage.spool.due(&host, before, limit)
    };
    stage.totals.count("pages read");
    let pause = stage.random.between(0, 30);
    let loaded = Event::Queue(queue::Event::Loaded { host, result });
    stage.within(pause, Inner::Tell(loaded));
}

fn note_job(agent: AgentId, job: &Job, stage: &mut Stage) {
    for recipient in &job.recipients {
        let (id, address) = (job.message.id, recipient.admitted.recipient().as_str());
        stage.note(format_args!("agent {agent} gets {id} for {address}"));
        stage.ledger.on_job(agent, id, address);
        if stage.sabotage == Some(Sabotage::JobsTwice) {
            stage.ledger.on_job(agent + 1_000_000, id, address);
        }
    }
}

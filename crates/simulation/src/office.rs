//! The queue manager's task: feeds [`queue::Queue`] in order and does what it says, as the daemon
//! does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::Setup;
use mail::Timestamp;
use queue::{Action, AgentId, Decided, Event, Job, Queue};
use spool::{Change, Commit, Settlement, Spool, SpoolError};

use crate::Sabotage;
use crate::disk::{Answer, Disk};
use crate::event::Inner;
use crate::road::{Order, Road};
use crate::stage::Stage;

/// The queue, and what is on its way to it.
pub(crate) struct Office {
    queue: Queue,
    inbox: VecDeque<Event>,
    /// Jobs for agents that were just leaving.
    stranded: BTreeMap<AgentId, Job>,
    /// When the next turn is entered.
    next_turn: Option<Timestamp>,
}

/// Events taken in one turn.
const EVENTS_AT_ONCE: usize = 8;

impl Office {
    pub(crate) fn new(setup: &Setup, stage: &mut Stage) -> Self {
        let queue = Queue::new(setup.queue.clone(), Arc::clone(setup.routes()));
        let mut office = Self {
            queue,
            inbox: VecDeque::new(),
            stranded: BTreeMap::new(),
            next_turn: None,
        };
        let domains = stage.spool.domains().unwrap_or_default();
        office.tell(Event::Started { domains }, stage);
        office
    }

    /// Figures of the queue.
    pub(crate) fn counts(&self) -> queue::Counts {
        self.queue.counts()
    }

    /// Something for the queue to know, in order.
    pub(crate) fn tell(&mut self, event: Event, stage: &mut Stage) {
        self.inbox.push_back(event);
        let pause = if stage.random.chance(80) {
            0
        } else {
            stage.random.between(1, 50)
        };
        let at = stage.now() + std::time::Duration::from_millis(pause);
        self.plan_turn(at, stage);
    }

    fn plan_turn(&mut self, at: Timestamp, stage: &mut Stage) {
        if self.next_turn.is_none_or(|planned| planned > at) {
            self.next_turn = Some(at);
            stage.within_at(at, Inner::Dispatch);
        }
    }

    /// The queue's turn.
    pub(crate) fn on_turn(
        &mut self,
        road: &mut Road,
        disk: &mut Disk,
        setup: &Arc<Setup>,
        stage: &mut Stage,
    ) {
        let now = stage.now();
        // A turn that was entered for a later time than the one that came first finds its work
        // done.
        if self.next_turn.is_none_or(|planned| planned > now) {
            return;
        }
        self.next_turn = None;
        self.take_in(EVENTS_AT_ONCE, road, disk, setup, stage);
        if !self.inbox.is_empty() {
            self.plan_turn(now, stage);
        } else if let Some(deadline) = self.queue.deadline() {
            self.plan_turn(deadline, stage);
        }
    }

    /// Hands the queue what has come, at most so many events, and does what it says.
    fn take_in(
        &mut self,
        count: usize,
        road: &mut Road,
        disk: &mut Disk,
        setup: &Arc<Setup>,
        stage: &mut Stage,
    ) {
        let (now, mut actions) = (stage.now(), Vec::new());
        for event in self.inbox.drain(..count.min(self.inbox.len())) {
            self.queue.handle(now, event, &mut actions);
        }
        self.queue.on_tick(now, &mut actions);
        for action in actions {
            self.act(action, road, disk, setup, stage);
        }
    }

    fn act(
        &mut self,
        action: Action,
        road: &mut Road,
        disk: &mut Disk,
        setup: &Arc<Setup>,
        stage: &mut Stage,
    ) {
        match action {
            Action::Load {
                host,
                before,
                limit,
            } => {
                let pause = stage.random.between(0, 20);
                stage.within(
                    pause,
                    Inner::ReadDue {
                        host,
                        before,
                        limit,
                    },
                );
            }
            Action::Hire { agent, job } => {
                note_job(agent, &job, stage);
                road.hire(agent, job, setup, stage);
            }
            Action::Give { agent, job } => {
                note_job(agent, &job, stage);
                if let Err(job) = road.order(agent, Order::Give(Box::new(job)), stage) {
                    stage.totals.count("jobs for agents that were leaving");
                    self.stranded.insert(agent, *job);
                }
            }
            Action::Hurry { agent } => {
                let _leaving = road.order(agent, Order::Hurry, stage);
            }
            Action::Dismiss { agent } => {
                // One that is leaving needs no telling.
                let _leaving = road.order(agent, Order::Dismiss, stage);
            }
            Action::Settle(decided) if engine::may_notify(&decided) => {
                let pause = stage.random.between(0, 20);
                stage.within(pause, Inner::Compose(decided));
            }
            Action::Settle(decided) => self.settle(&decided, disk, setup, stage),
        }
    }

    /// Reads a page; it arrives later, and may be old by then.
    pub(crate) fn on_read_due(host: Arc<str>, before: Timestamp, limit: usize, stage: &mut Stage) {
        let result = if stage.mishap(2) {
            stage.totals.count("pages that could not be read");
            Err(SpoolError::Io("unreadable today".into()))
        } else {
            stage.spool.due(&host, before, limit)
        };
        stage.totals.count("pages read");
        let pause = stage.random.between(0, 30);
        stage.within(pause, Inner::Loaded { host, result });
    }

    /// Writes one decision down, with the notices it causes.
    pub(crate) fn settle(
        &mut self,
        decided: &Decided,
        disk: &mut Disk,
        setup: &Setup,
        stage: &mut Stage,
    ) {
        let now = stage.now();
        let (id, numbers) = (decided.message.id, decided.numbers());
        let random = &mut stage.random;
        let mut next_id = || {
            let random = u128::from(random.next()) << 64 | u128::from(random.next());
            mail::QueueId::new(now, random)
        };
        let moment = queue::Moment::of(now);
        let composed =
            engine::settlement(decided, &setup.notices, moment, &mut next_id, &stage.spool);
        match composed {
            Ok(mut settlement) => {
                if stage.sabotage == Some(Sabotage::DropNotices) {
                    settlement.notices.clear();
                }
                let answer = Answer::Settlement(settlement.clone());
                disk.commit(Change::Settle(settlement), answer, stage);
            }
            Err(_) => self.tell(
                Event::Settled {
                    id,
                    numbers,
                    ok: false,
                },
                stage,
            ),
        }
    }

    /// The disk answers for a settlement.
    pub(crate) fn on_settled(
        &mut self,
        settlement: &Settlement,
        mut commit: Commit,
        stage: &mut Stage,
    ) {
        match &mut commit {
            Commit::Applied { recipients, .. } => {
                if stage.sabotage == Some(Sabotage::AnnounceAnyway) {
                    *recipients = 1;
                }
            }
            Commit::Stored(_) | Commit::Rejected(_) | Commit::Unknown(_) => {
                stage.totals.count("settlements that must be written again");
            }
        }
        for event in engine::announced(settlement, &commit) {
            self.tell(event, stage);
        }
    }

    /// An agent has gone. Its last report comes first, or its job would count as lost; and it may
    /// have been given a job in that moment.
    pub(crate) fn on_agent_left(
        &mut self,
        agent: AgentId,
        road: &mut Road,
        disk: &mut Disk,
        setup: &Arc<Setup>,
        stage: &mut Stage,
    ) {
        if stage.sabotage != Some(Sabotage::OvertakeReports) {
            self.take_in(usize::MAX, road, disk, setup, stage);
        }
        match self.stranded.remove(&agent) {
            Some(job) => road.hire(agent, job, setup, stage),
            None => {
                self.inbox.push_front(Event::AgentGone { agent });
                self.take_in(1, road, disk, setup, stage);
            }
        }
        self.plan_turn(stage.now(), stage);
    }
}

fn note_job(agent: AgentId, job: &Job, stage: &mut Stage) {
    for recipient in &job.recipients {
        let address = recipient.admitted.recipient().as_str();
        stage.note(format_args!(
            "agent {agent} gets {} for {address}",
            job.message.id
        ));
        stage.ledger.on_job(agent, job.message.id, address);
        if stage.sabotage == Some(Sabotage::JobsTwice) {
            stage
                .ledger
                .on_job(agent + 1_000_000, job.message.id, address);
        }
    }
}

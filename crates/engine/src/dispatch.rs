//! The queue manager with all that hangs on it: agents and their jobs, what is written down of what
//! they did, and the notices that follow.
//!
//! Without I/O: [`Dispatch::handle`] takes what happened, in the order in which it happened, and
//! gives what is to be done. It guarantees that a job that came too late for its agent is begun
//! anew, that no decision is forgotten before the spool has answered for it, and that a stop ends
//! when all that is known is written down.

mod event;
mod settling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::{Client, QueueId, Timestamp};
use queue::{AgentId, Alarm, Counts, Job, Queue, RateCount, SiteShape};
use relay_policy::Requested;

pub use self::event::{Action, Event, Fact, Stop};
use self::settling::Settling;
use crate::agent::next_random;
use crate::{Agent, Order, Setup};

/// How long notices may still be written once a stop has no more time. With `stop_timeout` as it is
/// by default this ends before `docker stop` kills.
const LAST_NOTICES: Duration = Duration::from_secs(1);

/// The queue manager's driver, once for daemon and simulation: it turns what the queue decides into
/// what agents do and the spool writes, and back.
pub struct Dispatch {
    setup: Arc<Setup>,
    queue: Queue,
    /// The agents that run, each with what it was told while it ran and of which it has said
    /// nothing yet: it may have gone without hearing of it.
    agents: BTreeMap<AgentId, Option<Given>>,
    settling: Settling,
    stop: Stop,
    /// When what is still being composed or written is waited for no longer.
    last_moment: Option<Timestamp>,
    random: u64,
    actions: Vec<Action>,
}

/// What an agent was told last.
struct Given {
    job: Job,
    /// To hurry with it, too.
    hurried: bool,
}

impl Dispatch {
    /// With nothing to do; [`queue::Event::Started`] comes first. `random` spreads load over hosts
    /// of equal preference.
    pub fn new(setup: Arc<Setup>, random: u64) -> Self {
        Self {
            queue: Queue::new(setup.queue.clone(), Arc::clone(setup.routes())),
            setup,
            agents: BTreeMap::new(),
            settling: Settling::default(),
            stop: Stop::Running,
            last_moment: None,
            random,
            actions: Vec::new(),
        }
    }

    /// Takes what happened. What is to be done about it is told by [`Dispatch::take_actions`].
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Queue(event) => self.tell_queue(now, event),
            Event::AgentLeft { agent, in_order } => self.on_agent_left(now, agent, in_order),
            Event::Composed { number, result } => self.on_composed(now, number, result),
            Event::Committed { number, commit } => self.on_committed(now, number, &commit),
            Event::Reloaded(setup) => {
                let (routes, queue) = (Arc::clone(setup.routes()), setup.queue.clone());
                self.setup = setup;
                self.tell_queue(now, queue::Event::Reloaded(routes, Box::new(queue)));
            }
            Event::Stop(stop) => self.on_stop(now, stop),
        }
    }

    /// Does what is due by `now`. Harmless when nothing is.
    pub fn on_time(&mut self, now: Timestamp) {
        if self.stop == Stop::Now {
            if self.last_moment.is_some_and(|at| at <= now) && self.settling.give_up() {
                self.actions.push(Action::Log(Fact::NoticesCutOff));
            }
            return;
        }
        let mut actions = Vec::new();
        self.queue.on_tick(now, &mut actions);
        self.act_all(now, actions);
    }

    /// What is to be done, in this order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When [`Dispatch::on_time`] is wanted next.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.stop {
            Stop::Running | Stop::Draining => self.queue.deadline(),
            Stop::Now => self.last_moment,
        }
    }

    /// Whether a stop has come to its end.
    pub fn is_done(&self) -> bool {
        match self.stop {
            Stop::Running => false,
            Stop::Draining => self.agents.is_empty() && self.queue.counts().settling == 0,
            Stop::Now => self.agents.is_empty() && self.settling.is_empty(),
        }
    }

    /// Sends what is requested of what waits until somebody asks for it. Whether any waits.
    pub fn ask(&mut self, now: Timestamp, requested: &Requested) -> bool {
        let mut actions = Vec::new();
        let waits = self.queue.ask(now, requested, &mut actions);
        self.act_all(now, actions);
        waits
    }

    /// The client takes what is requested of what waits, on the connection that it has: the agent
    /// that brings it, to be driven as one that was started. None where nothing waits.
    pub fn call(
        &mut self,
        now: Timestamp,
        requested: &Requested,
        caller: &Client,
    ) -> Option<Agent> {
        let by = caller
            .user
            .as_deref()
            .filter(|_| self.stop == Stop::Running)?;
        let mut actions = Vec::new();
        let (id, site) = self.queue.call(now, requested, by, &mut actions)?;
        let (routes, delivery) = (
            Arc::clone(self.setup.routes()),
            self.setup.delivery_to_caller(&site),
        );
        self.agents.insert(id, None);
        self.act_all(now, actions);
        Some(Agent::of_caller(id, site, caller, routes, delivery, now))
    }

    /// Figures at this moment.
    pub fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// All sites of which there is something to be told, as they are at `now`.
    pub fn shape(&self, now: Timestamp) -> Vec<SiteShape> {
        self.queue.shape(now)
    }

    /// One of them.
    pub fn shape_of(&self, site: &str, now: Timestamp) -> Option<SiteShape> {
        self.queue.shape_of(site, now)
    }

    /// How much went by rates that look far back, for a restart.
    pub fn rate_counts(&self, now: Timestamp) -> Vec<RateCount> {
        self.queue.rate_counts(now)
    }

    /// What has come to a stand at `now`.
    pub fn alarms(&mut self, now: Timestamp) -> Vec<Alarm> {
        self.queue.alarms(now)
    }

    /// Whether an agent has this recipient right now.
    pub fn is_active(&self, id: QueueId, number: u32) -> bool {
        self.queue.is_active(id, number)
    }

    fn tell_queue(&mut self, now: Timestamp, event: queue::Event) {
        if let queue::Event::JobEnded { agent, .. } = &event
            && let Some(given) = self.agents.get_mut(agent)
        {
            *given = None;
        }
        let mut actions = Vec::new();
        self.queue.handle(now, event, &mut actions);
        self.act_all(now, actions);
    }

    fn act_all(&mut self, now: Timestamp, actions: Vec<queue::Action>) {
        for action in actions {
            self.act(now, action);
        }
    }

    /// While stopping nothing new goes out: what was to go stays in the spool.
    fn act(&mut self, now: Timestamp, action: queue::Action) {
        let running = self.stop == Stop::Running;
        match action {
            queue::Action::Settle(decided) => self.settle(decided),
            queue::Action::Load { host, wanted } if running => {
                self.actions.push(Action::Load { host, wanted });
            }
            queue::Action::LoadBouncing(page) if running => {
                self.actions.push(Action::LoadBouncing(page));
            }
            queue::Action::LoadFiled(page) if running => {
                self.actions.push(Action::LoadFiled(page));
            }
            queue::Action::File(filed) if running => self.actions.push(Action::File(filed)),
            queue::Action::Hire { agent, job } if running => self.start(now, agent, job),
            // One that leaves at a stop has not failed with what it never heard of.
            queue::Action::Give { agent, job } => {
                if let Some(given) = self.agents.get_mut(&agent) {
                    let hurried = false;
                    *given = Some(Given {
                        job: job.clone(),
                        hurried,
                    });
                    if running {
                        self.order(agent, Order::Give(Box::new(job)));
                    }
                }
            }
            queue::Action::Load { .. }
            | queue::Action::LoadBouncing(_)
            | queue::Action::LoadFiled(_)
            | queue::Action::File(_)
            | queue::Action::Hire { .. } => {}
            queue::Action::Hurry { agent } => {
                if let Some(Some(given)) = self.agents.get_mut(&agent) {
                    given.hurried = true;
                }
                self.order(agent, Order::Hurry);
            }
            queue::Action::Dismiss { agent } => self.order(agent, Order::Dismiss),
            queue::Action::Log(occurrence) => {
                self.actions.push(Action::Log(Fact::Occurred(occurrence)));
            }
        }
    }

    fn order(&mut self, agent: AgentId, order: Order) {
        if self.agents.contains_key(&agent) {
            self.actions.push(Action::Tell { agent, order });
        }
    }

    fn start(&mut self, now: Timestamp, id: AgentId, job: Job) {
        self.random = next_random(self.random);
        let (routes, delivery) = (Arc::clone(self.setup.routes()), self.setup.delivery(&job));
        let agent = Agent::new(id, job, routes, delivery, self.random, now);
        self.agents.insert(id, None);
        self.actions.push(Action::Start(Box::new(agent)));
    }

    /// One that went in order has done all jobs that it heard of. One that did not counts as an
    /// attempt that failed, so that a message that brings agents down does not do so without end.
    fn on_agent_left(&mut self, now: Timestamp, agent: AgentId, in_order: bool) {
        let given = self.agents.remove(&agent).flatten();
        match given.filter(|_| in_order) {
            _ if self.stop == Stop::Now => {}
            Some(given) if self.stop == Stop::Running => {
                self.start(now, agent, given.job);
                if given.hurried {
                    self.order(agent, Order::Hurry);
                }
            }
            Some(_) => {}
            None => self.tell_queue(now, queue::Event::AgentGone { agent }),
        }
    }

    fn on_stop(&mut self, now: Timestamp, stop: Stop) {
        if stop <= self.stop {
            return;
        }
        self.stop = stop;
        match stop {
            Stop::Running => {}
            Stop::Draining => {
                let agents: Vec<AgentId> = self.agents.keys().copied().collect();
                for agent in agents {
                    self.order(agent, Order::Dismiss);
                }
            }
            Stop::Now => {
                self.last_moment = Some(now + LAST_NOTICES);
                self.actions.push(Action::EndAgents);
            }
        }
    }
}

#[cfg(test)]
mod tests;

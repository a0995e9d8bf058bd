//! The queue manager's task: does what an [`engine::dispatch::Dispatch`] says, with tasks, channels
//! and the disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::dispatch::{Action, Dispatch, Event, Fact};
use engine::{Agent, Composition, Order};
use filter::Filter;
use queue::{AgentId, RateCount};
use spool::{Change, Commit, Filed, Settlement, Spool, SpoolError, Waiting, Wanted};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::agent;
use crate::disk::Urgency;
use crate::inbox::{Hired, Input, Leaving};
use crate::services::Services;
use crate::vital::Vital;

/// Events taken before their actions are carried out.
const EVENTS_AT_ONCE: usize = 256;

/// By so many milliseconds the clock has to be elsewhere before hours are told anew.
const CLOCK_STEP: u64 = 1000;

struct Driver {
    services: Arc<Services>,
    dispatch: Dispatch,
    /// How far the system's clock was ahead of the line when the queue manager was told last.
    ahead: i64,
    agents: JoinSet<()>,
    orders: HashMap<AgentId, mpsc::UnboundedSender<Order>>,
}

/// Runs until a stop has let every attempt end and every outcome be written. Gives what went by rates
/// that look far back.
pub(crate) async fn run(
    services: Arc<Services>,
    mut inbox: mpsc::UnboundedReceiver<Input>,
) -> Vec<RateCount> {
    let _vital = Vital("the queue manager");
    let mut stop = services.stop.subscribe();
    // One that was said before counts as well.
    stop.mark_changed();
    let mut inputs = Vec::new();
    let mut driver = Driver {
        dispatch: Dispatch::new(Arc::clone(&services.active().setup), rand::random()),
        services,
        ahead: 0,
        agents: JoinSet::new(),
        orders: HashMap::new(),
    };
    while !driver.dispatch.is_done() {
        let now = driver.services.clock.line();
        let left = driver.dispatch.deadline().map(|at| at.since(now));
        tokio::select! {
            biased;
            Ok(()) = stop.changed() => {
                inputs.push(Input::Event(Event::Stop(*stop.borrow_and_update())));
            }
            _ = inbox.recv_many(&mut inputs, EVENTS_AT_ONCE) => {}
            () = sleep(left.unwrap_or(Duration::MAX)) => {}
        }
        driver.take_all(inputs.drain(..));
        while let Some(ended) = driver.agents.try_join_next() {
            if let Err(fault) = ended {
                tracing::error!(%fault, "an attempt ended by a fault");
            }
        }
        for action in driver.dispatch.take_actions() {
            driver.act(action).await;
        }
    }
    let now = driver.services.clock.line();
    driver.dispatch.rate_counts(now)
}

impl Driver {
    /// The queue manager hears of a clock that was set, or runs away from the line.
    fn tell_clock(&mut self) {
        let moment = self.services.clock.moment();
        let ahead = moment.ahead();
        if ahead.abs_diff(self.ahead) >= CLOCK_STEP {
            self.ahead = ahead;
            let clock = Event::Queue(queue::Event::Clock { ahead });
            self.dispatch.handle(moment.line, clock);
        }
    }

    fn take_all(&mut self, inputs: impl Iterator<Item = Input>) {
        self.tell_clock();
        for input in inputs {
            let now = self.services.clock.line();
            match input {
                Input::Event(event) => {
                    if let Event::AgentLeft { agent, .. } = &event {
                        self.orders.remove(agent);
                    }
                    self.dispatch.handle(now, event);
                }
                Input::Counts(answer) => {
                    let _asker_gone = answer.send(self.dispatch.counts());
                }
                Input::Active(recipients, answer) => {
                    let is_active = |(id, number)| self.dispatch.is_active(id, number);
                    let active = recipients.into_iter().map(is_active).collect();
                    let _asker_gone = answer.send(active);
                }
                Input::Ask(requested, answer) => {
                    let _asker_gone = answer.send(self.dispatch.ask(now, &requested));
                }
                Input::Call(requested, client, answer) => {
                    let agent = self.dispatch.call(now, &requested, &client);
                    let hired = agent.map(|agent| self.hired(agent));
                    let _asker_gone = answer.send(hired);
                }
                Input::Turned(hired, stream) => {
                    let services = Arc::clone(&self.services);
                    self.agents
                        .spawn(agent::run(services, *hired, Some(stream)));
                }
                Input::Alarms(answer) => {
                    let _asker_gone = answer.send(self.dispatch.alarms(now));
                }
                Input::RateCounts(answer) => {
                    let _asker_gone = answer.send(self.dispatch.rate_counts(now));
                }
                Input::Shape(answer) => {
                    let _asker_gone = answer.send(self.dispatch.shape(now));
                }
                Input::ShapeOf(sites, answer) => {
                    let shapes = sites.iter().map(|site| self.dispatch.shape_of(site, now));
                    let _asker_gone = answer.send(shapes.flatten().collect());
                }
            }
        }
        self.dispatch.on_time(self.services.clock.line());
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Load { host, wanted } => self.load(host, wanted),
            Action::LoadBouncing(page) => {
                let read = move |spool: &dyn Spool| spool.bouncing(page);
                self.find(read, |result| queue::Event::BouncingLoaded { result });
            }
            Action::LoadFiled(page) => {
                let read = move |spool: &dyn Spool| spool.find(&Filter::everything(), page);
                self.find(read, |result| queue::Event::FiledLoaded { result });
            }
            Action::File(filed) => self.file(filed),
            Action::Start(agent) => self.start(*agent),
            Action::Tell { agent, order } => {
                if let Some(orders) = self.orders.get(&agent) {
                    let _leaving = orders.send(order);
                }
            }
            Action::EndAgents => self.agents.shutdown().await,
            Action::Compose {
                number,
                composition,
            } => self.compose(number, composition),
            Action::Commit { number, settlement } => self.commit(number, settlement),
            Action::TrimBadmail => self.services.badmail.notify_one(),
            Action::Log(fact) => {
                if let Fact::Settled { dropped, .. } = &fact {
                    self.services.dropped.fetch_add(*dropped, Ordering::Relaxed);
                }
                self.services.journal.dispatched(&fact);
            }
        }
    }

    fn load(&self, host: Arc<str>, wanted: Wanted) {
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            let (spool, asked) = (Arc::clone(&services.spool), Arc::clone(&host));
            let read = spawn_blocking(move || spool.due(&asked, &wanted)).await;
            let result = read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
            if let Err(error) = &result {
                tracing::error!(host = &*host, %error, "waiting messages could not be read");
            }
            let loaded = queue::Event::Loaded { host, result };
            let _ended = services.dispatch.send(Input::queue(loaded));
        });
    }

    fn find(
        &self,
        read: impl FnOnce(&dyn Spool) -> Result<Vec<Waiting>, SpoolError> + Send + 'static,
        event: fn(Result<Vec<Waiting>, SpoolError>) -> queue::Event,
    ) {
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            let spool = Arc::clone(&services.spool);
            let read = spawn_blocking(move || read(&*spool)).await;
            let result = read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
            if let Err(error) = &result {
                tracing::error!(%error, "the queue could not be read");
            }
            let _ended = services.dispatch.send(Input::queue(event(result)));
        });
    }

    fn file(&self, filed: Vec<Filed>) {
        let dispatch = self.services.dispatch.clone();
        let answer = Box::new(move |commit| {
            let ok = matches!(commit, Commit::Applied { .. });
            let _ended = dispatch.send(Input::queue(queue::Event::Filed { ok }));
        });
        let change = Change::File(filed);
        self.services.disk.commit(change, Urgency::Soon, answer);
    }

    fn start(&mut self, agent: Agent) {
        let services = Arc::clone(&self.services);
        let hired = self.hired(agent);
        self.agents.spawn(agent::run(services, hired, None));
    }

    /// The agent with what it hears by, and what tells that it has left.
    fn hired(&mut self, agent: Agent) -> Hired {
        let (told, orders) = mpsc::unbounded_channel();
        self.orders.insert(agent.id(), told);
        Hired {
            leaving: Leaving::new(agent.id(), self.services.dispatch.clone()),
            agent,
            orders,
        }
    }

    fn compose(&self, number: u64, composition: Composition) {
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            let writer = Arc::clone(&services);
            let work = move || {
                let moment = writer.clock.moment();
                composition.compose(moment, &mut || writer.new_id(), &*writer.spool)
            };
            let composed = Event::Composed {
                number,
                result: spawn_blocking(work).await.ok(),
            };
            let _ended = services.dispatch.send(Input::Event(composed));
        });
    }

    fn commit(&self, number: u64, settlement: Settlement) {
        let dispatch = self.services.dispatch.clone();
        let answer = Box::new(move |commit| {
            let _ended = dispatch.send(Input::Event(Event::Committed { number, commit }));
        });
        let change = Change::Settle(settlement);
        self.services.disk.commit(change, Urgency::Soon, answer);
    }
}

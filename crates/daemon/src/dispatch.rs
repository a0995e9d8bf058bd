//! The queue manager's task: feeds every event to [`queue::Queue`] in order, and does what it says:
//! loads from the spool, starts agents, writes outcomes down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Agent;
use mail::ReversePath;
use queue::{Action, AgentId, Decided, Disposition, Event, Job, Judged, Queue};
use spool::{Change, Commit, HoldReason, Settled, Settlement, SpoolError};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::agent::{self, Order};
use crate::disk::Urgency;
use crate::inbox::Input;
use crate::journal;
use crate::services::{Services, Stop};
use crate::vital::Vital;

/// Events taken before their actions are carried out.
const EVENTS_AT_ONCE: usize = 256;

pub(crate) struct Dispatch {
    services: Arc<Services>,
    queue: Queue,
    orders: HashMap<AgentId, Reins>,
    /// Jobs for agents that were just leaving: they start anew with them.
    stranded: HashMap<AgentId, Job>,
    agents: JoinSet<AgentId>,
    /// Which task is which agent: the only way to know one that ended by a fault.
    tasks: HashMap<tokio::task::Id, AgentId>,
    /// Notices are written by so many at a time, so that they leave disk work of sessions a place.
    writers: Arc<Semaphore>,
    /// Settlements whose notices are being written, or wait for that.
    notices: JoinSet<()>,
}

/// By which an agent is led.
struct Reins {
    orders: mpsc::UnboundedSender<Order>,
    /// Others need its connection: heard while it is busy, too.
    hurry: Arc<Notify>,
}

/// See [`Dispatch::writers`].
const NOTICE_WRITERS: usize = 4;
/// How long notices may still be written once a stop has no more time. With `stop_timeout` as it is
/// by default this ends before `docker stop` kills.
const LAST_NOTICES: Duration = Duration::from_secs(1);

/// Runs until a stop has let every attempt end and every outcome be written.
pub(crate) async fn run(services: Arc<Services>, mut inbox: mpsc::UnboundedReceiver<Input>) {
    let _vital = Vital("the queue manager");
    let mut stop = services.stop.subscribe();
    let mut dispatch = Dispatch::new(services);
    let mut inputs = Vec::new();
    let mut left = Vec::new();
    while !dispatch.is_done(*stop.borrow()) {
        let deadline = dispatch
            .queue
            .deadline()
            .map(|at| at.since(dispatch.services.clock.line()));
        tokio::select! {
            biased;
            stopped = stop.changed() => if stopped.is_ok() { dispatch.on_stop() },
            _ = inbox.recv_many(&mut inputs, EVENTS_AT_ONCE) => {}
            Some(agent) = dispatch.agents.join_next_with_id() => left.push(agent),
            () = sleep(deadline) => {}
        }
        left.extend(std::iter::from_fn(|| {
            dispatch.agents.try_join_next_with_id()
        }));
        if !left.is_empty() {
            // Whoever has left has reported before: that it is gone must not overtake what it said
            // last.
            inputs.extend(std::iter::from_fn(|| inbox.try_recv().ok()));
        }
        dispatch.take_all(inputs.drain(..));
        for agent in left.drain(..) {
            dispatch.on_agent_left(agent);
        }
    }
    dispatch.write_what_is_known(&mut inbox).await;
}

async fn sleep(span: Option<Duration>) {
    match span {
        None => std::future::pending().await,
        Some(span) => sleep_until(Instant::now() + span).await,
    }
}

impl Dispatch {
    fn new(services: Arc<Services>) -> Self {
        let active = services.active();
        let queue = Queue::new(
            active.setup.queue.clone(),
            Arc::clone(active.setup.routes()),
        );
        Self {
            services,
            queue,
            orders: HashMap::new(),
            stranded: HashMap::new(),
            agents: JoinSet::new(),
            tasks: HashMap::new(),
            writers: Arc::new(Semaphore::new(NOTICE_WRITERS)),
            notices: JoinSet::new(),
        }
    }

    fn is_done(&self, stop: Stop) -> bool {
        match stop {
            Stop::Running => false,
            Stop::Draining => self.orders.is_empty() && self.queue.counts().settling == 0,
            Stop::Now => true,
        }
    }

    fn on_stop(&mut self) {
        for reins in self.orders.values() {
            // One that is leaving needs no telling.
            let _leaving = reins.orders.send(Order::Dismiss);
        }
    }

    /// Takes what came, does what is due, and carries all of it out before anything else is taken.
    fn take_all(&mut self, inputs: impl Iterator<Item = Input>) {
        let mut actions = Vec::new();
        for input in inputs {
            self.take(input, &mut actions);
        }
        self.queue.on_tick(self.services.clock.line(), &mut actions);
        self.act_all(actions);
    }

    fn act_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.act(action);
        }
    }

    fn take(&mut self, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Event(event) => self
                .queue
                .handle(self.services.clock.line(), event, actions),
            Input::Counts(answer) => {
                let _asker_gone = answer.send(self.queue.counts());
            }
            Input::Active(recipients, answer) => {
                let active = recipients
                    .iter()
                    .map(|(id, n)| self.queue.is_active(*id, *n));
                let _asker_gone = answer.send(active.collect());
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Load {
                host,
                before,
                limit,
            } => self.load(host, before, limit),
            Action::Hire { agent, job } => self.hire(agent, job),
            Action::Give { agent, job } => self.give(agent, job),
            Action::Hurry { agent } => {
                if let Some(reins) = self.orders.get(&agent) {
                    reins.hurry.notify_one();
                }
            }
            Action::Dismiss { agent } => {
                if let Some(reins) = self.orders.get(&agent) {
                    let _leaving = reins.orders.send(Order::Dismiss);
                }
            }
            Action::Settle(decided) => self.settle(decided),
        }
    }

    fn load(&self, host: Arc<str>, before: mail::Timestamp, limit: usize) {
        let services = Arc::clone(&self.services);
        tokio::spawn(async move {
            let (spool, asked) = (Arc::clone(&services.spool), Arc::clone(&host));
            let read = tokio::task::spawn_blocking(move || spool.due(&asked, before, limit)).await;
            let result = read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
            if let Err(error) = &result {
                tracing::error!(host = &*host, %error, "waiting messages could not be read");
            }
            let _ended = services
                .dispatch
                .send(Input::Event(Event::Loaded { host, result }));
        });
    }

    /// While stopping nothing new goes out: what was to go stays in the spool.
    fn hire(&mut self, id: AgentId, job: Job) {
        if self.services.is_stopping() {
            return;
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        let active = self.services.active();
        let (routes, settings) = (
            Arc::clone(active.setup.routes()),
            active.setup.delivery(&job),
        );
        let agent = Agent::new(id, job, routes, settings, rand::random());
        let hurry = Arc::new(Notify::new());
        let running = agent::run(Arc::clone(&self.services), agent, inbox, Arc::clone(&hurry));
        self.orders.insert(id, Reins { orders, hurry });
        let task = self.agents.spawn(running);
        self.tasks.insert(task.id(), id);
    }

    fn give(&mut self, id: AgentId, job: Job) {
        if self.services.is_stopping() {
            return;
        }
        let refused = match self.orders.get(&id) {
            Some(reins) => {
                let given = reins.orders.send(Order::Give(Box::new(job)));
                given.err().map(|refused| refused.0)
            }
            None => Some(Order::Give(Box::new(job))),
        };
        if let Some(Order::Give(job)) = refused {
            self.stranded.insert(id, *job);
        }
    }

    fn on_agent_left(&mut self, left: Result<(tokio::task::Id, AgentId), tokio::task::JoinError>) {
        let task = match &left {
            Ok((task, _)) => *task,
            Err(fault) => {
                tracing::error!(%fault, "an attempt ended by a fault");
                fault.id()
            }
        };
        let Some(id) = self.tasks.remove(&task) else {
            return;
        };
        self.orders.remove(&id);
        match self.stranded.remove(&id) {
            Some(job) => self.hire(id, job),
            None => {
                let event = Event::AgentGone { agent: id };
                let mut actions = Vec::new();
                self.queue
                    .handle(self.services.clock.line(), event, &mut actions);
                self.act_all(actions);
            }
        }
    }

    fn settle(&mut self, decided: Arc<Decided>) {
        let services = Arc::clone(&self.services);
        if !decided.untold.is_empty() {
            tracing::info!(id = %decided.message.id, "no notice of success: strangers ask for more than queue.ndr.success_rate");
        }
        if !engine::may_notify(&decided) {
            return settle(&services, &decided);
        }
        let writers = Arc::clone(&self.writers);
        // Those that ended meanwhile are forgotten.
        while self.notices.try_join_next().is_some() {}
        self.notices.spawn(async move {
            let _place = writers.acquire_owned().await;
            let (writing, told) = (Arc::clone(&services), Arc::clone(&decided));
            let written = tokio::task::spawn_blocking(move || settle(&writing, &told)).await;
            if let Err(fault) = written {
                tracing::error!(id = %decided.message.id, %fault, "a notice could not be written, the message is held");
                write(&services, held(&decided), &decided);
            }
        });
    }

    /// Cut off by [`Stop::Now`]: what agents have told by then is still written down, and with its
    /// notices, so that it does not go out again.
    async fn write_what_is_known(&mut self, inbox: &mut mpsc::UnboundedReceiver<Input>) {
        // Nothing is to be delivered from here on: nobody would hear of it.
        self.agents.shutdown().await;
        let mut actions = Vec::new();
        while let Ok(input) = inbox.try_recv() {
            self.take(input, &mut actions);
        }
        for action in actions {
            if let Action::Settle(decided) = action {
                self.settle(decided);
            }
        }
        let written = async { while self.notices.join_next().await.is_some() {} };
        if timeout(LAST_NOTICES, written).await.is_err() {
            tracing::warn!(
                "not all notices could be written before the stop: what they are about is tried again, and may arrive twice"
            );
        }
    }
}

/// Writes one decision down, with the notices it causes. May read the spool, and then blocks.
fn settle(services: &Arc<Services>, decided: &Arc<Decided>) {
    let active = services.active();
    let composed = engine::settlement(
        decided,
        &active.setup.notices,
        services.clock.moment(),
        &mut || services.new_id(),
        &*services.spool,
    );
    match composed {
        Ok(settlement) => write(services, settlement, decided),
        Err(error) => {
            let (id, numbers) = (decided.message.id, decided.numbers());
            tracing::error!(%id, %error, "the message could not be read for its notice");
            let failed = Event::Settled {
                id,
                numbers,
                ok: false,
            };
            let _ended = services.dispatch.send(Input::Event(failed));
        }
    }
}

/// Hands the settlement of a decision to the disk thread, and tells the queue manager of it and of
/// its notices once they are stored.
fn write(services: &Arc<Services>, settlement: Settlement, decided: &Arc<Decided>) {
    let (teller, decided) = (Arc::clone(services), Arc::clone(decided));
    let handed_in = settlement.clone();
    let answer = Box::new(move |commit: Commit| {
        let id = handed_in.id;
        if matches!(commit, Commit::Applied { .. }) {
            tell(&teller, &decided, &handed_in);
        } else {
            tracing::error!(%id, answer = ?commit, "an outcome could not be written down, it is tried again");
        }
        for event in engine::announced(&handed_in, &commit) {
            if let Event::Stored {
                message,
                recipients,
                ..
            } = &event
            {
                let to = recipients.first();
                let to = to.map_or("", |r| r.admitted.recipient().as_str());
                tracing::info!(id = %message.id, about = %id, to, "notice to the sender");
            }
            let _ended = teller.dispatch.send(Input::Event(event));
        }
    });
    services
        .disk
        .commit(Change::Settle(settlement), Urgency::Soon, answer);
}

/// A decision is on stable storage: logs and counts who was given up by it.
fn tell(services: &Services, decided: &Decided, settlement: &Settlement) {
    if decided.message.reverse_path == ReversePath::Null && !settlement.notices.is_empty() {
        tracing::info!(id = %decided.message.id, "the notice was too large for its way: a shorter one follows");
        return;
    }
    journal::settled(decided);
    let count = |wanted: fn(&Disposition) -> bool| {
        let dispositions = decided.recipients.iter().map(|judged| &judged.disposition);
        dispositions
            .filter(|disposition| wanted(disposition))
            .count()
    };
    let dropped = count(|disposition| matches!(disposition, Disposition::Dropped(_)));
    services
        .dropped
        .fetch_add(dropped as u64, Ordering::Relaxed);
    if count(|disposition| matches!(disposition, Disposition::Badmail(_))) > 0 {
        services.badmail.notify_one();
    }
}

/// For an operator to look at: kept, not tried, nobody told. Who has the message already is done
/// with: a release must not send it again.
fn held(decided: &Decided) -> Settlement {
    let held = |judged: &Judged| {
        let settled = match judged.disposition {
            Disposition::Delivered(_) | Disposition::Dropped(_) => Settled::Done,
            Disposition::TryAgain { .. } | Disposition::GiveUp(_) | Disposition::Badmail(_) => {
                Settled::Held {
                    reason: HoldReason::Operator,
                    last: "its notice could not be written, see the log".into(),
                }
            }
        };
        (judged.recipient.number, settled)
    };
    Settlement {
        id: decided.message.id,
        recipients: decided.recipients.iter().map(held).collect(),
        notices: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

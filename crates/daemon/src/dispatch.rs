//! The queue manager's task: feeds every event to [`queue::Queue`] in order, and does what it says: loads from the spool, starts couriers,
//! writes outcomes down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Courier;
use mail::{QueueId, ReversePath};
use queue::{Action, CourierId, Decided, Event, Job, Judged, Queue, Verdict};
use spool::{Change, Commit, HoldReason, Settled, Settlement, SpoolError};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::courier::{self, Order};
use crate::disk::Urgency;
use crate::journal;
use crate::vital::Vital;
use crate::world::{Stop, World};

/// Events taken before their actions are carried out.
const EVENTS_AT_ONCE: usize = 256;

/// What the queue manager is told or asked.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// Figures, please.
    Counts(oneshot::Sender<queue::Counts>),
    /// Which of these recipients does a courier have right now?
    Active(Vec<(QueueId, u32)>, oneshot::Sender<Vec<bool>>),
}

pub(crate) struct Dispatch {
    world: Arc<World>,
    queue: Queue,
    orders: HashMap<CourierId, Reins>,
    /// Jobs for couriers that were just leaving: they start anew with them.
    stranded: HashMap<CourierId, Job>,
    couriers: JoinSet<CourierId>,
    /// Which task is which courier: the only way to know one that ended by a fault.
    tasks: HashMap<tokio::task::Id, CourierId>,
    /// Notices are written by so many at a time, so that they leave disk work of sessions a place.
    writers: Arc<Semaphore>,
    /// Settlements whose notices are being written, or wait for that.
    notices: JoinSet<()>,
}

/// By which a courier is led.
struct Reins {
    orders: mpsc::UnboundedSender<Order>,
    /// Others need its connection: heard while it is busy, too.
    hurry: Arc<Notify>,
}

/// See [`Dispatch::writers`].
const NOTICE_WRITERS: usize = 4;
/// How long notices may still be written once a stop has no more patience. With `stop_timeout` as it is by default this ends before `docker
/// stop` kills.
const LAST_NOTICES: Duration = Duration::from_secs(1);

/// Runs until a stop has let every attempt end and every outcome be written.
pub(crate) async fn run(world: Arc<World>, mut inbox: mpsc::UnboundedReceiver<Input>) {
    let _vital = Vital("the queue manager");
    let mut stop = world.stop.subscribe();
    let mut dispatch = Dispatch::new(world);
    let mut inputs = Vec::new();
    let mut left = Vec::new();
    while !dispatch.is_done(*stop.borrow()) {
        let deadline = dispatch
            .queue
            .deadline()
            .map(|at| at.since(dispatch.world.clock.line()));
        tokio::select! {
            biased;
            stopped = stop.changed() => if stopped.is_ok() { dispatch.on_stop() },
            _ = inbox.recv_many(&mut inputs, EVENTS_AT_ONCE) => {}
            Some(courier) = dispatch.couriers.join_next_with_id() => left.push(courier),
            () = sleep(deadline) => {}
        }
        left.extend(std::iter::from_fn(|| {
            dispatch.couriers.try_join_next_with_id()
        }));
        if !left.is_empty() {
            // Whoever has left has reported before: that it is gone must not overtake what it said last.
            inputs.extend(std::iter::from_fn(|| inbox.try_recv().ok()));
        }
        dispatch.take_all(inputs.drain(..));
        for courier in left.drain(..) {
            dispatch.on_courier_left(courier);
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
    fn new(world: Arc<World>) -> Self {
        let force = world.force();
        let queue = Queue::new(force.setup.queue.clone(), Arc::clone(force.setup.routes()));
        Self {
            world,
            queue,
            orders: HashMap::new(),
            stranded: HashMap::new(),
            couriers: JoinSet::new(),
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
        self.queue.on_tick(self.world.clock.line(), &mut actions);
        self.act_all(actions);
    }

    fn act_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.act(action);
        }
    }

    fn take(&mut self, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Event(event) => self.queue.handle(self.world.clock.line(), event, actions),
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
            Action::Hire { courier, job } => self.hire(courier, job),
            Action::Give { courier, job } => self.give(courier, job),
            Action::Hurry { courier } => {
                if let Some(reins) = self.orders.get(&courier) {
                    reins.hurry.notify_one();
                }
            }
            Action::Dismiss { courier } => {
                if let Some(reins) = self.orders.get(&courier) {
                    let _leaving = reins.orders.send(Order::Dismiss);
                }
            }
            Action::Settle(decided) => self.settle(decided),
        }
    }

    fn load(&self, host: Arc<str>, before: mail::Timestamp, limit: usize) {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            let (spool, asked) = (Arc::clone(&world.spool), Arc::clone(&host));
            let read = tokio::task::spawn_blocking(move || spool.due(&asked, before, limit)).await;
            let result = read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
            if let Err(error) = &result {
                tracing::error!(host = &*host, %error, "waiting messages could not be read");
            }
            let _ended = world
                .dispatch
                .send(Input::Event(Event::Loaded { host, result }));
        });
    }

    /// While stopping nothing new goes out: what was to go stays in the spool.
    fn hire(&mut self, id: CourierId, job: Job) {
        if self.world.is_stopping() {
            return;
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        let force = self.world.force();
        let (routes, settings) = (Arc::clone(force.setup.routes()), force.setup.delivery(&job));
        let courier = Courier::new(id, job, routes, settings, rand::random());
        let hurry = Arc::new(Notify::new());
        let running = courier::run(Arc::clone(&self.world), courier, inbox, Arc::clone(&hurry));
        self.orders.insert(id, Reins { orders, hurry });
        let task = self.couriers.spawn(running);
        self.tasks.insert(task.id(), id);
    }

    fn give(&mut self, id: CourierId, job: Job) {
        if self.world.is_stopping() {
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

    fn on_courier_left(
        &mut self,
        left: Result<(tokio::task::Id, CourierId), tokio::task::JoinError>,
    ) {
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
                let event = Event::CourierGone { courier: id };
                let mut actions = Vec::new();
                self.queue
                    .handle(self.world.clock.line(), event, &mut actions);
                self.act_all(actions);
            }
        }
    }

    fn settle(&mut self, decided: Arc<Decided>) {
        let world = Arc::clone(&self.world);
        if !decided.untold.is_empty() {
            tracing::info!(id = %decided.message.id, "no notice of success: strangers ask for more than queue.ndr.success_rate");
        }
        if !engine::may_notify(&decided) {
            return settle(&world, &decided);
        }
        let writers = Arc::clone(&self.writers);
        // Those that ended meanwhile are forgotten.
        while self.notices.try_join_next().is_some() {}
        self.notices.spawn(async move {
            let _place = writers.acquire_owned().await;
            let (writing, told) = (Arc::clone(&world), Arc::clone(&decided));
            let written = tokio::task::spawn_blocking(move || settle(&writing, &told)).await;
            if let Err(fault) = written {
                tracing::error!(id = %decided.message.id, %fault, "a notice could not be written, the message is held");
                write(&world, held(&decided), &decided);
            }
        });
    }

    /// Cut off by [`Stop::Now`]: what couriers have told by then is still written down, and with its notices, so that it does not go out again.
    async fn write_what_is_known(&mut self, inbox: &mut mpsc::UnboundedReceiver<Input>) {
        // Nothing is to be delivered from here on: nobody would hear of it.
        self.couriers.shutdown().await;
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
fn settle(world: &Arc<World>, decided: &Arc<Decided>) {
    let force = world.force();
    let composed = engine::settlement(
        decided,
        &force.setup.notices,
        world.clock.moment(),
        &mut || world.new_id(),
        &*world.spool,
    );
    match composed {
        Ok(settlement) => write(world, settlement, decided),
        Err(error) => {
            let (id, numbers) = (decided.message.id, decided.numbers());
            tracing::error!(%id, %error, "the message could not be read for its notice");
            let failed = Event::Settled {
                id,
                numbers,
                ok: false,
            };
            let _ended = world.dispatch.send(Input::Event(failed));
        }
    }
}

/// Hands the settlement of a decision to the disk thread, and tells the queue manager of it and of its notices once they are stored.
fn write(world: &Arc<World>, settlement: Settlement, decided: &Arc<Decided>) {
    let (teller, decided) = (Arc::clone(world), Arc::clone(decided));
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
    world
        .disk
        .commit(Change::Settle(settlement), Urgency::Soon, answer);
}

/// A decision is on stable storage: logs and counts who was given up by it.
fn tell(world: &World, decided: &Decided, settlement: &Settlement) {
    if decided.message.reverse_path == ReversePath::Null && !settlement.notices.is_empty() {
        tracing::info!(id = %decided.message.id, "the notice was too large for its way: a shorter one follows");
        return;
    }
    journal::settled(decided);
    let count = |wanted: fn(&Verdict) -> bool| {
        let verdicts = decided.recipients.iter().map(|judged| &judged.verdict);
        verdicts.filter(|verdict| wanted(verdict)).count()
    };
    let dropped = count(|verdict| matches!(verdict, Verdict::Dropped(_)));
    world.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
    if count(|verdict| matches!(verdict, Verdict::Badmail(_))) > 0 {
        world.badmail.look();
    }
}

/// For an operator to look at: kept, not tried, nobody told. Who has the message already is done with: a release must not send it again.
fn held(decided: &Decided) -> Settlement {
    let held = |judged: &Judged| {
        let settled = match judged.verdict {
            Verdict::Delivered(_) | Verdict::Dropped(_) => Settled::Done,
            Verdict::TryAgain { .. } | Verdict::GiveUp(_) | Verdict::Badmail(_) => Settled::Held {
                reason: HoldReason::Operator,
                last: "its notice could not be written, see the log".into(),
            },
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

//! The queue manager's task: feeds every event to [`queue::Queue`] in order, and does what it says: loads from the spool, starts couriers,
//! writes outcomes down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::Courier;
use mail::QueueId;
use queue::{Action, CourierId, Decided, Event, Job, Queue};
use spool::{Change, Commit, Settlement};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::courier::{self, Order};
use crate::disk::Urgency;
use crate::vital::Vital;
use crate::world::{Stop, World, new_id};

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
    orders: HashMap<CourierId, mpsc::UnboundedSender<Order>>,
    /// Jobs for couriers that were just leaving: they start anew with them.
    stranded: HashMap<CourierId, Job>,
    couriers: JoinSet<CourierId>,
}

/// Runs until a stop has let every attempt end and every outcome be written.
pub(crate) async fn run(world: Arc<World>, mut inbox: mpsc::UnboundedReceiver<Input>) {
    let _vital = Vital("the queue manager");
    let force = world.force();
    let queue = Queue::new(force.setup.queue.clone(), Arc::clone(force.setup.routes()));
    let mut stop = world.stop.subscribe();
    let mut dispatch = Dispatch {
        world,
        queue,
        orders: HashMap::new(),
        stranded: HashMap::new(),
        couriers: JoinSet::new(),
    };
    let mut inputs = Vec::new();
    let mut actions = Vec::new();
    while !dispatch.is_done(*stop.borrow()) {
        let deadline = dispatch.queue.deadline().map(|at| at.since(clock::now()));
        tokio::select! {
            biased;
            stopped = stop.changed() => if stopped.is_ok() { dispatch.on_stop() },
            _ = inbox.recv_many(&mut inputs, EVENTS_AT_ONCE) => {}
            Some(left) = dispatch.couriers.join_next() => dispatch.on_courier_left(left, &mut actions),
            () = sleep(deadline) => {}
        }
        for input in inputs.drain(..) {
            dispatch.take(input, &mut actions);
        }
        dispatch.queue.on_tick(clock::now(), &mut actions);
        for action in actions.drain(..) {
            dispatch.act(action);
        }
    }
}

async fn sleep(span: Option<Duration>) {
    match span {
        None => std::future::pending().await,
        Some(span) => sleep_until(Instant::now() + span).await,
    }
}

impl Dispatch {
    fn is_done(&self, stop: Stop) -> bool {
        match stop {
            Stop::Running => false,
            Stop::Draining => self.orders.is_empty() && self.queue.counts().settling == 0,
            Stop::Now => true,
        }
    }

    fn on_stop(&mut self) {
        for orders in self.orders.values() {
            // One that is leaving needs no telling.
            let _leaving = orders.send(Order::Dismiss);
        }
    }

    fn take(&mut self, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Event(event) => self.queue.handle(clock::now(), event, actions),
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
            Action::Dismiss { courier } => {
                if let Some(orders) = self.orders.get(&courier) {
                    let _leaving = orders.send(Order::Dismiss);
                }
            }
            Action::Settle(decided) => self.settle(decided),
        }
    }

    fn load(&self, host: Arc<str>, before: mail::Timestamp, limit: usize) {
        let world = Arc::clone(&self.world);
        tokio::task::spawn_blocking(move || {
            let result = world.spool.due(&host, before, limit);
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
        self.orders.insert(id, orders);
        self.couriers
            .spawn(courier::run(Arc::clone(&self.world), courier, inbox));
    }

    fn give(&mut self, id: CourierId, job: Job) {
        if self.world.is_stopping() {
            return;
        }
        let refused = match self.orders.get(&id) {
            Some(orders) => orders.send(Order::Give(Box::new(job))).err().map(|e| e.0),
            None => Some(Order::Give(Box::new(job))),
        };
        if let Some(Order::Give(job)) = refused {
            self.stranded.insert(id, *job);
        }
    }

    fn on_courier_left(
        &mut self,
        left: Result<CourierId, tokio::task::JoinError>,
        actions: &mut Vec<Action>,
    ) {
        let id = match left {
            Ok(id) => id,
            Err(fault) => {
                tracing::error!(%fault, "an attempt ended by a fault");
                // Which one is found by who no longer listens.
                match self.orders.iter().find(|(_, orders)| orders.is_closed()) {
                    Some((id, _)) => *id,
                    None => return,
                }
            }
        };
        self.orders.remove(&id);
        match self.stranded.remove(&id) {
            Some(job) => self.hire(id, job),
            None => {
                let event = Event::CourierGone { courier: id };
                self.queue.handle(clock::now(), event, actions);
            }
        }
    }

    fn settle(&self, decided: Arc<Decided>) {
        let world = Arc::clone(&self.world);
        if engine::may_notify(&decided) {
            tokio::task::spawn_blocking(move || settle(&world, &decided));
        } else {
            settle(&world, &decided);
        }
    }
}

/// Writes one decision down, with the notices it causes. May read the spool, and then blocks.
fn settle(world: &Arc<World>, decided: &Decided) {
    let force = world.force();
    let composed = engine::settlement(
        decided,
        &force.setup.notices,
        clock::now(),
        &mut new_id,
        &*world.spool,
    );
    let (id, numbers) = (decided.message.id, decided.numbers());
    let dispatch = world.dispatch.clone();
    let settlement = match composed {
        Ok(settlement) => settlement,
        Err(error) => {
            tracing::error!(%id, %error, "the message could not be read for its notice");
            let _ended = dispatch.send(Input::Event(Event::Settled {
                id,
                numbers,
                ok: false,
            }));
            return;
        }
    };
    let announced = announced(&settlement);
    let answer = Box::new(move |commit: Commit| {
        let ok = matches!(commit, Commit::Applied { .. });
        if !ok {
            tracing::error!(%id, answer = ?commit, "an outcome could not be written down, it is tried again");
        }
        let _ended = dispatch.send(Input::Event(Event::Settled { id, numbers, ok }));
        if ok {
            for stored in announced {
                let _ended = dispatch.send(Input::Event(stored));
            }
        }
    });
    world
        .disk
        .commit(Change::Settle(settlement), Urgency::Soon, answer);
}

/// The notices of a settlement, as the queue manager learns of them once they are stored.
fn announced(settlement: &Settlement) -> Vec<Event> {
    let notice = |new: &spool::NewMessage| {
        tracing::info!(id = %new.message.id, about = %settlement.id, to = new.recipients.first().map_or("", |r| r.admitted.recipient().as_str()), "notice to the sender");
        Event::Stored {
            message: Arc::clone(&new.message),
            recipients: new.recipients.clone(),
            content: match &new.content {
                spool::Content::Inline(content) => Some(content.clone()),
                spool::Content::Large(_) => None,
            },
        }
    };
    settlement.notices.iter().map(notice).collect()
}

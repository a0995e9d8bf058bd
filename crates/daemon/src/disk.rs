//! The disk thread: one writer that takes what all sessions and attempts have ready, commits it in
//! one transaction with one sync, and then wakes them all.
//!
//! Guarantees: the answer to a change is given only after the spool has answered, so after the
//! sync; changes are applied in the order in which they came. What attempts did ([`Urgency::Soon`])
//! may wait a few milliseconds to share the sync of the next new message; nobody is kept waiting
//! for it, and a crash before it costs a duplicate at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::vital::Vital;
use engine::Coming;
use spool::{Change, Commit, Spool, SpoolError};

/// Changes in one transaction: enough to share a sync, few enough to keep the first one's wait
/// short.
const BATCH_MAX: usize = 512;
/// How long a change that nobody waits for may look for company.
const COMPANY: Duration = Duration::from_millis(15);
/// How long new messages may wait for others that are on their way. Never for a client that sends
/// alone.
const GATHERING: Duration = Duration::from_millis(3);
/// After waits in vain, so many batches at most go without waiting.
const UNHURRIED_BATCHES_MAX: u32 = 256;

/// Gets the answer to one change, on the disk thread: it must be quick.
pub type Answer = Box<dyn FnOnce(Commit) + Send>;

/// Whether somebody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A client waits for its 250.
    Now,
    /// Nobody waits for the answer.
    Soon,
}

struct Order {
    change: Change,
    urgency: Urgency,
    answer: Answer,
}

enum Input {
    Order(Order),
    /// No order follows: the thread is to end.
    Finish,
}

/// The way to the disk thread.
///
/// It has no limit of its own, so that whoever hands in a change never waits on a network thread.
/// What can be in it is bounded by those who do: a session hands in one message and waits for its
/// answer, the queue manager stops at a named number of open settlements.
#[derive(Clone)]
pub struct Disk {
    inputs: Sender<Input>,
    coming: Arc<AtomicUsize>,
}

impl Disk {
    /// Starts the thread; it ends after [`Disk::finish`], or when the last `Disk` is dropped.
    pub fn start(spool: Arc<dyn Spool>) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (inputs, inbox) = channel();
        let coming = Arc::new(AtomicUsize::new(0));
        let gatherer = Gatherer::new(Arc::clone(&coming));
        let thread = std::thread::Builder::new()
            .name("disk".into())
            .spawn(move || write_until_closed(&*spool, &inbox, gatherer))?;
        Ok((Self { inputs, coming }, thread))
    }

    /// Tells that a message has begun. As long as any is on its way, a batch may wait a moment.
    pub fn expect(&self) -> Coming {
        Coming::new(&self.coming)
    }

    /// Hands in a change; the answer comes on the disk thread.
    pub fn commit(&self, change: Change, urgency: Urgency, answer: Answer) {
        let order = Order {
            change,
            urgency,
            answer,
        };
        if let Err(refused) = self.inputs.send(Input::Order(order))
            && let Input::Order(order) = refused.0
        {
            let closed = SpoolError::Io("the disk thread has ended".into());
            (order.answer)(Commit::Rejected(closed));
        }
    }

    /// Ends the thread after what was handed in so far.
    pub fn finish(&self) {
        // Fails only when it has ended already.
        let _ended = self.inputs.send(Input::Finish);
    }
}

fn write_until_closed(spool: &dyn Spool, inbox: &Receiver<Input>, mut gatherer: Gatherer) {
    let _vital = Vital("the disk thread");
    while let Ok(Input::Order(first)) = inbox.recv() {
        let Batch {
            changes,
            answers,
            last,
        } = gatherer.gather(first, inbox);
        let results = spool.commit(changes);
        assert_eq!(
            results.len(),
            answers.len(),
            "the spool answers each change"
        );
        for (answer, result) in answers.into_iter().zip(results) {
            answer(result);
        }
        if last {
            return;
        }
    }
}

/// What goes into one transaction.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    answers: Vec<Answer>,
    /// No batch follows: the thread is to end after this one.
    last: bool,
}

/// Decides how long a batch stays open.
///
/// While other messages are on their way in, it is worth a moment to let them share the sync. A
/// client that sends one message after the other is alone and never waits. Clients that begin a
/// message and do not go on cannot slow the others down: after a wait in vain the next batches do
/// not wait, twice as many each time.
struct Gatherer {
    coming: Arc<AtomicUsize>,
    /// Batches still to go without waiting, and how many it will be next time.
    unhurried: u32,
    penalty: u32,
}

impl Gatherer {
    fn new(coming: Arc<AtomicUsize>) -> Self {
        Self {
            coming,
            unhurried: 0,
            penalty: 1,
        }
    }

    fn gather(&mut self, first: Order, inbox: &Receiver<Input>) -> Batch {
        let started = Instant::now();
        let may_wait = self.unhurried == 0;
        self.unhurried = self.unhurried.saturating_sub(1);
        let (mut hurried, mut waited_from) = (0, None);
        let mut batch = Batch::default();
        let mut next = Some(Input::Order(first));
        while let Some(input) = next {
            let Input::Order(order) = input else {
                batch.last = true;
                break;
            };
            hurried += usize::from(order.urgency == Urgency::Now);
            batch.changes.push(order.change);
            batch.answers.push(order.answer);
            if batch.changes.len() >= BATCH_MAX {
                break;
            }
            next = inbox.try_recv().ok().or_else(|| {
                let time_limit = self.time_limit(hurried, may_wait);
                if hurried > 0 && !time_limit.is_zero() {
                    waited_from.get_or_insert(hurried);
                }
                let left = time_limit.saturating_sub(started.elapsed());
                inbox.recv_timeout(left).ok()
            });
        }
        if let Some(before) = waited_from {
            self.learn(hurried > before);
        }
        batch
    }

    fn time_limit(&self, hurried: usize, may_wait: bool) -> Duration {
        match hurried {
            0 => COMPANY,
            _ if may_wait && self.coming.load(Ordering::Relaxed) > 0 => GATHERING,
            _ => Duration::ZERO,
        }
    }

    /// After a batch that waited: whether anybody came.
    fn learn(&mut self, somebody_came: bool) {
        if somebody_came {
            self.penalty = 1;
        } else {
            self.unhurried = self.penalty;
            self.penalty = (self.penalty * 2).min(UNHURRIED_BATCHES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter::Filter;
    use mail::Timestamp;
    use spool::{Bulk, Verb};

    fn order(urgency: Urgency) -> Order {
        let change = Change::Bulk(Bulk {
            verb: Verb::Delete,
            filter: Filter::everything(),
            due: Timestamp::default(),
            reason: None,
        });
        Order {
            change,
            urgency,
            answer: Box::new(|_| ()),
        }
    }

    /// Each batch ends with its wait in vain, so the clock tells whether it waited.
    #[test]
    fn nobody_waits_for_clients_that_do_not_go_on() {
        let (_orders, inbox) = channel();
        let mut gatherer = Gatherer::new(Arc::new(AtomicUsize::new(1)));
        let penalties: Vec<u32> = std::iter::repeat_with(|| {
            gatherer.gather(order(Urgency::Now), &inbox);
            gatherer.unhurried
        })
        .take(8)
        .collect();
        assert_eq!(penalties, [1, 0, 2, 1, 0, 4, 3, 2]);
    }

    #[test]
    fn what_was_handed_in_before_the_end_is_in_the_last_batch() {
        let (orders, inbox) = channel();
        orders.send(Input::Order(order(Urgency::Soon))).unwrap();
        orders.send(Input::Finish).unwrap();
        let batch = Gatherer::new(Arc::default()).gather(order(Urgency::Soon), &inbox);
        assert_eq!((batch.changes.len(), batch.last), (2, true));
    }

    #[test]
    fn a_batch_has_a_limit() {
        let (orders, inbox) = channel();
        for _ in 0..BATCH_MAX + 5 {
            orders.send(Input::Order(order(Urgency::Soon))).unwrap();
        }
        let mut gatherer = Gatherer::new(Arc::default());
        assert_eq!(
            gatherer.gather(order(Urgency::Soon), &inbox).changes.len(),
            BATCH_MAX
        );
        assert_eq!(
            gatherer.gather(order(Urgency::Now), &inbox).changes.len(),
            7
        );
    }
}

//! The disk thread: one writer that takes what all sessions and attempts have ready, commits it in
//! one transaction with one sync, and then wakes them all.
//!
//! Guarantees: the answer to a change is given only after the spool has answered, so after the
//! sync; changes are applied in the order in which they came, but for those that give way
//! ([`Urgency::Spare`]). What attempts did ([`Urgency::Soon`]) may wait a few milliseconds to share
//! the sync of the next new message; nobody is kept waiting for it, and a crash before it costs a
//! duplicate at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::vital::Vital;
use engine::Coming;
use spool::{Change, Commit, Spool, SpoolError};
use tokio::sync::oneshot;

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

/// How long a change that gives way does so at most: it goes on under any load.
const GIVING_WAY: Duration = Duration::from_millis(50);

/// Gets the answer to one change, on the disk thread: it must be quick.
pub type Answer = Box<dyn FnOnce(Commit) + Send>;

/// Whether somebody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A client waits for its 250.
    Now,
    /// Nobody waits for the answer.
    Soon,
    /// It takes long, and is done when no client waits.
    Spare,
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
    /// Starts the thread; it ends after [`Disk::finish`], or when the last `Disk` is dropped. After
    /// each commit `committed` hears on that thread how long it took.
    pub fn start(
        spool: Arc<dyn Spool>,
        committed: impl Fn(Duration) + Send + 'static,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (inputs, inbox) = channel();
        let coming = Arc::new(AtomicUsize::new(0));
        let gatherer = Gatherer::new(Arc::clone(&coming));
        let thread = std::thread::Builder::new()
            .name("disk".into())
            .spawn(move || write_until_closed(&*spool, &inbox, gatherer, committed))?;
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
            (order.answer)(Commit::Rejected(ended()));
        }
    }

    /// Hands in a change, at once. The future gives its answer, if that is success.
    pub(crate) fn ask(
        &self,
        change: Change,
        urgency: Urgency,
    ) -> impl Future<Output = Result<Commit, SpoolError>> + use<> {
        let (answer, answered) = oneshot::channel();
        let on_commit = Box::new(move |commit| {
            let _asker_gone = answer.send(commit);
        });
        self.commit(change, urgency, on_commit);
        async { success(answered.await) }
    }

    /// The same for a change that is answered by [`Commit::Applied`]; gives how much it touched.
    pub(crate) fn apply(
        &self,
        change: Change,
        urgency: Urgency,
    ) -> impl Future<Output = Result<u64, SpoolError>> + use<> {
        let answered = self.ask(change, urgency);
        async {
            match answered.await? {
                Commit::Applied { recipients } => Ok(recipients),
                other => unreachable!("{other:?} answers another change"),
            }
        }
    }

    /// Ends the thread after what was handed in so far, but for what gives way.
    pub fn finish(&self) {
        // Fails only when it has ended already.
        let _ended = self.inputs.send(Input::Finish);
    }
}

/// The answer to a change, if that is success.
pub(crate) fn success(
    answered: Result<Commit, oneshot::error::RecvError>,
) -> Result<Commit, SpoolError> {
    match answered {
        Ok(Commit::Rejected(error) | Commit::Unknown(error)) => Err(error),
        Ok(commit) => Ok(commit),
        Err(_) => Err(ended()),
    }
}

fn ended() -> SpoolError {
    SpoolError::Io("the disk thread has ended".into())
}

fn write_until_closed(
    spool: &dyn Spool,
    inbox: &Receiver<Input>,
    mut gatherer: Gatherer,
    committed: impl Fn(Duration),
) {
    let _vital = Vital("the disk thread");
    while let Some(batch) = gatherer.next_batch(inbox) {
        let Batch {
            changes,
            answers,
            last,
        } = batch;
        let began = Instant::now();
        let results = spool.commit(changes);
        committed(began.elapsed());
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
    /// What gives way, and since when.
    spare: VecDeque<(Order, Instant)>,
}

impl Batch {
    fn push(&mut self, order: Order) {
        self.changes.push(order.change);
        self.answers.push(order.answer);
    }
}

impl Gatherer {
    fn new(coming: Arc<AtomicUsize>) -> Self {
        Self {
            coming,
            unhurried: 0,
            penalty: 1,
            spare: VecDeque::new(),
        }
    }

    /// What is committed next; `None` when nothing follows.
    fn next_batch(&mut self, inbox: &Receiver<Input>) -> Option<Batch> {
        loop {
            let gave_way = self.spare.front().map(|(_, since)| since.elapsed());
            let input = match gave_way {
                None => inbox.recv().ok()?,
                Some(long) if long >= GIVING_WAY => return Some(self.spare_batch()),
                Some(_) => match inbox.try_recv() {
                    Ok(input) => input,
                    Err(_) => return Some(self.spare_batch()),
                },
            };
            match input {
                Input::Finish => return None,
                Input::Order(order) if order.urgency == Urgency::Spare => self.put_aside(order),
                Input::Order(order) => return Some(self.gather(order, inbox)),
            }
        }
    }

    fn put_aside(&mut self, order: Order) {
        self.spare.push_back((order, Instant::now()));
    }

    fn spare_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        if let Some((order, _)) = self.spare.pop_front() {
            batch.push(order);
        }
        batch
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
            match order.urgency {
                Urgency::Now => {
                    hurried += 1;
                    batch.push(order);
                }
                Urgency::Soon => batch.push(order),
                Urgency::Spare => self.put_aside(order),
            }
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
        if hurried == 0
            && let Some((order, _)) = self.spare.pop_front()
        {
            // Nobody waits for this batch either.
            batch.push(order);
        }
        batch
    }

    fn time_limit(&self, hurried: usize, may_wait: bool) -> Duration {
        match hurried {
            0 if self.spare.is_empty() => COMPANY,
            0 => Duration::ZERO,
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

    fn order(urgency: Urgency) -> Order {
        Order {
            change: Change::Resume(None),
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

    #[test]
    fn what_gives_way_is_done_when_no_client_waits_and_alone_when_that_takes_too_long() {
        let (orders, inbox) = channel();
        let send = |urgency| orders.send(Input::Order(order(urgency))).unwrap();
        let mut gatherer = Gatherer::new(Arc::default());
        let mut next = || gatherer.next_batch(&inbox).unwrap().changes.len();
        [Urgency::Spare, Urgency::Now, Urgency::Now]
            .into_iter()
            .for_each(send);
        assert_eq!([next(), next()], [2, 1]);
        [Urgency::Spare, Urgency::Soon].into_iter().for_each(send);
        assert_eq!(next(), 2);
        [Urgency::Now, Urgency::Spare, Urgency::Soon]
            .into_iter()
            .for_each(send);
        assert_eq!([next(), next()], [2, 1]);
        let since = Instant::now().checked_sub(GIVING_WAY).unwrap();
        gatherer.spare.push_back((order(Urgency::Spare), since));
        send(Urgency::Now);
        let mut next = || gatherer.next_batch(&inbox).unwrap().changes.len();
        assert_eq!([next(), next()], [1, 1]);
        orders.send(Input::Finish).unwrap();
        assert!(gatherer.next_batch(&inbox).is_none());
    }
}

//! The disk thread: one writer that takes what all sessions and attempts have ready, commits it in one transaction with one sync, and
//! then wakes them all.
//!
//! Guarantees: the answer to a change is given only after the spool has answered, so after the sync; changes are applied in the order in
//! which they came. What attempts did ([`Urgency::Soon`]) may wait a few milliseconds to share the sync of the next new message; nobody is
//! kept waiting for it, and a crash before it costs a duplicate at most.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use spool::{Change, Commit, Spool, SpoolError};

/// Changes that may wait for the writer; past this, those who bring more wait.
const WAITING_MAX: usize = 4096;
/// Changes in one transaction: enough to share a sync, few enough to keep the first one's wait short.
const BATCH_MAX: usize = 512;
/// How long a change that nobody waits for may look for company.
const COMPANY: Duration = Duration::from_millis(15);

/// Gets the answer to one change, on the disk thread: it must be quick.
pub type Answer = Box<dyn FnOnce(Commit) + Send>;

/// Whether somebody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A client waits for its 250.
    Now,
    /// Nobody waits.
    Soon,
}

struct Order {
    change: Change,
    urgency: Urgency,
    answer: Answer,
}

/// The way to the disk thread. When the last one is dropped, the thread finishes what it has and ends.
#[derive(Clone)]
pub struct Disk {
    orders: SyncSender<Order>,
}

impl Disk {
    /// Starts the thread. The handle is to be joined at the end, after every `Disk` is dropped.
    pub fn start(spool: Arc<dyn Spool>) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (orders, inbox) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("disk".into())
            .spawn(move || write_until_closed(&*spool, &inbox))?;
        Ok((Self { orders }, thread))
    }

    /// Hands in a change. Blocks when the writer is far behind, which slows acceptance down to what the disk can take.
    pub fn commit(&self, change: Change, urgency: Urgency, answer: Answer) {
        if let Err(refused) = self.orders.send(Order { change, urgency, answer }) {
            let closed = SpoolError::Io("the disk thread has ended".into());
            (refused.0.answer)(Commit::Rejected(closed));
        }
    }
}

fn write_until_closed(spool: &dyn Spool, inbox: &Receiver<Order>) {
    while let Ok(first) = inbox.recv() {
        let (changes, answers) = gather(first, inbox);
        let results = spool.commit(changes);
        assert_eq!(results.len(), answers.len(), "the spool answers each change");
        for (answer, result) in answers.into_iter().zip(results) {
            answer(result);
        }
    }
}

/// What is ready now; when only unhurried changes are, whatever comes within [`COMPANY`] too.
fn gather(first: Order, inbox: &Receiver<Order>) -> (Vec<Change>, Vec<Answer>) {
    let mut hurried = first.urgency == Urgency::Now;
    let mut changes = vec![first.change];
    let mut answers = vec![first.answer];
    let until = Instant::now() + COMPANY;
    while changes.len() < BATCH_MAX {
        let patience =
            if hurried { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
        let order = match inbox.recv_timeout(patience) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
        hurried |= order.urgency == Urgency::Now;
        changes.push(order.change);
        answers.push(order.answer);
    }
    (changes, answers)
}

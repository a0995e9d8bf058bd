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
/// How long new messages may wait for others that are likely on their way. Never for a client that sends alone.
const GATHERING: Duration = Duration::from_millis(2);

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
        if let Err(refused) = self.orders.send(Order {
            change,
            urgency,
            answer,
        }) {
            let closed = SpoolError::Io("the disk thread has ended".into());
            (refused.0.answer)(Commit::Rejected(closed));
        }
    }
}

fn write_until_closed(spool: &dyn Spool, inbox: &Receiver<Order>) {
    let mut gatherer = Gatherer { expected: 1 };
    while let Ok(first) = inbox.recv() {
        let (changes, answers) = gatherer.gather(first, inbox);
        let results = spool.commit(changes);
        assert_eq!(
            results.len(),
            answers.len(),
            "the spool answers each change"
        );
        for (answer, result) in answers.into_iter().zip(results) {
            answer(result);
        }
    }
}

/// Decides how long a batch stays open.
///
/// As many new messages as the last batch had are likely to come again, so it is worth a moment to let them share the sync; the
/// number grows while they do come, and falls to what came when they do not. A client that sends one message after the other is
/// alone in its batches and never waits.
struct Gatherer {
    expected: usize,
}

impl Gatherer {
    fn gather(&mut self, first: Order, inbox: &Receiver<Order>) -> (Vec<Change>, Vec<Answer>) {
        let started = Instant::now();
        let mut hurried = 0;
        let mut changes = Vec::new();
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(Order {
            change,
            urgency,
            answer,
        }) = next
        {
            hurried += usize::from(urgency == Urgency::Now);
            changes.push(change);
            answers.push(answer);
            if changes.len() >= BATCH_MAX {
                break;
            }
            let patience = match hurried {
                0 => COMPANY,
                few if few < self.expected => GATHERING,
                _ => Duration::ZERO,
            };
            next = match inbox.recv_timeout(patience.saturating_sub(started.elapsed())) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
            };
        }
        if hurried >= self.expected {
            self.expected = hurried + hurried / 4;
        } else if hurried > 0 {
            self.expected = hurried;
        }
        (changes, answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter::Filter;

    fn order(urgency: Urgency) -> Order {
        let change = Change::Delete {
            filter: Filter::everything(),
        };
        Order {
            change,
            urgency,
            answer: Box::new(|_| ()),
        }
    }

    #[test]
    fn the_number_expected_follows_what_comes() {
        let (orders, inbox) = sync_channel(WAITING_MAX);
        let mut gatherer = Gatherer { expected: 1 };
        for _ in 0..7 {
            orders.send(order(Urgency::Now)).unwrap();
        }
        assert_eq!(gatherer.gather(order(Urgency::Now), &inbox).0.len(), 8);
        assert_eq!(gatherer.expected, 10);
        assert_eq!(gatherer.gather(order(Urgency::Now), &inbox).0.len(), 1);
        assert_eq!(gatherer.expected, 1);
    }

    #[test]
    fn a_batch_has_a_limit() {
        let (orders, inbox) = sync_channel(WAITING_MAX);
        for _ in 0..BATCH_MAX + 5 {
            orders.send(order(Urgency::Soon)).unwrap();
        }
        let mut gatherer = Gatherer { expected: 1 };
        assert_eq!(
            gatherer.gather(order(Urgency::Soon), &inbox).0.len(),
            BATCH_MAX
        );
        assert_eq!(gatherer.gather(order(Urgency::Now), &inbox).0.len(), 7);
    }
}

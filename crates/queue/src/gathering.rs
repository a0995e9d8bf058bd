//! Bad news about one message wait a moment for each other, so that its sender gets one notice and
//! not one for each site.
//!
//! What waits here is claimed like what is being settled. A crash forgets it, and the recipients
//! are tried once more: none of them was delivered to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mail::{QueueId, Timestamp};

use crate::{Decided, Disposition, Judged};

/// How long the first news about a message waits for those of its recipients that are still in
/// hand.
const GATHERING: Duration = Duration::from_secs(5);
/// Messages about which news wait; beyond, each goes out as it comes.
const MESSAGES_MAX: usize = 1000;

/// News of one message that wait for others, to be told in one notice.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pending: BTreeMap<QueueId, (Timestamp, Decided)>,
    due: BTreeSet<(Timestamp, QueueId)>,
    /// Messages of which something has ended just now.
    touched: BTreeSet<QueueId>,
}

/// Whether the sender may have to be told that this recipient has not got the message, or not yet.
pub(crate) fn is_news(judged: &Judged) -> bool {
    match &judged.disposition {
        Disposition::GiveUp(_) => true,
        Disposition::TryAgain { delay_notice, .. } => *delay_notice,
        Disposition::Delivered(_) | Disposition::Badmail(_) | Disposition::Dropped(_) => false,
    }
}

impl Gathering {
    /// Whether news about the message wait.
    pub(crate) fn has(&self, id: QueueId) -> bool {
        self.pending.contains_key(&id)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= MESSAGES_MAX
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn add(&mut self, now: Timestamp, news: Decided) {
        let id = news.message.id;
        self.touched.insert(id);
        if let Some((_, waiting)) = self.pending.get_mut(&id) {
            waiting.recipients.extend(news.recipients);
            waiting.content = waiting.content.take().or(news.content);
            return;
        }
        let due = now + GATHERING;
        self.due.insert((due, id));
        self.pending.insert(id, (due, news));
    }

    /// Something of the message has ended: it may have been the last that was in hand.
    pub(crate) fn touch(&mut self, id: QueueId) {
        if self.has(id) {
            self.touched.insert(id);
        }
    }

    pub(crate) fn next_touched(&mut self) -> Option<QueueId> {
        self.touched.pop_first()
    }

    /// A message about which news have waited long enough.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<QueueId> {
        let (_, id) = self.due.first().filter(|(due, _)| *due <= now)?;
        Some(*id)
    }

    pub(crate) fn take(&mut self, id: QueueId) -> Option<Decided> {
        let (due, news) = self.pending.remove(&id)?;
        self.due.remove(&(due, id));
        Some(news)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }
}

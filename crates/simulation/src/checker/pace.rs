use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mail::{QueueId, Timestamp};
use route::{RateUnit, SendRate};

use crate::domains::{FOREIGN, HOSTED, SENDERS};

/// What was on its way when the relay gave a connection up may arrive so much later.
const LATE: Duration = Duration::from_secs(5);

/// What the servers of each domain took of late, held against the rate that the configuration sets
/// for every site. Only domains count that are a site of their own, whatever the routes are.
#[derive(Default)]
pub(crate) struct Pace {
    rate: Option<SendRate>,
    /// Mail for domains of others goes to more sites than one.
    by_sender: bool,
    taken: BTreeMap<String, VecDeque<Taken>>,
    /// Messages that go, or went, to another site than that of their domain.
    rerouted: BTreeSet<QueueId>,
    /// Connections before this one were made before the last crash, at which the relay began to
    /// count anew.
    first: usize,
}

struct Taken {
    at: Timestamp,
    id: QueueId,
    recipients: u32,
}

impl Pace {
    pub(crate) fn new(rate: Option<SendRate>, by_sender: bool) -> Self {
        Self {
            rate,
            by_sender,
            ..Self::default()
        }
    }

    pub(crate) fn on_crash(&mut self, next: usize) {
        self.taken.clear();
        self.first = next;
    }

    pub(crate) fn on_rerouted(&mut self, messages: impl Iterator<Item = QueueId>) {
        self.rerouted.extend(messages);
    }

    /// A server took a message for recipients of this domain. Gives how much it is now, and whether
    /// that is more than the rate allows; nothing where there is none.
    pub(crate) fn on_taken(
        &mut self,
        (connection, now): (usize, Timestamp),
        id: QueueId,
        (domain, recipients): (&str, usize),
    ) -> Option<(u32, bool)> {
        let rate = self.rate?;
        let is_foreign_site = !self.by_sender && FOREIGN.contains(&domain);
        let is_site = domain == HOSTED[2] || domain == SENDERS || is_foreign_site;
        if !is_site || connection < self.first || self.rerouted.contains(&id) {
            return None;
        }
        let taken = self.taken.entry(domain.to_owned()).or_default();
        taken.push_back(Taken {
            at: now,
            id,
            recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
        });
        let per = rate.per - LATE;
        while taken.front().is_some_and(|first| first.at + per <= now) {
            taken.pop_front();
        }
        let count = match rate.unit {
            // Some servers take a message in several transactions.
            RateUnit::Messages => taken
                .iter()
                .map(|one| one.id)
                .collect::<BTreeSet<_>>()
                .len() as u32,
            RateUnit::Recipients => taken.iter().map(|one| one.recipients).sum(),
        };
        Some((count, count > rate.count))
    }
}

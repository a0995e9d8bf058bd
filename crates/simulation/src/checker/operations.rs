//! What the administrator wants done is done to all whom it concerns, and at once.

use std::collections::BTreeSet;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use spool::{HoldReason, Model, Operation, Page, Recipient, RecipientState, Spool, Verb};

use super::Checker;

/// By then the queue manager has heard of an operation that is stored.
const HEARD: Duration = Duration::from_secs(1);

/// A recipient by message and number.
type Key = (QueueId, u32);

/// All operations that were ever seen in the spool.
#[derive(Default)]
pub(super) struct Operations {
    /// Whom each concerned when it was stored; until it has ended.
    pending: Vec<(u64, BTreeSet<Key>)>,
    last: u64,
    /// Who is not to be given to an agent any more, from this moment on.
    withheld: Vec<(Timestamp, BTreeSet<Key>)>,
}

impl Checker {
    /// Something may have become durable: new operations, parts of them, or their ends. Messages
    /// that are not known yet came after them.
    pub(crate) fn look_at_operations(&mut self, spool: &Model, now: Timestamp) {
        for operation in spool.operations().unwrap_or_default() {
            if operation.number > self.operations.last {
                self.operations.last = operation.number;
                self.on_operation(&operation, spool, now);
            }
            if operation.ended.is_some() {
                self.on_operation_ended(&operation, spool);
            }
        }
    }

    fn on_operation(&mut self, operation: &Operation, spool: &Model, now: Timestamp) {
        let concerned = self.recipients(spool, operation, |one| {
            one.state == RecipientState::Waiting || operation.bulk.verb == Verb::Release
        });
        let is_lasting = operation.bulk.verb != Verb::Reroute;
        if !is_lasting {
            let rerouted = self.recipients(spool, operation, |_| true);
            self.pace
                .on_rerouted(rerouted.into_iter().map(|(id, _)| id));
        }
        if operation.bulk.verb.withholds() && is_lasting {
            let heard = now + HEARD;
            self.operations.withheld.push((heard, concerned.clone()));
        }
        if operation.bulk.verb == Verb::Release {
            for (_, withheld) in &mut self.operations.withheld {
                withheld.retain(|key| !concerned.contains(key));
            }
        }
        self.operations.pending.push((operation.number, concerned));
    }

    /// Those who match and are so, of the messages that are known.
    fn recipients(
        &self,
        spool: &Model,
        operation: &Operation,
        is_so: impl Fn(&Recipient) -> bool,
    ) -> BTreeSet<Key> {
        let page = Page {
            after: None,
            limit: usize::MAX,
        };
        let found = spool.find(&operation.bulk.filter, page).unwrap_or_default();
        let known = found
            .iter()
            .filter(|waiting| self.stored.contains_key(&waiting.message.id));
        let recipients = known.flat_map(|waiting| {
            let so = waiting.recipients.iter().filter(|one| is_so(one));
            so.map(|one| (waiting.message.id, one.number))
        });
        recipients.collect()
    }

    fn on_operation_ended(&mut self, operation: &Operation, spool: &Model) {
        let pending = &mut self.operations.pending;
        let Some(at) = pending
            .iter()
            .position(|(number, _)| *number == operation.number)
        else {
            return;
        };
        let (number, concerned) = pending.remove(at);
        self.totals.count("operations of the operator");
        let left = self.recipients(spool, operation, |one| match operation.bulk.verb {
            Verb::Retry => false,
            Verb::Hold | Verb::Delete | Verb::Bounce => one.state == RecipientState::Waiting,
            Verb::Release => {
                let held = [HoldReason::Operator, HoldReason::Bouncing].map(RecipientState::Held);
                held.contains(&one.state)
            }
            Verb::Reroute => one.rerouted() != operation.bulk.route.as_deref(),
        });
        if let Some((id, recipient)) = concerned.intersection(&left).next() {
            let verb = operation.bulk.verb;
            self.violate(format!(
                "operation {number} ({verb}) left out {id}, recipient {recipient}"
            ));
        }
    }

    /// Whether an agent that gets this recipient now does so against the administrator's word.
    pub(super) fn is_withheld(&self, id: QueueId, number: u32, now: Timestamp) -> bool {
        let mut withheld = self.operations.withheld.iter();
        withheld.any(|(heard, keys)| *heard <= now && keys.contains(&(id, number)))
    }
}

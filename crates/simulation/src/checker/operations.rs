//! What the administrator wants done is done to all whom it concerns, and at once; and to nobody
//! else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use spool::{
    HoldReason, Message, Model, Operation, Part, Recipient, RecipientState, Spool, Verb, Waiting,
};

use super::Checker;
use crate::wish::Wish;

/// By then the queue manager has heard of an operation that is stored.
const HEARD: Duration = Duration::from_secs(1);

/// A recipient by message and number.
pub(super) type Key = (QueueId, u32);

/// What there is in the spool.
pub(crate) type Kept = BTreeMap<Key, (Arc<Message>, Recipient)>;

/// All wishes, and all operations that were ever seen in the spool.
#[derive(Default)]
pub(super) struct Operations {
    wishes: Vec<Arc<Wish>>,
    /// Whom each concerned when it was stored; until it has ended.
    pending: Vec<(u64, BTreeSet<Key>)>,
    last: u64,
    /// Who is not to be given to an agent any more.
    withheld: Vec<Withheld>,
    /// To whom each was done so far.
    done: BTreeMap<u64, BTreeSet<Key>>,
    /// Those of which a part was written that nobody was told of.
    untold: BTreeSet<u64>,
}

/// Whom an operation withholds.
struct Withheld {
    verb: Verb,
    /// From this moment on.
    heard: Timestamp,
    keys: BTreeSet<Key>,
    /// Those of them who were out, or about to be settled, when it was stored.
    in_hand: BTreeSet<Key>,
}

impl Operations {
    /// These are others by now.
    pub(super) fn forget(&mut self, is_so: impl Fn(&Key) -> bool) {
        for withheld in &mut self.withheld {
            withheld.keys.retain(|key| !is_so(key));
        }
    }
}

impl Checker {
    /// The administrator has this wish; by its number he says it.
    pub(crate) fn wish(&mut self, wish: Wish) -> usize {
        self.operations.wishes.push(Arc::new(wish));
        self.operations.wishes.len() - 1
    }

    pub(crate) fn wish_of(&self, number: usize) -> Arc<Wish> {
        Arc::clone(&self.operations.wishes[number])
    }

    /// The wish that an operation is to fulfil.
    fn wanted_by(&self, operation: &Operation) -> Arc<Wish> {
        let number = operation.bulk.by.parse();
        self.wish_of(number.unwrap_or_else(|why| panic!("{why}")))
    }

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
        let wish = self.wanted_by(operation);
        let concerned = self.known(spool, |message, one| wish.is_for(message, one));
        if wish.verb == Verb::Reroute {
            let rerouted = concerned.iter().map(|(id, _)| *id);
            self.pace.on_rerouted(rerouted);
        }
        // What is asked of a state is looked at when the operation comes to it.
        if wish.is_lasting() && wish.verb.withholds() && wish.verb != Verb::Reroute {
            let in_hand = concerned.iter().copied();
            let in_hand = in_hand.filter(|key| self.is_in_hand(*key)).collect();
            self.operations.withheld.push(Withheld {
                verb: wish.verb,
                heard: now + HEARD,
                keys: concerned.clone(),
                in_hand,
            });
        }
        // What is to be held by then may be released, and may not be held yet.
        if wish.verb == Verb::Release {
            let released = self.known(spool, |message, one| wish.may_be_for(message, one));
            let withheld = self.operations.withheld.iter_mut();
            for one in withheld.filter(|one| one.verb != Verb::Delete) {
                one.keys.retain(|key| !released.contains(key));
            }
        }
        self.operations.pending.push((operation.number, concerned));
    }

    /// Those who are so, of the messages that are known.
    fn known(&self, spool: &Model, is_so: impl Fn(&Message, &Recipient) -> bool) -> BTreeSet<Key> {
        let kept = kept(spool).into_iter();
        let known = kept.filter(|((id, _), _)| self.stored.contains_key(id));
        let so = known.filter(|(_, (message, one))| is_so(message, one));
        so.map(|(key, _)| key).collect()
    }

    /// Whether an agent has it, or had it and what came of that is not written yet.
    fn is_in_hand(&self, (id, number): Key) -> bool {
        let stored = self.stored.get(&id);
        let mut recipients = stored.into_iter().flat_map(|one| one.recipients.values());
        recipients.any(|one| one.number == number && (one.agent.is_some() || one.settling))
    }

    /// A part of an operation is durable: it was for those whom it touched, it touched those whom it
    /// counts, and they are as was wanted.
    pub(crate) fn on_part(&mut self, before: &Kept, part: &Part, spool: &Model) {
        let operation = &part.operation;
        let wish = self.wanted_by(operation);
        let after = kept(spool);
        let counted: BTreeSet<Key> = part.changed.iter().copied().collect();
        for (key, (message, recipient)) in before {
            let (id, number) = key;
            let now = after.get(key).map(|(_, one)| one);
            let (is_same, is_counted) = (now == Some(recipient), counted.contains(key));
            let came_after = message.arrived > operation.bulk.at;
            let is_for = !came_after && wish.is_for(message, recipient);
            let wrong = match (is_counted, is_same) {
                (false, true) => continue,
                _ if !is_for => "whom it is not for",
                (false, false) => "and did not count it",
                (true, _) if !wish.is_done_to(now) => "and left it as it must not be",
                (true, _) => continue,
            };
            self.violate(format!(
                "operation {} ({} {wish}) has touched {id}, recipient {number}, {wrong}",
                operation.number, wish.verb
            ));
        }
        self.mark(&wish, counted.iter());
        let number = operation.number;
        let done = self.operations.done.entry(number).or_default();
        let again = counted.iter().find(|key| !done.insert(**key));
        if let Some((id, recipient)) = again {
            self.violate(format!(
                "operation {number} came twice to {id}, recipient {recipient}"
            ));
        }
        if wish.verb == Verb::Delete && !counted.is_empty() {
            self.totals.count("parts of operations that delete");
        }
    }

    /// The same, which nobody was told of, and which came together with what others did to these
    /// messages.
    pub(crate) fn on_part_untold(&mut self, before: &Kept, others: &[QueueId], spool: &Model) {
        let after = kept(spool);
        let operations = spool.operations().unwrap_or_default();
        // It is of the oldest one that was pending, or of one that became durable with it.
        let (pending, last) = (self.operations.pending.first(), self.operations.last);
        let first = pending.map_or(last + 1, |(number, _)| *number);
        let Some(operation) = operations.iter().find(|one| one.number == first) else {
            return;
        };
        let wish = self.wanted_by(operation);
        self.operations.untold.insert(operation.number);
        self.totals.count("parts of operations nobody was told of");
        let mut touched = Vec::new();
        for (key, (message, recipient)) in before {
            if after.get(key).map(|(_, one)| one) == Some(recipient) {
                continue;
            }
            if message.arrived <= operation.bulk.at && wish.is_for(message, recipient) {
                touched.push(*key);
            } else if !others.contains(&key.0) {
                self.violate(format!(
                    "operation {} ({} {wish}) has touched {}, recipient {}, whom it is not for",
                    operation.number, wish.verb, key.0, key.1
                ));
            }
        }
        self.mark(&wish, touched.iter());
    }

    /// They are deleted, or given up.
    fn mark<'a>(&mut self, wish: &Wish, keys: impl Iterator<Item = &'a Key>) {
        for (id, number) in keys {
            let stored = self.stored.get_mut(id);
            let recipients = stored.map(|stored| stored.recipients.values_mut());
            let mut recipients = recipients.into_iter().flatten();
            if let Some(one) = recipients.find(|one| one.number == *number && !one.deleted) {
                one.given_up |= wish.verb == Verb::Bounce;
                one.deleted |= wish.verb == Verb::Delete;
            }
        }
    }

    /// The administrator is told how far it is.
    pub(crate) fn on_part_told(&mut self, part: &Part) {
        let operation = &part.operation;
        let done = self.operations.done.get(&operation.number);
        let done = done.map_or(0, |keys| keys.len() as u64);
        let is_exact = !self.operations.untold.contains(&operation.number);
        let (number, changed) = (operation.number, operation.changed);
        if changed < done || is_exact && changed > done {
            self.violate(format!(
                "operation {number} says {changed} recipients, and it was done to {done}"
            ));
        }
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
        let wish = self.wanted_by(operation);
        if !wish.is_lasting() {
            return;
        }
        let left = self.known(spool, |_, one| match wish.verb {
            Verb::Retry => false,
            Verb::Hold | Verb::Bounce => one.state == RecipientState::Waiting,
            Verb::Delete => true,
            Verb::Release => {
                let held = [HoldReason::Operator, HoldReason::Bouncing].map(RecipientState::Held);
                held.contains(&one.state)
            }
            // One that was given up by what was said before it is not led anywhere.
            Verb::Reroute => {
                let is_given_up = one.state == RecipientState::Held(HoldReason::Bouncing);
                one.rerouted() != wish.route && !is_given_up
            }
        });
        if let Some((id, recipient)) = concerned.intersection(&left).next() {
            let verb = wish.verb;
            self.violate(format!(
                "operation {number} ({verb}) left out {id}, recipient {recipient}"
            ));
        }
    }

    /// When all is quiet nothing is left to be done.
    pub(super) fn check_operations_ended(&mut self, spool: &Model) {
        let operations = spool.operations().unwrap_or_default();
        if let Some(one) = operations.iter().find(|one| one.ended.is_none()) {
            self.violate(format!("operation {} never ended", one.number));
        }
    }

    /// Whether an agent that gets this recipient now does so against the administrator's word.
    pub(super) fn is_withheld(&self, id: QueueId, number: u32, now: Timestamp) -> bool {
        let mut withheld = self.operations.withheld.iter();
        withheld.any(|one| one.heard <= now && one.keys.contains(&(id, number)))
    }

    /// A notice is durable: of whom was deleted by then it tells nothing, unless it has to tell of
    /// others, and they were out together.
    pub(super) fn check_deleted(
        &mut self,
        about: QueueId,
        recipients: &[(String, String)],
        now: Timestamp,
    ) {
        let known = recipients.iter().filter_map(|(named, _)| {
            let address = self.reader(about, named).unwrap_or_else(|| named.clone());
            self.stored.get(&about)?.recipients.get(&address)
        });
        let known: Vec<_> = known.collect();
        let are_gone = !known.is_empty() && known.iter().all(|one| one.deleted);
        let withheld = self.operations.withheld.iter();
        let mut deletes = withheld.filter(|one| one.verb == Verb::Delete && one.heard <= now);
        let is_withheld = deletes.any(|one| {
            let mut keys = known.iter().map(|progress| (about, progress.number));
            keys.any(|key| one.keys.contains(&key) && !one.in_hand.contains(&key))
        });
        if are_gone || is_withheld {
            let (named, action) = &recipients[0];
            self.violate(format!(
                "{named} is {action} in a notice about {about}, although it was deleted"
            ));
        }
    }
}

/// All that the spool has.
pub(crate) fn kept(spool: &Model) -> Kept {
    let all = spool.everything().into_iter();
    let all = all.flat_map(
        |Waiting {
             message,
             recipients,
             ..
         }| {
            let keyed =
                move |one: Recipient| ((message.id, one.number), (Arc::clone(&message), one));
            recipients.into_iter().map(keyed)
        },
    );
    all.collect()
}

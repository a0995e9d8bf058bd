use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::verb::Effect;
use crate::{Message, Recipient, RecipientState, Verb, Waiting};

/// Operations that may be pending at one time.
pub(crate) const PENDING_MAX: usize = 16;

/// Operations that have ended and are still known when another one is begun, the latest ones.
pub(crate) const ENDED_KEPT: usize = 50;

/// Recipients looked at in one part of an operation, whether they match or not.
pub(crate) const LOOKED_AT_MAX: usize = 1_000;

/// Messages with files for their bodies that are deleted in one part: to remove a large file takes
/// long, and the disk thread waits for it.
pub(crate) const FILES_MAX: usize = 16;

/// Messages that a page of due mail leaves out because all their recipients are withheld: with so
/// many of them it ends, and the next one goes on behind them.
pub(crate) const PASSED_OVER_MAX: usize = 1_000;

/// The recipient that was looked at last.
pub(crate) type Cursor = (QueueId, u32);

/// A verb for all recipients that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// What is done to them.
    pub verb: Verb,
    /// The recipients to whom it is done, as far as it concerns them.
    pub filter: Filter,
    /// When it was said. It is for messages that had arrived by then: the order of their ids does not
    /// tell, as a message has its own from MAIL on, and may be stored long after later ones. Who is
    /// to be tried at once is due then.
    pub at: Timestamp,
    /// Who said it.
    pub by: Box<str>,
    /// Why. Those who bounce take it to their senders.
    pub reason: Option<Box<str>>,
    /// The name of the site to which those go who are rerouted; with `None` they are given back to
    /// the routes.
    pub route: Option<Box<str>>,
}

/// A bulk verb as the spool has it, and how far it is. It is for the messages that had arrived
/// when it was said; where it withholds them, it does so from then on, whatever it has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number: later ones have higher ones.
    pub number: u64,
    /// What is done to whom.
    pub bulk: Bulk,
    /// Recipients looked at so far, whether they match or not.
    pub looked_at: u64,
    /// Recipients to whom it was done so far.
    pub changed: u64,
    /// How it ended; it is pending as long as this is `None`.
    pub ended: Option<Ended>,
}

/// A part of an operation that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The operation, as far as it is by now.
    pub operation: Operation,
    /// To whom it was done in this part, in order: message, and number of the recipient.
    pub changed: Vec<(QueueId, u32)>,
}

impl Part {
    /// Whether the operation has come to its first recipients with it.
    pub fn is_first(&self) -> bool {
        let changed = self.changed.len() as u64;
        changed > 0 && self.operation.changed == changed
    }
}

/// The end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When that was.
    pub at: Timestamp,
    /// An operator ended it before it was through.
    pub stopped: bool,
}

/// An operation that is pending, and the part of the queue that lies before it.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) operation: Operation,
    /// What is up to here was looked at.
    pub(crate) after: Option<Cursor>,
    /// The last message that was there when it was begun.
    pub(crate) last: QueueId,
}

/// Messages that one part of an operation deletes together with their files, in order.
#[derive(Default)]
pub(crate) struct Files {
    count: usize,
    last: Option<QueueId>,
}

impl Files {
    /// One more recipient of such a message; whether that is enough for a part.
    pub(crate) fn add(&mut self, id: QueueId) -> bool {
        self.count += usize::from(self.last.replace(id) != Some(id));
        self.count == FILES_MAX
    }
}

impl Operation {
    /// One that was just stored.
    pub fn begun(number: u64, bulk: Bulk) -> Self {
        Self {
            number,
            bulk,
            looked_at: 0,
            changed: 0,
            ended: None,
        }
    }
}

impl Bulk {
    /// What becomes of those whom the verb concerns.
    pub(crate) fn effect(&self) -> Effect {
        self.verb
            .effect(self.at, self.route.as_deref(), || self.words())
    }

    /// Whether it concerns a recipient in this state (`None`: its record is damaged) that an operator
    /// has rerouted or not. Who goes by the routes is not given back to them.
    pub(crate) fn concerns(&self, state: Option<RecipientState>, rerouted: bool) -> bool {
        let gives_back = self.verb == Verb::Reroute && self.route.is_none();
        self.verb.concerns(state) && (rerouted || !gives_back)
    }

    /// The last words about whoever is given up, as one printable line.
    fn words(&self) -> Box<str> {
        let by = "given up by the administrator";
        match &self.reason {
            Some(reason) => format!("{by}: {}", mail::escaped(reason)).into(),
            None => by.into(),
        }
    }
}

impl Pending {
    /// A part of the work is done: so much was looked at and changed, as far as `next`; with `None`
    /// all of it, at this moment.
    pub(crate) fn advance(
        &mut self,
        looked_at: u64,
        changed: u64,
        next: Option<Cursor>,
        now: Timestamp,
    ) {
        let operation = &mut self.operation;
        operation.looked_at += looked_at;
        operation.changed += changed;
        self.after = next.or(self.after);
        if next.is_none() {
            operation.ended = Some(Ended {
                at: now,
                stopped: false,
            });
        }
    }

    /// Whether the recipient is one that must not go out any more, although the spool still has it
    /// as waiting.
    fn withholds(&self, message: &Message, recipient: &Recipient) -> bool {
        let bulk = &self.operation.bulk;
        let lies_before = message.id <= self.last
            && self
                .after
                .is_none_or(|after| (message.id, recipient.number) > after);
        bulk.verb.withholds()
            && lies_before
            && message.arrived <= bulk.at
            && bulk.concerns(Some(recipient.state), recipient.rerouted().is_some())
            && bulk.filter.matches(&message.facts(recipient))
    }
}

/// Whether a pending operation withholds one of them.
pub(crate) fn is_withheld(waiting: &Waiting, pending: &[Pending]) -> bool {
    let mut recipients = waiting.recipients.iter();
    recipients.any(|one| {
        let mut pending = pending.iter();
        pending.any(|operation| operation.withholds(&waiting.message, one))
    })
}

/// What is left of a message when those are left out whom a pending operation withholds.
pub(crate) fn not_withheld(mut waiting: Waiting, pending: &[Pending]) -> Option<Waiting> {
    let Waiting {
        message,
        recipients,
        ..
    } = &mut waiting;
    recipients.retain(|recipient| !pending.iter().any(|one| one.withholds(message, recipient)));
    (!waiting.recipients.is_empty()).then_some(waiting)
}

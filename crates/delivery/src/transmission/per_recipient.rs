//! LMTP (RFC 2033): each accepted recipient has a reply of its own after the content, in the order
//! of their RCPT.
//!
//! Which of them a reply is for is known by counting alone, and there are servers that merge
//! recipients whom they take for one. So a transaction never holds two that anybody could: exact
//! repeats are told once and share what becomes of it, and those that differ in the case of letters
//! go in transactions of their own.

use std::collections::{HashMap, HashSet};

use mail::{Outcome, Scope};
use spool::Recipient;

use super::{Awaiting, Step, Transmission, path};
use crate::fitness::Plan;
use crate::wire::Wire;
use crate::{Transaction, trouble};

/// Positions of recipients that are repeats of an earlier one, with the position of that.
pub(super) fn repeats(transaction: &Transaction, plan: &Plan) -> HashMap<usize, usize> {
    let mut first_of = HashMap::new();
    let mut repeats = HashMap::new();
    if !plan.per_recipient {
        return repeats;
    }
    for (at, recipient) in transaction.recipients.iter().enumerate() {
        let address = recipient.admitted.recipient().as_str();
        let first = *first_of.entry(address).or_insert(at);
        // What is wanted of the notices for one is not lost in the other.
        let alike = transaction.recipients[first].parameters == recipient.parameters
            && path(transaction, first, plan) == path(transaction, at, plan);
        if first != at && alike {
            repeats.insert(at, first);
        }
    }
    repeats
}

/// The addresses of a transaction, as the most careless server tells them apart.
#[derive(Default)]
pub(super) struct Addresses(HashSet<String>);

impl Addresses {
    /// Adds the recipient at this position; whether nobody could take it for another.
    pub(super) fn add(&mut self, transaction: &Transaction, at: usize, plan: &Plan) -> bool {
        let address = transaction.recipients[at].admitted.recipient().as_str();
        !plan.per_recipient || self.0.insert(mail::lower_case(address))
    }
}

/// Whether no answer came for it where others had theirs ([`trouble::after_replies`]). A server that
/// answers once for all would do so again: what is left of the company would get a copy with each
/// try, and one of them an answer.
pub(super) fn was_unanswered(recipient: &Recipient) -> bool {
    let last = recipient.last.as_deref().unwrap_or_default();
    last.contains(trouble::REPLIES_TO_THE_END)
}

impl Transmission {
    /// How many of the replies to the end of the message have come, and of how many, while further
    /// ones are waited for.
    pub(crate) fn replies(&self) -> Option<(usize, usize)> {
        let Awaiting::NextEnd(given) = self.awaiting else {
            return None;
        };
        Some((given, given + self.accepted.len()))
    }

    /// The answer to the content for the next recipient.
    pub(super) fn settle_next(&mut self, outcome: Outcome, output: &mut Wire) -> Step {
        if let Some(at) = self.accepted.pop_front() {
            self.outcomes[at] = Some(outcome);
        }
        if self.accepted.is_empty() {
            return self.next_round(false, output);
        }
        let given = self.replies().map_or(0, |(given, _)| given);
        self.awaiting = Awaiting::NextEnd(given + 1);
        Step::Wait
    }

    /// A refusal before the server had everything: of the first recipient, whose turn it is. Nobody
    /// knows what it would say of the others, and this connection will not tell.
    pub(super) fn refuse_next(&mut self, outcome: Outcome) {
        if let Some(at) = self.accepted.pop_front() {
            self.outcomes[at] = Some(outcome);
        }
        while let Some(at) = self.accepted.pop_front() {
            let reply = trouble::dropped("before it answered for this recipient");
            self.try_later(at, self.company, reply);
        }
    }

    /// How far a refusal of the content reaches.
    pub(super) fn content_scope(&self) -> Scope {
        if self.plan.per_recipient {
            Scope::Recipient
        } else {
            Scope::Message
        }
    }
}

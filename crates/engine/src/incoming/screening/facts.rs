//! What rules of screening made of a message, for log, rows and counters.

use mail::{Mailbox, QueueId};
use reception::Accepted;
use relay_policy::Why;
use screening::{End, Matched, Verdict};

use super::edits::Unadded;
use crate::Storing;

/// What a rule made of a message, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenedFact {
    /// Which rule, what it went by, and what it has done.
    pub matched: Matched,
    /// For whom: those it matched for.
    pub recipients: Vec<Mailbox>,
    /// To whom of them nothing goes because of it.
    pub dropped: Vec<Mailbox>,
    /// For whom of them it is another message now, and which.
    pub parted: Vec<(Mailbox, QueueId)>,
}

/// Each rule that matched, with those it matched for.
pub(super) fn facts(accepted: &Accepted, verdicts: &[Verdict]) -> Vec<ScreenedFact> {
    let mut facts: Vec<ScreenedFact> = Vec::new();
    for (recipient, verdict) in accepted.envelope.recipients.iter().zip(verdicts) {
        let mailbox = recipient.admitted.recipient();
        for matched in &verdict.matched {
            // By the rule: what it went by may differ from one to the next.
            let is_same = |fact: &ScreenedFact| {
                fact.matched.name == matched.name && fact.matched.place == matched.place
            };
            let at = facts.iter().position(is_same);
            let at = at.unwrap_or_else(|| {
                facts.push(ScreenedFact {
                    matched: matched.clone(),
                    recipients: Vec::new(),
                    dropped: Vec::new(),
                    parted: Vec::new(),
                });
                facts.len() - 1
            });
            facts[at].recipients.push(mailbox.clone());
            let is_by = |by: &Matched| by.name == matched.name && by.place == matched.place;
            if verdict.end == End::Discard && verdict.by.as_ref().is_some_and(is_by) {
                facts[at].dropped.push(mailbox.clone());
            }
        }
    }
    facts
}

/// Says of a rule that its footer could not be added.
pub(super) fn tell_of_unadded((rule, why): &Unadded, facts: &mut [ScreenedFact]) {
    for fact in facts.iter_mut().filter(|fact| fact.matched.name == *rule) {
        fact.matched.does.push_str(&format!(" (no footer: {why})"));
    }
}

/// Says of those it goes to that it is a message of its own.
pub(super) fn tell_of_parted(message: &Storing, facts: &mut [ScreenedFact]) {
    for recipient in &message.accepted.envelope.recipients {
        // By a rule it may go on from whom the rules were asked about.
        let asked = match &recipient.why.why {
            Why::ByRule { from, .. } => from,
            _ => recipient.admitted.recipient(),
        };
        for fact in facts.iter_mut() {
            let asked = Some(asked).filter(|one| fact.recipients.contains(*one));
            if let Some(asked) = asked.cloned() {
                fact.parted.push((asked, message.accepted.id));
            }
        }
    }
}

//! What comes of messages that were taken before anybody had looked at them.

use std::collections::BTreeSet;

use mail::QueueId;
use spool::{HoldReason, KeptMessage, LateVerdict, Model, Recipient, RecipientState};

use super::{Checker, Progress};
use crate::rules;

impl Checker {
    /// What became of a message may have become durable: only the spool tells.
    pub(crate) fn on_screened(&mut self, verdict: &LateVerdict, spool: &Model) {
        let LateVerdict {
            id,
            numbers,
            led: _,
            kept,
            others,
        } = verdict;
        if !is_applied(verdict, spool) {
            return;
        }
        let Some(stored) = self.stored.get_mut(id) else {
            return self.violate(format!("{id} was screened, and never stored"));
        };
        let submission = stored.submission;
        let mut named = Vec::new();
        stored.recipients.retain(|_, progress| {
            let goes = numbers.contains(&progress.number) && progress.unscreened;
            if goes {
                named.push(progress.named.clone());
            }
            !goes
        });
        if named.len() != numbers.len() {
            self.violate(format!(
                "{id} was screened for others than it was stored for"
            ));
        }
        let all = kept.iter().flat_map(|kept| &kept.recipients);
        let is_refused = kept.is_some() && others.is_empty() && all.clone().all(is_refused);
        let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        let further = others.iter().flat_map(|other| &other.recipients);
        let found = all
            .chain(further)
            .map(|one| one.admitted.recipient().as_str());
        let found: BTreeSet<&str> = found.collect();
        let wanted = match submission {
            Some(number) if !is_refused => rules::readers(number, named.iter().copied()),
            _ => named,
        };
        if found != wanted {
            self.violate(format!(
                "{id} goes to {found:?} after it was screened, not to {wanted:?}"
            ));
        }
        if let Some(kept) = kept {
            self.keep(*id, kept, is_refused);
        }
        for other in others {
            self.look_for(other, *id, false, spool);
        }
    }

    fn keep(&mut self, id: QueueId, kept: &KeptMessage, is_refused: bool) {
        let submission = self.stored.get(&id).and_then(|stored| stored.submission);
        let mut recipients = std::collections::BTreeMap::new();
        for recipient in &kept.recipients {
            let admitted = &recipient.admitted;
            let (address, named) = (admitted.recipient().as_str(), admitted.named().as_str());
            if !is_refused {
                self.check_rules(submission, named, address, admitted.is_copy());
            }
            let progress = Progress {
                number: recipient.number,
                named: named.to_owned(),
                is_copy: admitted.is_copy(),
                refused_late: is_refused,
                ..Progress::default()
            };
            // It may be the number of one that was deleted.
            self.operations.forget(|key| *key == (id, recipient.number));
            recipients.insert(address.to_owned(), progress);
        }
        if is_refused {
            self.totals.count("messages refused after their 250");
            self.check_refused(id, submission);
        } else {
            self.check_scanned(id, &recipients);
        }
        if let Some(stored) = self.stored.get_mut(&id) {
            stored.recipients.extend(recipients);
        }
    }

    /// A scanner has found something in what is refused.
    fn check_refused(&mut self, id: QueueId, submission: Option<usize>) {
        let submission = submission.and_then(|number| self.submissions.get(number));
        let finder = submission.and_then(|one| one.found_by());
        let seen_by = self.scans.get(&id);
        let is_found = finder
            .zip(seen_by)
            .is_some_and(|(one, seen_by)| seen_by.contains(one));
        if !is_found {
            self.violate(format!(
                "{id} was refused or held after its 250, for nothing"
            ));
        }
    }
}

fn is_refused(recipient: &Recipient) -> bool {
    [HoldReason::Bouncing, HoldReason::Screening]
        .map(RecipientState::Held)
        .contains(&recipient.state)
}

fn is_applied(verdict: &LateVerdict, spool: &Model) -> bool {
    let all = spool.everything();
    let here = all.iter().find(|one| one.message.id == verdict.id);
    let now: Vec<(u32, RecipientState)> = here.map_or(Vec::new(), |here| {
        let recipients = here.recipients.iter();
        recipients.map(|one| (one.number, one.state)).collect()
    });
    let is_here = |one: &Recipient| now.contains(&(one.number, one.state));
    match &verdict.kept {
        Some(kept) => kept.recipients.iter().all(is_here),
        None => !now
            .iter()
            .any(|(number, _)| verdict.numbers.contains(number)),
    }
}

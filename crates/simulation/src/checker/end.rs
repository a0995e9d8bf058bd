//! The end of a run: everybody must have ended as exactly one thing.

use std::collections::BTreeMap;

use mail::{QueueId, Timestamp};
use spool::{Model, RecipientState};

use super::{Checker, Progress, Stored};

impl Checker {
    /// All is quiet: everybody must have ended as exactly one thing.
    pub(crate) fn on_end(&mut self, spool: &Model, now: Timestamp) {
        let mut kept: BTreeMap<(QueueId, String), RecipientState> = BTreeMap::new();
        for waiting in spool.everything() {
            for recipient in waiting.recipients {
                let address = recipient.admitted.recipient().to_string();
                kept.insert((waiting.message.id, address), recipient.state);
            }
        }
        let (mut ends, mut wrong) = (Vec::new(), Vec::new());
        for (id, stored) in &self.stored {
            for (address, progress) in &stored.recipients {
                let state = kept.remove(&(*id, address.clone()));
                let given_up = progress.done.unwrap_or(now);
                let excused = self.may_give_up(*id, address, given_up);
                let end = match state {
                    Some(state) => end_kept(stored, progress, &state, excused),
                    None => self.end_gone(stored, address, progress, excused),
                };
                match end {
                    Ok(end) => ends.push(end),
                    Err(why) => wrong.push(format!("{id} for {address}: {why}")),
                }
            }
        }
        for (id, address) in kept.keys() {
            wrong.push(format!("{id} for {address} came from nowhere"));
        }
        for end in ends {
            self.totals.count(end);
        }
        if !wrong.is_empty() {
            self.violate(wrong.join("\n"));
        }
    }

    /// As what it ended when the spool has it no more; or what is wrong.
    fn end_gone(
        &self,
        stored: &Stored,
        address: &str,
        progress: &Progress,
        excused: bool,
    ) -> Result<&'static str, &'static str> {
        if progress.done.is_none() {
            Err("gone from the spool without a settlement")
        } else if progress.bounces > 0 {
            Ok("ended bounced")
        } else if progress.taken {
            Ok("ended delivered")
        } else if stored.null_sender && stored.notice.is_none() {
            if excused {
                Ok("ended dropped")
            } else {
                Err("dropped without a reason")
            }
        } else if excused && self.is_silent(address) {
            Ok("ended without a notice, as wanted")
        } else {
            Err("lost")
        }
    }

    fn is_silent(&self, address: &str) -> bool {
        let submission = self.owner(address);
        let recipient = submission.and_then(|(submission, _)| submission.recipient(address));
        recipient.is_some_and(|recipient| !recipient.wants_failures())
    }
}

/// As what it ended when the spool still has it; or what is wrong.
fn end_kept(
    stored: &Stored,
    progress: &Progress,
    state: &RecipientState,
    excused: bool,
) -> Result<&'static str, &'static str> {
    match state {
        RecipientState::Waiting => Err("still waits when all is quiet"),
        RecipientState::Held(_) if progress.done.is_some() => Err("settled, and still held"),
        RecipientState::Held(_) if stored.notice.is_none() => Err("held, and no notice of ours"),
        RecipientState::Held(_) if !excused => Err("badmail without a refusal"),
        RecipientState::Held(_) => Ok("ended held as badmail"),
    }
}

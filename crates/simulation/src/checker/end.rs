//! The end of a run: everybody must have ended as exactly one thing.

use std::collections::BTreeMap;

use mail::{QueueId, Timestamp};
use spool::{Model, RecipientState};

use super::{Checker, Progress, Stored};

/// As what a recipient ended, or what is wrong.
type End = Result<&'static str, &'static str>;

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
        for number in self.lost_files() {
            self.violate(format!("file {number} was lost"));
        }
        self.check_operations_ended(spool);
        let mut ends = Vec::new();
        for (id, stored) in &self.stored {
            for (address, progress) in &stored.recipients {
                let state = kept.remove(&(*id, address.clone()));
                let given_up = progress.done.unwrap_or(now);
                let excused = self.may_give_up(*id, address, given_up);
                let end = self.end(stored, progress, state, excused);
                ends.push((*id, address.clone(), end));
            }
        }
        let strays = kept.into_keys();
        ends.extend(strays.map(|(id, address)| (id, address, Err("came from nowhere"))));
        for (id, address, end) in ends {
            match end {
                Ok(end) => self.totals.count(end),
                Err(why) => self.violate(format!("{id} for {address}: {why}")),
            }
        }
    }

    fn lost_files(&self) -> Vec<usize> {
        let files = self.submissions.iter().filter(|one| one.is_file);
        let lost = files.filter(|one| !self.ended_files.contains(&one.number));
        lost.map(|one| one.number).collect()
    }

    /// With the state in which the spool has it, if it does, and whether it may be given up.
    fn end(
        &self,
        stored: &Stored,
        progress: &Progress,
        state: Option<RecipientState>,
        excused: bool,
    ) -> End {
        let own = stored.notice.is_some();
        match (state, progress) {
            (Some(RecipientState::Waiting), _) => Err("still waits when all is quiet"),
            (
                Some(_),
                Progress {
                    unscreened: true, ..
                },
            ) => Err("still to be screened"),
            (
                Some(_),
                Progress {
                    refused_late: true, ..
                },
            ) => Ok("ended held, refused after its 250"),
            (Some(_), Progress { done: Some(_), .. }) => Err("settled, and still held"),
            (Some(_), _) if !own && !progress.is_copy => Err("held, and no notice of ours"),
            (Some(_), _) if !excused => Err("badmail without a refusal"),
            (Some(_), _) if !own => Ok("ended held, as a copy"),
            (Some(RecipientState::Held(_)), _) => Ok("ended held as badmail"),
            (
                None,
                Progress {
                    done: None,
                    deleted: false,
                    ..
                },
            ) => Err("gone without a settlement"),
            (None, Progress { bounces: 1.., .. }) => Ok("ended bounced"),
            (None, Progress { taken: true, .. }) => Ok("ended delivered"),
            (None, Progress { deleted: true, .. }) => Ok("ended deleted"),
            (None, _) if !excused => Err("lost without a reason"),
            // A notice of ours is kept, unless the administrator gave it up.
            (None, _) if stored.null_sender && (!own || progress.given_up) => Ok("ended dropped"),
            (None, _) if self.is_silent(progress) => Ok("ended without a notice, as wanted"),
            (None, _) => Err("lost"),
        }
    }

    fn is_silent(&self, progress: &Progress) -> bool {
        let named = &progress.named;
        let submission = self.owner(named);
        let recipient = submission.and_then(|(submission, _)| submission.recipient(named));
        progress.is_copy || recipient.is_some_and(|recipient| !recipient.wants_failures())
    }
}

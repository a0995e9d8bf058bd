//! The end of a run: everybody must have ended as exactly one thing.

use std::collections::BTreeMap;

use mail::{QueueId, Timestamp};
use spool::{Model, RecipientState};

use crate::ledger::{Copy, Ledger};
use crate::letter;
use crate::totals::Totals;

impl Ledger {
    /// All is quiet: everybody must have ended as exactly one thing.
    pub(crate) fn on_end(&mut self, spool: &Model, now: Timestamp, totals: &mut Totals) {
        let mut kept: BTreeMap<(QueueId, String), RecipientState> = BTreeMap::new();
        for waiting in spool.everything() {
            for recipient in waiting.recipients {
                let address = recipient.admitted.recipient().to_string();
                kept.insert((waiting.message.id, address), recipient.state);
            }
        }
        let mut wrong = Vec::new();
        for (id, copy) in &self.copies {
            for address in copy.fates.keys() {
                let state = kept.remove(&(*id, address.clone()));
                match self.end_of(*id, copy, address, state, now) {
                    Ok(end) => totals.count(end),
                    Err(why) => wrong.push(format!("{id} for {address}: {why}")),
                }
            }
        }
        wrong.extend(
            kept.keys()
                .map(|(id, address)| format!("{id} for {address} came from nowhere")),
        );
        if !wrong.is_empty() {
            self.violate(wrong.join("\n"));
        }
    }

    /// As what it ended; or what is wrong.
    fn end_of(
        &self,
        id: QueueId,
        copy: &Copy,
        address: &str,
        state: Option<RecipientState>,
        now: Timestamp,
    ) -> Result<&'static str, &'static str> {
        let Some(fate) = copy.fates.get(address) else {
            return Err("nobody knows of it");
        };
        let taken = !fate.takes.is_empty();
        match (state, fate.done) {
            (Some(RecipientState::Waiting), _) => Err("still waits when all is quiet"),
            (Some(RecipientState::Held(_)), Some(_)) => Err("settled, and still held"),
            (Some(RecipientState::Held(_)), None) if !copy.is_notice() => {
                Err("held, and no notice of ours")
            }
            (Some(RecipientState::Held(_)), None) if !self.may_give_up(id, address, now) => {
                Err("badmail without a refusal")
            }
            (Some(RecipientState::Held(_)), None) => Ok("ended held as badmail"),
            (None, None) => Err("gone from the spool without a settlement"),
            (None, Some(_)) if fate.bounces > 0 => Ok("ended bounced"),
            (None, Some(_)) if taken => Ok("ended delivered"),
            (None, Some(at)) if copy.null_sender && !copy.is_notice() => {
                match self.may_give_up(id, address, at) {
                    true => Ok("ended dropped"),
                    false => Err("dropped without a reason"),
                }
            }
            (None, Some(at)) if self.is_silent(address) && self.may_give_up(id, address, at) => {
                Ok("ended without a notice, as wanted")
            }
            (None, Some(_)) => Err("lost"),
        }
    }

    fn is_silent(&self, address: &str) -> bool {
        let letter = letter::owner(address).and_then(|(n, _)| self.letters.get(n));
        letter
            .and_then(|letter| letter.addressee(address))
            .is_some_and(|a| !a.wants_failures())
    }
}

//! How decisions reach the spool: the notices are composed, then all of it is one change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mail::Timestamp;
use queue::{Decided, Disposition, Event};
use spool::{Commit, Settlement, SpoolError};

use super::{Action, Dispatch, Fact};
use crate::settle::{Composition, held, is_same_again, may_notify, settlement_without_notices};

/// Notices are composed by so many at a time, so that they leave disk work of sessions a place.
const COMPOSERS: usize = 4;

/// Decisions on their way to the spool. All have a number of their own, by which the answers are
/// told apart.
#[derive(Default)]
pub(super) struct Settling {
    last: u64,
    /// Those whose notices are being composed.
    composing: BTreeMap<u64, Arc<Decided>>,
    /// Those whose notices are to be.
    waiting: VecDeque<Arc<Decided>>,
    /// Those that the spool is to answer for.
    writing: BTreeMap<u64, (Arc<Decided>, Settlement)>,
}

impl Settling {
    /// Whether nothing is left to be handed to the spool, and all that was is answered and told.
    pub(super) fn is_empty(&self) -> bool {
        self.is_composed() && self.writing.is_empty()
    }

    fn is_composed(&self) -> bool {
        self.composing.is_empty() && self.waiting.is_empty()
    }

    /// Waits no longer: what is not composed yet is forgotten, and what is being written is written
    /// without being told. True when anything was not composed.
    pub(super) fn give_up(&mut self) -> bool {
        let any = !self.is_composed();
        self.composing.clear();
        self.waiting.clear();
        self.writing.clear();
        any
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Dispatch {
    pub(super) fn settle(&mut self, decided: Arc<Decided>) {
        if !decided.untold.is_empty() {
            self.log(Fact::Untold(decided.message.id));
        }
        if may_notify(&decided, &self.setup.notices) {
            self.settling.waiting.push_back(decided);
            self.compose_next();
        } else {
            let settlement = settlement_without_notices(&decided);
            self.commit(decided, settlement);
        }
    }

    fn compose_next(&mut self) {
        while self.settling.composing.len() < COMPOSERS
            && let Some(decided) = self.settling.waiting.pop_front()
        {
            let number = self.settling.number();
            self.settling.composing.insert(number, Arc::clone(&decided));
            let composition = Composition::new(decided, &self.setup.notices);
            self.actions.push(Action::Compose {
                number,
                composition,
            });
        }
    }

    pub(super) fn on_composed(
        &mut self,
        now: Timestamp,
        number: u64,
        result: Option<Result<Settlement, SpoolError>>,
    ) {
        let Some(decided) = self.settling.composing.remove(&number) else {
            return;
        };
        self.compose_next();
        let id = decided.message.id;
        match result {
            Some(Ok(settlement)) => self.commit(decided, settlement),
            Some(Err(error)) => {
                self.log(Fact::Unreadable(id, error));
                let numbers = decided.numbers();
                let failed = Event::Settled {
                    id,
                    numbers,
                    ok: false,
                };
                self.tell_queue(now, failed);
            }
            None => {
                self.log(Fact::NotComposed(id));
                let settlement = held(&decided);
                self.commit(decided, settlement);
            }
        }
    }

    fn commit(&mut self, decided: Arc<Decided>, settlement: Settlement) {
        let number = self.settling.number();
        let pending = (decided, settlement.clone());
        self.settling.writing.insert(number, pending);
        self.actions.push(Action::Commit { number, settlement });
    }

    pub(super) fn on_committed(&mut self, now: Timestamp, number: u64, commit: &Commit) {
        let Some((decided, settlement)) = self.settling.writing.remove(&number) else {
            return;
        };
        if matches!(commit, Commit::Applied { .. }) {
            self.tell_settled(decided, &settlement);
        } else {
            self.log(Fact::NotSettled(settlement.id, commit.clone()));
        }
        for event in crate::announced(&settlement, commit) {
            self.tell_queue(now, event);
        }
        if let Commit::Applied { recipients: 1.. } = commit {
            let about = settlement.id;
            for notice in settlement.notices {
                self.log(Fact::Notice { about, notice });
            }
        }
    }

    /// Who was given up by a decision that is on stable storage.
    fn tell_settled(&mut self, decided: Arc<Decided>, settlement: &Settlement) {
        if settlement
            .notices
            .iter()
            .any(|notice| is_same_again(&decided, notice))
        {
            return self.log(Fact::Shortened(decided.message.id));
        }
        let (mut dropped, mut badmail) = (0, false);
        for judged in &decided.recipients {
            match judged.disposition {
                Disposition::Dropped(_) => dropped += 1,
                Disposition::Badmail(_) => badmail = true,
                Disposition::Delivered(_)
                | Disposition::TryAgain { .. }
                | Disposition::GiveUp(_) => {}
            }
        }
        self.log(Fact::Settled { decided, dropped });
        if badmail {
            self.actions.push(Action::TrimBadmail);
        }
    }

    fn log(&mut self, fact: Fact) {
        self.actions.push(Action::Log(fact));
    }
}

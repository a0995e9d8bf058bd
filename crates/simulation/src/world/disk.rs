//! The disk: gathers changes, commits several at once to the spool's model, and tells later. While
//! there are faults, commits fail in every way.

use std::collections::VecDeque;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use spool::{Change, Commit, Fault, Health, Model, Settled, Spool, SpoolError, Verb};

use super::{Asker, Event, RelayEvent, World};
use crate::Sabotage;
use crate::checker::{Kept, kept};

/// The one writer. A crash forgets it.
#[derive(Default)]
pub(super) struct Disk {
    waiting: VecDeque<(Change, Asker)>,
    /// What is held back until something was deleted, when the run is broken so.
    held_back: VecDeque<(Change, Asker)>,
    /// A commit is planned.
    writing: bool,
    /// When the answers to the last commit are told.
    told: Timestamp,
    /// The next look at the spool's health is planned.
    healing: bool,
    /// Changes of unknown outcome that will turn out to be stored.
    surfacing: Vec<Change>,
    /// After so many parts of operations the relay dies.
    parts_to_crash: Option<u64>,
}

impl World {
    /// A change to be made. Its asker hears of it when it is done, or has failed.
    pub(crate) fn commit(&mut self, change: Change, asker: Asker) {
        self.disk.waiting.push_back((change, asker));
        self.plan_write();
    }

    fn plan_write(&mut self) {
        if !self.disk.writing && !self.disk.waiting.is_empty() {
            self.disk.writing = true;
            let slow = self.fails(10);
            self.within(if slow { 2_000 } else { 20 }, RelayEvent::Write);
        }
    }

    /// Writes some of what there is, in one commit.
    pub(crate) fn on_write(&mut self) {
        self.disk.writing = false;
        self.hold_back();
        let waiting = self.disk.waiting.len();
        if waiting == 0 {
            return;
        }
        let count = self.random.size(1, waiting * 2).min(waiting);
        let (changes, askers): (Vec<Change>, Vec<Asker>) = self.disk.waiting.drain(..count).unzip();
        if count > 1 {
            self.count("commits of several changes");
        }
        let is_faulty = self.plan_fault(&changes);
        let results = match changes.iter().position(is_part).filter(|_| !is_faulty) {
            Some(at) => self.commit_around(&changes, at),
            None => self.commit_all(&changes),
        };
        self.look_at_operations();
        for result in &results {
            self.plan_crash_within_operation(result);
        }
        for (change, result) in changes.iter().zip(&results) {
            if matches!(result, Commit::Stored(_) | Commit::Applied { .. }) {
                self.note_durable(change);
            }
        }
        let told = askers.into_iter().zip(results).collect();
        // In order, as the disk does it.
        let soon = self.now() + Duration::from_millis(self.random.between(0, 30));
        self.disk.told = self.disk.told.max(soon);
        self.clock.at(self.disk.told, RelayEvent::Written(told));
        self.hold_back();
        self.plan_write();
        self.look_after_disk();
    }

    /// When the run is broken so: what has a notice waits until something was deleted.
    fn hold_back(&mut self) {
        if !self.is_broken_by(Sabotage::BounceDeleted) {
            return;
        }
        let operations = self.spool.operations().unwrap_or_default();
        let mut ended = operations.iter().filter(|one| one.ended.is_some());
        let is_deleted = ended.any(|one| one.bulk.verb == Verb::Delete);
        let mut all = std::mem::take(&mut self.disk.held_back);
        all.append(&mut self.disk.waiting);
        let waits = |change: &Change| matches!(change, Change::Settle(settlement) if !settlement.notices.is_empty());
        (self.disk.held_back, self.disk.waiting) = all
            .into_iter()
            .partition(|(change, _)| !is_deleted && waits(change));
    }

    /// Plans the next look at the spool's health, while there is reason to.
    pub(crate) fn look_after_disk(&mut self) {
        if self.spool.health() != Health::Accepting && !self.disk.healing {
            self.plan_heal(1_000);
        }
    }

    fn plan_heal(&mut self, millis: u64) {
        self.disk.healing = true;
        self.after(millis, RelayEvent::Heal);
    }

    /// Tries to come back to health. Tells whether that is so now.
    pub(crate) fn on_heal(&mut self) -> bool {
        self.disk.healing = false;
        let failed = matches!(self.spool.health(), Health::Failed(_));
        if failed && self.fails(40) {
            self.spool.fail_heals(1);
        }
        let before = kept(&self.spool);
        let health = self.spool.heal();
        if !matches!(health, Health::Failed(_)) {
            self.surface(&before);
        }
        if health == Health::Accepting {
            self.count("disk healed");
            return true;
        }
        // Waiting for room takes minutes, not seconds.
        self.plan_heal(if failed { 1_000 } else { 60_000 });
        false
    }

    /// What was unknown has turned out to be stored.
    fn surface(&mut self, before: &Kept) {
        let changes = std::mem::take(&mut self.disk.surfacing);
        if changes.iter().any(is_part) {
            let others = changes.iter().flat_map(messages_of).collect::<Vec<_>>();
            self.checker.on_part_untold(before, &others, &self.spool);
        }
        self.look_at_operations();
        for change in changes {
            self.note_durable(&change);
        }
    }

    /// Before anything is durable that came with them or later.
    fn look_at_operations(&mut self) {
        let now = self.now();
        self.checker.look_at_operations(&self.spool, now);
    }

    /// The relay dies; what no commit holds is gone.
    pub(super) fn crash_disk(&mut self) {
        let before = kept(&self.spool);
        self.spool.crash();
        self.surface(&before);
        self.disk = Disk::default();
    }

    /// Decides whether the next commit goes wrong.
    fn plan_fault(&mut self, changes: &[Change]) -> bool {
        if matches!(self.spool.health(), Health::Failed(_)) {
            return true;
        }
        if self.spool.health() != Health::Accepting || !self.fails(self.disk_faults_percent) {
            return false;
        }
        let applied = self.random.chance(50);
        if self.random.chance(40) {
            self.count("commits rejected");
            let fault = Fault::Rejected(SpoolError::Io("no such luck".into()));
            self.spool.fail_next_commit(fault);
            return true;
        }
        self.count("commits of unknown outcome");
        self.note(format_args!(
            "the next commit is unknown, applied: {applied}"
        ));
        self.spool.fail_next_commit(Fault::Unknown { applied });
        if applied {
            self.disk.surfacing = changes.to_vec();
        }
        true
    }

    /// The same as one commit, as nothing goes wrong with it; what a part of an operation does is
    /// seen by itself.
    fn commit_around(&mut self, changes: &[Change], at: usize) -> Vec<Commit> {
        let (first, rest) = changes.split_at(at);
        let (part, last) = rest.split_at(1);
        let mut results = self.commit_all(first);
        // What was said in the same commit is known before it is done.
        self.look_at_operations();
        let before = kept(&self.spool);
        let advanced = self.commit_all(part);
        if let [Commit::Advanced(Some(part))] = &advanced[..] {
            self.checker.on_part(&before, part, &self.spool);
        }
        results.extend(advanced);
        results.extend(self.commit_all(last));
        results
    }

    /// A crash within an operation: as soon as it is stored, or after some of its parts, whether or
    /// not anybody was told of the last of them.
    fn plan_crash_within_operation(&mut self, result: &Commit) {
        let left = match (result, self.disk.parts_to_crash) {
            (Commit::Begun(_), None) => {
                let percent = if self.faulty { 20 } else { 5 };
                self.random.chance(percent).then(|| self.random.below(4))
            }
            (Commit::Advanced(Some(part)), Some(left)) if !part.changed.is_empty() => {
                Some(left.saturating_sub(1))
            }
            _ => return,
        };
        self.disk.parts_to_crash = left.filter(|left| *left > 0);
        if left == Some(0) {
            self.within(40, Event::Crash);
        }
    }

    /// The relay dies now: counts it where an operation has come to some of those whom it is for.
    pub(crate) fn count_half_done(&mut self) {
        let operations = self.spool.operations().unwrap_or_default();
        let mut pending = operations.iter().filter(|one| one.ended.is_none());
        if pending.any(|one| one.changed > 0) {
            self.count("crashes within operations");
        }
    }

    /// Gives the changes to the spool; or to another one, when the run is broken on purpose.
    fn commit_all(&self, changes: &[Change]) -> Vec<Commit> {
        let drops = self.is_broken_by(Sabotage::DropMessages);
        let forgets = self.is_broken_by(Sabotage::ForgetSettlements);
        let is_lost = |change: &Change| {
            drops
                && matches!(
                    change,
                    Change::Store(_) | Change::StoreAll(_) | Change::StoreUnscreened(..)
                )
                || forgets && matches!(change, Change::Settle(_))
        };
        if changes.iter().any(is_lost) {
            return Model::new().commit(changes.to_vec());
        }
        let results = self.spool.commit(changes.to_vec());
        if self.is_broken_by(Sabotage::BounceDeleted) {
            for (change, result) in changes.iter().zip(&results) {
                self.store_notices_of_gone(change, result);
            }
        }
        results
    }

    /// Stores what a settlement has to tell although it came too late: nobody of whom it tells is
    /// there any more.
    fn store_notices_of_gone(&self, change: &Change, result: &Commit) {
        if let Change::Settle(settlement) = change
            && matches!(result, Commit::Applied { recipients: 0 })
            && !settlement.notices.is_empty()
        {
            let notices = settlement.notices.clone();
            self.spool.commit(vec![Change::StoreAll(notices)]);
        }
    }

    /// Tells the checker what the spool now has for good.
    fn note_durable(&mut self, change: &Change) {
        let now = self.now();
        let stored_with = change.messages().first().map(|first| first.message.id);
        let is_notice = matches!(change, Change::Settle(_));
        if let Change::Screened(verdict) = change {
            return self.checker.on_screened(verdict, &self.spool);
        }
        let is_late = matches!(change, Change::StoreUnscreened(..));
        for new in change.messages() {
            let first = stored_with.filter(|_| !is_notice);
            let first = first.unwrap_or(new.message.id);
            self.checker.look_for(new, first, is_late, &self.spool);
        }
        let forgets = self.is_broken_by(Sabotage::ForgetSettlements);
        if let Change::Settle(settlement) = change
            && !forgets
        {
            self.checker.on_settled(settlement);
            let done = settlement.recipients.iter();
            for (number, _) in done.filter(|(_, settled)| *settled == Settled::Done) {
                self.checker.on_done(settlement.id, *number, now);
            }
        }
    }
}

fn is_part(change: &Change) -> bool {
    matches!(change, Change::Advance { .. })
}

/// Messages that are there already and that a change is about.
fn messages_of(change: &Change) -> Vec<QueueId> {
    match change {
        Change::Settle(settlement) => vec![settlement.id],
        Change::Screened(verdict) => vec![verdict.id],
        Change::File(all) => all.iter().map(|one| one.id).collect(),
        _ => Vec::new(),
    }
}

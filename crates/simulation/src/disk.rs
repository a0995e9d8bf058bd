//! The disk: gathers changes, commits several at once to the spool's model, and tells later. In bad
//! weather commits fail in every way.

use std::collections::VecDeque;

use spool::{Change, Commit, Fault, Health, Model, Settled, Spool, SpoolError};

use crate::Sabotage;
use crate::event::{Answer, Inner};
use crate::stage::Stage;

/// The one writer.
#[derive(Default)]
pub(crate) struct Disk {
    orders: VecDeque<(Change, Answer)>,
    writing: bool,
    /// Changes of unknown outcome that will turn out to be stored.
    surfacing: Vec<Change>,
    healing: bool,
    ill: bool,
}

impl Disk {
    pub(crate) fn commit(&mut self, change: Change, answer: Answer, stage: &mut Stage) {
        self.orders.push_back((change, answer));
        self.plan_write(stage);
    }

    fn plan_write(&mut self, stage: &mut Stage) {
        if !self.writing && !self.orders.is_empty() {
            self.writing = true;
            let slow = stage.mishap(10);
            let pause = stage.random.between(0, if slow { 2_000 } else { 20 });
            stage.within(pause, Inner::Write);
        }
    }

    /// Writes some of what there is, in one commit.
    pub(crate) fn on_write(&mut self, stage: &mut Stage) {
        self.writing = false;
        let count = stage
            .random
            .size(1, self.orders.len() * 2)
            .min(self.orders.len());
        let (mut changes, mut answers) = (Vec::new(), Vec::new());
        for (change, answer) in self.orders.drain(..count) {
            changes.push(change);
            answers.push(answer);
        }
        if changes.len() > 1 {
            stage.totals.count("commits of several changes");
        }
        let surfacing = plan_fault(&changes, stage);
        let results = commit(&changes, stage);
        match surfacing {
            Some(surfacing) => self.surfacing = surfacing,
            None => {
                for (change, result) in changes.iter().zip(&results) {
                    note_durable(change, result, stage);
                }
            }
        }
        let pause = stage.random.between(0, 30);
        stage.within(
            pause,
            Inner::Written(answers.into_iter().zip(results).collect()),
        );
        self.plan_write(stage);
        self.look_after(stage);
    }

    /// Plans the next look at the spool's health, while there is reason to.
    pub(crate) fn look_after(&mut self, stage: &mut Stage) {
        let ill = stage.spool.health() != Health::Accepting;
        self.ill |= ill;
        if self.ill && !self.healing {
            self.healing = true;
            stage.within(1_000, Inner::Heal);
        }
    }

    /// Tries to come back to health. Tells whether it just did.
    pub(crate) fn on_heal(&mut self, stage: &mut Stage) -> bool {
        self.healing = false;
        let failed = matches!(stage.spool.health(), Health::Failed(_));
        if failed && stage.mishap(40) {
            stage.spool.fail_heals(1);
        }
        let health = stage.spool.heal();
        if !matches!(health, Health::Failed(_)) {
            self.surface(stage);
        }
        if health == Health::Accepting {
            stage.totals.count("disk healed");
            self.ill = false;
            return true;
        }
        // Waiting for room takes minutes, not seconds.
        if !failed {
            self.healing = true;
            stage.within(60_000, Inner::Heal);
        }
        self.look_after(stage);
        false
    }

    /// What was unknown has turned out to be stored.
    fn surface(&mut self, stage: &mut Stage) {
        for change in std::mem::take(&mut self.surfacing) {
            note_durable(
                &change,
                &Commit::Applied {
                    recipients: 1,
                    more: false,
                },
                stage,
            );
        }
    }

    /// The relay dies; what no commit holds is gone.
    pub(crate) fn crash(mut self, stage: &mut Stage) {
        stage.spool.crash();
        self.surface(stage);
    }
}

/// Decides whether the next commit goes wrong. Gives what will surface of it, when its answer is
/// unknown.
fn plan_fault(changes: &[Change], stage: &mut Stage) -> Option<Vec<Change>> {
    if stage.spool.health() != Health::Accepting || !stage.mishap(stage.disk_faults_percent) {
        return None;
    }
    let applied = stage.random.chance(50);
    if stage.random.chance(40) {
        stage.totals.count("commits rejected");
        stage
            .spool
            .fail_next_commit(Fault::Rejected(SpoolError::Io("no such luck".into())));
        return None;
    }
    stage.totals.count("commits of unknown outcome");
    stage.note(format_args!(
        "the next commit is unknown, applied: {applied}"
    ));
    stage.spool.fail_next_commit(Fault::Unknown { applied });
    Some(if applied {
        changes.to_vec()
    } else {
        Vec::new()
    })
}

/// Gives the changes to the spool; or does not, when the run is to be spoilt.
fn commit(changes: &[Change], stage: &mut Stage) -> Vec<Commit> {
    let spoilt = |change: &Change| match (stage.sabotage, change) {
        (Some(Sabotage::DropMessages), Change::Store(_)) => true,
        (Some(Sabotage::ForgetSettlements), Change::Settle(_)) => true,
        (Some(_) | None, _) => false,
    };
    if changes.iter().any(spoilt) {
        let elsewhere = Model::new();
        return elsewhere.commit(changes.to_vec());
    }
    stage.spool.commit(changes.to_vec())
}

/// Writes into the ledger what the spool now has for good.
fn note_durable(change: &Change, result: &Commit, stage: &mut Stage) {
    match (change, result) {
        (Change::Store(new), Commit::Stored(_) | Commit::Applied { .. }) => {
            stage.ledger.look_for(new, &stage.spool, &mut stage.totals);
        }
        (Change::Settle(settlement), Commit::Applied { .. }) => {
            for notice in &settlement.notices {
                stage
                    .ledger
                    .look_for(notice, &stage.spool, &mut stage.totals);
            }
            let now = stage.now();
            for (number, settled) in &settlement.recipients {
                if *settled == Settled::Done && stage.sabotage != Some(Sabotage::ForgetSettlements)
                {
                    stage.ledger.on_done(settlement.id, *number, now);
                }
            }
        }
        (
            _,
            Commit::Rejected(_) | Commit::Unknown(_) | Commit::Stored(_) | Commit::Applied { .. },
        ) => {}
    }
}

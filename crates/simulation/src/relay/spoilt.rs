//! The engine's glue around an incoming connection, broken on purpose: what comes out of it is
//! changed before it is done, as if it had come out so.

use std::sync::Arc;

use engine::{Acceptance, Pending};
use reception::StoreTrouble;
use spool::{Change, Commit, Model, Receipt, Spool};

use crate::Sabotage;
use crate::event::{Answered, Inner};
use crate::stage::Stage;

/// The session of nobody: they are counted from 1.
const NOBODY: u64 = 0;

/// A new message on its way to the disk.
pub(super) fn store(change: &mut Change, stage: &mut Stage) {
    if let Change::Store(new) = change
        && stage.sabotage == Some(Sabotage::SecondId)
    {
        Arc::make_mut(&mut new.message).id = stage.new_id();
    }
}

/// Who hears of its commit: with 250 said before, nobody.
pub(super) fn listener(session: u64, change: &Change, stage: &mut Stage) -> u64 {
    if stage.sabotage != Some(Sabotage::PromiseEarly) {
        return session;
    }
    let answer = Answered::Stored(engine::stored(elsewhere(change)));
    stage.within(0, Inner::Answered { session, answer });
    NOBODY
}

/// What the session is to hear of a commit, and what the queue is.
pub(super) fn on_commit(
    pending: Pending,
    commit: Commit,
    stage: &Stage,
) -> (Result<Receipt, StoreTrouble>, Option<Acceptance>) {
    let promises = stage.sabotage == Some(Sabotage::PromiseUnknown);
    if promises && matches!(commit, Commit::Unknown(_)) {
        let believed = elsewhere(&Change::Store(pending.message().clone()));
        return pending.on_commit(believed);
    }
    pending.on_commit(commit)
}

/// The answer of a spool that is not the one of this world.
fn elsewhere(change: &Change) -> Commit {
    Model::new().commit(vec![change.clone()]).remove(0)
}

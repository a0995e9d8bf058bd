//! The engine's glue around an incoming connection, broken on purpose: what comes out of it is
//! changed before it is done, as if it had come out so.

use std::net::IpAddr;
use std::sync::Arc;

use engine::{Acceptance, Pending};
use reception::StoreTrouble;
use spool::{Change, Commit, Model, Receipt, Spool};

use crate::Sabotage;
use crate::event::{Answered, Inner};
use crate::geography::Class;
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
    let believed = || elsewhere(&Change::Store(pending.message().clone()));
    match (stage.sabotage, &commit) {
        (Some(Sabotage::PromiseUnknown), Commit::Unknown(_)) => {
            let believed = believed();
            pending.on_commit(believed)
        }
        (Some(Sabotage::AnnounceUnstored), Commit::Unknown(_) | Commit::Rejected(_)) => {
            let believed = believed();
            (engine::stored(commit), pending.on_commit(believed).1)
        }
        (Some(Sabotage::StoreSilently), _) => (pending.on_commit(commit).0, None),
        (Some(_) | None, _) => pending.on_commit(commit),
    }
}

/// Whose confirmed name is looked up.
pub(super) fn asked_about(address: IpAddr, stage: &Stage) -> IpAddr {
    if stage.sabotage == Some(Sabotage::SwapAnswers) {
        return Class::Friend.address(0);
    }
    address
}

/// The answer of a spool that is not the one of this world.
fn elsewhere(change: &Change) -> Commit {
    Model::new().commit(vec![change.clone()]).remove(0)
}

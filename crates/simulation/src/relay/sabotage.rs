//! The engine's glue, broken on purpose: what comes out of it, or goes in, is changed on the way.

use std::sync::Arc;

use engine::{Acceptance, Late, LateOutcome, Pending, Piece};
use filter::Filter;
use reception::StoreTrouble;
use spool::{Bulk, Change, Commit, Model, Receipt, Spool, Verb};

use crate::Sabotage;
use crate::world::{SocketId, World};

/// The session of nobody.
const NOBODY: SocketId = SocketId::MAX;

/// A new message on its way to the disk.
pub(super) fn store(change: &mut Change, world: &mut World) {
    if let Change::StoreAll(all) = change
        && world.is_broken_by(Sabotage::StoreFirst)
    {
        all.truncate(1);
    }
    let first = match change {
        Change::Store(new) | Change::StoreUnscreened(new, _) => Some(new),
        Change::StoreAll(all) => all.first_mut(),
        _ => None,
    };
    if let Some(new) = first.filter(|_| world.is_broken_by(Sabotage::SecondId)) {
        Arc::make_mut(&mut new.message).id = world.new_id();
    }
}

/// Who hears of its commit: with 250 said before, nobody.
pub(super) fn listener(session: SocketId, change: &Change, world: &mut World) -> SocketId {
    if !world.is_broken_by(Sabotage::PromiseEarly) {
        return session;
    }
    let stored = engine::stored(elsewhere(change));
    world.answer(session, 0, |incoming| incoming.on_stored(stored));
    NOBODY
}

/// What the session is to hear of a commit, and what the queue is.
pub(super) fn on_commit(
    pending: Pending,
    commit: Commit,
    world: &World,
) -> (Result<Receipt, StoreTrouble>, Vec<Acceptance>) {
    let unknown = matches!(commit, Commit::Unknown(_));
    let believed = || {
        let all = pending.acceptances().iter();
        let all = all.map(|one| one.message.clone()).collect();
        elsewhere(&Change::StoreAll(all))
    };
    if unknown && world.is_broken_by(Sabotage::PromiseUnknown) {
        let believed = believed();
        pending.on_commit(believed)
    } else if (unknown || matches!(commit, Commit::Rejected(_)))
        && world.is_broken_by(Sabotage::AnnounceUnstored)
    {
        let believed = believed();
        (engine::stored(commit), pending.on_commit(believed).1)
    } else if world.is_broken_by(Sabotage::StoreSilently) {
        (pending.on_commit(commit).0, Vec::new())
    } else {
        pending.on_commit(commit)
    }
}

/// What is heard of what came of a message that was looked at after its 250.
pub(super) fn on_late_ends(
    (late, _): &(Late, LateOutcome),
    commit: Commit,
    world: &World,
) -> Commit {
    match commit {
        Commit::Unknown(_) | Commit::Rejected(_) if world.is_broken_by(Sabotage::PassUnwritten) => {
            let recipients = late.recipients().len() as u64;
            Commit::Applied { recipients }
        }
        commit => commit,
    }
}

/// A wish of the administrator's on its way to the disk.
pub(super) fn begin(bulk: &mut Bulk, world: &World) {
    if world.is_broken_by(Sabotage::IgnoreFilters) {
        bulk.filter = Filter::everything();
    }
    if bulk.verb == Verb::Delete && world.is_broken_by(Sabotage::BounceForDelete) {
        bulk.verb = Verb::Bounce;
    }
}

/// What is heard of a part of an operation.
pub(super) fn on_part(mut commit: Commit, world: &World) -> Commit {
    if let Commit::Advanced(Some(part)) = &mut commit
        && world.is_broken_by(Sabotage::Miscount)
    {
        part.operation.changed += part.changed.len() as u64;
    }
    commit
}

/// Whether operations are not gone on with, as some are pending when the relay starts.
pub(super) fn abandons(world: &World) -> bool {
    let all = world.spool.operations().unwrap_or_default();
    let is_pending = all.iter().any(|one| one.ended.is_none());
    is_pending && world.is_broken_by(Sabotage::AbandonOperations)
}

/// What an agent reads of a stored content.
pub(super) fn read(piece: Piece, world: &World) -> Piece {
    let spoil = |mut octets: Vec<u8>| {
        if let Some(octet) = octets.last_mut() {
            *octet ^= 1;
        }
        octets
    };
    match piece {
        _ if !world.is_broken_by(Sabotage::SpoilContent) => piece,
        Piece::Whole(content) => Piece::Whole(spoil(content.to_vec()).into()),
        Piece::Next(octets) => Piece::Next(spoil(octets)),
    }
}

/// The answer of a spool that is not the one of this world.
fn elsewhere(change: &Change) -> Commit {
    Model::new().commit(vec![change.clone()]).remove(0)
}

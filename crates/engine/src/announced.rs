use queue::Event;
use spool::{Commit, Settlement};

use crate::stored_event;

/// What the queue manager is to hear once the spool has answered for a settlement, in this order:
/// that it is written (or not), and then the notices that were stored with it.
///
/// Notices are announced only when the commit changed something. One that found everything as it
/// was to be is a settlement given twice, since its first answer was unknown: the notices of the
/// first time are in the spool, these are not.
pub(crate) fn announced(settlement: &Settlement, commit: &Commit) -> Vec<Event> {
    let (ok, stored) = match commit {
        Commit::Applied { recipients } => (true, *recipients > 0),
        Commit::Stored(_)
        | Commit::Begun(_)
        | Commit::Advanced(_)
        | Commit::Rejected(_)
        | Commit::Unknown(_) => (false, false),
    };
    let settled = Event::Settled {
        id: settlement.id,
        numbers: settlement.recipients.iter().map(|(n, _)| *n).collect(),
        ok,
    };
    let notices = settlement.notices.iter().filter(|_| stored);
    std::iter::once(settled)
        .chain(notices.cloned().map(stored_event))
        .collect()
}

#[cfg(test)]
mod tests;

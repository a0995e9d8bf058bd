//! Mail that the relay writes by itself, not because of another message.

use std::sync::Arc;

use engine::stored_event;
use spool::{Change, Commit, NewMessage};

use crate::disk::Urgency;
use crate::inbox::Input;
use crate::services::Services;

/// Puts a message in the queue. `about` says what it tells, for the log.
pub(crate) fn store(services: &Arc<Services>, message: NewMessage, about: String) {
    let teller = Arc::clone(services);
    let change = Change::Store(message.clone());
    // On the disk thread.
    let on_commit = Box::new(move |commit| match commit {
        Commit::Stored(_) => {
            teller.journal.reported(&message, &about);
            let _ended = teller.dispatch.send(Input::queue(stored_event(message)));
        }
        other => tracing::error!(?other, about, "what was to be told could not be stored"),
    });
    services.disk.commit(change, Urgency::Soon, on_commit);
}

//! A message goes on from quarantine without its attachments.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::{CannotRelease, WithoutAttachments, stored_event, without_attachments};
use mail::QueueId;
use spool::{Change, Commit, Page, Replacement, SpoolError};
use tokio::sync::oneshot;

use super::act::Act;
use super::{Answer, Trouble, blocking, quarantine};
use crate::api::{QuarantineChange, QuarantineReleased};
use crate::disk::{Urgency, success};
use crate::inbox::Input;
use crate::services::Services;
use crate::shared::Shared;

/// `POST /v1/quarantine/ID/release-without-attachments`
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    act: Act,
    Json(change): Json<QuarantineChange>,
) -> Answer<QuarantineReleased> {
    let id: QueueId = id.parse().map_err(Trouble::bad)?;
    let services = &shared.services;
    let now = services.clock.moment();
    let filter = quarantine::held(&format!("{} id:{id}", change.filter), now)?;
    act.on(filter.clone().with_moments(|at| now.shown(at)));
    let note = note(&act, change)?;
    let _turn = services.screening.acquire().await;
    let (worker, active, new_id) = (Arc::clone(services), services.active(), services.new_id());
    let made = blocking(move || {
        let (after, limit) = (None, 1);
        let found = worker.spool.find(&filter, Page { after, limit })?;
        let Some(held) = found.first() else {
            return Ok(Err(CannotRelease::Gone));
        };
        let limits = active.setup.config.screening.screens.limits();
        let (signers, spool) = (active.setup.signers(), &*worker.spool);
        Ok(without_attachments(
            held, signers, limits, new_id, now, spool,
        ))
    });
    let made = made.await?.map_err(|why| trouble(id, &why))?;
    let WithoutAttachments {
        replacement,
        removed,
    } = made;
    let recipients = replacement.by.recipients.iter();
    let recipients = recipients.map(|one| one.admitted.recipient().as_str());
    let released = QuarantineReleased {
        id: id.to_string(),
        released_as: new_id.to_string(),
        recipients: recipients
            .map(|one| mail::escaped(one).to_string())
            .collect(),
        removed,
    };
    match store(services, replacement, note).await {
        Ok(()) => {
            act.counted(released.recipients.len() as u64);
            Ok(Json(released))
        }
        // Somebody else came first.
        Err(SpoolError::Invalid(_)) => Err(trouble(id, &CannotRelease::Gone)),
        Err(error) => Err(error.into()),
    }
}

/// Who did it, and why, for log and tracking.
fn note(act: &Act, change: QuarantineChange) -> Result<String, Trouble> {
    let (by, reason) = (act.by(change.by)?, act.because(change.reason)?);
    let reason = reason.map_or(String::new(), |why| format!(": {why}"));
    Ok(format!("without attachments, by {by}{reason}"))
}

fn trouble(id: QueueId, why: &CannotRelease) -> Trouble {
    let status = match why {
        CannotRelease::Gone => StatusCode::NOT_FOUND,
        CannotRelease::Spool(error) => return error.clone().into(),
        CannotRelease::NoAttachments | CannotRelease::StaysIn(_) | CannotRelease::Unread(_) => {
            StatusCode::CONFLICT
        }
    };
    Trouble(status, format!("{id}: {why}"))
}

/// The queue hears of it as it does of new mail.
async fn store(
    services: &Arc<Services>,
    replacement: Replacement,
    note: String,
) -> Result<(), SpoolError> {
    let (answer, answered) = oneshot::channel();
    let teller = Arc::clone(services);
    let change = Change::Replace(replacement.clone());
    // On the disk thread.
    let on_commit = Box::new(move |commit| {
        if let Commit::Stored(_) = commit {
            teller.journal.replaced(&replacement, &note);
            let event = stored_event(replacement.by);
            let _stopping = teller.dispatch.send(Input::queue(event));
        }
        let _asker_gone = answer.send(commit);
    });
    services.disk.commit(change, Urgency::Now, on_commit);
    success(answered.await).map(|_| ())
}

//! Who sends how much to other domains.

use std::sync::Arc;

use admission::{Measure, Subject, Tally, Watched};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use queue::Moment;

use super::act::Act;
use super::{Answer, Trouble};
use crate::api::{GuardianCleared, GuardianCounts, GuardianQuery, GuardianRow, GuardianSubject};
use crate::shared::Shared;

/// Unless more are asked for.
const ROWS: usize = 20;

/// `GET /v1/guardian`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<GuardianQuery>,
) -> Answer<Vec<GuardianRow>> {
    let now = shared.services.clock.moment();
    let watched = shared.services.guardian.watched(now.line).into_iter();
    let worst = watched.take(query.limit.unwrap_or(ROWS));
    Ok(Json(worst.map(|one| row(one, now)).collect()))
}

/// `POST /v1/guardian/clear`
pub(super) async fn clear(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(GuardianSubject { kind, name }): Json<GuardianSubject>,
) -> Answer<GuardianCleared> {
    act.on(format_args!("{kind} {name}"));
    let subject = Subject::named(&kind, &name);
    let cleared = subject.is_some_and(|subject| shared.services.guardian.clear(&subject));
    if !cleared {
        let why = format!("nothing is counted of {kind} {name}");
        return Err(Trouble(StatusCode::NOT_FOUND, why));
    }
    tracing::info!(kind, name, "what was sent is counted anew by an operator");
    Ok(Json(GuardianCleared { kind, name }))
}

fn row(one: Watched, now: Moment) -> GuardianRow {
    let (since, why) = one.over.unzip();
    GuardianRow {
        kind: one.subject.to_string(),
        name: one.subject.name(),
        hour: counts(&one.hour),
        day: counts(&one.day),
        usual: one.usual.map(|usual| usual.round() as u64),
        over_since: since.map(|since| now.shown(since).to_string()),
        why,
    }
}

fn counts(tally: &Tally) -> GuardianCounts {
    GuardianCounts {
        messages: tally.of(Measure::Messages),
        recipients: tally.of(Measure::Recipients),
        new_recipients: tally.of(Measure::NewRecipients),
        failures: tally.of(Measure::Failures),
    }
}

//! Scanners are taught by what is in quarantine.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::unscanned;
use lookups::{Lesson, Taught};
use mail::QueueId;
use scanner::{Content, InMemory, Learned};
use spool::{Message, Page};

use super::act::Act;
use super::{Answer, Trouble, blocking, quarantine};
use crate::api::{LearnedResult, LearnedRow, QuarantineLearned, QuarantineLesson, TaughtAs};
use crate::held;
use crate::shared::Shared;

/// `POST /v1/quarantine/ID/learn`
pub(super) async fn learn(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    act: Act,
    Json(lesson): Json<QuarantineLesson>,
) -> Answer<QuarantineLearned> {
    let id: QueueId = id.parse().map_err(Trouble::bad)?;
    act.on(format_args!("id:{id} as {:?}", lesson.lesson));
    let by = act.by(lesson.by)?;
    let active = shared.services.active();
    if !active.scanners().learn() {
        let why = "no scanner of the configuration has a learn_address";
        return Err(Trouble(StatusCode::CONFLICT, why.to_owned()));
    }
    let content = content(&shared, id).await?;
    let (word, what) = match lesson.lesson {
        TaughtAs::Spam => ("spam", Lesson::Spam),
        TaughtAs::Ham => ("ham", Lesson::Ham),
    };
    let taught = active.scanners().teach(what, &content).await;
    let rows: Vec<LearnedRow> = taught.into_iter().map(row).collect();
    for LearnedRow {
        scanner,
        address,
        result,
        why,
        ..
    } in &rows
    {
        let why = why.as_deref();
        tracing::info!(%id, lesson = word, scanner, address, %by, result = ?result, why, "a scanner is taught");
    }
    Ok(Json(QuarantineLearned {
        id: id.to_string(),
        lesson: lesson.lesson,
        answers: rows,
    }))
}

/// The message as scanners saw it: without what we say of them.
async fn content(shared: &Shared, id: QueueId) -> Result<Arc<dyn Content>, Trouble> {
    let filter = quarantine::held(&format!("id:{id}"), shared.services.clock.moment())?;
    let _turn = shared.services.screening.acquire().await;
    let spool = Arc::clone(&shared.services.spool);
    let octets = blocking(move || {
        let page = Page {
            after: None,
            limit: 1,
        };
        let found = spool.find(&filter, page)?;
        let Some(waiting) = found.first() else {
            return Ok(None);
        };
        let mut message = Message::clone(&waiting.message);
        message.head = unscanned(&message.head);
        held::octets(&*spool, &message, u64::MAX).map(Some)
    });
    let unknown = || Trouble(StatusCode::NOT_FOUND, format!("{id} is not in quarantine"));
    let octets = octets.await?.ok_or_else(unknown)?;
    Ok(Arc::new(InMemory(octets)))
}

fn row(taught: Taught) -> LearnedRow {
    let (result, why) = match taught.learned {
        Ok(Learned::Now) => (LearnedResult::Learned, None),
        Ok(Learned::NotNeeded(why)) => (LearnedResult::NotNeeded, Some(why)),
        Err(why) => (LearnedResult::Failed, Some(why)),
    };
    LearnedRow {
        scanner: taught.scanner.to_string(),
        address: taught.address,
        fuzzy: taught.is_fuzzy,
        result,
        why: why.map(|why| mail::escaped(&why).to_string()),
    }
}

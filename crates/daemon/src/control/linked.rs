//! What the pages behind links of a digest ask and do.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use filter::{Condition, Filter, Glob};
use spool::{Page, Recipient, SpoolError, Verb, Waiting};

use super::act::Act;
use super::{Answer, Trouble, blocking, held_message, operations};
use crate::api::{LinkedMessage, OperationRow, QueueChange, ReleaseLinkToken};
use crate::release_links::{self, ReleaseLink};
use crate::shared::Shared;
use crate::{clock, held};

/// What a link leads to, while it is held.
struct Linked {
    waiting: Waiting,
    subject: String,
    link: ReleaseLink,
}

impl Linked {
    fn recipient(&self) -> Option<&Recipient> {
        let mut all = self.waiting.recipients.iter();
        all.find(|one| one.number == self.link.recipient)
    }

    /// It, and nothing else.
    fn filter(&self) -> Option<Filter> {
        let to = self.recipient()?.admitted.recipient().as_str();
        let mut filter = Filter::id(self.link.message);
        filter.conditions.extend([
            Condition::To(Glob::new(to)),
            Condition::State(filter::State::Quarantined),
        ]);
        Some(filter)
    }
}

/// `POST /v1/quarantine/link`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<ReleaseLinkToken>,
) -> Answer<LinkedMessage> {
    let linked = linked(&shared, asked.token).await?;
    let now = shared.services.clock.moment();
    let rows = held_message::rows(&linked.waiting, &linked.subject, now);
    let all = linked.waiting.recipients.iter().zip(rows);
    let mut own = all.filter(|(one, _)| one.number == linked.link.recipient);
    let (_, message) = own.next().ok_or_else(gone)?;
    let until = linked.link.until.to_string();
    Ok(Json(LinkedMessage { message, until }))
}

/// `POST /v1/quarantine/link/VERB`
pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    Path(verb): Path<String>,
    act: Act,
    Json(asked): Json<ReleaseLinkToken>,
) -> Answer<OperationRow> {
    let verb = match verb.as_str() {
        "release" => Verb::Release,
        "delete" => Verb::Delete,
        other => {
            let why = format!("a link neither is nor does `{other}`");
            return Err(Trouble(StatusCode::NOT_FOUND, why));
        }
    };
    let linked = linked(&shared, asked.token).await?;
    let filter = linked.filter().ok_or_else(gone)?;
    let change = QueueChange {
        filter: String::new(),
        by: String::new(),
        reason: None,
        route: None,
        back: false,
    };
    let now = shared.services.clock.moment();
    operations::carry_out(&shared, &act, verb, filter, change, now).await
}

async fn linked(shared: &Arc<Shared>, token: String) -> Result<Linked, Trouble> {
    let services = Arc::clone(&shared.services);
    let read = blocking(move || {
        let io = |error: std::io::Error| SpoolError::Io(error.to_string().into());
        let Some(link) = services
            .release_links
            .read(&token, clock::now())
            .map_err(io)?
        else {
            return Ok(None);
        };
        let page = Page {
            after: None,
            limit: 1,
        };
        let mut found = services.spool.find(&held_now(link), page)?;
        let Some(waiting) = found.pop() else {
            return Ok(Some(None));
        };
        let subject = held::subject(&*services.spool, &waiting.message)?;
        Ok(Some(Some(Linked {
            waiting,
            subject,
            link,
        })))
    });
    let unknown = || {
        let why = "this link does not count, or not any longer".to_owned();
        Trouble(StatusCode::NOT_FOUND, why)
    };
    let linked = read.await?.ok_or_else(unknown)?.ok_or_else(gone)?;
    let active = shared.services.active();
    let links = active.setup.config.screening.quarantine.links.as_ref();
    // What the rules of today do not let go on by links is not let go on by one of yesterday.
    let is_given = |one: &Recipient| links.is_some_and(|links| release_links::is_given(links, one));
    let own = linked.recipient().ok_or_else(gone)?;
    is_given(own).then_some(()).ok_or_else(unknown)?;
    Ok(linked)
}

fn held_now(link: ReleaseLink) -> Filter {
    let mut filter = Filter::id(link.message);
    let quarantined = Condition::State(filter::State::Quarantined);
    filter.conditions.push(quarantined);
    filter
}

fn gone() -> Trouble {
    let why = "it is no longer held: it was released or deleted".to_owned();
    Trouble(StatusCode::GONE, why)
}

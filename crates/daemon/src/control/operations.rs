//! The bulk verbs: each becomes an operation in the spool, which the relay carries out by itself.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use filter::Filter;
use queue::Moment;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use spool::{Bulk, Change, Commit, Operation, SpoolError, Verb};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::act::Act;
use super::{Answer, Trouble, blocking, filter};
use crate::api::{OperationQuery, OperationRow, QueueChange};
use crate::disk::{Urgency, success};
use crate::inbox::Input;
use crate::operations::{log_end, tell};
use crate::services::Services;
use crate::shared::Shared;

/// An answer waits no longer for the end of an operation.
const WAIT_SECONDS_MAX: u64 = 60;

/// A verb's word in the path: another one is found nowhere, instead of being badly written.
#[derive(Deserialize)]
pub(super) struct Word(String);

impl JsonSchema for Word {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Verb".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Verb::ALL.map(Verb::as_str) })
    }
}

/// `POST /v1/queue/VERB`
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    Path(Word(verb)): Path<Word>,
    act: Act,
    Json(change): Json<QueueChange>,
) -> Answer<OperationRow> {
    let unknown = |_| Trouble(StatusCode::NOT_FOUND, format!("there is no verb `{verb}`"));
    let verb = verb.parse::<Verb>().map_err(unknown)?;
    let now = shared.services.clock.moment();
    let filter = filter(&change.filter, now)?;
    carry_out(&shared, &act, verb, filter, change, now).await
}

/// Stores that a verb is carried out on all recipients that match, as `change` has it otherwise.
pub(super) async fn carry_out(
    shared: &Shared,
    act: &Act,
    verb: Verb,
    filter: Filter,
    change: QueueChange,
    now: Moment,
) -> Answer<OperationRow> {
    act.on(filter.clone().with_moments(|at| now.shown(at)));
    let reason = act.because(change.reason)?;
    // RFC 3464 section 2.3.6: it stands in the reply of the notice, which is text in ASCII.
    if verb == Verb::Bounce && reason.as_deref().is_some_and(|text| !text.is_ascii()) {
        return Err(Trouble::bad(
            "a reason that senders read is written in ASCII",
        ));
    }
    let route = route(shared, verb, change.route.as_deref(), change.back)?;
    if verb == Verb::Retry {
        shared.services.active().ask_anew();
    }
    let bulk = Bulk {
        verb,
        filter,
        at: now.line,
        by: act.by(change.by)?,
        reason,
        route,
    };
    let number = store(shared, bulk.clone()).await?;
    act.begun(number);
    // It is stored, whether or not the others can be read.
    let own = || vec![Operation::begun(number, bulk.clone())];
    let all = operations(shared).await.unwrap_or_else(|_| own());
    let row = row(&all, number, now)?;
    let (by, reason, route) = (&*bulk.by, bulk.reason.as_deref(), bulk.route.as_deref());
    let (operation, verb, filter) = (number, verb.as_str(), &*row.filter);
    tracing::info!(
        operation,
        verb,
        filter,
        by,
        reason,
        route,
        "an operator changes the queue"
    );
    Ok(Json(row))
}

/// The name of the site to which a reroute leads; `None` where it gives back, and for other verbs.
fn route(
    shared: &Shared,
    verb: Verb,
    route: Option<&str>,
    back: bool,
) -> Result<Option<Box<str>>, Trouble> {
    let Some(name) = route else {
        return match verb == Verb::Reroute && !back {
            true => Err(Trouble::bad("say to which route, or back")),
            false => Ok(None),
        };
    };
    if verb != Verb::Reroute || back {
        return Err(Trouble::bad(format!("`{name}`: this leads to no route")));
    }
    let active = shared.services.active();
    let routes = active.setup.routes();
    let site = routes.site_name(&format!("route:{name}"));
    let site = site.filter(|site| routes.named_route(site).is_some());
    let unknown = || Trouble::bad(format!("there is no route `{name}` in the configuration"));
    site.map(|site| Some((&*site).into())).ok_or_else(unknown)
}

/// From the commit on nobody goes out whom it withholds: on the disk thread, right after the sync,
/// the queue manager is told to look anew at what it has in memory, and it has done so when this
/// ends.
async fn store(shared: &Shared, bulk: Bulk) -> Result<u64, SpoolError> {
    let Services { dispatch, disk, .. } = &*shared.services;
    let (withholds, dispatch) = (bulk.verb.withholds(), dispatch.clone());
    let (answer, answered) = oneshot::channel();
    let on_commit = Box::new(move |commit| {
        if withholds && matches!(commit, Commit::Begun(_)) {
            let _stopping = dispatch.send(Input::queue(queue::Event::Withheld));
        }
        let _asker_gone = answer.send(commit);
    });
    disk.commit(Change::Begin(bulk), Urgency::Now, on_commit);
    let answered = success(answered.await);
    // Also when it is unknown whether there is one.
    shared.services.operation_begun.notify_one();
    match answered? {
        Commit::Begun(number) => {
            // What is asked behind the news is answered after it.
            let _heeded = shared.queue_counts().await;
            Ok(number)
        }
        other => unreachable!("{other:?} answers another change"),
    }
}

async fn operations(shared: &Shared) -> Result<Vec<Operation>, Trouble> {
    let spool = Arc::clone(&shared.services.spool);
    blocking(move || spool.operations()).await
}

/// `GET /v1/queue/operations`
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer<Vec<OperationRow>> {
    let now = shared.services.clock.moment();
    Ok(Json(rows(&operations(&shared).await?, now)))
}

/// `GET /v1/queue/operations/NUMBER`
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<u64>,
    Query(query): Query<OperationQuery>,
) -> Answer<OperationRow> {
    let mut moved = shared.services.operation_moved.subscribe();
    let wait = Duration::from_secs(query.wait.unwrap_or(0).min(WAIT_SECONDS_MAX));
    let until = Instant::now() + wait;
    loop {
        moved.mark_unchanged();
        let now = shared.services.clock.moment();
        let row = row(&operations(&shared).await?, number, now)?;
        if row.is_over() || timeout_at(until, moved.changed()).await.is_err() {
            return Ok(Json(row));
        }
    }
}

/// `POST /v1/queue/operations/NUMBER/stop`
pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<u64>,
    act: Act,
) -> Answer<OperationRow> {
    let now = shared.services.clock.moment();
    // In a task of its own: whoever asked may be gone before it is through.
    let ending = tokio::spawn(end(Arc::clone(&shared.services), number, now));
    let fault = |fault: tokio::task::JoinError| SpoolError::Io(fault.to_string().into());
    let stopped = ending.await.map_err(fault)??;
    let all = operations(&shared).await?;
    let row = row(&all, number, now)?;
    act.on(&row.filter);
    act.counted(row.changed);
    if stopped == 0 {
        let why = format!("operation {number} has ended: {}", row.state);
        return Err(Trouble(StatusCode::CONFLICT, why));
    }
    all.iter()
        .filter(|one| one.number == number)
        .for_each(log_end);
    Ok(Json(row))
}

/// Ends an operation where it stands, and has those go out again whom it withheld and did not come
/// to; answers how many there were of this number.
async fn end(services: Arc<Services>, number: u64, now: Moment) -> Result<u64, SpoolError> {
    let now = now.line;
    let change = Change::Stop { number, now };
    let stopped = services.disk.apply(change, Urgency::Now).await?;
    if stopped > 0 {
        services.operation_moved.send_replace(());
        tokio::spawn(async move {
            tell(&services, |domains| queue::Event::MoreDue { domains }).await;
        });
    }
    Ok(stopped)
}

fn row(all: &[Operation], number: u64, now: Moment) -> Result<OperationRow, Trouble> {
    let mut rows = rows(all, now).into_iter();
    let unknown = || {
        let why = format!("there is no operation {number}, or it ended long ago");
        Trouble(StatusCode::NOT_FOUND, why)
    };
    rows.find(|row| row.number == number).ok_or_else(unknown)
}

fn rows(all: &[Operation], now: Moment) -> Vec<OperationRow> {
    let first = all.iter().find(|one| one.ended.is_none());
    let first = first.map(|one| one.number);
    let row = |one: &Operation| {
        let state = match one.ended {
            Some(ended) if ended.stopped => "stopped",
            Some(_) => "done",
            None if first == Some(one.number) => "applying",
            None => "waiting",
        };
        let filter = one.bulk.filter.clone().with_moments(|at| now.shown(at));
        OperationRow {
            number: one.number,
            verb: one.bulk.verb.to_string(),
            filter: filter.to_string(),
            by: one.bulk.by.to_string(),
            reason: one.bulk.reason.as_deref().map(str::to_owned),
            route: one.bulk.route.as_deref().map(str::to_owned),
            state: state.to_owned(),
            begun: now.shown(one.bulk.at).to_string(),
            ended: one.ended.map(|ended| now.shown(ended.at).to_string()),
            looked_at: one.looked_at,
            changed: one.changed,
        }
    };
    all.iter().map(row).collect()
}

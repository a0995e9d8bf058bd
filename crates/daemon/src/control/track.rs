//! What became of messages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use filter::{Condition, Filter, Glob, Tracked};
use mail::{QueueId, Timestamp};
use tracking::{Question, Reader, Row, StoreError};

use super::{Answer, PAGE_MESSAGES, Trouble};
use crate::api::{
    Trace, TraceQuery, TracedMessage, TrackPage, TrackQuery, TrackRow, TrackingStatus,
};
use crate::shared::Shared;
use crate::tracker::Tracker;

/// Rows that one question looks at, about a second's worth.
const LOOKS: usize = 1_000_000;
/// Who follows what happens has an answer after so long, though nothing has happened.
const FOLLOWED_MAX: Duration = Duration::from_secs(10);
/// How often it is looked for him.
const FOLLOWED_EVERY: Duration = Duration::from_millis(300);
/// Messages that one trace tells of.
const TRACED_MAX: usize = 50;
/// Whoever asks waits so long at most for what has just happened to be written.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// `GET /v1/track`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<TrackQuery>,
) -> Answer<TrackPage> {
    let now = shared.services.clock.moment().wall;
    let filter = Filter::parse_tracked(&query.filter, now).map_err(Trouble::bad)?;
    let filter = match shared.services.journal.tracking.tracker() {
        Some(tracker) => tracker.asked(filter),
        None => filter,
    };
    let (filter, mut query) = (Arc::new(filter), query);
    let until = Instant::now() + FOLLOWED_MAX;
    loop {
        let (filter, asked) = (Arc::clone(&filter), query.clone());
        let Json(page) = ask(&shared, move |reader| page(reader, &filter, &asked)).await?;
        // Who follows waits here for something that matches.
        let is_over = query.after.is_none() || !page.rows.is_empty();
        if is_over || Instant::now() >= until {
            return Ok(Json(page));
        }
        query.after = Some(page.end);
        tokio::time::sleep(FOLLOWED_EVERY).await;
    }
}

fn page(reader: &Reader, filter: &Filter, query: &TrackQuery) -> Result<TrackPage, StoreError> {
    let limit = query.limit.unwrap_or(PAGE_MESSAGES).min(PAGE_MESSAGES);
    let end = reader.end()?;
    if let Some(after) = query.after {
        // A store that was begun anew has smaller numbers.
        let after = if end < after { 0 } else { after };
        let (rows, last) = reader.since(filter, after, limit, LOOKS)?;
        return Ok(TrackPage {
            rows: rows.into_iter().map(row).collect(),
            next: None,
            reached: None,
            end: last,
        });
    }
    let page = reader.page(&Question {
        filter,
        before: query.before,
        limit,
        last_only: !query.events,
        looks: query.looks.unwrap_or(LOOKS).clamp(1, LOOKS),
    })?;
    Ok(TrackPage {
        rows: page.rows.into_iter().map(row).collect(),
        next: page.next,
        reached: page.reached.map(|at| at.to_string()),
        end,
    })
}

/// `GET /v1/trace/ID`
pub(super) async fn trace(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
    Query(TraceQuery { looks }): Query<TraceQuery>,
) -> Answer<Trace> {
    let mut none = format!("nothing is known of `{}`", mail::escaped(&name));
    let Json((trace, unread)) = ask(&shared, move |reader| traced(reader, &name, looks)).await?;
    if trace.messages.is_empty() {
        if let Some(before) = unread {
            none = format!("{none} since {before}; what is older was not looked at");
        }
        return Err(Trouble(StatusCode::NOT_FOUND, none));
    }
    Ok(Json(trace))
}

/// The messages that are meant, and the notices about them, and about those; and before when nothing
/// was looked at, if so.
fn traced(
    reader: &Reader,
    name: &str,
    looks: Option<usize>,
) -> Result<(Trace, Option<Timestamp>), StoreError> {
    let (ids, unread) = match name.parse() {
        Ok(id) => (vec![id], None),
        Err(_) => named(reader, name, looks)?,
    };
    let mut left: Vec<(QueueId, Option<QueueId>)> = ids.into_iter().map(|id| (id, None)).collect();
    left.reverse();
    let (mut seen, mut messages) = (BTreeSet::new(), Vec::new());
    while let Some((id, about)) = left.pop() {
        if messages.len() == TRACED_MAX || !seen.insert(id) {
            continue;
        }
        let rows = reader.of_message(id)?;
        let is_notified = |row: &&Row| row.result == mail::TrackedResult::Notified;
        let notices = rows.iter().filter(is_notified).filter_map(|row| row.other);
        left.extend(notices.map(|notice| (notice, Some(id))));
        if !rows.is_empty() {
            messages.push(TracedMessage {
                id: id.to_string(),
                about: about.map(|about| about.to_string()),
                rows: rows.into_iter().map(|one| row((0, one))).collect(),
            });
        }
    }
    Ok((Trace { messages }, unread))
}

/// The messages that bear this Message-ID, oldest first: the newest so many; and before when nothing
/// was looked at, if so.
fn named(
    reader: &Reader,
    name: &str,
    looks: Option<usize>,
) -> Result<(Vec<QueueId>, Option<Timestamp>), StoreError> {
    let name = name.trim_start_matches('<').trim_end_matches('>');
    let filter = Filter {
        conditions: vec![Condition::Tracked(Tracked::MessageId(Glob::new(name)))],
    };
    let (mut ids, mut before) = (BTreeSet::new(), None);
    loop {
        let page = reader.page(&Question {
            filter: &filter,
            before,
            limit: PAGE_MESSAGES,
            last_only: false,
            looks: looks.unwrap_or(LOOKS).clamp(1, LOOKS),
        })?;
        // A star in it is meant as it stands.
        let same = page
            .rows
            .iter()
            .filter(|(_, row)| row.message_id.eq_ignore_ascii_case(name));
        ids.extend(same.filter_map(|(_, row)| row.id));
        before = page.next;
        let is_cut = looks.is_some() && before.is_some();
        if before.is_none() || is_cut || ids.len() >= TRACED_MAX {
            let unread = page.reached.filter(|_| is_cut);
            return Ok((ids.into_iter().collect(), unread));
        }
    }
}

/// Asks the store, once all that has happened by now is in it.
pub(super) async fn ask<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    let Some(tracker) = shared.services.journal.tracking.tracker() else {
        let why = "nothing is tracked: tracking.enabled = false".to_owned();
        return Err(Trouble(StatusCode::NOT_FOUND, why));
    };
    let _in_time = tokio::time::timeout(FLUSH_MAX, tracker.flushed()).await;
    let file = tracker.file().to_owned();
    let asked = tokio::task::spawn_blocking(move || question(&Reader::open(&file)?));
    let failed = |why: String| Trouble(StatusCode::SERVICE_UNAVAILABLE, why);
    match asked.await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(error)) => Err(failed(format!(
            "the tracking store cannot be read: {error}"
        ))),
        Err(fault) => Err(failed(fault.to_string())),
    }
}

/// How the store is; `None` when there is none.
pub(super) fn status(tracker: Option<&Tracker>) -> Option<TrackingStatus> {
    tracker.map(|tracker| TrackingStatus {
        lost: tracker.lost(),
        made_again: tracker.made_again(),
        trouble: tracker.trouble(),
    })
}

fn row((number, row): (i64, Row)) -> TrackRow {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let millis = |span: Option<Duration>| {
        span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    };
    TrackRow {
        number,
        at: Timestamp::to_string(&row.at),
        result: row.result.to_string(),
        stage: row.stage.as_str().to_owned(),
        id: row.id.map(|id| id.to_string()),
        recipient: row.number,
        to: text(&row.recipient),
        from: row.sender.as_deref().map(str::to_owned),
        client: text(&row.client),
        client_name: text(&row.client_name),
        hello: text(&row.hello),
        user: text(&row.user),
        listener: text(&row.listener),
        session: row.session,
        tls: text(&row.tls),
        size: Some(row.size).filter(|size| *size > 0),
        message_id: text(&row.message_id),
        subject: text(&row.subject),
        route: text(&row.route),
        host: text(&row.host),
        reply: text(&row.reply),
        place: text(&row.place),
        note: text(&row.note),
        queued_ms: millis(row.queued),
        took_ms: millis(row.took),
        replied_ms: millis(row.replied),
        tries: Some(row.tries).filter(|tries| *tries > 0),
        other: row.other.map(|id| id.to_string()),
        recovered: row.recovered,
    }
}

//! What became of mail.

use askama::Template;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use daemon::api::{TrackPage, TrackRow};

use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Rows on a page.
const ROWS: usize = 100;
/// Rows that are looked at for a page: some hundredths of a second.
const LOOKS: usize = 20_000;
/// Rows in a file.
const FILE_ROWS: usize = 10_000;
/// Rows that are looked at for each part of a file.
const FILE_LOOKS: usize = 250_000;
/// Parts for which no more was found than that: with so many, a file is at its end.
const SHORT_PARTS_MAX: usize = 4;
/// Rows in one answer of the API.
const PART_ROWS: usize = 1000;

/// What is asked for most, as a start: words, filter.
const STARTS: [(&str, &str); 7] = [
    ("all", ""),
    ("refused", "state:refused"),
    ("deferred", "state:deferred"),
    ("failed", "state:failed"),
    ("delivered", "state:delivered"),
    ("held", "state:held"),
    ("of the last hour", "age:<1h"),
];

#[derive(Template)]
#[template(path = "tracking.html")]
struct Tracking {
    filter: String,
    events: bool,
    starts: Vec<Start>,
    rows: Vec<Line>,
    next: Option<String>,
    /// All since then was looked at, though the page is not full.
    reached: Option<String>,
    is_first: bool,
    all_or_last: String,
    command: String,
    csv: String,
    json: String,
}

struct Start {
    word: &'static str,
    link: String,
    is_chosen: bool,
}

/// A row as it is shown.
struct Line {
    row: TrackRow,
    mark: Mark,
    /// To the message, or to what it has to do with.
    link: String,
    why: String,
    took: String,
}

/// `GET /tracking`
pub(crate) async fn tracking(cx: Cx) -> Result<Page, Trouble> {
    let filter = cx.query.get("filter").to_owned();
    let events = cx.query.get("events") == "true";
    let before = cx.query.get("before");
    let page = ask(&cx, &filter, events, before, (ROWS, Some(LOOKS))).await?;
    let next = page.next.map(|next| cx.with("before", &next.to_string()));
    let is_first = before.is_empty();
    let file = |form| {
        let events = if events { "true" } else { "" };
        address(
            "/tracking/download",
            &[("filter", &filter), ("events", events), ("form", form)],
        )
    };
    let (csv, json) = (file("csv"), file("json"));
    let body = Tracking {
        starts: STARTS
            .iter()
            .map(|start| self::start(&filter, *start))
            .collect(),
        rows: page.rows.into_iter().map(line).collect(),
        next,
        reached: page.reached.map(|at| words::moment(&at)),
        is_first,
        all_or_last: cx.with("events", if events { "" } else { "true" }),
        command: command(&filter, events),
        csv,
        json,
        events,
        filter,
    };
    // What is behind the first page does not change.
    match is_first {
        true => Page::live(Section::Tracking, "Tracking", &body),
        false => Page::still(Section::Tracking, "Tracking", &body),
    }
}

fn start(filter: &str, (word, meant): (&'static str, &str)) -> Start {
    Start {
        word,
        link: match meant {
            "" => "/tracking".to_owned(),
            meant => address("/tracking", &[("filter", meant)]),
        },
        is_chosen: filter == meant,
    }
}

async fn ask(
    cx: &Cx,
    filter: &str,
    events: bool,
    before: &str,
    (limit, looks): (usize, Option<usize>),
) -> Result<TrackPage, Trouble> {
    let (events, limit) = (events.to_string(), limit.to_string());
    let mut fields = vec![("filter", filter), ("events", &*events), ("limit", &*limit)];
    if !before.is_empty() {
        fields.push(("before", before));
    }
    let looks = looks.map(|looks| looks.to_string());
    fields.extend(looks.iter().map(|looks| ("looks", &**looks)));
    cx.api.get(&address("/v1/track", &fields)).await
}

/// The same on the command line.
fn command(filter: &str, events: bool) -> String {
    let events = if events { "track --events" } else { "track" };
    words::command(events, filter)
}

fn line(row: TrackRow) -> Line {
    let said = [row.reply.as_deref(), row.note.as_deref()];
    let place = row.place.as_deref().map(words::place);
    let said: Vec<&str> = said.into_iter().chain([place]).flatten().collect();
    let session = row
        .session
        .map(|number| format!("/transcripts/in-{number}"));
    let message = row.id.as_ref().map(|id| format!("/message/{id}"));
    Line {
        mark: words::mark(&row.result),
        link: message.or(session).unwrap_or_default(),
        why: said.join(" - "),
        took: row.queued_ms.map(words::millis).unwrap_or_default(),
        row,
    }
}

/// `GET /tracking/download`: the rows as a file.
pub(crate) async fn download(cx: Cx) -> Response {
    match file(&cx).await {
        Ok(response) => response,
        Err(trouble) => crate::page::framed(&cx, Err(trouble)),
    }
}

async fn file(cx: &Cx) -> Result<Response, Trouble> {
    let filter = cx.query.get("filter");
    let events = cx.query.get("events") == "true";
    let (mut rows, mut before, mut since) = (Vec::new(), String::new(), None);
    let mut short_parts = 0;
    while rows.len() < FILE_ROWS {
        let page = ask(cx, filter, events, &before, (PART_ROWS, Some(FILE_LOOKS))).await?;
        short_parts += usize::from(page.rows.len() < PART_ROWS);
        rows.extend(page.rows);
        let Some(next) = page.next else { break };
        before = next.to_string();
        if short_parts >= SHORT_PARTS_MAX {
            since = page.reached;
            break;
        }
    }
    rows.truncate(FILE_ROWS);
    let since = since.as_deref().unwrap_or_default();
    if rows.is_empty() && !since.is_empty() {
        let command = command(filter, events);
        return Err(Trouble::not_found(format!(
            "Nothing matches since {}; what is older was not looked at. On the command line, {command} --json looks at everything",
            words::moment(since)
        )));
    }
    // A file that does not tell of everything says from when on it does.
    let since: String = since.chars().filter(char::is_ascii_alphanumeric).collect();
    let since = match since.as_str() {
        "" => since,
        since => format!("-since-{since}"),
    };
    let (kind, name, text) = match cx.query.get("form") {
        "json" => {
            let text = serde_json::to_string_pretty(&rows).map_err(Trouble::ours)?;
            ("application/json", "json", text)
        }
        _ => {
            let text = daemon::api::as_csv(&rows).map_err(Trouble::ours)?;
            ("text/csv; charset=utf-8", "csv", text)
        }
    };
    let place = format!("attachment; filename=\"tracking{since}.{name}\"");
    Ok((
        [
            (CONTENT_TYPE, kind.to_owned()),
            (CONTENT_DISPOSITION, place),
        ],
        text,
    )
        .into_response())
}

//! Protocol logs that lie in files, and their last lines.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use config::ProtocolLogTarget;
use protocol_log::Settings;

use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::{ProtocolLogQuery, ProtocolLogRow, ProtocolLogTail};
use crate::shared::Shared;

/// Octets of the end of a file that are looked at.
const READ_MAX: u64 = 1 << 20;
/// Lines, unless others are asked for; and at most.
const LINES: usize = 200;
const LINES_MAX: usize = 1_000;
/// Characters of a line that are told.
const LINE_MAX: usize = 2_000;

pub(super) fn with(routes: Routes) -> Routes {
    routes
        .get("/v1/log/protocol", "The protocol logs that are files", list)
        .get(
            "/v1/log/protocol/{name}",
            "The last lines of a protocol log, oldest first",
            tail,
        )
}

fn all(shared: &Shared) -> Vec<Settings> {
    let active = shared.services.active();
    let logs = active.setup.config.log.protocol.iter();
    logs.filter(|log| log.target == ProtocolLogTarget::Files)
        .map(|log| log.settings.clone())
        .collect()
}

/// `GET /v1/log/protocol`
async fn list(State(shared): State<Arc<Shared>>) -> Answer<Vec<ProtocolLogRow>> {
    let rows = all(&shared).into_iter().map(|log| ProtocolLogRow {
        name: log.name.to_string(),
        directory: log.directory.display().to_string(),
    });
    Ok(Json(rows.collect()))
}

/// `GET /v1/log/protocol/NAME`
async fn tail(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
    Query(query): Query<ProtocolLogQuery>,
) -> Answer<ProtocolLogTail> {
    let log = all(&shared).into_iter().find(|log| *log.name == *name);
    let log = log.ok_or_else(|| {
        let why = format!(
            "there is no protocol log `{}` in files",
            mail::escaped(&name)
        );
        Trouble(StatusCode::NOT_FOUND, why)
    })?;
    let asked = tokio::task::spawn_blocking(move || last(&log, &query));
    let failed = |why: String| Trouble(StatusCode::SERVICE_UNAVAILABLE, why);
    let tail = asked.await.map_err(|fault| failed(fault.to_string()))?;
    let tail = tail.map_err(|error| failed(format!("the protocol log cannot be read: {error}")));
    tail.map(Json)
}

fn last(log: &Settings, query: &ProtocolLogQuery) -> io::Result<ProtocolLogTail> {
    let Some(name) = newest(log)? else {
        return Ok(ProtocolLogTail {
            file: None,
            lines: Vec::new(),
            is_cut: false,
        });
    };
    let path = log.directory.join(name);
    let mut file = File::open(&path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(READ_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut octets = Vec::new();
    file.take(READ_MAX).read_to_end(&mut octets)?;
    let text = String::from_utf8_lossy(&octets);
    // The first one is not whole.
    let lines = text.lines().skip(usize::from(from > 0));
    let lines: Vec<&str> = lines.collect();
    let word = query.word.as_deref().unwrap_or_default().to_lowercase();
    let matches = |line: &&&str| word.is_empty() || line.to_lowercase().contains(&word);
    let count = query.lines.unwrap_or(LINES).min(LINES_MAX);
    let shown = |line: &&str| {
        let end = line.char_indices().nth(LINE_MAX).map(|(at, _)| at);
        mail::escaped(&line[..end.unwrap_or(line.len())]).to_string()
    };
    let mut last: Vec<String> = (lines.iter().rev().filter(matches))
        .take(count)
        .map(shown)
        .collect();
    last.reverse();
    Ok(ProtocolLogTail {
        file: Some(path.display().to_string()),
        lines: last,
        is_cut: from > 0,
    })
}

/// The file that was written last.
fn newest(log: &Settings) -> io::Result<Option<String>> {
    let mut newest = None;
    let entries = match fs::read_dir(&log.directory) {
        Ok(entries) => entries,
        // It comes with the first row.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // It may have gone meanwhile.
        let Ok(facts) = entry.metadata() else {
            continue;
        };
        if facts.is_file() && log.is_ours(&name) {
            newest = newest.max(Some((facts.modified()?, name)));
        }
    }
    Ok(newest.map(|(_, name)| name))
}

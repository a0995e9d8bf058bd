//! Who is connected, and the end of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;

use super::act::Act;
use super::{Answer, Trouble};
use crate::api::{SessionQuery, SessionRow};
use crate::sessions::{Entry, SessionId};
use crate::shared::Shared;

/// `GET /v1/sessions`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SessionQuery>,
) -> Answer<Vec<SessionRow>> {
    let named = |name: Option<String>| {
        let parsed = name.map(|name| name.parse::<SessionId>().map_err(|()| name));
        let none = |name| Trouble::bad(format!("`{name}` names no session"));
        parsed.transpose().map_err(none)
    };
    let (only, after) = (named(query.id)?, named(query.after)?);
    let wanted: fn(SessionId) -> bool = match query.only.as_deref() {
        None => |_| true,
        Some("in") => |id| matches!(id, SessionId::In(_)),
        Some("out") => |id| matches!(id, SessionId::Out(_)),
        Some(_) => return Err(Trouble::bad("`only` is `in` or `out`")),
    };
    let limit = query.limit.unwrap_or(usize::MAX);
    let is_asked = |id| only.is_none_or(|only| only == id) && wanted(id);
    let all = shared.services.sessions.list(after, limit, is_asked);
    Ok(Json(
        all.iter().map(|(id, entry)| row(*id, entry)).collect(),
    ))
}

/// `POST /v1/sessions/ID/kill`
pub(super) async fn kill(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
    act: Act,
) -> Answer<SessionRow> {
    let none = || {
        let why = format!("there is no session {name}");
        Trouble(StatusCode::NOT_FOUND, why)
    };
    let id = name.parse::<SessionId>().map_err(|()| none())?;
    let entry = shared.services.sessions.kill(id).ok_or_else(none)?;
    let row = row(id, &entry);
    act.on(format_args!("{}, {}", row.peer, row.way));
    tracing::info!(session = %id, way = row.way, peer = row.peer, "ended by an operator");
    Ok(Json(row))
}

fn row(id: SessionId, entry: &Entry) -> SessionRow {
    let told = entry.told().clone();
    SessionRow {
        id: id.to_string(),
        way: entry.way.to_string(),
        peer: told.peer.into(),
        user: told.user.map(|user| user.to_string()),
        since: entry.since.to_string(),
        state: told.state.to_owned(),
        message: told.message.map(|id| id.to_string()),
        received: entry.traffic.received(),
        sent: entry.traffic.sent(),
    }
}

//! Who did what.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Trouble};
use crate::api::{AuditQuery, AuditRow};
use crate::shared::Shared;

/// Rows in one answer, unless another number is asked for.
const ROWS: usize = 100;
/// Rows in one answer at most.
const ROWS_MAX: usize = 1_000;

/// `GET /v1/audit`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(AuditQuery { before, limit }): Query<AuditQuery>,
) -> Answer<Vec<AuditRow>> {
    let limit = limit.unwrap_or(ROWS).min(ROWS_MAX);
    let log = Arc::clone(&shared.services.audit);
    let page = tokio::task::spawn_blocking(move || log.page(before, limit)).await;
    let failed = |why: String| Trouble(StatusCode::INTERNAL_SERVER_ERROR, why);
    let page = page.map_err(|fault| failed(fault.to_string()))?;
    page.map(Json).map_err(|error| failed(error.to_string()))
}

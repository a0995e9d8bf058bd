//! Certificates by ACME.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::act::Act;
use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::{AcmeQuery, AcmeRenew, AcmeRenewing, AcmeRow};
use crate::clock;
use crate::shared::Shared;

/// An answer waits no longer for the end of orders.
const WAIT_SECONDS_MAX: u64 = 60;

pub(super) fn with(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/acme",
            "The names that get certificates by ACME, and how those do",
            list,
        )
        .post(
            "/v1/acme/renew",
            "Orders a certificate now, for one name or for all",
            renew,
        )
}

/// `GET /v1/acme`
async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<AcmeQuery>,
) -> Answer<Vec<AcmeRow>> {
    let certificates = &shared.services.certificates;
    let mut ended = certificates.ended();
    let wait = Duration::from_secs(query.wait.unwrap_or(0).min(WAIT_SECONDS_MAX));
    let until = Instant::now() + wait;
    while certificates.is_one_wanted() && timeout_at(until, ended.changed()).await.is_ok() {}
    Ok(Json(certificates.rows(clock::now())))
}

/// `POST /v1/acme/renew`
async fn renew(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(AcmeRenew { name }): Json<AcmeRenew>,
) -> Answer<AcmeRenewing> {
    let name = name.map(|name| name.to_ascii_lowercase());
    act.on(name.as_deref().unwrap_or("all names"));
    let names = shared.services.certificates.want(name.as_deref());
    if names.is_empty() {
        let why = match name {
            Some(name) => format!("{name} is none of tls.acme.names"),
            None => "no certificate is got by ACME: there is no [tls.acme]".to_owned(),
        };
        return Err(Trouble(StatusCode::NOT_FOUND, why));
    }
    Ok(Json(AcmeRenewing { names }))
}

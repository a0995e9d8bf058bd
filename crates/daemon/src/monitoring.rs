//! What watches the relay from outside asks here, over HTTP: `/metrics` for Prometheus, `/live` and
//! `/ready` for whoever starts the relay anew or sends its clients elsewhere. Served on
//! `metrics.bind`, where nobody has to say who he is, and on the control socket.

mod census;
mod snapshot;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use config::Config;
use mail::Timestamp;
use metrics::Format;
use spool::Health;
use tokio::net::TcpListener;

use self::census::Census;
use crate::doors::Doors;
use crate::listener;
use crate::services::Stop;
use crate::shared::Shared;
use crate::{brief_http, clock};

/// The relay as it is watched.
pub(crate) struct Monitoring {
    shared: Arc<Shared>,
    census: Census,
    started: Timestamp,
}

/// Binds what `metrics.bind` names. Must be called within the runtime.
///
/// # Errors
/// Says which address could not be bound, and what to look at.
pub(crate) fn bind(config: &Config, doors: &Doors) -> Result<Vec<TcpListener>, String> {
    let bind = |address: &SocketAddr| {
        let bound = doors.lasting(*address).and_then(TcpListener::from_std);
        bound.map_err(|error| {
            let advice = listener::advice(&error, *address);
            format!("metrics.bind cannot bind {address}: {advice}")
        })
    };
    config.metrics.iter().map(bind).collect()
}

impl Monitoring {
    /// Watches a relay that starts now.
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            census: Census::default(),
            started: clock::now(),
        })
    }

    /// What can be asked.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/metrics", get(page))
            .route("/live", get(live))
            .route("/ready", get(ready))
            .with_state(Arc::clone(self))
    }

    /// Answers on this socket until it is aborted.
    pub(crate) fn serve(
        self: &Arc<Self>,
        socket: TcpListener,
    ) -> impl Future<Output = ()> + Send + use<> {
        let router = self.router();
        async move {
            if let Ok(address) = socket.local_addr() {
                tracing::info!(%address, "metrics are served");
            }
            brief_http::serve(socket, router).await;
        }
    }
}

async fn page(State(watched): State<Arc<Monitoring>>, fields: HeaderMap) -> impl IntoResponse {
    let accept = fields.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let snapshot = watched.snapshot().await;
    let page = watched
        .shared
        .services
        .journal
        .metrics
        .page(format, &snapshot);
    ([(CONTENT_TYPE, format.content_type())], page)
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(watched): State<Arc<Monitoring>>) -> (StatusCode, String) {
    let services = &watched.shared.services;
    let leaving = watched.shared.leaving.load(Ordering::Relaxed);
    let stopping = leaving || *services.stop.borrow() != Stop::Running;
    let stopping = stopping.then(|| "the relay is stopping".to_owned());
    let refusing = match services.spool.health() {
        Health::Accepting => None,
        Health::LowSpace { free, floor } => Some(format!(
            "the spool takes no mail: {free} octets are free, new mail waits for {floor}"
        )),
        Health::Failed(error) => Some(format!("the spool takes no mail: {error}")),
    };
    let reasons: Vec<String> = stopping.into_iter().chain(refusing).collect();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

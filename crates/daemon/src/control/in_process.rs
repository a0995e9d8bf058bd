//! The API of the control socket for callers in the relay's own process.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::{Extension, Router, middleware};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tls::{Acceptor, AlpnProof};

use super::{Actor, in_json, routes, to_its_end};
use crate::shared::Shared;

/// All that can be asked over the control socket, without the socket. Clones are cheap, and are one
/// API.
#[derive(Clone)]
pub struct ControlApi {
    router: Router,
    shared: Arc<Shared>,
}

impl ControlApi {
    /// The API of this relay, with what `beside` answers.
    pub(crate) fn new(shared: Arc<Shared>, beside: Router) -> Self {
        let router = routes()
            .into_router()
            .with_state(Arc::clone(&shared))
            .merge(beside)
            .layer(Extension(Arc::clone(&shared.services.audit)))
            .layer(middleware::map_response(in_json))
            .layer(middleware::from_fn(to_its_end));
        Self { router, shared }
    }

    /// What the API answers to a request by `actor`, who has to be somebody who may ask it: whether he
    /// may is not looked at here. A path and its query are enough of an address.
    ///
    /// What is begun is finished, also when nobody waits for the answer any longer.
    pub async fn call(&self, actor: Actor, mut request: Request) -> Response {
        request.extensions_mut().insert(actor);
        match TowerToHyperService::new(self.router()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Something beside mail cannot be served, and why, in a line: the log has it, and the status as
    /// long as the relay runs.
    pub fn is_without(&self, what: String) {
        tracing::error!("{what}");
        self.shared.absent().push(what);
    }

    /// What answers handshakes of browsers by the configuration in force, where `console.bind` is
    /// served by TLS.
    pub(crate) fn browsers_acceptor(&self) -> Option<Acceptor> {
        self.shared.services.active().console_acceptor()
    }

    /// Browsers are served by TLS at this address from now on, and so is an authority that looks for a proof
    /// there (RFC 8737).
    pub(crate) fn serves_browsers_at(&self, address: SocketAddr) {
        self.shared.services.certificates.serves_pages_at(address);
    }

    /// What such an authority is shown at present.
    pub(crate) fn proof(&self) -> Option<AlpnProof> {
        self.shared.services.certificates.proof()
    }

    /// What is served on the socket, whose requests have to say who asks.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }
}

//! Shows the proof that a name is ours, as long as an authority looks for it and no longer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use config::Acme;
use lookups::{AcmeProof, AcmeProver};
use tls::{AlpnProof, prove_by_alpn};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hook;
use crate::brief_http;
use crate::listener::{self, ACCEPT_PAUSE};

/// A handshake takes no longer.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Handshakes at one time; further ones wait.
const HANDSHAKES_MAX: usize = 16;

/// Shows one proof at a time.
pub(super) struct Prover {
    acme: Arc<Acme>,
    /// Those who answer; they end with it.
    answering: Mutex<JoinSet<()>>,
}

impl Prover {
    pub(super) fn new(acme: Arc<Acme>) -> Self {
        Self {
            acme,
            answering: Mutex::default(),
        }
    }

    fn answering(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens what can be opened: a machine without IPv6 answers by IPv4 alone.
    fn bind(&self) -> Result<Vec<TcpListener>, String> {
        let mut whys = Vec::new();
        let mut sockets = Vec::new();
        for address in &self.acme.binds {
            match bind(*address) {
                Ok(socket) => sockets.push(socket),
                Err(error) => whys.push(format!(
                    "tls.acme.bind cannot bind {address}: {}",
                    listener::advice(&error, *address)
                )),
            }
        }
        if sockets.is_empty() {
            return Err(whys.join("; "));
        }
        for why in whys {
            tracing::debug!(why, "proofs are not shown everywhere");
        }
        Ok(sockets)
    }

    async fn call(&self, verb: &str, record: &str, text: &str) -> Result<(), String> {
        let hook = self.acme.hook.as_ref().ok_or("there is no hook")?;
        hook::call(hook, [verb, record, text], self.acme.hook_timeout).await
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(listener::bind_one(address)?)
}

impl AcmeProver for Prover {
    async fn show(&self, proof: &AcmeProof) -> Result<(), String> {
        match proof {
            AcmeProof::Http { token, text } => {
                let router = router(token, text);
                for socket in self.bind()? {
                    let answers = brief_http::serve(socket, router.clone());
                    self.answering().spawn(answers);
                }
            }
            AcmeProof::TlsAlpn { name, digest } => {
                let proof = AlpnProof::new(name, digest)?;
                for socket in self.bind()? {
                    self.answering().spawn(shake_hands(socket, proof.clone()));
                }
            }
            AcmeProof::Dns { record, text } => self.call("add", record, text).await?,
        }
        Ok(())
    }

    async fn withdraw(&self, proof: &AcmeProof) {
        match proof {
            AcmeProof::Http { .. } | AcmeProof::TlsAlpn { .. } => {
                let mut answering = std::mem::take(&mut *self.answering());
                answering.shutdown().await;
            }
            AcmeProof::Dns { record, text } => {
                if let Err(error) = self.call("remove", record, text).await {
                    tracing::warn!(error, "a record of a proof could not be removed");
                }
            }
        }
    }
}

/// RFC 8555 section 8.3. Everything else is not here.
fn router(token: &str, text: &str) -> Router {
    let (token, text): (Arc<str>, Arc<str>) = (token.into(), text.into());
    let answer = move |Path(asked): Path<String>| {
        let found = (*asked == *token).then(|| text.to_string());
        async move {
            match found {
                Some(text) => ([(CONTENT_TYPE, "application/octet-stream")], text).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer))
}

async fn shake_hands(socket: TcpListener, proof: AlpnProof) {
    let mut under_way = JoinSet::new();
    loop {
        let has_room = under_way.len() < HANDSHAKES_MAX;
        tokio::select! {
            Some(_) = under_way.join_next() => {}
            accepted = socket.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    let proof = proof.clone();
                    under_way.spawn(async move {
                        let _not_the_authority = prove_by_alpn(stream, &proof, HANDSHAKE_WAIT).await;
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for tls-alpn-01");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

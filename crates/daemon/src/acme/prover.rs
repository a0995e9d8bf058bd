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
use nix::errno::Errno;
use tls::{AlpnProof, prove_by_alpn};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::hook;
use crate::certificates::Certificates;
use crate::listener::{self, ACCEPT_PAUSE};
use crate::{brief_http, tcp_socket};

/// A handshake takes no longer.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Handshakes at one time; further ones wait.
const HANDSHAKES_MAX: usize = 16;

/// Shows one proof at a time.
pub(super) struct Prover<'a> {
    acme: Arc<Acme>,
    /// Our own pages may have the port where an authority looks.
    certificates: &'a Certificates,
    /// Those who answer; they end with it.
    answering: Mutex<JoinSet<()>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(acme: Arc<Acme>, certificates: &'a Certificates) -> Self {
        Self {
            acme,
            certificates,
            answering: Mutex::default(),
        }
    }

    fn answering(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens all that this machine has: one without IPv6 answers by IPv4 alone. Where somebody else
    /// has a port, he would be asked for our proof. Those that `are_ours` answer already.
    fn bind(&self, are_ours: impl Fn(SocketAddr) -> bool) -> Result<Vec<TcpListener>, String> {
        let mut missing = None;
        let mut sockets = Vec::new();
        let mut is_shown = false;
        for address in &self.acme.binds {
            if are_ours(*address) {
                is_shown = true;
                continue;
            }
            match bind(*address) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    let advice = listener::advice(&error, *address);
                    let why = format!("tls.acme.bind cannot bind {address}: {advice}");
                    if !is_missing(&error) {
                        return Err(why);
                    }
                    missing = Some(why);
                }
            }
        }
        match missing {
            Some(why) if sockets.is_empty() && !is_shown => Err(why),
            _ => Ok(sockets),
        }
    }

    async fn call(&self, verb: &str, record: &str, text: &str) -> Result<(), String> {
        let hook = self.acme.hook.as_ref().ok_or("there is no hook")?;
        hook::call(hook, [verb, record, text], self.acme.hook_timeout).await
    }
}

/// Whether the machine has no such address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(tcp_socket::open(address)?)
}

impl AcmeProver for Prover<'_> {
    async fn show(&self, proof: &AcmeProof) -> Result<(), String> {
        match proof {
            AcmeProof::Http { token, text } => {
                let router = router(token, text);
                for socket in self.bind(|_| false)? {
                    let answers = brief_http::serve(socket, router.clone());
                    self.answering().spawn(answers);
                }
            }
            AcmeProof::TlsAlpn { name, digest } => {
                let proof = AlpnProof::new(name, digest)?;
                let has_pages = |address| self.certificates.has_pages_at(address);
                for socket in self.bind(has_pages)? {
                    self.answering().spawn(shake_hands(socket, proof.clone()));
                }
                self.certificates.prove(Some(proof));
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
                self.certificates.prove(None);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn prover<'a>(binds: &[SocketAddr], certificates: &'a Certificates) -> Prover<'a> {
        let acme = Acme {
            names: Vec::new(),
            directory: String::new(),
            ca: None,
            contact: None,
            binding: None,
            challenge: config::AcmeChallenge::Http,
            binds: binds.to_vec(),
            hook: None,
            hook_timeout: HANDSHAKE_WAIT,
            profile: None,
            keep_key: false,
            folder: std::path::PathBuf::new(),
        };
        Prover::new(Arc::new(acme), certificates)
    }

    /// An authority that asks by the other family would hear somebody else.
    #[tokio::test]
    async fn a_port_that_somebody_else_has_is_told_also_where_another_is_free() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let free: SocketAddr = "[::1]:0".parse().unwrap();
        let certificates = Certificates::default();
        let open = |binds: &[SocketAddr]| {
            let prover = prover(binds, &certificates);
            prover.bind(|address| certificates.has_pages_at(address))
        };
        let said = open(&[taken, free]).unwrap_err();
        assert!(said.contains("another program listens there"), "{said}");
        // An address of documents, which no machine has (RFC 5737).
        let missing: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let own: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_eq!(open(&[own, missing]).unwrap().len(), 1);
        assert!(open(&[missing]).is_err());
        // Our own pages.
        certificates.serves_pages_at(taken);
        assert_eq!(open(&[taken, free]).unwrap().len(), 1);
        assert_eq!(open(&[taken, missing]).unwrap().len(), 0);
    }
}

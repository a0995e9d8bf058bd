//! Pages for browsers: the sockets under a router, in clear or over TLS.

mod patience;
mod places;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tls::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use self::patience::{InTime, Patient};
use self::places::Places;
use crate::control::ControlApi;
use crate::doors::Doors;
use crate::listener::{self, ACCEPT_PAUSE};

/// So long a connection may say nothing, take for a handshake or a header, or read nothing of what
/// it is sent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// So long the body of a request may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Octets that are held of a header, and of what is on its way out.
const BUFFER_OCTETS_MAX: usize = 64 << 10;

/// A socket that is open and not served yet.
pub struct WebListener(std::net::TcpListener);

impl WebListener {
    /// Opens a socket at `address`, or takes the one that is open there already.
    ///
    /// # Errors
    /// Says which address could not be bound, and what to look at.
    pub fn bind(address: SocketAddr, doors: &Doors) -> Result<Self, String> {
        let bound = doors.lasting(address).map_err(|error| {
            let advice = listener::advice(&error, address);
            format!("cannot bind {address}: {advice}")
        });
        Ok(Self(bound?))
    }

    /// Where it is.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves a router until it is dropped: in clear, or by TLS with the certificates that the relay
    /// of `tls` has at the time, and the proof that an authority looks for. Requests carry who asks, as
    /// `ConnectInfo<SocketAddr>`. Must be called within the runtime.
    pub async fn serve(self, router: Router, tls: Option<ControlApi>) {
        let socket = match TcpListener::from_std(self.0) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "the console's socket cannot be served");
                return;
            }
        };
        if let (Some(relay), Ok(address)) = (&tls, socket.local_addr()) {
            relay.serves_browsers_at(address);
        }
        let places = Places::default();
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let Some(place) = places.next().await else {
                return;
            };
            while connections.try_join_next().is_some() {}
            match socket.accept().await {
                Ok((stream, client)) => {
                    // Hung up on: somebody there has enough of them.
                    let Some(place) = place.taken_by(client.ip()) else {
                        continue;
                    };
                    let (router, tls) = (router.clone(), tls.clone());
                    connections.spawn(async move {
                        answer(stream, client, router, tls).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for the console");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whoever is slow, or breaks off, gets nothing: there is nobody to tell.
async fn answer(stream: TcpStream, client: SocketAddr, router: Router, tls: Option<ControlApi>) {
    let service = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
        service.call(request.map(|body| InTime::new(body, BODY_TIME_MAX)))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MAX)
        .max_buf_size(BUFFER_OCTETS_MAX);
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(relay) => {
            // A reload may have taken them away.
            let Some(acceptor) = relay.browsers_acceptor() else {
                return;
            };
            let proof = relay.proof();
            match tls::accept_or_prove(stream, &acceptor, proof.as_ref(), SILENCE_MAX).await {
                Ok(Some(stream)) => stream,
                Ok(None) | Err(_) => return,
            }
        }
    };
    let stream = TokioIo::new(Patient::new(stream, SILENCE_MAX));
    let _gone = http.serve_connection(stream, service).await;
}

/// Waits so long.
pub async fn pause(span: Duration) {
    sleep(span).await;
}

/// A name that nobody guesses: 256 random bits as 64 hexadecimal digits.
pub fn random_name() -> String {
    mail::hex(rand::random::<[u8; 32]>())
}

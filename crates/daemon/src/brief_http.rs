//! HTTP for those who ask one thing and go.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::listener::ACCEPT_PAUSE;

/// Connections at one time; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// A connection is for one question, which has to come within this time.
const QUESTION_WAIT: Duration = Duration::from_secs(3);
/// With its answer it may take so long.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// Answers on this socket until it is dropped.
pub(crate) async fn serve(socket: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, router.clone()));
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for a brief question");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whoever is slow, or breaks off, gets nothing: there is nobody to tell.
async fn answer(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    let served = http
        .timer(TokioTimer::new())
        .header_read_timeout(QUESTION_WAIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _slow_or_gone = timeout(ANSWER_WAIT, served).await;
}

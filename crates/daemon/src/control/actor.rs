//! Who asks on the control socket.

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use nix::unistd::Uid;

use super::OwnerOnly;
use crate::accounts::account_of;

/// Whoever asks something of the control socket's API, or acts by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of an account of this machine, or of who is signed in at the console.
    pub name: String,
    /// Which way he came.
    pub way: Way,
}

/// Which way somebody comes to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Over the control socket, as an account of this machine. The system says which one.
    CommandLine {
        /// Its number.
        uid: u32,
    },
    /// Through the console, which knows who is signed in.
    Console,
    /// By a link of a digest, whose reader nobody knows.
    Link,
}

impl Actor {
    /// Somebody who is signed in at the console.
    pub fn at_console(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            way: Way::Console,
        }
    }

    /// Whoever has a link of a digest.
    pub fn by_link() -> Self {
        Self {
            name: "a link in a digest".to_owned(),
            way: Way::Link,
        }
    }
}

/// The account at the other end of the control socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) uid: u32,
}

impl Connected<IncomingStream<'_, OwnerOnly>> for Peer {
    fn connect_info(stream: IncomingStream<'_, OwnerOnly>) -> Self {
        *stream.remote_addr()
    }
}

/// Names whoever asks over the socket.
pub(super) async fn named(
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    // A file is read for it.
    let name = tokio::task::spawn_blocking(move || account(peer.uid)).await;
    let actor = Actor {
        name: name.unwrap_or_else(|_| nameless(peer.uid)),
        way: Way::CommandLine { uid: peer.uid },
    };
    request.extensions_mut().insert(actor);
    next.run(request).await
}

fn account(uid: u32) -> String {
    let account = account_of(Uid::from_raw(uid));
    account.map_or_else(|| nameless(uid), |account| account.name)
}

fn nameless(uid: u32) -> String {
    format!("uid {uid}")
}

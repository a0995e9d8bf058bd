use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::Certificate;

/// Who connects to us: what is certain about one incoming connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it comes from. An IPv4 address that arrived mapped into IPv6 is already plain IPv4
    /// here.
    pub peer: SocketAddr,
    /// The address of ours it connected to.
    pub local: SocketAddr,
    /// The name of the listener it came through.
    pub listener: Arc<str>,
    /// The session's encryption, once there is any.
    pub tls: Option<TlsFacts>,
    /// The name of the user who signed in, once somebody did.
    pub user: Option<Arc<str>>,
}

impl Client {
    /// A client that has only connected so far. IPv4-mapped addresses become plain IPv4, so that no
    /// list is walked around.
    pub fn new(peer: SocketAddr, local: SocketAddr, listener: Arc<str>) -> Self {
        let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        Self {
            peer: plain(peer),
            local: plain(local),
            listener,
            tls: None,
            user: None,
        }
    }

    /// The address from which the client connects.
    pub fn address(&self) -> IpAddr {
        self.peer.ip()
    }
}

/// What is known of a session's encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub version: &'static str,
    /// The cipher suite's registered name.
    pub cipher: Box<str>,
    /// The group of the key exchange, by its registered name: `X25519`; empty when none was agreed
    /// upon.
    pub group: &'static str,
    /// The certificate that the other side showed, if it showed one.
    pub certificate: Option<Arc<Certificate>>,
}

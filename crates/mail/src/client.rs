use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// By which mechanism that was, by its registered name; empty where nobody did.
    pub mechanism: Box<str>,
    /// The account of this machine that hands a message in, where it came by no network: then both
    /// addresses only stand for this machine.
    pub uid: Option<u32>,
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
            mechanism: Box::default(),
            uid: None,
        }
    }

    /// An account of this machine that came through `door`, one of the ways of local submission.
    pub fn of_this_machine(uid: u32, door: Arc<str>) -> Self {
        let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            uid: Some(uid),
            ..Self::new(here, here, door)
        }
    }

    /// The address from which the client connects.
    pub fn address(&self) -> IpAddr {
        self.peer.ip()
    }
}

/// As it stands in the log and in the queue: `192.0.2.7`, `uid:33`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "uid:{uid}"),
            None => self.address().fmt(f),
        }
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
    /// How hands were shaken.
    pub handshake: Handshake,
    /// The certificate that the other side showed, if it showed one.
    pub certificate: Option<Arc<Certificate>>,
}

/// How hands were shaken: the longer ways take more of everybody's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The usual way.
    Full,
    /// The server wanted a share of another group than the client had sent (RFC 8446 section 4.1.4,
    /// HelloRetryRequest).
    Retried,
    /// An earlier session was taken up.
    Resumed,
}

impl Handshake {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Retried => "retried",
            Self::Resumed => "resumed",
        }
    }
}

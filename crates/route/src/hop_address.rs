use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Where a host is connected to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HopAddress {
    /// Over the network.
    Tcp(SocketAddr),
    /// By a socket in the file system of this machine, at this path.
    Unix(Arc<str>),
}

impl HopAddress {
    /// Whether it is an address of IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.is_ipv4())
    }

    /// Whether it is an address of IPv6.
    pub fn is_ipv6(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.is_ipv6())
    }

    /// The address without the port, or the path.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_string(),
            Self::Unix(path) => path.to_string(),
        }
    }

    /// The port; a socket in the file system has none.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// For forms that have room for nothing but an address and a port: a socket in the file system
    /// is this machine, without a port.
    pub fn on_network(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) => *address,
            Self::Unix(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

impl From<SocketAddr> for HopAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// `192.0.2.1:25`, `[2001:db8::1]:25`, `/run/dovecot/lmtp`.
impl fmt::Display for HopAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use mail::Domain;

/// What this relay is known by: whatever leads back here is a loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    pub(crate) names: HashSet<Domain>,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) addresses: HashSet<IpAddr>,
}

impl Own {
    pub(crate) fn is_name(&self, name: &Domain) -> bool {
        self.names.contains(name)
    }

    /// Whether a connection to `address` would reach a listener of ours. The port counts: a filter
    /// or a mail server may well live on the same machine.
    pub(crate) fn is_listener(&self, address: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| {
            listener.port() == address.port() && self.listens_at(listener.ip(), address.ip())
        })
    }

    /// Whether `address` is one of this machine, whatever the port.
    pub(crate) fn is_address(&self, address: IpAddr) -> bool {
        let bound = |listener: &SocketAddr| listener.ip().to_canonical() == address;
        self.addresses.contains(&address) || self.listeners.iter().any(bound)
    }

    fn listens_at(&self, bound: IpAddr, address: IpAddr) -> bool {
        let bound = bound.to_canonical();
        // A listener at `[::]` takes connections over IPv4, too.
        let everywhere = bound.is_unspecified() && (bound.is_ipv6() || address.is_ipv4());
        bound == address
            || everywhere && (address.is_loopback() || self.addresses.contains(&address))
    }
}

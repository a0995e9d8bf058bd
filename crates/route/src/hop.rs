use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{HopAddress, Security};

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The host's name; its address in brackets when it was configured as one, and for a socket in
    /// the file system its path.
    pub name: Box<str>,
    /// Where to connect to.
    pub address: HopAddress,
    /// What the connection must give.
    pub security: Security,
    /// Encryption begins with the connection, without STARTTLS (RFC 8314 section 3.3).
    pub implicit_tls: bool,
    /// Who wants the security.
    pub demanded_by: DemandedBy,
}

/// Who wants the security of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DemandedBy {
    /// The configuration names it.
    #[default]
    Configuration,
    /// The TLSA records of the host (RFC 7672).
    Dane,
    /// The MTA-STS policy of the recipient's domain (RFC 8461).
    MtaSts,
    /// Such a policy that is only tried out: nothing may fail for it, but whether it would is worth
    /// knowing.
    MtaStsTesting {
        /// The policy lists the host.
        listed: bool,
    },
}

impl Hop {
    /// An address without any demand: encrypted if that is offered.
    pub fn new(name: impl Into<Box<str>>, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            security: Security::default(),
            implicit_tls: false,
            demanded_by: DemandedBy::default(),
        }
    }

    /// A socket in the file system. Nothing there crosses a network, and who listens is for the
    /// permissions of the file system to say: in clear it is as protected as encryption could make
    /// it.
    pub fn socket(path: &Arc<str>) -> Self {
        Self {
            name: (**path).into(),
            address: HopAddress::Unix(Arc::clone(path)),
            security: Security::None,
            implicit_tls: false,
            demanded_by: DemandedBy::default(),
        }
    }
}

/// `mx1.example.com [192.0.2.1]:25`; a host configured by its address is `[192.0.2.1]:25`, and a
/// socket in the file system its path.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match &self.address {
            HopAddress::Tcp(address) => address,
            HopAddress::Unix(path) => return path.fmt(f),
        };
        if !self.name.starts_with('[') {
            write!(f, "{} ", self.name)?;
        }
        write!(f, "[{}]:{}", address.ip(), address.port())
    }
}

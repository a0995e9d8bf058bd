use std::fmt;
use std::net::SocketAddr;

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The host's name; its address in brackets when it was configured as one.
    pub name: Box<str>,
    /// Where to connect.
    pub address: SocketAddr,
}

/// `mx1.example.com [192.0.2.1]:25`; a host configured by its address is `[192.0.2.1]:25`.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.starts_with('[') {
            write!(f, "{} ", self.name)?;
        }
        write!(f, "[{}]:{}", self.address.ip(), self.address.port())
    }
}

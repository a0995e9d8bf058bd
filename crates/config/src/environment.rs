use std::net::IpAddr;

use mail::Domain;

/// What the machine says about itself.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Its full name, the default of `hostname`; `None` when it has none.
    pub hostname: Option<Domain>,
    /// The addresses of its interfaces, by which a route back to ourselves is found.
    pub addresses: Vec<IpAddr>,
}

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mail::{Domain, Host, Place};

/// A next hop known without asking DNS: all hosts that serve one destination alike. The queue
/// manager's unit of fairness, limits and back-off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    /// Its name in logs and in `queue shape`: `mx:example.com`, `[192.0.2.1]:25`, `route:isp`,
    /// `local:example.com`, `atrn:branch` for the user `branch` who fetches mail,
    /// `tls-reports:example.com`.
    pub name: Arc<str>,
    /// How the hosts of the site are found.
    pub next_hop: Arc<NextHop>,
    /// Which configuration line chose it.
    pub place: Place,
    /// Where its mail goes when DNS shows no host of it, or none can be reached: the smart hosts
    /// behind `outbound.direct_first`.
    pub otherwise: Option<Arc<Site>>,
    /// What its domain demands by MTA-STS or DANE does not count: what goes there is a report of how
    /// that fails (RFC 8460 section 3).
    pub despite_policies: bool,
}

/// What the name of a site begins with that TLS reports have to themselves.
pub(crate) const TLS_REPORTS: &str = "tls-reports:";

impl Site {
    /// The site for TLS reports beside this one, where policies of domains count at it: that of the
    /// hosts of a domain's MX records.
    pub(crate) fn for_tls_reports(&self) -> Option<Self> {
        let NextHop::Mx(domain) = &*self.next_hop else {
            return None;
        };
        Some(Self {
            name: format!("{TLS_REPORTS}{domain}").into(),
            despite_policies: true,
            ..self.clone()
        })
    }

    /// Under which name mail for `host` waits that goes to this site for its sender's sake, or
    /// because it is a filter, or takes TLS reports: apart
    /// from all other mail for the host, and from mail for other hosts, so that all have their
    /// turns.
    pub fn filed_name(&self, host: &Host) -> Arc<str> {
        format!("{} {host}", self.name).into()
    }

    /// One that no configuration knows any more: it has no host, so its mail waits.
    pub(crate) fn gone(name: &str) -> Self {
        Self {
            name: name.into(),
            next_hop: Arc::new(NextHop::SmartHosts(Vec::new())),
            place: Place::Default,
            otherwise: None,
            despite_policies: false,
        }
    }
}

/// Where a site is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The hosts that the MX records of this domain name (its address when there are none).
    Mx(Domain),
    /// An address literal in the recipient: that very host.
    Literal(IpAddr),
    /// Smart hosts, in order.
    SmartHosts(Vec<HostSpec>),
    /// Delivered into this directory, a file a message.
    Directory(PathBuf),
    /// Whoever asked for it on a connection of its own (ATRN), and nowhere once that is gone.
    Caller,
}

/// Where a smart host is, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostAt {
    /// A name (MX, then addresses; RFC 5321 section 5.1) or an address.
    Network(Host),
    /// The path of a socket in the file system of this machine.
    Socket(Arc<str>),
}

impl fmt::Display for HostAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(host) => host.fmt(f),
            Self::Socket(path) => path.fmt(f),
        }
    }
}

/// A smart host as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostSpec {
    /// Where it is.
    pub at: HostAt,
    /// The name stood in brackets: no MX lookup.
    pub exact: bool,
    /// Where to connect; `outbound.port` when none was given.
    pub port: Option<u16>,
    /// Where load is spread over the hosts of a route: how often it comes first, in proportion to
    /// the weights of the others; at least 1.
    pub weight: u32,
    /// The name that its verified certificate must be for, in place of the route's word for all of
    /// them ([`SiteOptions::tls_name`](crate::SiteOptions::tls_name)).
    pub tls_name: Option<Domain>,
}

impl HostSpec {
    /// A host of which nothing further is said.
    pub fn new(host: Host, exact: bool) -> Self {
        Self::at(HostAt::Network(host), exact)
    }

    /// The socket at this path, of which nothing further is said.
    pub fn socket(path: impl Into<Arc<str>>) -> Self {
        Self::at(HostAt::Socket(path.into()), true)
    }

    fn at(at: HostAt, exact: bool) -> Self {
        Self {
            at,
            exact,
            port: None,
            weight: 1,
            tls_name: None,
        }
    }
}

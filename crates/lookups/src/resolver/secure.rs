//! What DNSSEC vouches for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::base::Rtype;
use mail::Domain;
use route::TlsaRecord;

use super::wire::{Found, Record, Response};
use super::{Lookup, Resolver};

/// For how long the resolver is known to validate.
const VALIDATES_TTL: Duration = Duration::from_secs(3600);
/// For how long it is known not to: it may just be starting.
const DOES_NOT_VALIDATE_TTL: Duration = Duration::from_secs(60);

/// The TLSA records of a port (RFC 6698), as RFC 7672 section 2.1 tells the answers apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tlsa {
    /// These, and DNSSEC vouches for them.
    Secure(Arc<[TlsaRecord]>),
    /// Nobody vouches for the answer, whatever it was: there is no DANE here.
    Insecure,
    /// DNSSEC vouches that there are none.
    Denied,
    /// No usable answer; why. RFC 7672 section 2.1.1: the host must not be used without it.
    Failed(Box<str>),
}

struct Certainty;

impl moka::Expiry<(), bool> for Certainty {
    fn expire_after_create(&self, (): &(), validates: &bool, _: Instant) -> Option<Duration> {
        Some(if *validates {
            VALIDATES_TTL
        } else {
            DOES_NOT_VALIDATE_TTL
        })
    }
}

pub(super) fn probe_cache() -> moka::future::Cache<(), bool> {
    moka::future::Cache::builder()
        .max_capacity(1)
        .expire_after(Certainty)
        .build()
}

impl Resolver {
    /// Whether what the servers say about DNSSEC is believed: every one of them is on loopback.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Whether the servers are believed and validate: an answer that DNSSEC vouches for has come,
    /// or one for the root zone does. Known for an hour. Only for telling why there is no DANE: an
    /// answer's own `secure` decides.
    pub async fn validates(&self) -> bool {
        if !self.trusted || self.seen_secure.load(Ordering::Relaxed) {
            return self.trusted;
        }
        let probe = async {
            let response = self.lookup(".", Rtype::NS).await;
            self.believes(&response)
        };
        self.validating.get_with((), probe).await
    }

    /// The TLSA records of a mail host, and the domain where they stand. RFC 7672 section 2.2.2: of
    /// a host that is an alias, the name at the end is the base domain, when DNSSEC vouches for the
    /// whole way there and there are records; otherwise the host's own name is.
    pub(crate) async fn tlsa_of_host(&self, host: &Domain, port: u16) -> (Domain, Tlsa) {
        let addresses = self.addresses(host).await;
        if let Some(target) = addresses.canonical.filter(|_| addresses.secure) {
            match self.tlsa(&target, port).await {
                found @ (Tlsa::Secure(_) | Tlsa::Failed(_)) => return (target, found),
                Tlsa::Insecure | Tlsa::Denied => {}
            }
        }
        (host.clone(), self.tlsa(host, port).await)
    }

    /// The TLSA records of `port` at `host`.
    pub(crate) async fn tlsa(&self, host: &Domain, port: u16) -> Tlsa {
        let name = format!("_{port}._tcp.{host}");
        let looked = self.looked(&name, Rtype::TLSA, |record| match record {
            Record::Tlsa(record) => Some(record.clone()),
            Record::Address(_) | Record::Name(_) | Record::Mx(..) | Record::Text(_) => None,
        });
        let looked = looked.await;
        match looked.found {
            Lookup::Failed(why) => Tlsa::Failed(why),
            Lookup::Found(_) | Lookup::NoData | Lookup::NoSuchName if !looked.secure => {
                Tlsa::Insecure
            }
            Lookup::Found(records) => Tlsa::Secure(records.into()),
            Lookup::NoData | Lookup::NoSuchName => Tlsa::Denied,
        }
    }

    pub(super) fn believes(&self, response: &Response) -> bool {
        let secure = self.trusted && response.secure && !matches!(response.found, Found::Failed(_));
        if secure {
            self.seen_secure.store(true, Ordering::Relaxed);
        }
        secure
    }
}

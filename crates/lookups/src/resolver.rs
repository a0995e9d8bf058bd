//! Asks DNS: UDP, TCP when truncated, the configured servers in order, every answer cached for its
//! time to live.
//!
//! Guarantees: an answer comes within the total time-out; a failure to answer is told apart from
//! "no such name" (the first defers mail, the second bounces it); failures are cached for a few
//! seconds only; one question is asked once, however many wait for it. What a server says about
//! DNSSEC is believed only when every configured server is on loopback: elsewhere anybody on the
//! way could say it. Standards: RFC 1035, RFC 2308 (negative answers), RFC 4035 and RFC 6840 (AD),
//! RFC 5321 section 5.1 (MX), RFC 7505 (null MX).

mod authentication;
#[cfg(test)]
pub(crate) mod pretend;
mod reverse;
mod secure;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use config::Config;
use domain::base::Rtype;
use mail::Domain;
use route::{Answer, Question};

use crate::side_by_side;

pub(crate) use reverse::reversed;
pub(crate) use secure::Tlsa;
use transport::Upstream;
use wire::{Found, Record, Response, Step};

/// Answers kept; the least used ones go first.
const CACHE_ENTRIES_MAX: u64 = 20_000;
/// CNAMEs followed by asking again; a chain within one answer counts as one.
const ALIAS_QUESTIONS_MAX: usize = 8;

/// What came of a question that name servers were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// There are such records.
    Found,
    /// The name has none of that kind.
    NoData,
    /// There is no such name.
    NoSuchName,
    /// Nobody gave an answer of any use.
    Failed,
}

type Listener = Box<dyn Fn(Answered, Duration) + Send + Sync>;

/// Resolvers come and go with configurations, what is counted of them does not.
static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Tells `hear` of each question that name servers were asked by this process, what came of it and
/// how long that took; not of what is remembered. Who asks for that first hears it.
pub fn hear_of_dns(hear: impl Fn(Answered, Duration) + Send + Sync + 'static) {
    LISTENER.get_or_init(|| Box::new(hear));
}

/// Asks the configured name servers.
pub struct Resolver {
    upstreams: Vec<Upstream>,
    timeout: Duration,
    cache: moka::future::Cache<Query, Arc<Response>>,
    /// Every server is on loopback.
    trusted: bool,
    /// An answer has come that DNSSEC vouches for.
    seen_secure: AtomicBool,
    /// What the probe for validation found.
    validating: moka::future::Cache<(), bool>,
}

/// An answer, and how far it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked<T> {
    /// What was found.
    pub found: Lookup<T>,
    /// DNSSEC vouches for it, the aliases on the way included, and the resolver is believed. A
    /// failure is never secure.
    pub secure: bool,
    /// The name at the end of the aliases (CNAME), when the name asked for is one.
    pub canonical: Option<Domain>,
}

/// What DNS has of one kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// There are records, and these are their contents.
    Found(T),
    /// The name exists but has none.
    NoData,
    /// There is no such name.
    NoSuchName,
    /// No usable answer: cannot tell; why.
    Failed(Box<str>),
}

/// Whether a server answers, by the way in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    /// The server.
    pub server: SocketAddr,
    /// Over UDP; why not.
    pub udp: Result<(), String>,
    /// Over TCP, by which long answers come; why not.
    pub tcp: Result<(), String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Query {
    name: String,
    kind: Rtype,
}

/// Keeps each answer for its own time.
struct ByTtl;

impl moka::Expiry<Query, Arc<Response>> for ByTtl {
    fn expire_after_create(&self, _: &Query, r: &Arc<Response>, _: Instant) -> Option<Duration> {
        Some(r.ttl)
    }
}

impl Resolver {
    /// A resolver that asks `servers` in this order, and gives up on a question after `timeout`.
    /// Must be called within the runtime.
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Self {
        let per_try = (timeout / 4).max(Duration::from_millis(200));
        let trusted = servers.iter().all(|s| s.ip().to_canonical().is_loopback());
        Self {
            upstreams: servers
                .iter()
                .map(|server| Upstream::new(*server, per_try))
                .collect(),
            timeout,
            cache: moka::future::Cache::builder()
                .max_capacity(CACHE_ENTRIES_MAX)
                .expire_after(ByTtl)
                .build(),
            trusted: trusted && !servers.is_empty(),
            seen_secure: AtomicBool::new(false),
            validating: secure::probe_cache(),
        }
    }

    /// The resolver that `config` asks for. Must be called within the runtime.
    pub fn configured(config: &Config) -> Self {
        let system;
        let servers = if config.dns.servers.is_empty() {
            system = Self::system_servers();
            &system
        } else {
            &config.dns.servers
        };
        Self::new(servers, config.dns.timeout)
    }

    /// Forgets the answers whose time is over. The cache does that by itself only while it is used,
    /// so without this the answers of a burst would keep their room until the next one.
    pub async fn forget_expired(&self) {
        self.cache.run_pending_tasks().await;
    }

    /// The system's name servers (`/etc/resolv.conf`); the loopback address when it names none, as
    /// resolv.conf(5) says.
    pub fn system_servers() -> Vec<SocketAddr> {
        let mut conf = domain::resolv::stub::conf::ResolvConf::new();
        let _absent_means_loopback = conf.parse_file("/etc/resolv.conf");
        conf.finalize();
        let mut servers: Vec<_> = conf.servers.iter().map(|s| s.addr).collect();
        servers.dedup();
        servers
    }

    /// Answers what routing asks. Takes at most the time-out per record type.
    pub async fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Mx(name) => answer(self.mx(name).await, |records, secure| Answer::Mx {
                records,
                secure,
            }),
            Question::Addresses(name) => {
                let looked = self.addresses(name).await;
                answer(looked, |list, secure| Answer::Addresses { list, secure })
            }
            Question::Tlsa { host, port } => {
                let (base, tlsa) = self.tlsa_of_host(host, *port).await;
                match tlsa {
                    Tlsa::Secure(records) => Answer::Tlsa {
                        base,
                        records: records.to_vec(),
                    },
                    Tlsa::Insecure => Answer::NoData { secure: false },
                    Tlsa::Denied => Answer::NoData { secure: true },
                    Tlsa::Failed(why) => Answer::Failed(why),
                }
            }
            // DNS says only that there is one: the policy is on a web server.
            Question::MtaSts(_) => Answer::NoData { secure: false },
        }
    }

    /// Whether each server gives any answer, over UDP alone and over TCP alone; why not.
    pub(crate) async fn transports(&self) -> Vec<Transports> {
        side_by_side(self.upstreams.iter().map(|upstream| async move {
            let question = || wire::question(".", Rtype::NS);
            let udp = async { upstream.over_udp(question()?).await };
            let tcp = async { upstream.over_tcp(question()?).await };
            let (udp, tcp) = tokio::join!(udp, tcp);
            Transports {
                server: upstream.server,
                udp,
                tcp,
            }
        }))
        .await
    }

    /// Asks everything anew from now on.
    pub fn forget(&self) {
        self.cache.invalidate_all();
    }

    /// The MX records of a domain: preference and exchange; an exchange of `None` is the null MX
    /// (RFC 7505).
    pub(crate) async fn mx(&self, name: &Domain) -> Looked<Vec<(u16, Option<Domain>)>> {
        self.looked(name.as_str(), Rtype::MX, |record| match record {
            Record::Mx(preference, host) => Some((*preference, host.clone())),
            Record::Address(_) | Record::Name(_) | Record::Text(_) | Record::Tlsa(_) => None,
        })
        .await
    }

    /// The texts of a name (TXT), the strings of each put together.
    pub(crate) async fn texts(&self, name: &str) -> Looked<Vec<Box<str>>> {
        self.looked(name, Rtype::TXT, |record| match record {
            Record::Text(text) => Some(text.clone()),
            Record::Address(_) | Record::Name(_) | Record::Mx(..) | Record::Tlsa(_) => None,
        })
        .await
    }

    /// The addresses of a host, both families at once. What one family found counts even when the
    /// other could not be asked. Secure when every answer that came is.
    pub(crate) async fn addresses(&self, name: &Domain) -> Looked<Vec<IpAddr>> {
        let name = name.as_str();
        let (v4, v6) = tokio::join!(
            self.looked(name, Rtype::A, address_of),
            self.looked(name, Rtype::AAAA, address_of)
        );
        both_families(v4, v6)
    }

    /// The addresses under a name of a DNS list, never kept here, and for how long they may be
    /// kept.
    pub(crate) async fn list_entry(&self, name: String) -> (Lookup<Vec<Ipv4Addr>>, Duration) {
        let kind = Rtype::A;
        let response = self.resolve(&Query { name, kind }).await;
        let found = lookup(&response, |record| match address_of(record)? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        (found, response.ttl)
    }

    async fn looked<T>(
        &self,
        name: &str,
        kind: Rtype,
        pick: impl Fn(&Record) -> Option<T>,
    ) -> Looked<Vec<T>> {
        let response = self.lookup(name, kind).await;
        Looked {
            found: lookup(&response, pick),
            secure: self.believes(&response),
            canonical: response
                .canonical
                .as_deref()
                .and_then(|name| Domain::parse(name).ok()),
        }
    }

    async fn lookup(&self, name: &str, kind: Rtype) -> Arc<Response> {
        let query = Query {
            name: name.to_owned(),
            kind,
        };
        let asked = query.clone();
        self.cache
            .get_with(query, async { Arc::new(self.resolve(&asked).await) })
            .await
    }

    /// Asks, and follows aliases that the answer names but does not resolve.
    async fn resolve(&self, query: &Query) -> Response {
        let began = tokio::time::Instant::now();
        let response = tokio::time::timeout(self.timeout, self.follow(query))
            .await
            .unwrap_or_else(|_| wire::failed("no answer from the name servers in time"));
        if let Some(hear) = LISTENER.get() {
            let answered = match &response.found {
                Found::Records(_) => Answered::Found,
                Found::NoData => Answered::NoData,
                Found::NoSuchName => Answered::NoSuchName,
                Found::Failed(_) => Answered::Failed,
            };
            hear(answered, began.elapsed());
        }
        response
    }

    async fn follow(&self, query: &Query) -> Response {
        let mut name = query.name.clone();
        let mut all_secure = true;
        for asked in 0..ALIAS_QUESTIONS_MAX {
            match self.ask_servers(&name, query.kind).await {
                Ok(Step::Done(mut response)) => {
                    response.secure &= all_secure;
                    if asked > 0 {
                        response.canonical.get_or_insert(name.into());
                    }
                    return response;
                }
                Ok(Step::Alias { target, secure }) => {
                    all_secure &= secure;
                    name = target;
                }
                Err(why) => return wire::failed(&why),
            }
        }
        wire::failed("too many aliases")
    }

    /// The first server that gives a usable answer decides.
    async fn ask_servers(&self, name: &str, kind: Rtype) -> Result<Step, String> {
        let mut trouble = String::from("no name server is configured");
        for upstream in &self.upstreams {
            match wire::ask(upstream, name, kind).await {
                Ok(step) => return Ok(step),
                Err(why) => trouble = why,
            }
        }
        Err(trouble)
    }
}

fn answer<T>(looked: Looked<T>, records: impl FnOnce(T, bool) -> Answer) -> Answer {
    let secure = looked.secure;
    match looked.found {
        Lookup::Found(found) => records(found, secure),
        Lookup::NoData => Answer::NoData { secure },
        Lookup::NoSuchName => Answer::NoSuchName,
        Lookup::Failed(why) => Answer::Failed(why),
    }
}

fn address_of(record: &Record) -> Option<IpAddr> {
    match record {
        Record::Address(address) => Some(*address),
        Record::Mx(..) | Record::Name(_) | Record::Text(_) | Record::Tlsa(_) => None,
    }
}

fn lookup<T>(response: &Response, pick: impl Fn(&Record) -> Option<T>) -> Lookup<Vec<T>> {
    match &response.found {
        Found::Records(records) => Lookup::Found(records.iter().filter_map(pick).collect()),
        Found::NoData => Lookup::NoData,
        Found::NoSuchName => Lookup::NoSuchName,
        Found::Failed(why) => Lookup::Failed(why.clone()),
    }
}

fn both_families(v4: Looked<Vec<IpAddr>>, v6: Looked<Vec<IpAddr>>) -> Looked<Vec<IpAddr>> {
    let is_failed = |looked: &Looked<_>| matches!(looked.found, Lookup::Failed(_));
    let secure = (v4.secure || is_failed(&v4)) && (v6.secure || is_failed(&v6));
    let found = match (v4.found, v6.found) {
        (Lookup::Found(mut a), Lookup::Found(b)) => {
            a.extend(b);
            Lookup::Found(a)
        }
        (Lookup::Found(a), Lookup::NoData | Lookup::NoSuchName | Lookup::Failed(_))
        | (Lookup::NoData | Lookup::NoSuchName | Lookup::Failed(_), Lookup::Found(a)) => {
            Lookup::Found(a)
        }
        (Lookup::Failed(why), Lookup::NoData | Lookup::NoSuchName | Lookup::Failed(_))
        | (Lookup::NoData | Lookup::NoSuchName, Lookup::Failed(why)) => Lookup::Failed(why),
        (Lookup::NoSuchName, Lookup::NoData | Lookup::NoSuchName)
        | (Lookup::NoData, Lookup::NoSuchName) => Lookup::NoSuchName,
        (Lookup::NoData, Lookup::NoData) => Lookup::NoData,
    };
    Looked {
        secure: secure && !matches!(found, Lookup::Failed(_)),
        found,
        canonical: v4.canonical.or(v6.canonical),
    }
}

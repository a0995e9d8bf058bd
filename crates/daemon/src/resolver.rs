//! Asks DNS: UDP, TCP when truncated, the configured servers in order, every answer cached for its time to live.
//!
//! Guarantees: an answer comes within the total time-out; a failure to answer is told apart from "no such name" (the first defers
//! mail, the second bounces it); failures are cached for a few seconds only; one question is asked once, however many wait for it.
//! Standards: RFC 1035, RFC 2308 (negative answers), RFC 5321 section 5.1 (MX), RFC 7505 (null MX).

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName};
use domain::net::client::protocol::{TcpConnect, UdpConnect};
use domain::net::client::request::{RequestMessage, SendRequest};
use domain::net::client::{dgram, dgram_stream, multi_stream, stream};
use domain::rdata::{A, Aaaa, Mx, Ptr, Soa};
use mail::Domain;
use route::{Answer, Question};

/// Answers kept; the least used ones go first.
const CACHE_ENTRIES_MAX: u64 = 20_000;
/// However long an answer says it may be kept.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// "No such name" and "no such records", when the zone allows that long (RFC 2308 section 5).
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
/// "Could not tell": long enough to spare a dead server, short enough to recover soon.
const FAILURE_TTL: Duration = Duration::from_secs(5);
/// CNAMEs followed by asking again; a chain within one answer counts as one.
const ALIAS_QUESTIONS_MAX: usize = 8;
/// Records read from one answer.
const RECORDS_MAX: usize = 100;
/// Names that a reverse lookup may give; more are not looked at.
const REVERSE_NAMES_MAX: usize = 5;

type Upstream = dgram_stream::Connection<UdpConnect, RequestMessage<Vec<u8>>>;

/// Asks the configured name servers.
pub struct Resolver {
    upstreams: Vec<Upstream>,
    timeout: Duration,
    cache: moka::future::Cache<Query, Arc<Response>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Query {
    name: String,
    kind: Rtype,
}

/// One answer, as it is cached.
#[derive(Debug)]
struct Response {
    found: Found,
    ttl: Duration,
}

#[derive(Debug)]
enum Found {
    Records(Vec<Record>),
    NoData,
    NoSuchName,
    Failed(Box<str>),
}

#[derive(Debug)]
enum Record {
    Mx(u16, Option<Domain>),
    Address(IpAddr),
    Name(Domain),
}

/// Keeps each answer for its own time.
struct ByTtl;

impl moka::Expiry<Query, Arc<Response>> for ByTtl {
    fn expire_after_create(&self, _: &Query, r: &Arc<Response>, _: Instant) -> Option<Duration> {
        Some(r.ttl)
    }
}

impl Resolver {
    /// A resolver that asks `servers` in this order, and gives up on a question after `timeout`. Must be called within the runtime.
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Self {
        let per_try = (timeout / 4).max(Duration::from_millis(200));
        Self {
            upstreams: servers
                .iter()
                .map(|server| upstream(*server, per_try))
                .collect(),
            timeout,
            cache: moka::future::Cache::builder()
                .max_capacity(CACHE_ENTRIES_MAX)
                .expire_after(ByTtl)
                .build(),
        }
    }

    /// The system's name servers (`/etc/resolv.conf`); the loopback address when it names none, as resolv.conf(5) says.
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
            Question::Mx(name) => self.mx(name).await,
            Question::Addresses(name) => self.addresses(name).await,
        }
    }

    async fn mx(&self, name: &Domain) -> Answer {
        let response = self.lookup(name.as_str(), Rtype::MX).await;
        match &response.found {
            Found::Records(records) => Answer::Mx(
                records
                    .iter()
                    .filter_map(|record| match record {
                        Record::Mx(preference, host) => Some((*preference, host.clone())),
                        Record::Address(_) | Record::Name(_) => None,
                    })
                    .collect(),
            ),
            Found::NoData => Answer::NoData,
            Found::NoSuchName => Answer::NoSuchName,
            Found::Failed(why) => Answer::Failed(why.clone()),
        }
    }

    /// Both families at once. What one family found counts even when the other could not be asked.
    async fn addresses(&self, name: &Domain) -> Answer {
        let name = name.as_str();
        let (v4, v6) = tokio::join!(self.lookup(name, Rtype::A), self.lookup(name, Rtype::AAAA));
        let mut found = Vec::new();
        for response in [&v4, &v6] {
            if let Found::Records(records) = &response.found {
                found.extend(records.iter().filter_map(|record| match record {
                    Record::Address(address) => Some(*address),
                    Record::Mx(..) | Record::Name(_) => None,
                }));
            }
        }
        if !found.is_empty() {
            return Answer::Addresses(found);
        }
        match (&v4.found, &v6.found) {
            (Found::Failed(why), _) | (_, Found::Failed(why)) => Answer::Failed(why.clone()),
            (Found::NoSuchName, _) | (_, Found::NoSuchName) => Answer::NoSuchName,
            _ => Answer::NoData,
        }
    }

    /// The name that `address` points to and that points back (forward-confirmed reverse DNS).
    /// `Ok(None)`: it has none. `Err`: could not tell, and why.
    pub async fn confirmed_name(&self, address: IpAddr) -> Result<Option<Domain>, Box<str>> {
        let reverse = self.lookup(&reverse_name(address), Rtype::PTR).await;
        let names = match &reverse.found {
            Found::Records(records) => records.iter().filter_map(|record| match record {
                Record::Name(name) => Some(name),
                Record::Mx(..) | Record::Address(_) => None,
            }),
            Found::NoData | Found::NoSuchName => return Ok(None),
            Found::Failed(why) => return Err(why.clone()),
        };
        let mut trouble = None;
        for name in names.take(REVERSE_NAMES_MAX) {
            match self.addresses(name).await {
                Answer::Addresses(found) if found.contains(&address) => {
                    return Ok(Some(name.clone()));
                }
                Answer::Failed(why) => trouble = Some(why),
                Answer::Addresses(_) | Answer::Mx(_) | Answer::NoData | Answer::NoSuchName => {}
            }
        }
        trouble.map_or(Ok(None), Err)
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
        let work = async {
            let mut name = query.name.clone();
            for _ in 0..ALIAS_QUESTIONS_MAX {
                match self.ask_servers(&name, query.kind).await {
                    Ok(Step::Done(response)) => return response,
                    Ok(Step::Alias(target)) => name = target,
                    Err(why) => return failed(&why),
                }
            }
            failed("too many aliases")
        };
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or_else(|_| failed("no answer from the name servers in time"))
    }

    /// The first server that gives a usable answer decides.
    async fn ask_servers(&self, name: &str, kind: Rtype) -> Result<Step, String> {
        let mut trouble = String::from("no name server is configured");
        for upstream in &self.upstreams {
            match ask(upstream, name, kind).await {
                Ok(step) => return Ok(step),
                Err(why) => trouble = why,
            }
        }
        Err(trouble)
    }
}

enum Step {
    Done(Response),
    Alias(String),
}

fn upstream(server: SocketAddr, per_try: Duration) -> Upstream {
    let mut datagram = dgram::Config::new();
    datagram.set_read_timeout(per_try);
    datagram.set_max_retries(1);
    let mut stream = stream::Config::new();
    stream.set_response_timeout(per_try * 2);
    let config = dgram_stream::Config::from_parts(datagram, multi_stream::Config::from(stream));
    let (connection, transport) = dgram_stream::Connection::with_config(
        UdpConnect::new(server),
        TcpConnect::new(server),
        config,
    );
    // Ends by itself when the connection is dropped.
    tokio::spawn(transport.run());
    connection
}

async fn ask(upstream: &Upstream, name: &str, kind: Rtype) -> Result<Step, String> {
    let name: Name<Vec<u8>> = name
        .parse()
        .map_err(|_| format!("{name} is not a DNS name"))?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message
        .push((&name, kind))
        .map_err(|_| "question too long".to_owned())?;
    let request = RequestMessage::new(message).map_err(|e| e.to_string())?;
    let reply = upstream
        .send_request(request)
        .get_response()
        .await
        .map_err(|e| e.to_string())?;
    read(&reply, kind)
}

fn read(reply: &Message<bytes::Bytes>, kind: Rtype) -> Result<Step, String> {
    let rcode = reply.header().rcode();
    if rcode == Rcode::NXDOMAIN {
        return Ok(Step::Done(Response {
            found: Found::NoSuchName,
            ttl: negative_ttl(reply),
        }));
    }
    if rcode != Rcode::NOERROR {
        return Err(format!("the name server answered {rcode}"));
    }
    let garbage = || "the name server's answer is malformed".to_owned();
    let Some(owner) = reply.canonical_name() else {
        return Err(garbage());
    };
    let mut records = Vec::new();
    let mut ttl = TTL_MAX;
    for record in reply.answer().map_err(|_| garbage())?.take(RECORDS_MAX) {
        let record = record.map_err(|_| garbage())?;
        // Anything about another name was not asked for.
        if record.rtype() != kind || !record.owner().name_eq(&owner) {
            continue;
        }
        ttl = ttl.min(record.ttl().into_duration());
        records.extend(record_of(&record)?);
    }
    if !records.is_empty() {
        return Ok(Step::Done(Response {
            found: Found::Records(records),
            ttl,
        }));
    }
    let asked = reply.sole_question().map_err(|_| garbage())?;
    if !asked.qname().name_eq(&owner) && negative_soa(reply).is_none() {
        return Ok(Step::Alias(text(&owner)));
    }
    Ok(Step::Done(Response {
        found: Found::NoData,
        ttl: negative_ttl(reply),
    }))
}

type Parsed<'a> = domain::base::record::ParsedRecord<'a, bytes::Bytes>;

fn record_of(record: &Parsed<'_>) -> Result<Option<Record>, String> {
    let garbage = |_| "the name server's answer is malformed".to_owned();
    if let Some(a) = record.to_record::<A>().map_err(garbage)? {
        return Ok(Some(Record::Address(IpAddr::V4(a.data().addr()))));
    }
    if let Some(a) = record.to_record::<Aaaa>().map_err(garbage)? {
        return Ok(Some(Record::Address(IpAddr::V6(a.data().addr()))));
    }
    if let Some(mx) = record.to_record::<Mx<_>>().map_err(garbage)? {
        let exchange = mx.data().exchange();
        if exchange.is_root() {
            return Ok(Some(Record::Mx(mx.data().preference(), None)));
        }
        // An exchange that cannot be a host name is no host.
        let host = Domain::parse(&text(exchange)).ok();
        return Ok(host.map(|host| Record::Mx(mx.data().preference(), Some(host))));
    }
    if let Some(ptr) = record.to_record::<Ptr<_>>().map_err(garbage)? {
        return Ok(Domain::parse(&text(ptr.data().ptrdname()))
            .ok()
            .map(Record::Name));
    }
    Ok(None)
}

/// RFC 2308 section 5: a negative answer is kept for the lesser of the SOA's own time and its minimum field.
fn negative_soa(reply: &Message<bytes::Bytes>) -> Option<Duration> {
    let authority = reply.authority().ok()?;
    let soa = authority.limit_to_in::<Soa<_>>().flatten().next()?;
    Some(
        soa.ttl()
            .into_duration()
            .min(soa.data().minimum().into_duration()),
    )
}

fn negative_ttl(reply: &Message<bytes::Bytes>) -> Duration {
    negative_soa(reply)
        .unwrap_or(FAILURE_TTL)
        .min(NEGATIVE_TTL_MAX)
}

fn failed(why: &str) -> Response {
    Response {
        found: Found::Failed(mail::escaped(why).to_string().into()),
        ttl: FAILURE_TTL,
    }
}

/// A name as text, without the dot at its end.
fn text(name: &impl ToName) -> String {
    let mut text = name.to_vec().to_string();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// The name under which an address's own name is filed (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(a) => {
            let mut name = String::new();
            for octet in a.octets().iter().rev() {
                let _infallible = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names() {
        let name = |a: &str| reverse_name(a.parse().unwrap());
        assert_eq!(name("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        assert!(name("2001:db8::1").starts_with("1.0.0.0.0."));
        assert!(name("2001:db8::1").ends_with("8.b.d.0.1.0.0.2.ip6.arpa"));
    }
}

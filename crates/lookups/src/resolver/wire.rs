//! One question to one name server, and what its answer holds.

use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName};
use domain::rdata::{A, Aaaa, Mx, Ptr, Soa, Txt};
use mail::Domain;
use route::TlsaRecord;

use super::transport::Upstream;

/// However long an answer says it may be kept.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// "No such name" and "no such records", when the zone allows that long (RFC 2308 section 5).
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
/// "Could not tell": long enough to spare a dead server, short enough to recover soon.
const FAILURE_TTL: Duration = Duration::from_secs(5);
/// RFC 7218 section 2: a usage, selector or matching type for private use, which means nothing
/// between strangers.
const TLSA_PRIVATE: u8 = 255;
/// Records read from one answer.
const RECORDS_MAX: usize = 100;

/// One answer, as it is cached.
#[derive(Debug)]
pub(super) struct Response {
    pub found: Found,
    pub ttl: Duration,
    /// The server says that DNSSEC vouches for it (AD, RFC 4035 section 3.2.3); whether that server
    /// is believed is not decided here.
    pub secure: bool,
    /// The name at the end of the aliases, when there was one.
    pub canonical: Option<Box<str>>,
}

#[derive(Debug)]
pub(super) enum Found {
    Records(Vec<Record>),
    NoData,
    NoSuchName,
    Failed(Box<str>),
}

#[derive(Debug)]
pub(super) enum Record {
    Mx(u16, Option<Domain>),
    Address(IpAddr),
    Name(Domain),
    Text(Box<str>),
    Tlsa(TlsaRecord),
}

/// What one question to one server came to.
pub(super) enum Step {
    Done(Response),
    /// An alias, whose target the answer does not resolve.
    Alias {
        target: String,
        secure: bool,
    },
}

/// Asks one server for the records of one kind that a name has.
pub(super) async fn ask(upstream: &Upstream, name: &str, kind: Rtype) -> Result<Step, String> {
    let reply = upstream.send(question(name, kind)?).await?;
    read(&reply, kind)
}

/// What a server is asked for such records.
///
/// # Errors
/// The name is none of DNS.
pub(super) fn question(name: &str, kind: Rtype) -> Result<Message<Vec<u8>>, String> {
    let name: Name<Vec<u8>> = name
        .parse()
        .map_err(|_| format!("{name} is not a DNS name"))?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_rd(true);
    // RFC 6840 section 5.7: AD in a question asks for AD in the answer, without the signatures that
    // DO would bring.
    message.header_mut().set_ad(true);
    let mut message = message.question();
    message
        .push((&name, kind))
        .map_err(|_| "question too long".to_owned())?;
    Ok(message.into_message())
}

fn read(reply: &Message<bytes::Bytes>, kind: Rtype) -> Result<Step, String> {
    let rcode = reply.header().rcode();
    let done = |found, ttl, canonical| {
        let secure = reply.header().ad();
        Ok(Step::Done(Response {
            found,
            ttl,
            secure,
            canonical,
        }))
    };
    if rcode == Rcode::NXDOMAIN {
        return done(Found::NoSuchName, negative_ttl(reply), None);
    }
    if rcode != Rcode::NOERROR {
        return Err(format!("the name server answered {rcode}"));
    }
    let garbage = || "the name server's answer is malformed".to_owned();
    let Some(owner) = reply.canonical_name() else {
        return Err(garbage());
    };
    let asked = reply.sole_question().map_err(|_| garbage())?;
    let is_alias = !asked.qname().name_eq(&owner);
    let canonical = is_alias.then(|| text(&owner).into());
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
        return done(Found::Records(records), ttl, canonical);
    }
    if is_alias && negative_soa(reply).is_none() {
        return Ok(Step::Alias {
            target: text(&owner),
            secure: reply.header().ad(),
        });
    }
    done(Found::NoData, negative_ttl(reply), canonical)
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
    if let Some(txt) = record.to_record::<Txt<_>>().map_err(garbage)? {
        let octets: Vec<u8> = txt.data().text();
        let text = String::from_utf8_lossy(&octets).into_owned();
        return Ok(Some(Record::Text(text.into())));
    }
    let raw = record
        .to_record::<UnknownRecordData<_>>()
        .map_err(garbage)?;
    match raw {
        Some(raw) if raw.rtype() == Rtype::TLSA => Ok(Some(tlsa(raw.data().data()))),
        Some(_) | None => Ok(None),
    }
}

/// RFC 6698 section 2.1: usage, selector, matching type, an octet each; the rest is what must
/// match. The client library reads no TLSA.
///
/// One that is cut short is a record like any other of a kind that nobody knows: unusable. Passing
/// it over would look like "no records", which switches protection off; calling it an error would
/// keep mail back (RFC 7671 section 4).
fn tlsa(data: &[u8]) -> Record {
    let mut fields = data.iter().copied();
    let mut field = || fields.next().unwrap_or(TLSA_PRIVATE);
    Record::Tlsa(TlsaRecord {
        usage: field(),
        selector: field(),
        matching: field(),
        data: data.get(3..).unwrap_or_default().into(),
    })
}

/// RFC 2308 section 5: a negative answer is kept for the lesser of the SOA's own time and its
/// minimum field.
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

pub(super) fn failed(why: &str) -> Response {
    Response {
        found: Found::Failed(mail::escaped(why).to_string().into()),
        ttl: FAILURE_TTL,
        secure: false,
        canonical: None,
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

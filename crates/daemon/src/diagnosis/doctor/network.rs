//! What others see of this relay, and whether it gets out.

use std::net::IpAddr;
use std::time::Duration;

use lookups::{Inquiries, side_by_side};
use mail::{Domain, Mailbox};
use route::{Answer, Hop, Plan, Question};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::super::dns::{Finding, Mark, Ours};
use super::Examined;
use crate::machine;

/// Hosts that are tried on the way out; one is enough.
const HOSTS_MAX: usize = 3;
/// How long each of them may take to connect, and to greet, all at one time.
const HOST_WAIT: Duration = Duration::from_secs(7);
/// So much of a greeting is read.
const GREETING_BYTES: usize = 512;
/// In place of the greeting of who speaks TLS from the first octet.
const OPEN: &str = "connected, for TLS from the first octet";
/// A name that is nowhere, right below the root: its signed denial has to come through the resolver.
const NOWHERE: &str = "gatepost-doctor-asks-for-nobody";
/// Where TLSA records of mail servers stand.
const SMTP_PORT: u16 = 25;

/// The name that we greet with, and those of our addresses.
pub(super) async fn names(inquiries: &Inquiries, told: &[IpAddr]) -> Vec<Examined> {
    let findings = ours(inquiries, told).look(inquiries).await;
    findings.into_iter().map(with_cure).collect()
}

fn ours(inquiries: &Inquiries, told: &[IpAddr]) -> Ours {
    Ours::new(inquiries.config(), &machine::environment().addresses, told)
}

fn with_cure(finding: Finding) -> Examined {
    let subject = &finding.subject;
    let cure = match (finding.mark, finding.what) {
        (Mark::Ok, _) => None,
        (Mark::CannotTell, _) => Some("see to it that the name servers of [dns] answer".to_owned()),
        (_, "greeting") => Some(format!(
            "publish an address record (A, AAAA) for {subject} with the address from which mail goes out, or set hostname"
        )),
        (_, "PTR") => Some(format!(
            "ask whoever gives you {subject} to have it point (PTR) to hostname, whose address it is"
        )),
        (_, _) => Some("name it by --address, as others see it".to_owned()),
    };
    Examined { finding, cure }
}

/// Each name server by both ways: long answers come over TCP alone.
pub(super) async fn transports(inquiries: &Inquiries) -> Vec<Examined> {
    let tried = inquiries.transports().await;
    let one = |server, what: &'static str, tried: Result<(), String>| {
        let examined = |mark, text| Examined::new(mark, server, what, text);
        match tried {
            Ok(()) => examined(Mark::Ok, "answers".to_owned()),
            Err(why) => examined(Mark::Fail, why).cure(format!(
                "let {} to this server pass, or name another one in dns.servers",
                what.trim_start_matches("DNS over ")
            )),
        }
    };
    let pairs = tried.into_iter().flat_map(|tried| {
        [
            one(tried.server, "DNS over UDP", tried.udp),
            one(tried.server, "DNS over TCP", tried.tcp),
        ]
    });
    pairs.collect()
}

/// Whether the resolver can prove that something is not there: without that, mail to hosts in signed
/// zones without TLSA records is put off (RFC 7672 section 2.1.1).
pub(super) async fn denial(inquiries: &Inquiries) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, "the resolver", "DNSSEC", text);
    let validating =
        "run a validating resolver on this machine (unbound), and name it in dns.servers";
    if !inquiries.config().outbound.dane {
        return examined(Mark::Note, "not asked: outbound.dane is off".to_owned());
    }
    if let Some(why) = inquiries.without_dnssec().await {
        let text = format!("no server is held to its TLSA records: {why}");
        return examined(Mark::Note, text).cure(validating);
    }
    let Ok(host) = Domain::parse(NOWHERE) else {
        return examined(Mark::CannotTell, "no question can be made".to_owned());
    };
    let port = SMTP_PORT;
    match inquiries.route_answer(&Question::Tlsa { host, port }).await {
        Answer::NoData { secure: true } => examined(
            Mark::Ok,
            "proves what there is, and what there is not".to_owned(),
        ),
        Answer::Failed(why) => {
            let text = format!("does not answer for what there is not, so mail would wait: {why}");
            examined(Mark::Fail, text).cure(validating)
        }
        Answer::NoData { secure: false }
        | Answer::NoSuchName
        | Answer::Mx { .. }
        | Answer::Addresses { .. }
        | Answer::Tlsa { .. }
        | Answer::MtaSts(_) => {
            examined(Mark::Warning, "does not prove what there is not".to_owned()).cure(validating)
        }
    }
}

/// Whether a server that takes mail for others can be reached: a smart host, or those of `probe`.
pub(super) async fn way_out(inquiries: &Inquiries, probe: &Domain) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, probe, "way out", text);
    let Ok(postmaster) = Mailbox::parse(&format!("postmaster@{probe}")) else {
        return examined(Mark::CannotTell, "no address there".to_owned());
    };
    let site = inquiries.config().routes.site_from(None, postmaster.host());
    let hops = match inquiries.way(&site, &postmaster).await.plan {
        Plan::Hops(hops) => hops,
        Plan::Stop(outcome) | Plan::Otherwise(outcome) => {
            let text = outcome.reply().to_string();
            return examined(Mark::CannotTell, text).cure("see `gatepost route show`");
        }
        Plan::Directory(_) | Plan::Ask(_) => {
            return examined(Mark::Note, "its mail stays on this machine".to_owned());
        }
    };
    let source = inquiries.config().deliveries.get(&site.name);
    let source = source.and_then(|delivery| delivery.source_ip);
    let mut troubles = Vec::new();
    let tried = hops.iter().take(HOSTS_MAX);
    let tried =
        side_by_side(tried.map(|hop| async move { (hop, greeted(hop, source).await) })).await;
    for (hop, greeted) in tried {
        match greeted {
            Ok(greeting) if greeting.starts_with('2') || greeting == OPEN => {
                return examined(Mark::Ok, format!("{}: {greeting}", hop.name));
            }
            Ok(greeting) => troubles.push(format!("{}: {greeting}", hop.name)),
            Err(why) => troubles.push(format!("{} at {}: {why}", hop.name, hop.address)),
        }
    }
    examined(Mark::Fail, troubles.join("; ")).cure(
        "many providers block port 25 outbound: have it opened, or send by a smart host that takes mail on port 587 \
         (outbound.route)",
    )
}

/// The first line of a server.
async fn greeted(hop: &Hop, source: Option<IpAddr>) -> Result<String, String> {
    let mut stream = lookups::connect(&hop.address, source, HOST_WAIT).await?;
    if hop.implicit_tls {
        return Ok(OPEN.to_owned());
    }
    let mut octets = [0; GREETING_BYTES];
    let read = timeout(HOST_WAIT, stream.read(&mut octets)).await;
    let read =
        read.map_err(|_| "connected, and no greeting in time: something in between holds it up")?;
    let read = read.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(octets.get(..read).unwrap_or_default());
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        Some(_) | None => Err("closed without a greeting".to_owned()),
    }
}

/// Whether one of our addresses is on one of these lists.
pub(super) async fn listed(
    inquiries: &Inquiries,
    told: &[IpAddr],
    lists: &[Domain],
) -> Vec<Examined> {
    let ours = ours(inquiries, told);
    let mut examined = Vec::new();
    let mut answering = Vec::new();
    let asked = lists.iter();
    let asked = asked.map(|list| async move { (list, inquiries.list_answers(list).await) });
    for (list, answers) in side_by_side(asked).await {
        if answers {
            answering.push(list.clone());
        } else {
            let text = "does not tell us who is on it";
            examined.push(Examined::new(Mark::Note, list, "block lists", text).cure(
                "ask by a resolver of your own (dns.servers): lists have no answers for public ones",
            ));
        }
    }
    if answering.is_empty() {
        return examined;
    }
    let (addresses, zones) = (ours.public(), &answering);
    let listed = addresses
        .map(|address| async move { (address, inquiries.listings(zones, *address).await) });
    for (address, listings) in side_by_side(listed).await {
        if listings.is_empty() {
            let text = format!("on none of {} lists that answer", answering.len());
            examined.push(Examined::new(Mark::Ok, address, "block lists", text));
        }
        for listing in listings.iter() {
            let codes: Vec<String> = listing.codes.iter().map(ToString::to_string).collect();
            let text = format!("on {} ({})", listing.zone, codes.join(", "));
            examined.push(Examined::new(Mark::Fail, address, "block lists", text).cure(format!(
                "find out what was sent from there, end it, and ask {} to take the address off; until then send \
                 by a smart host",
                listing.zone
            )));
        }
    }
    examined
}

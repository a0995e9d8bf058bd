use std::net::SocketAddr;
use std::path::PathBuf;

use mail::{Failure, Host, Outcome, Reply, Scope};

use crate::addresses::is_address_text;
use crate::trouble::{Trouble, no_route};
use crate::ways::{Way, Ways};
use crate::{Answers, HOPS_MAX, Hop, HostAt, HostSpec, NextHop, Question, Routes, Site, TlsDemand};

/// Smart hosts used of one route.
pub const SMART_HOSTS_MAX: usize = 16;

/// What is known about the way to a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Find these out (side by side), add them to the answers, and resolve again.
    Ask(Vec<Question>),
    /// Try these, in this order; never empty.
    Hops(Vec<Hop>),
    /// No connection: each message becomes a file in this directory.
    Directory(PathBuf),
    /// There is no way now ([`Outcome::Deferred`]) or none at all ([`Outcome::Failed`]); holds for
    /// every recipient of the site.
    Stop(Outcome),
    /// DNS shows no way, which would be this for every recipient of the site; but its mail has
    /// another place to go ([`Site::otherwise`]).
    Otherwise(Outcome),
}

/// The way to `site`, as far as `answers` show it. Pure: call it with no answers first, and again
/// with the answers to all that it asked for; it asks at most twice, and once more for TLSA records
/// where DNSSEC vouches for all that leads to them. `demand` is what [`Routes::demand`] says;
/// `random` orders hosts of equal preference.
pub fn resolve(
    site: &Site,
    routes: &Routes,
    demand: TlsDemand,
    answers: &Answers,
    random: &mut impl FnMut() -> u64,
) -> Plan {
    let ways = Ways {
        routes,
        answers,
        demand,
        policies: !site.despite_policies,
        by_administrator: matches!(*site.next_hop, NextHop::SmartHosts(_)),
        tls_name: routes
            .options(&site.name)
            .and_then(|options| options.tls_name.as_ref()),
    };
    let way = match &*site.next_hop {
        NextHop::Directory(path) => return Plan::Directory(path.clone()),
        NextHop::Caller => return Plan::Stop(gone()),
        NextHop::SmartHosts(hosts) => return smart_hosts(site, hosts, &ways, random),
        NextHop::Mx(domain) => ways.mx(domain, routes.port, random),
        NextHop::Literal(address) => {
            ways.literal(SocketAddr::new(address.to_canonical(), routes.port))
        }
    };
    match way {
        Way::Ask(questions) => Plan::Ask(questions),
        Way::Hops(hops) => Plan::Hops(hops),
        Way::None(trouble) if site.otherwise.is_some() && trouble.is_unfound() => {
            Plan::Otherwise(trouble.outcome(&site.name))
        }
        Way::None(trouble) => Plan::Stop(trouble.outcome(&site.name)),
    }
}

/// Whoever fetched mail has gone in the middle of it: the message is not to blame.
fn gone() -> Outcome {
    Outcome::Deferred(Failure {
        scope: Scope::Message,
        reply: Reply::new(451, 4, 2, "Whoever was fetching it has gone"),
        host: None,
    })
}

/// Every smart host in turn. One without a way is passed over as long as another has one.
fn smart_hosts(
    site: &Site,
    hosts: &[HostSpec],
    ways: &Ways<'_>,
    random: &mut impl FnMut() -> u64,
) -> Plan {
    let routes = ways.routes;
    if hosts.is_empty() {
        return Plan::Stop(no_route(&site.name));
    }
    let mut questions = Vec::new();
    let mut lists = Vec::new();
    let mut worst = None;
    for spec in hosts.iter().take(SMART_HOSTS_MAX) {
        let tls_name = spec.tls_name.as_ref().or(ways.tls_name);
        match smart_host(&Ways { tls_name, ..*ways }, spec, routes.port, random) {
            Way::Ask(more) => questions.extend(more),
            Way::Hops(hops) => lists.push((spec.weight, hops)),
            Way::None(trouble) => worst = worst.max(Some(trouble)),
        }
    }
    if !questions.is_empty() {
        return Plan::Ask(questions);
    }
    if routes
        .options(&site.name)
        .is_some_and(|options| options.spread)
    {
        spread(&mut lists, random);
    }
    let mut hops: Vec<Hop> = Vec::new();
    for hop in lists.into_iter().flat_map(|(_, hops)| hops) {
        if hops.len() < HOPS_MAX && hops.iter().all(|h| h.address != hop.address) {
            hops.push(hop);
        }
    }
    if hops.is_empty() {
        return Plan::Stop(worst.unwrap_or(Trouble::NoAddress).of_route(&site.name));
    }
    Plan::Hops(hops)
}

/// Brings the items into an order in which each comes first as often as its weight among all of
/// them says, and so on among those behind it.
fn spread<T>(items: &mut [(u32, T)], random: &mut impl FnMut() -> u64) {
    for first in 0..items.len() {
        let rest = items.get_mut(first..).unwrap_or_default();
        let total: u64 = rest.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut ticket = random() % total.max(1);
        let drawn = rest.iter().position(|(weight, _)| {
            let weight = u64::from(*weight);
            let is_drawn = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            is_drawn
        });
        rest.swap(0, drawn.unwrap_or(0));
    }
}

fn smart_host(
    ways: &Ways<'_>,
    spec: &HostSpec,
    default_port: u16,
    random: &mut impl FnMut() -> u64,
) -> Way {
    let port = spec.port.unwrap_or(default_port);
    let host = match &spec.at {
        HostAt::Network(host) => host,
        HostAt::Socket(path) => return Way::Hops(vec![Hop::socket(path)]),
    };
    match host {
        Host::Literal(address) => ways.literal(SocketAddr::new(address.to_canonical(), port)),
        Host::Domain(name) if spec.exact || is_address_text(name) => ways.address(name, port),
        Host::Domain(name) => ways.mx(name, port, random),
    }
}

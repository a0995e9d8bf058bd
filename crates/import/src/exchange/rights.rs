//! Which clients may do what at receive connectors.
//!
//! Of all connectors at an address and port, the one with the narrowest range around a client serves it. So
//! each connector has a share of the clients, and a client the rights of one connector.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::export::Object;
use crate::addresses::Addresses;

/// A receive connector, as far as it says who may do what.
pub(super) struct Connector<'a> {
    pub object: &'a Object,
    pub name: String,
    /// The part of Exchange that listens: each has its own connectors alone.
    pub role: String,
    pub binds: Vec<SocketAddr>,
    pub ranges: Vec<Addresses>,
    /// Whether it has ranges that are not among these.
    pub incomplete: bool,
    /// Clients need not sign in to send to accepted domains,
    pub anonymous: bool,
    /// nor to every other one.
    pub relays: bool,
    /// Users may sign in, and then send to every domain.
    pub users: bool,
    /// Nothing is taken before TLS.
    pub tls: bool,
}

/// Which clients may do what.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights {
    pub anonymous: Addresses,
    pub relays: Addresses,
    pub users: Addresses,
}

impl Rights {
    fn intersect(&self, other: &Self) -> Self {
        Self {
            anonymous: self.anonymous.intersect(&other.anonymous),
            relays: self.relays.intersect(&other.relays),
            users: self.users.intersect(&other.users),
        }
    }

    fn union(&self, other: &Self) -> Self {
        Self {
            anonymous: self.anonymous.union(&other.anonymous),
            relays: self.relays.union(&other.relays),
            users: self.users.union(&other.users),
        }
    }

    fn of_family(&self, v4: bool) -> Self {
        Self {
            anonymous: self.anonymous.of_family(v4),
            relays: self.relays.of_family(v4),
            users: self.users.of_family(v4),
        }
    }

    fn without(&self, clients: &Self) -> Self {
        Self {
            anonymous: self.anonymous.minus(&clients.anonymous),
            relays: self.relays.minus(&clients.relays),
            users: self.users.minus(&clients.users),
        }
    }
}

/// Connectors that share one address and port, by their number. Where it is not certain which ones do, there
/// are several of these, and a client may do what all of them permit.
type Variant = Vec<usize>;

/// The share that each connector of a variant has of the clients.
fn shares(connectors: &[Connector<'_>], variant: &[usize]) -> Vec<(usize, Addresses)> {
    let mut ranges: Vec<(u128, usize, &Addresses)> = Vec::new();
    for &number in variant {
        let all = connectors
            .get(number)
            .map_or(&[][..], |connector| &connector.ranges[..]);
        ranges.extend(all.iter().map(|range| (range.count(), number, range)));
    }
    ranges.sort_by_key(|(count, number, _)| (*count, *number));
    let mut taken = Addresses::default();
    let mut parts: Vec<(usize, Vec<Addresses>)> =
        variant.iter().map(|&number| (number, Vec::new())).collect();
    for (_, number, range) in ranges {
        let free = range.minus(&taken);
        if let Some((_, part)) = parts.iter_mut().find(|(of, _)| *of == number) {
            part.push(free);
        }
        taken.insert(range);
    }
    let whole = parts
        .into_iter()
        .map(|(number, part)| (number, Addresses::of(part)));
    whole.collect()
}

/// What clients may do by every variant. `secured` says whether connectors that want TLS are served at all:
/// where others do not want it, one listener cannot be for both.
fn rights(connectors: &[Connector<'_>], variants: &[Variant], secured: bool) -> Rights {
    let each = variants
        .iter()
        .map(|variant| of_variant(connectors, variant, secured));
    each.reduce(|all, one| all.intersect(&one))
        .unwrap_or_default()
}

/// `anonymous`, `relays`, `users`
fn rights_of(connector: &Connector<'_>, secured: bool) -> [bool; 3] {
    let served = secured || !connector.tls;
    [connector.anonymous, connector.relays, connector.users].map(|right| right && served)
}

fn of_variant(connectors: &[Connector<'_>], variant: &[usize], secured: bool) -> Rights {
    let mut rights = Rights::default();
    let members: Vec<&Connector<'_>> = variant.iter().filter_map(|&n| connectors.get(n)).collect();
    // Clients whom a connector may serve that is not known whole have no right that it does not give.
    let certain = [0, 1, 2].map(|right| {
        let mut members = members.iter();
        members.all(|one| !one.incomplete || rights_of(one, secured)[right])
    });
    for (number, share) in shares(connectors, variant) {
        let Some(connector) = connectors.get(number) else {
            continue;
        };
        let given = rights_of(connector, secured);
        for (right, clients) in [&mut rights.anonymous, &mut rights.relays, &mut rights.users]
            .into_iter()
            .enumerate()
        {
            if given[right] && certain[right] {
                *clients = clients.union(&share);
            }
        }
    }
    rights.without(&doubtful(&members, secured))
}

/// Where ranges cross or are the same, it is not certain whose clients these are: they have what both give, and nothing else.
fn doubtful(members: &[&Connector<'_>], secured: bool) -> Rights {
    let mut crossed: [Vec<Addresses>; 3] = Default::default();
    for (number, one) in members.iter().enumerate() {
        for other in members.iter().skip(number + 1) {
            let (of_one, of_other) = (rights_of(one, secured), rights_of(other, secured));
            if of_one == of_other {
                continue;
            }
            let pairs = one
                .ranges
                .iter()
                .flat_map(|a| other.ranges.iter().map(move |b| (a, b)));
            for common in pairs.filter_map(|(a, b)| a.crossing(b)) {
                for right in 0..3 {
                    if !(of_one[right] && of_other[right]) {
                        crossed[right].push(common.clone());
                    }
                }
            }
        }
    }
    let [anonymous, relays, users] = crossed.map(Addresses::of);
    Rights {
        anonymous,
        relays,
        users,
    }
}

/// A listener, and the connectors in whose place it stands: those for clients of IPv4, and those for clients of
/// IPv6.
pub(super) struct Plan {
    pub binds: Vec<SocketAddr>,
    v4: Vec<Variant>,
    v6: Vec<Variant>,
}

impl Plan {
    /// The connectors, each once.
    pub fn members(&self) -> Vec<usize> {
        let all: BTreeSet<usize> = self.v4.iter().chain(&self.v6).flatten().copied().collect();
        all.into_iter().collect()
    }

    /// What clients may do there; see [`rights`].
    pub fn rights(&self, connectors: &[Connector<'_>], secured: bool) -> Rights {
        let v4 = rights(connectors, &self.v4, secured).of_family(true);
        v4.union(&rights(connectors, &self.v6, secured).of_family(false))
    }

    /// The clients of a connector, by whatever variant serves them.
    pub fn clients_of(&self, connectors: &[Connector<'_>], number: usize) -> Addresses {
        let of_family = |variants: &[Variant], v4| {
            let of_variants = variants
                .iter()
                .flat_map(|variant| shares(connectors, variant));
            let own = of_variants
                .filter(|(of, _)| *of == number)
                .map(|(_, clients)| clients);
            Addresses::of(own.collect()).of_family(v4)
        };
        of_family(&self.v4, true).union(&of_family(&self.v6, false))
    }
}

/// One listener for all addresses at which the same connectors listen, and for all addresses of both families. An
/// address of its own beside "all addresses" on the same port cannot be bound by itself; it is served with them,
/// by the rights that both give.
pub(super) fn plans(connectors: &[Connector<'_>]) -> Vec<Plan> {
    let mut endpoints: Vec<SocketAddr> = Vec::new();
    for bind in connectors.iter().flat_map(|connector| &connector.binds) {
        if !endpoints.contains(bind) {
            endpoints.push(*bind);
        }
    }
    let mut plans: Vec<Plan> = Vec::new();
    for bind in &endpoints {
        let Some(variants) = variants(connectors, &endpoints, bind) else {
            continue;
        };
        let (everywhere, port, v4) = (bind.ip().is_unspecified(), bind.port(), bind.is_ipv4());
        let joins = |plan: &&mut Plan| {
            let same = |other: &SocketAddr| {
                other.port() == port && other.ip().is_unspecified() == everywhere
            };
            let own = if v4 { &plan.v4 } else { &plan.v6 };
            plan.binds.iter().all(same) && (*own == variants || own.is_empty() && everywhere)
        };
        match plans.iter_mut().find(joins) {
            Some(plan) => {
                plan.binds.push(*bind);
                *(if v4 { &mut plan.v4 } else { &mut plan.v6 }) = variants;
            }
            None => {
                let (v4, v6) = if v4 {
                    (variants, Vec::new())
                } else {
                    (Vec::new(), variants)
                };
                plans.push(Plan {
                    binds: vec![*bind],
                    v4,
                    v6,
                });
            }
        }
    }
    plans
}

/// Who may serve what comes to an address; `None` where all addresses of its port are bound, which serve it.
fn variants(
    connectors: &[Connector<'_>],
    endpoints: &[SocketAddr],
    bind: &SocketAddr,
) -> Option<Vec<Variant>> {
    let at = |bind: &SocketAddr| -> Variant {
        let numbered = connectors.iter().enumerate();
        let there = numbered.filter(|(_, connector)| connector.binds.contains(bind));
        there.map(|(number, _)| number).collect()
    };
    let beside: Vec<&SocketAddr> = endpoints
        .iter()
        .filter(|other| {
            *other != bind && other.port() == bind.port() && other.is_ipv4() == bind.is_ipv4()
        })
        .collect();
    let every = at(bind);
    let mut variants = vec![every.clone()];
    if bind.ip().is_unspecified() {
        for other in beside {
            let own = at(other);
            let both: BTreeSet<usize> = own.iter().chain(&every).copied().collect();
            variants.extend([own, both.into_iter().collect()]);
        }
    } else if beside.iter().any(|other| other.ip().is_unspecified()) {
        return None;
    }
    // Of two parts of Exchange one has the port, and serves it by its own connectors.
    for variant in variants.clone() {
        let mut by_role: BTreeMap<&str, Variant> = BTreeMap::new();
        for number in variant {
            let role = connectors.get(number).map_or("", |one| &*one.role);
            by_role.entry(role).or_default().push(number);
        }
        variants.extend(by_role.into_values());
    }
    variants.sort();
    variants.dedup();
    Some(variants)
}

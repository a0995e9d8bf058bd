//! Receive connectors, read: which of them count, and what each permits.

use std::collections::{BTreeMap, BTreeSet};

use super::export::{Kind, Object};
use super::permissions::{Permissions, Permitted};
use super::rights::Connector;
use super::values;
use super::{Found, Work};
use crate::Refused;
use crate::report::Fate;

/// A connector with more ranges is served as one that is not known whole.
const RANGES_MAX: usize = 1_500;
/// One server has no more connectors, with no more ranges and addresses in all: who may do what is worked out for each of them
/// against all others.
const CONNECTORS_MAX: usize = 200;
const ALL_RANGES_MAX: usize = 6_000;
const BINDS_MAX: usize = 64;

/// What has to be known of a connector: without it, it cannot be said what it permits, and whom it keeps from
/// another one that permits more.
const NEEDED: [&str; 4] = ["PermissionGroups", "AuthMechanism", "Enabled", "RequireTLS"];
const NEEDED_LISTS: [&str; 2] = ["Bindings", "RemoteIPRanges"];

/// Ports on which the parts of Exchange talk to each other.
const INNER: [(&str, u16); 3] = [
    ("HubTransport", 2525),
    ("HubTransport", 465),
    ("FrontendTransport", 717),
];

/// The connectors of one server that take mail from outside.
pub(super) fn read<'a>(
    work: &mut Work,
    found: &'a Found,
    server: Option<&str>,
) -> Result<Vec<Connector<'a>>, Refused> {
    let all: Vec<&Object> = found.of(Kind::ReceiveConnector).collect();
    let first = all.iter().find_map(|object| server_of(object));
    let server = server.map(str::to_owned).or(first);
    let fronted = all
        .iter()
        .any(|object| object.names("TransportRole", "FrontendTransport"));
    let mut own: Vec<&Object> = Vec::new();
    for object in &all {
        match (&server, server_of(object)) {
            (Some(server), Some(other)) if !server.eq_ignore_ascii_case(&other) => {
                let why = format!("of another server: --server {other} takes its connectors");
                let origin = object.origin("Name");
                work.tell(Fate::NotTranslated, &origin, "[listener.NAME]", &why);
            }
            _ => own.push(object),
        }
    }
    is_whole(&own)?;
    let permitted = Permitted::read(work, found, &all);
    let mut connectors = Vec::new();
    let (mut ranges, mut binds) = (0, BTreeSet::new());
    for object in own {
        if object.flag("Enabled") != Some(true) {
            let why = "not enabled: no listener";
            work.tell(Fate::Translated, &object.origin("Enabled"), "", why);
            continue;
        }
        let connector = one(work, &permitted, object)?;
        if fronted && is_inner(&connector) {
            let why = "for mail between parts of Exchange alone";
            let origin = object.origin("Name");
            work.tell(Fate::NotTranslated, &origin, "[listener.NAME]", why);
            continue;
        }
        ranges += connector.ranges.len();
        binds.extend(connector.binds.iter().copied());
        if connectors.len() == CONNECTORS_MAX || ranges > ALL_RANGES_MAX || binds.len() > BINDS_MAX
        {
            let why = "too many receive connectors of one server, or too many ranges or addresses in them";
            return Err(refused(object, why));
        }
        connectors.push(connector);
    }
    Ok(connectors)
}

/// Refuses connectors of which something is not known that has to be, and those that are there twice.
fn is_whole(own: &[&Object]) -> Result<(), Refused> {
    let mut names: BTreeMap<String, &Object> = BTreeMap::new();
    for object in own {
        let missing = NEEDED.iter().find(|name| object.text(name).is_none());
        let missing = missing.or_else(|| NEEDED_LISTS.iter().find(|name| !object.has(name)));
        if let Some(missing) = missing {
            let why =
                format!("it has no {missing}: export all its properties, with Format-List alone");
            return Err(refused(object, &why));
        }
        for flag in ["Enabled", "RequireTLS"] {
            if object.flag(flag).is_none() {
                let why = format!("its {flag} is neither True nor False");
                return Err(refused(object, &why));
            }
        }
        for words in ["PermissionGroups", "AuthMechanism"] {
            let number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
            if object.items(words).iter().any(|(word, _)| number(word)) {
                let why =
                    format!("its {words} is a number: export it with Format-List or Export-Clixml");
                return Err(refused(object, &why));
            }
        }
        if let Some(before) = names.insert(object.name().to_ascii_lowercase(), object) {
            let why = format!(
                "it is at {} already: name the newer export alone",
                before.origin("Name")
            );
            return Err(refused(object, &why));
        }
    }
    Ok(())
}

fn refused(object: &Object, why: &str) -> Refused {
    let (origin, name) = (object.origin("Name"), object.name());
    let name = mail::escaped(&name);
    Refused(format!("{origin}: the receive connector {name}: {why}"))
}

pub(super) fn server_of(object: &Object) -> Option<String> {
    let named = object.text("Server").map(str::to_owned);
    named.or_else(|| {
        let (server, _) = object.text("Identity")?.split_once('\\')?;
        Some(server.to_owned())
    })
}

fn is_inner(connector: &Connector<'_>) -> bool {
    let inner = |port: u16| {
        let mut known = INNER.iter();
        known.any(|&(role, inner)| inner == port && connector.object.names("TransportRole", role))
    };
    let mut binds = connector.binds.iter();
    !connector.binds.is_empty() && binds.all(|bind| inner(bind.port()))
}

fn one<'a>(
    work: &mut Work,
    permitted: &Permitted,
    object: &'a Object,
) -> Result<Connector<'a>, Refused> {
    let mut binds = Vec::new();
    for (text, _) in object.items("Bindings") {
        // Where it may listen besides, it may keep clients from a connector that permits more.
        let bind = values::bind(&text);
        let why = "its Bindings cannot be read: each is an address and a port";
        binds.push(bind.ok_or_else(|| refused(object, why))?);
    }
    if object.get("Bindings").is_some_and(|property| property.cut) {
        let why = "its Bindings are cut short: export them after $FormatEnumerationLimit = -1";
        return Err(refused(object, why));
    }
    let (mut ranges, mut unread) = (Vec::new(), 0);
    for (text, _) in object.items("RemoteIPRanges") {
        match values::range(&text).filter(|_| ranges.len() < RANGES_MAX) {
            Some(range) => ranges.push(range),
            None => unread += 1,
        }
    }
    let cut = object
        .get("RemoteIPRanges")
        .is_some_and(|property| property.cut);
    if cut || unread > 0 {
        let why = match cut {
            true => {
                "the list is cut short: export it after $FormatEnumerationLimit = -1; clients that it may name have no right that it does not give"
            }
            false => {
                "not all of it can be read; clients that it may name have no right that it does not give"
            }
        };
        let origin = object.origin("RemoteIPRanges");
        work.tell(Fate::NotTranslated, &origin, "listener.NAME.connect", why);
    }
    let may = |group: &str| object.names("PermissionGroups", group);
    let by = |mechanism: &str| object.names("AuthMechanism", mechanism);
    let trusted = by("ExternalAuthoritative") && may("ExchangeServers");
    let permissions = permitted.at(object);
    let anonymous = may("AnonymousUsers");
    let signs_in = by("BasicAuth") || by("BasicAuthRequireTLS") || by("Integrated");
    let (submits, relays) = (!permissions.submit_denied, !permissions.relay_denied);
    spoofing(work, &permissions, object, anonymous);
    Ok(Connector {
        object,
        name: object.name(),
        role: object.text("TransportRole").unwrap_or("").to_owned(),
        binds,
        ranges,
        incomplete: cut || unread > 0,
        anonymous: (anonymous || trusted) && submits,
        relays: (anonymous && permissions.anonymous_relays || trusted) && submits && relays,
        users: may("ExchangeUsers") && signs_in && submits && relays,
        tls: object.flag("RequireTLS") == Some(true),
    })
}

/// Anonymous clients without this right cannot use senders of accepted domains.
fn spoofing(work: &mut Work, permissions: &Permissions, object: &Object, anonymous: bool) {
    if anonymous && permissions.anonymous_submits && !permissions.anonymous_as_own {
        let why = "senders of accepted domains are refused from its anonymous clients there, and not here: a [[screen]] with when.from may";
        let origin = object.origin("PermissionGroups");
        work.tell(Fate::NotTranslated, &origin, "senders", why);
    }
}

//! Domains of virtual servers: remote ones with their smart hosts, and local ones.

use std::collections::{BTreeMap, BTreeSet};

use super::Work;
use super::metabase::Key;
use super::server::sign_in;
use crate::draft::{list, named, quoted};
use crate::report::{Fate, Origin};

/// Bits of RouteAction.
const DROP: i64 = 0x1;
const SMART_HOST: i64 = 0x2;
const TLS: i64 = 0x4;
const ALIAS: i64 = 0x10;
const DELIVER: i64 = 0x20;
const DEFAULT: i64 = 0x40;
const NTLM: i64 = 0x80;
const CLEAR_TEXT: i64 = 0x100;
const ETRN: i64 = 0x200;
/// "Allow incoming mail to be relayed to this domain".
const RELAY: i64 = 0x1000;
const HELO: i64 = 0x40_0000;

/// Signs in with name and password.
pub(super) const SIGNS_IN: i64 = CLEAR_TEXT | NTLM;

const LOCAL: i64 = DROP | ALIAS | DELIVER | DEFAULT;

pub(super) fn write(work: &mut Work, keys: &[Key]) {
    let servers = keys.iter().filter(|key| key.is_server()).count();
    let mut open: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, server, name) in domains(keys) {
        if flags(key) & RELAY != 0 {
            open.entry(name).or_default().insert(server);
        }
    }
    for (key, _, name) in domains(keys) {
        // It is the same for all listeners here: one that only some clients reach must not open it to those of all.
        let is_open = open.get(name).is_some_and(|at| at.len() == servers);
        one(work, key, name, is_open);
    }
}

/// The keys of domains, each with its server and its name.
fn domains(keys: &[Key]) -> impl Iterator<Item = (&Key, &str, &str)> {
    let domains = keys.iter().filter(|key| key.kind == "iissmtpdomain");
    domains.filter_map(|key| match &key.path[..] {
        [server, domain, name] if domain == "domain" => Some((key, &**server, &**name)),
        _ => None,
    })
}

fn flags(key: &Key) -> i64 {
    let property = key.get("RouteAction");
    property.and_then(super::Property::number).unwrap_or(0)
}

fn one(work: &mut Work, key: &Key, name: &str, is_open: bool) {
    let head = named("domain", name);
    let origin = &key.origin;
    if work.draft.has(&head) {
        let why = "a domain is the same for all listeners: the first virtual server's counts";
        return work.tell(Fate::Changed, origin, "[domain.NAME]", why);
    }
    let property = key.get("RouteAction");
    let flags = flags(key);
    let from = property.map_or_else(|| origin.clone(), |property| property.origin.clone());
    work.draft.section(&head, origin);
    if flags & LOCAL != 0 {
        return local(work, key, &head, name, &from);
    }
    work.tell(Fate::Translated, origin, "[domain.NAME]", "");
    if flags & RELAY == 0 {
        work.draft.set(&head, "accept_from", quoted("relay"), &from);
        work.tell(
            Fate::Translated,
            &from,
            "domain.NAME.accept_from",
            "only from who may relay anyway",
        );
    } else if is_open {
        work.tell(
            Fate::Translated,
            &from,
            "domain.NAME.accept_from",
            "from anyone, as mail to it may be relayed",
        );
    } else {
        work.draft.set(&head, "accept_from", quoted("relay"), &from);
        let why = "only from who may relay anyway: not every virtual server lets anyone relay to it, and a domain is \
            the same for all listeners";
        work.tell(Fate::Changed, &from, "domain.NAME.accept_from", why);
    }
    route(work, key, &head, name, flags);
    if flags & TLS != 0 {
        work.draft.set(&head, "tls", quoted("require"), &from);
    }
    if flags & HELO != 0 {
        work.draft.set(&head, "helo_only", "true", &from);
    }
    on_demand(work, key, name, flags, &from);
}

fn local(work: &mut Work, key: &Key, head: &str, name: &str, from: &Origin) {
    let folder: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c))
        .collect();
    work.draft.set(head, "type", quoted("local"), from);
    let directory = format!("/var/lib/gatepost/drop/{folder}");
    work.draft
        .set(head, "drop_directory", quoted(&directory), from);
    let why = format!("each message becomes a file in {directory}");
    work.tell(
        Fate::Changed,
        &key.origin,
        "domain.NAME.drop_directory",
        &why,
    );
    work.tell(Fate::Changed, from, "domain.NAME.type", "");
}

fn route(work: &mut Work, key: &Key, head: &str, name: &str, flags: i64) {
    let Some(target) = key
        .get("RouteActionString")
        .filter(|_| flags & SMART_HOST != 0)
    else {
        return;
    };
    let hosts: Vec<&str> = target
        .value
        .split([';', ','])
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() {
        return;
    }
    let user = key
        .get("RouteUserName")
        .filter(|user| flags & SIGNS_IN != 0 && !user.value.trim().is_empty());
    match user {
        Some(user) => {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let route: String = name.chars().map(plain).collect();
            let route = format!("to-{}", route.trim_matches('-'));
            sign_in(
                work,
                &route,
                &hosts,
                user.value.trim(),
                &target.origin,
                &user.origin,
            );
            work.draft
                .set(head, "route", quoted(&route), &target.origin);
        }
        None => work
            .draft
            .set(head, "route", list(hosts.iter().copied()), &target.origin),
    }
    work.tell(Fate::Translated, &target.origin, "domain.NAME.route", "");
}

/// Mail that waits until somebody asks for it.
fn on_demand(work: &mut Work, key: &Key, name: &str, flags: i64, from: &Origin) {
    let users: Vec<&str> = key
        .get("AuthTurnList")
        .map(|list| list.strings().collect())
        .unwrap_or_default();
    if users.is_empty() {
        if flags & ETRN != 0 {
            let why =
                "who may ask by ETRN is not known: write domain.NAME.on_demand with its clients";
            work.tell(Fate::NotTranslated, from, "domain.NAME.on_demand", why);
        }
        return;
    }
    let head = format!("[domain.{}.on_demand]", quoted(name));
    let origin = key
        .get("AuthTurnList")
        .map_or(from, |property| &property.origin)
        .clone();
    work.draft
        .set(&head, "users", list(users.iter().copied()), &origin);
    let why = "by ATRN and ETRN, once signed in; TURN is not there";
    work.tell(Fate::Changed, &origin, "domain.NAME.on_demand", why);
}

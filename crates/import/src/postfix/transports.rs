//! `transport_maps`, and what a transport and a next hop are here.

use std::collections::BTreeMap;

use super::Work;
use super::delivery::Routes;
use super::domains::Domains;
use super::lines::words;
use super::master::Service;
use super::tables::Table;
use crate::report::{Fate, Origin};

/// Where mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Mx,
    /// Hosts as `route` writes them.
    Hosts(Vec<String>),
    /// A server that speaks LMTP: hosts or paths.
    Lmtp(Vec<String>),
    Refuse(String),
    /// Nothing that is known here.
    Other(String),
}

/// Which program each transport is, and the folder in which relative sockets lie.
pub(super) struct Transports {
    programs: BTreeMap<String, String>,
    queue_directory: String,
}

impl Transports {
    pub fn of(services: &[Service], queue_directory: String) -> Self {
        let local = services.iter().filter(|service| service.kind != "inet");
        let named = local.map(|service| (service.name.clone(), service.command.clone()));
        Self {
            programs: named.collect(),
            queue_directory,
        }
    }

    /// Without master.cf, a transport is what it is called.
    fn program<'a>(&'a self, transport: &'a str) -> &'a str {
        self.programs
            .get(transport)
            .map_or(transport, String::as_str)
    }
}

impl Way {
    /// `transport:nexthop`, where either may be missing.
    pub fn parse(text: &str, transports: &Transports) -> Self {
        let text = text.trim();
        let (transport, next) = text.split_once(':').unwrap_or((text, ""));
        match transports.program(transport) {
            "error" | "retry" => Self::Refuse(next.to_owned()),
            "lmtp" => {
                let whole = |host: String| match host.strip_prefix("unix:") {
                    Some(path) if path.starts_with('/') => path.to_owned(),
                    Some(path) => format!("{}/{path}", transports.queue_directory),
                    None => host,
                };
                Self::Lmtp(hosts(next, true).into_iter().map(whole).collect())
            }
            "local" | "virtual" | "discard" | "pipe" | "maildrop" | "procmail" | "cyrus"
            | "uucp" | "dovecot" => Self::Other(transport.to_owned()),
            _ if next.trim().is_empty() => Self::Mx,
            _ => Self::Hosts(hosts(next, false)),
        }
    }

    /// The hosts of `relayhost` and the like, without a transport.
    pub fn next_hops(text: &str) -> Self {
        let hosts = hosts(text, false);
        if hosts.is_empty() {
            Self::Mx
        } else {
            Self::Hosts(hosts)
        }
    }
}

/// Next hops as ours are written: `[host]:port` and `host:port` are the same in both.
fn hosts(text: &str, lmtp: bool) -> Vec<String> {
    words(text)
        .into_iter()
        .map(|word| host(&word, lmtp))
        .collect()
}

fn host(word: &str, lmtp: bool) -> String {
    if word.starts_with("unix:") {
        return word.to_owned();
    }
    let word = word.strip_prefix("inet:").unwrap_or(word);
    let word = word
        .strip_suffix(":smtp")
        .map_or_else(|| word.to_owned(), |host| format!("{host}:25"));
    let word = word
        .strip_suffix(":submission")
        .map_or(word.clone(), |host| format!("{host}:587"));
    let word = match word
        .strip_prefix("[ipv6:")
        .or_else(|| word.strip_prefix("[IPv6:"))
    {
        Some(rest) => format!("[{rest}"),
        None => word,
    };
    // LMTP looks for no MX.
    match word.rsplit_once(':') {
        Some((name, port)) if lmtp && !name.starts_with('[') => format!("[{name}]:{port}"),
        None if lmtp && !word.starts_with('[') => format!("[{word}]:24"),
        _ => word,
    }
}

pub(super) fn read(work: &mut Work<'_>, domains: &mut Domains, routes: &mut Routes) {
    let parameter = work.parameters.get("transport_maps");
    let parents = words(&work.parameters.value("parent_domain_matches_subdomains"));
    let below = parents.iter().any(|name| name == "transport_maps");
    for spec in words(&parameter.value) {
        let lines = match work.files.table(&spec, &parameter.origin) {
            Ok(Table::Keys(lines)) => lines,
            Ok(Table::Always(line)) => {
                routes.default = Some((Way::parse(&line.value, &work.transports), line.origin));
                continue;
            }
            Ok(Table::Blocks(_)) => continue,
            Err(why) => {
                work.report.add(
                    Fate::NotTranslated,
                    &parameter.origin,
                    "domain.NAME.route",
                    why,
                );
                continue;
            }
        };
        for line in lines {
            let origin = line.origin.keyed(&line.key);
            one(
                work,
                domains,
                routes,
                (&line.key, &line.value),
                below,
                &origin,
            );
        }
    }
    if parameter.written {
        work.report.add(
            Fate::Translated,
            &parameter.origin,
            "domain.NAME.route",
            "line by line, below",
        );
    }
    inherit(domains, routes);
}

fn one(
    work: &mut Work<'_>,
    domains: &mut Domains,
    routes: &mut Routes,
    (key, value): (&str, &str),
    below: bool,
    origin: &Origin,
) {
    let way = Way::parse(value, &work.transports);
    if let Way::Other(transport) = &way {
        let why = format!("the transport {transport} has no counterpart");
        return work
            .report
            .add(Fate::NotTranslated, origin, "domain.NAME.route", why);
    }
    if key == "*" {
        work.report
            .add(Fate::Translated, origin, "outbound.route", "");
        routes.default = Some((way, origin.clone()));
        return;
    }
    if key.contains('@') {
        let why = "routes are by domain, not by address";
        return work
            .report
            .add(Fate::NotTranslated, origin, "domain.NAME.route", why);
    }
    let names = match key.strip_prefix('.') {
        Some(_) if below => Vec::new(),
        Some(rest) => vec![format!("*.{rest}")],
        None if below => vec![key.to_owned(), format!("*.{key}")],
        None => vec![key.to_owned()],
    };
    for name in names {
        give(domains, &name, &way, origin);
    }
    let option = if matches!(way, Way::Refuse(_)) {
        "domain.NAME.type"
    } else {
        "domain.NAME.route"
    };
    work.report.add(Fate::Translated, origin, option, "");
}

/// A name that is hosted by a section of its own gets the way; one within a wider section gets a section; any
/// other is elsewhere.
fn give(domains: &mut Domains, name: &str, way: &Way, origin: &Origin) {
    let bare = name.strip_prefix("*.");
    let section = match bare {
        // `*.sub.example.com` within `*.example.com`.
        Some(bare) if !domains.hosted.contains_key(name) => domains
            .section_of(bare)
            .filter(|section| section.starts_with("*.")),
        _ => domains.section_of(name),
    };
    let given = Some((way.clone(), origin.clone()));
    match section.and_then(|section| domains.hosted.get(&section).cloned()) {
        Some(mut hosted) => {
            hosted.way = given;
            domains.hosted.insert(name.to_owned(), hosted);
        }
        None => {
            domains
                .elsewhere
                .insert(name.to_owned(), (way.clone(), origin.clone()));
        }
    }
}

/// A domain without a line of its own goes by the nearest one above it, and by `*`.
fn inherit(domains: &mut Domains, routes: &Routes) {
    let above: Vec<(String, (Way, Origin))> = {
        let of_hosted = domains
            .hosted
            .iter()
            .filter_map(|(name, hosted)| Some((name.clone(), hosted.way.clone()?)));
        let elsewhere = domains
            .elsewhere
            .iter()
            .map(|(name, way)| (name.clone(), way.clone()));
        of_hosted
            .chain(elsewhere)
            .filter(|(name, _)| name.starts_with("*."))
            .collect()
    };
    let above: BTreeMap<_, _> = above.into_iter().collect();
    for (name, hosted) in domains
        .hosted
        .iter_mut()
        .filter(|(_, hosted)| hosted.way.is_none())
    {
        let mut rest = name.strip_prefix("*.").unwrap_or(name);
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(way) = above.get(&format!("*.{parent}")) {
                hosted.way = Some(way.clone());
                break;
            }
            rest = parent;
        }
        if hosted.way.is_none() {
            hosted.way.clone_from(&routes.default);
        }
    }
}

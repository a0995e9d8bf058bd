//! Exchange: what its cmdlets and the directory export. 2007 to Subscription Edition by the output of
//! `Get-ReceiveConnector` and its like, as text, CLIXML, JSON or CSV; 2000 and 2003 by LDIF; recipients by LDIF
//! or the output of `Get-Recipient`.
//!
//! A receive connector is chosen by where a client comes from, a listener of ours by where it connects to. So
//! connectors at one address and port become one listener, and what they permit becomes lists of clients; where
//! it is not certain that a client may do something, it may not.

mod clixml;
mod csv;
mod domains;
mod export;
mod format_list;
mod json;
mod ldif;
mod legacy;
mod limits;
mod listeners;
mod permissions;
mod receive;
mod recipients;
mod rest;
mod rights;
mod send;
mod tree;
mod values;

use std::net::IpAddr;

use config::Environment;

use crate::checked::checked;
use crate::draft::{Draft, list};
use crate::iis::Work;
use crate::report::{Fate, Origin, Report};
use crate::{Imported, Refused};
use domains::Inner;
use export::{Kind, Object};
use recipients::Recipients;
use send::Ways;
use values::Space;

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name, for the table.
    pub name: String,
    /// Its octets: UTF-8 or UTF-16.
    pub octets: Vec<u8>,
}

impl Export {
    /// A file of more octets is none.
    pub const BYTES_MAX: usize = 128 << 20;
}

/// What is not in the export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The server whose receive connectors, or virtual servers, are meant; the first one that is named, if none is.
    pub server: Option<String>,
    /// Where the mailboxes are: hosts, addresses, with or without a port. The server of Exchange, if none is
    /// named.
    pub mail_servers: Vec<String>,
}

/// The objects of all files.
struct Found {
    objects: Vec<(Option<Kind>, Object)>,
}

impl Found {
    fn of(&self, wanted: Kind) -> impl Iterator<Item = &Object> {
        let of_kind = self
            .objects
            .iter()
            .filter(move |(kind, _)| *kind == Some(wanted));
        of_kind.map(|(_, object)| object)
    }
}

/// Makes a configuration of what Exchange exports. `environment` is the machine that will run what comes out.
///
/// # Errors
/// A file cannot be read, nothing of Exchange is in them, a receive connector was exported in part, or what came
/// of it cannot be mended to a configuration.
pub fn exchange(
    exports: &[Export],
    wishes: &Wishes,
    environment: &Environment,
) -> Result<Imported, Refused> {
    let mut found = Found {
        objects: Vec::new(),
    };
    for export in exports {
        if export.octets.len() > Export::BYTES_MAX {
            return Err(Refused(format!("{} is too large", export.name)));
        }
        let text = crate::octets::text(&export.octets);
        let objects = export::objects(&export.name, &text).map_err(Refused)?;
        if !objects.iter().any(|object| object.kind().is_some()) {
            let why = "{}: nothing of Exchange is in it: export with Format-List, Export-Clixml, ConvertTo-Json or ldifde";
            return Err(Refused(
                why.replace("{}", &mail::escaped(&export.name).to_string()),
            ));
        }
        found
            .objects
            .extend(objects.into_iter().map(|object| (object.kind(), object)));
    }
    if found.objects.is_empty() {
        return Err(Refused("no file of an export is named".to_owned()));
    }
    let title = [
        "Made from an export of Exchange by `gatepost import exchange`.",
        "Behind each line stands the property that it comes from.",
    ];
    let mut work = Work {
        draft: Draft::new(&title),
        report: Report::default(),
    };
    legacy::write(&mut work, &mut found, wishes.server.as_deref());
    let lists = translate(&mut work, &found, wishes)?;
    let Work { draft, mut report } = work;
    let names: Vec<&str> = exports.iter().map(|export| &*export.name).collect();
    report.in_order(&names);
    let guards = guards(&draft.text());
    let imported = checked(draft, report, lists.lists, environment)?;
    // A guard that the reader of configurations refused would leave open what it stood before.
    let kept = self::guards(&imported.configuration);
    if guards != kept {
        let lost = guards.iter().find(|guard| !kept.contains(guard));
        let lost = lost
            .and_then(|line| line.split(" # ").next())
            .unwrap_or("")
            .trim_end();
        return Err(Refused(format!(
            "a restriction cannot be written here: {lost}\n{}",
            imported.report
        )));
    }
    Ok(imported)
}

/// What keeps somebody out: lines that must not get lost. Of who may relay it is the other way round: what is
/// lost there permits nobody.
fn guards(text: &str) -> Vec<String> {
    const KEYS: [&str; 9] = [
        "accept_from = ",
        "recipients = ",
        "allow = ",
        "except = ",
        "mode = ",
        "auth = ",
        "tls = ",
        "signed_in = false",
        "[[send_only_to]]",
    ];
    let mut relay = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            let head = line.split(" # ").next().unwrap_or("").trim_end();
            // A listener or a route may be called relay itself.
            let own = head.strip_prefix("[listener.");
            relay = head == "[relay]" || own.is_some_and(|own| own.ends_with(".relay]"));
        }
        let guard = KEYS.iter().any(|key| line.starts_with(key));
        if guard && (!relay || line.starts_with("signed_in")) {
            kept.push(line.to_owned());
        }
    }
    kept
}

fn translate(work: &mut Work, found: &Found, wishes: &Wishes) -> Result<Recipients, Refused> {
    let connectors = receive::read(work, found, wishes.server.as_deref())?;
    let mut ways = Ways::read(work, found);
    let host = inner_host(&connectors, &ways);
    let modern = found.of(Kind::ReceiveConnector).next().is_some();
    if modern {
        let origin = Origin::unwritten("");
        work.draft.note(
            "[relay]",
            &origin,
            "Who may relay; a listener may have a list of its own.",
        );
        work.draft.set("[relay]", "allow", "[]", &origin);
        work.draft.set("[relay]", "signed_in", "false", &origin);
    }
    let door = listeners::write(work, &connectors, host.as_ref().map(|(host, _)| &**host));
    let mut people = Recipients::read(work, found);
    let inner = inner(work, wishes, host, found, &ways);
    domains::write(work, found, &mut ways, &inner, &mut people, door.relay_only);
    limits::write(work, found, &connectors, &door, &mut ways);
    let used = |kind: Kind, object: &Object| match kind {
        Kind::ReceiveConnector => door.serves(&connectors, object),
        Kind::SendConnector => ways.uses(object),
        _ => true,
    };
    rest::tell(work, found, &used);
    if modern && found.of(Kind::Permission).next().is_none() {
        let origin = Origin::unwritten("ms-Exch-SMTP-Accept-Any-Recipient");
        let why = "who may relay without signing in is told by Get-ADPermission, which is not among the files: nobody may, but by connectors that are secured externally";
        work.tell(Fate::NotTranslated, &origin, "relay.allow", why);
    }
    Ok(people)
}

/// The name of the server with the mailboxes, by a connector that other servers of Exchange use: it has to be
/// the server's own. An Edge server, which has a way to the organisation, is none.
fn inner_host(connectors: &[rights::Connector<'_>], ways: &Ways<'_>) -> Option<(String, Origin)> {
    if ways.has(&Space::Organisation) {
        return None;
    }
    let mut named = connectors
        .iter()
        .filter(|one| one.object.names("PermissionGroups", "ExchangeServers") && !one.relays);
    named.find_map(|one| {
        Some((
            one.object.text("Fqdn")?.to_ascii_lowercase(),
            one.object.origin("Fqdn"),
        ))
    })
}

/// The route to the mail servers.
fn inner(
    work: &mut Work,
    wishes: &Wishes,
    host: Option<(String, Origin)>,
    found: &Found,
    ways: &Ways<'_>,
) -> Inner {
    let (hosts, origin) = match (&wishes.mail_servers[..], host) {
        ([], None) => (Vec::new(), Origin::unwritten("")),
        ([], Some((host, origin))) => (vec![format!("[{host}]")], origin),
        (hosts, _) => (
            hosts.iter().map(|host| bracketed(host)).collect(),
            Origin::unwritten("--mail-server"),
        ),
    };
    let needed = found.of(Kind::AcceptedDomain).next().is_some() && !ways.has(&Space::Organisation);
    let asked = !wishes.mail_servers.is_empty();
    if hosts.is_empty() || !(needed || asked) {
        return Inner {
            route: None,
            origin,
        };
    }
    let head = "[route.exchange]";
    work.draft
        .note(head, &origin, "The mail server with the mailboxes.");
    work.draft.set(
        head,
        "hosts",
        list(hosts.iter().map(String::as_str)),
        &origin,
    );
    if !asked {
        let why = "taken for the server with the mailboxes; --mail-server HOST names another one";
        work.tell(Fate::Changed, &origin, "route.exchange.hosts", why);
    }
    Inner {
        route: Some(crate::draft::quoted("exchange")),
        origin,
    }
}

/// A host that is meant itself, not its MX.
fn bracketed(host: &str) -> String {
    if host.starts_with('[') {
        return host.to_owned();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if host.parse::<IpAddr>().is_err() => format!("[{name}]:{port}"),
        _ => format!("[{host}]"),
    }
}

#[cfg(test)]
mod tests;

//! Accepted domains, and domains that have a way of their own, become `[domain.NAME]`; everything else goes by
//! `[outbound]`.

use super::export::{Kind, Object};
use super::recipients::Recipients;
use super::send::{Target, Ways};
use super::values::{self, Limit, Space};
use super::{Found, Work};
use crate::draft::{list, named, quoted};
use crate::report::{Fate, Origin};

/// So many domains are read.
const DOMAINS_MAX: usize = 20_000;

/// How an accepted domain is Exchange's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All its mailboxes are in the organisation.
    Authoritative,
    /// Some are.
    InternalRelay,
    /// None is.
    ExternalRelay,
}

/// The mail servers behind the relay.
pub(super) struct Inner {
    /// As `route` has it.
    pub route: Option<String>,
    pub origin: Origin,
}

pub(super) fn write(
    work: &mut Work,
    found: &Found,
    ways: &mut Ways<'_>,
    inner: &Inner,
    people: &mut Recipients,
    relay_only: bool,
) {
    let mut accepted: Vec<(Space, Share, &Object)> = Vec::new();
    for object in found.of(Kind::AcceptedDomain).take(DOMAINS_MAX) {
        accepted.extend(read(work, object).map(|(space, share)| (space, share, object)));
    }
    outbound(work, ways);
    for (space, share, object) in &accepted {
        let target = match share {
            Share::Authoritative | Share::InternalRelay => to_organisation(work, ways, inner),
            Share::ExternalRelay => to_outside(work, ways, space),
        };
        for name in sections(space) {
            one(work, &name, *share, object, target.as_ref(), relay_only);
            if *share == Share::Authoritative {
                recipients(work, &name, object, target.is_some(), people);
            }
        }
    }
    own_ways(work, ways, &accepted, relay_only);
}

fn read(work: &mut Work, object: &Object) -> Option<(Space, Share)> {
    let (name, kind) = (object.origin("DomainName"), object.origin("DomainType"));
    let share = match object.text("DomainType")?.to_ascii_lowercase().as_str() {
        "authoritative" => Share::Authoritative,
        "internalrelay" => Share::InternalRelay,
        "externalrelay" => Share::ExternalRelay,
        _ => {
            work.tell(
                Fate::NotTranslated,
                &kind,
                "[domain.NAME]",
                "none of Authoritative, InternalRelay, ExternalRelay",
            );
            return None;
        }
    };
    let text = object.text("DomainName")?;
    let space = match values::space(&super::export::without_blanks(text)) {
        Some((Space::Domain(domain), _)) if object.flag("MatchSubDomains") == Some(true) => {
            Space::DomainAndBelow(domain)
        }
        Some((space @ (Space::Domain(_) | Space::DomainAndBelow(_)), _)) => space,
        Some((Space::All, _)) => {
            let why = "every domain would be taken from anyone";
            work.tell(Fate::LeftOut, &name, "[domain.NAME]", why);
            return None;
        }
        _ => {
            work.tell(
                Fate::NotTranslated,
                &name,
                "[domain.NAME]",
                "no name of a domain",
            );
            return None;
        }
    };
    let why = match share {
        Share::Authoritative => "taken for its recipients, and handed to the mail server",
        Share::InternalRelay => {
            "taken for all recipients, and handed to the mail server, which sends on what is not its own"
        }
        Share::ExternalRelay => "taken for all recipients, and sent on",
    };
    work.tell(Fate::Translated, &name, "[domain.NAME]", "");
    work.tell(Fate::Translated, &kind, "[domain.NAME]", why);
    Some((space, share))
}

/// The sections that stand for an address space: one with a star is about the domain itself, too.
fn sections(space: &Space) -> Vec<String> {
    match space {
        Space::Domain(name) => vec![name.clone()],
        Space::DomainAndBelow(name) => vec![name.clone(), format!("*.{name}")],
        Space::All | Space::Organisation => Vec::new(),
    }
}

fn to_organisation(work: &mut Work, ways: &mut Ways<'_>, inner: &Inner) -> Option<Target> {
    // An Edge server has a connector for what belongs to the organisation; `--` as its smart host names nobody.
    let by_edge = ways.object(&Space::Organisation).is_some_and(|object| {
        let hosts = object.items("SmartHosts");
        !hosts.is_empty() && hosts.iter().all(|(host, _)| host != "--")
    });
    if by_edge {
        return ways.target(work, &Space::Organisation);
    }
    inner.route.as_ref().map(|route| Target {
        route: Some(route.clone()),
        tls: None,
        helo_only: false,
        origin: inner.origin.clone(),
        tls_origin: inner.origin.clone(),
    })
}

fn to_outside(work: &mut Work, ways: &mut Ways<'_>, space: &Space) -> Option<Target> {
    let (Space::Domain(name) | Space::DomainAndBelow(name)) = space else {
        return None;
    };
    match ways.for_domain(name) {
        Some(own) => ways.target(work, &own),
        None => ways.target(work, &Space::All),
    }
}

fn one(
    work: &mut Work,
    name: &str,
    share: Share,
    object: &Object,
    target: Option<&Target>,
    relay_only: bool,
) {
    let head = named("domain", name);
    let origin = object.origin("DomainName");
    work.draft.section(&head, &origin);
    if relay_only {
        work.draft
            .set(&head, "accept_from", quoted("relay"), &origin);
    }
    if let Some(target) = target {
        way(work, &head, target);
    }
    if target.is_none_or(|target| target.route.is_none()) {
        let why = match share {
            Share::ExternalRelay => "by MX: its record must not lead to this relay",
            _ => {
                "it is not known where its mailboxes are: --mail-server HOST says so, by MX otherwise"
            }
        };
        work.tell(
            Fate::Changed,
            &object.origin("DomainType"),
            "domain.NAME.route",
            why,
        );
    }
}

fn way(work: &mut Work, head: &str, target: &Target) {
    if let Some(route) = &target.route {
        work.draft.set(head, "route", route.clone(), &target.origin);
    }
    if let Some(tls) = target.tls {
        work.draft.set(head, "tls", quoted(tls), &target.tls_origin);
    }
    if target.helo_only {
        work.draft.set(head, "helo_only", "true", &target.origin);
    }
}

fn recipients(
    work: &mut Work,
    name: &str,
    object: &Object,
    known_server: bool,
    people: &mut Recipients,
) {
    let head = named("domain", name);
    let origin = object.origin("DomainType");
    let option = "domain.NAME.recipients";
    if object.text("CatchAllRecipientID").is_some() {
        let origin = object.origin("CatchAllRecipientID");
        return work.tell(
            Fate::Translated,
            &origin,
            option,
            "all recipients are taken, as a mailbox gets the others",
        );
    }
    if let Some((file, count, from)) = people.list_for(name) {
        work.draft
            .set(&head, "recipients", quoted(&format!("file:{file}")), &from);
        let fate = if count == 0 {
            Fate::Changed
        } else {
            Fate::Translated
        };
        work.tell(
            fate,
            &origin,
            option,
            &format!("{count} recipients, in {file}"),
        );
    } else if known_server {
        work.draft
            .set(&head, "recipients", quoted("verify"), &origin);
        let why = "no recipients among the files: the mail server is asked by RCPT";
        work.tell(Fate::Changed, &origin, option, why);
    } else {
        let why = "no recipients among the files: all are taken";
        work.tell(Fate::Changed, &origin, option, why);
    }
}

/// The connector for all other domains.
fn outbound(work: &mut Work, ways: &mut Ways<'_>) {
    let Some(object) = ways.object(&Space::All) else {
        if ways.any {
            let origin = Origin::unwritten("AddressSpaces");
            work.draft.set(
                "[[send_only_to]]",
                "clients",
                list(["0.0.0.0/0", "::/0"]),
                &origin,
            );
            work.draft
                .set("[[send_only_to]]", "recipients", quoted("hosted"), &origin);
            let why =
                "no send connector is for *: nobody may send to domains that have no section here";
            work.tell(Fate::Translated, &origin, "[[send_only_to]]", why);
        }
        return;
    };
    let Some(target) = ways.target(work, &Space::All) else {
        return;
    };
    if let Some(name) = object.text("Fqdn") {
        work.once_text(
            "",
            "hostname",
            &name.to_ascii_lowercase(),
            &object.origin("Fqdn"),
        );
    }
    if let Some(route) = &target.route {
        work.draft
            .set("[outbound]", "route", route.clone(), &target.origin);
        work.tell(Fate::Translated, &target.origin, "outbound.route", "");
        return;
    }
    if let Some(tls) = target.tls {
        work.draft
            .set("[outbound]", "tls", quoted(tls), &target.tls_origin);
    }
    work.tell(
        Fate::Translated,
        &target.origin,
        "outbound.route",
        "by MX, the default",
    );
    if target.helo_only {
        work.tell(
            Fate::NotTranslated,
            &object.origin("ForceHELO"),
            "domain.NAME.helo_only",
            "for named domains alone",
        );
    }
    for (name, key, least) in [
        ("Port", "port", 1),
        ("SmtpMaxMessagesPerConnection", "messages_per_connection", 1),
    ] {
        if let Some(Limit::At(number)) = object.text(name).and_then(values::count)
            && number >= least
        {
            work.once(
                "[outbound]",
                key,
                number.min(65_535).to_string(),
                &object.origin(name),
            );
        }
    }
}

/// Domains that are not accepted and have a connector: only who may relay sends there.
fn own_ways(
    work: &mut Work,
    ways: &mut Ways<'_>,
    accepted: &[(Space, Share, &Object)],
    relay_only: bool,
) {
    for (space, origin) in ways.domains() {
        let Some(target) = ways.target(work, &space) else {
            continue;
        };
        let mut used = false;
        for name in sections(&space) {
            let head = named("domain", &name);
            if work.draft.has(&head) {
                continue;
            }
            used = true;
            work.draft.section(&head, &origin);
            let bare = name.trim_start_matches("*.");
            let below = accepted.iter().any(|(space, share, _)| match space {
                // One with a list of recipients would have none here.
                Space::DomainAndBelow(parent) if *share != Share::Authoritative => bare
                    .strip_suffix(&**parent)
                    .is_some_and(|rest| rest.ends_with('.')),
                _ => false,
            });
            if !below || relay_only {
                work.draft
                    .set(&head, "accept_from", quoted("relay"), &origin);
            }
            way(work, &head, &target);
        }
        let (fate, why) = match used {
            true => (
                Fate::Translated,
                "from who may relay alone, unless it is an accepted domain",
            ),
            false => (Fate::Changed, "an accepted domain goes where its type says"),
        };
        work.tell(fate, &origin, "[domain.NAME]", why);
    }
}

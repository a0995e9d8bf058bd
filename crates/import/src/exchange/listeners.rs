//! Receive connectors become listeners.

use std::net::SocketAddr;

use super::Work;
use super::export::Object;
use super::rights::{Connector, Plan, Rights, plans};
use super::values::{self, Limit};
use crate::addresses::Addresses;
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// What the rest has to know of the listeners.
pub(super) struct Door {
    /// Hosted domains are taken from those alone who may relay: there are no other clients.
    pub relay_only: bool,
    /// The listeners, each with its name.
    pub listeners: Vec<(String, Plan)>,
}

impl Door {
    /// Whether a listener stands for this connector.
    pub fn serves(&self, connectors: &[Connector<'_>], object: &Object) -> bool {
        let numbers = self.listeners.iter().flat_map(|(_, plan)| plan.members());
        let mut objects = numbers.filter_map(|number| connectors.get(number));
        objects.any(|connector| std::ptr::eq(connector.object, object))
    }
}

/// How users sign in at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Off,
    Optional,
    Required,
}

/// One listener, decided.
struct Listener<'a> {
    name: String,
    plan: Plan,
    rights: Rights,
    members: Vec<&'a Connector<'a>>,
    /// The connector of most clients, whose settings hold where only one can.
    main: &'a Connector<'a>,
    tls: bool,
}

pub(super) fn write(
    work: &mut Work,
    connectors: &[Connector<'_>],
    inner_host: Option<&str>,
) -> Door {
    let mut listeners: Vec<Listener<'_>> = Vec::new();
    for plan in plans(connectors) {
        let members: Vec<&Connector<'_>> = plan
            .members()
            .into_iter()
            .filter_map(|n| connectors.get(n))
            .collect();
        let width = |one: &&&Connector<'_>| {
            one.ranges
                .iter()
                .fold(0u128, |n, range| n.saturating_add(range.count()))
        };
        let Some(main) = members.iter().max_by_key(width).copied() else {
            continue;
        };
        let secured = members.iter().all(|one| one.tls);
        let rights = plan.rights(connectors, secured);
        tell_mixed(work, &members, secured);
        let taken = |name: &str| listeners.iter().any(|other| other.name == name);
        let mut name = values::plain_name(&main.name);
        if name.is_empty() || taken(&name) {
            name = format!("{name}-{}", listeners.len() + 1)
                .trim_start_matches('-')
                .to_owned();
        }
        listeners.push(Listener {
            name,
            plan,
            rights,
            members,
            main,
            tls: secured,
        });
    }
    let only = |one: &Listener<'_>| one.rights.anonymous.minus(&one.rights.relays).is_empty();
    let relay_only = !listeners.is_empty() && listeners.iter().all(only);
    let mut door = Door {
        relay_only,
        listeners: Vec::new(),
    };
    let several = listeners.len() > 1;
    for listener in listeners {
        if one(work, &listener, relay_only, several, inner_host) {
            door.listeners.push((listener.name, listener.plan));
        }
    }
    door
}

fn tell_mixed(work: &mut Work, members: &[&Connector<'_>], secured: bool) {
    for one in members.iter().filter(|one| one.tls && !secured) {
        let why = "others at this address and port do not: its clients are not served, write a listener of its own with tls = \"require\"";
        work.tell(
            Fate::NotTranslated,
            &one.object.origin("RequireTLS"),
            "listener.NAME.tls",
            why,
        );
    }
}

/// Writes a listener; `false` when nobody could use it.
fn one(
    work: &mut Work,
    listener: &Listener<'_>,
    relay_only: bool,
    several: bool,
    inner_host: Option<&str>,
) -> bool {
    let Rights {
        anonymous,
        relays,
        users,
    } = &listener.rights;
    let all = anonymous.union(users);
    // Who may sign in at a listener may do so from everywhere it is reached from.
    let by_user = !users.is_empty() && all.minus(users).minus(relays).is_empty();
    let mixed = !anonymous.is_empty() && !users.minus(anonymous).is_empty();
    let (auth, reached) = match (by_user, anonymous.is_empty()) {
        (true, true) => (Auth::Required, users),
        (true, false) if !mixed || relay_only => (Auth::Optional, &all),
        (true, false) => (Auth::Optional, anonymous),
        (false, _) => (Auth::Off, anonymous),
    };
    if reached.is_empty() {
        for member in &listener.members {
            let why =
                "takes mail from servers of Exchange alone, or from nobody for sure: no listener";
            work.tell(
                Fate::NotTranslated,
                &member.object.origin("PermissionGroups"),
                "[listener.NAME]",
                why,
            );
        }
        return false;
    }
    let head = format!("[listener.{}]", listener.name);
    for member in &listener.members {
        let origin = member.object.origin("Name");
        work.draft.section(&head, &origin);
        work.draft.note(
            &head,
            &origin,
            &format!("The receive connector {}", member.name),
        );
        work.tell(Fate::Translated, &origin, &head, "");
    }
    binds(work, listener, &head);
    sign_in(work, listener, &head, auth, users, reached);
    connect(work, listener, reached);
    relay(work, listener, auth, several);
    names(work, listener, &head, inner_host);
    numbers(work, listener, &head);
    true
}

fn binds(work: &mut Work, listener: &Listener<'_>, head: &str) {
    let binds: Vec<String> = listener
        .plan
        .binds
        .iter()
        .map(SocketAddr::to_string)
        .collect();
    let main = listener.main.object.origin("Bindings");
    work.draft
        .set(head, "bind", list(binds.iter().map(String::as_str)), &main);
    for member in &listener.members {
        let own = member.binds.iter().any(|bind| !bind.ip().is_unspecified());
        let hidden = member
            .binds
            .iter()
            .any(|bind| !listener.plan.binds.contains(bind));
        let (fate, why) = match (hidden, own) {
            (true, _) => (
                Fate::Changed,
                "served with all addresses of its port, by what both connectors permit",
            ),
            (_, true) => (
                Fate::Changed,
                "an address of the machine of Exchange: write one of this machine",
            ),
            _ => (Fate::Translated, ""),
        };
        work.tell(
            fate,
            &member.object.origin("Bindings"),
            "listener.NAME.bind",
            why,
        );
    }
    // Exchange speaks STARTTLS there as on every other port.
    if listener.plan.binds.iter().any(|bind| bind.port() == 465) {
        work.draft.set(head, "kind", quoted("submission"), &main);
    }
}

fn sign_in(
    work: &mut Work,
    listener: &Listener<'_>,
    head: &str,
    auth: Auth,
    users: &Addresses,
    reached: &Addresses,
) {
    let word = match auth {
        Auth::Off => "off",
        Auth::Optional => "optional",
        Auth::Required => "required",
    };
    let groups = listener.main.object.origin("PermissionGroups");
    work.draft.set(head, "auth", quoted(word), &groups);
    let lost = !users.minus(reached).is_empty() || auth == Auth::Off;
    for member in &listener.members {
        let origin = member.object.origin("AuthMechanism");
        let groups = member.object.origin("PermissionGroups");
        let why = match member.users {
            true if lost => {
                "who has to sign in, or may from some addresses alone, is not served here: write a listener of its own, on port 587"
            }
            true => {
                "passwords pass under TLS alone; users come from [auth] or [ldap.NAME], not from Windows"
            }
            false => "nobody signs in by it",
        };
        let fate = if member.users {
            Fate::Changed
        } else {
            Fate::Translated
        };
        work.tell(fate, &origin, "listener.NAME.auth", why);
        let servers = member.object.names("PermissionGroups", "ExchangeServers") && !member.relays;
        let partners = member.object.names("PermissionGroups", "Partners");
        let (fate, why) = match (servers, partners) {
            (_, true) => (
                Fate::NotTranslated,
                "Partners show certificates: relay.certificates, or an accepted domain",
            ),
            (true, _) => (
                Fate::Changed,
                "servers of Exchange sign in by Kerberos there: name their addresses in relay.allow if they send out through this relay",
            ),
            _ => (Fate::Translated, ""),
        };
        work.tell(fate, &groups, "listener.NAME.relay", why);
    }
    let tls = listener.tls || auth == Auth::Required;
    let word = if tls { "require" } else { "offer" };
    work.draft.set(
        head,
        "tls",
        quoted(word),
        &listener.main.object.origin("RequireTLS"),
    );
    if listener.tls {
        let origin = listener.main.object.origin("RequireTLS");
        work.tell(Fate::Translated, &origin, "listener.NAME.tls", "");
    }
}

/// Who may connect, in the shorter of both forms.
fn connect(work: &mut Work, listener: &Listener<'_>, reached: &Addresses) {
    let has = |v4: bool| listener.plan.binds.iter().any(|bind| bind.is_ipv4() == v4);
    let families = [true, false].into_iter().filter(|&v4| has(v4));
    let possible = families.fold(Addresses::default(), |all, v4| {
        all.union(&Addresses::all().of_family(v4))
    });
    let out = possible.minus(reached);
    let why = if out.is_empty() {
        "everybody may connect"
    } else {
        ""
    };
    for member in &listener.members {
        let origin = member.object.origin("RemoteIPRanges");
        let (fate, why) = match is_kept(listener, member, reached) {
            true => (Fate::Translated, why),
            false => (
                Fate::NotTranslated,
                "not all of its clients are served here: it is not certain that no other connector serves them, or by which rights; write a listener of its own",
            ),
        };
        work.tell(fate, &origin, "listener.NAME.connect", why);
    }
    if out.is_empty() {
        return;
    }
    let head = format!("[listener.{}.connect]", listener.name);
    let origin = listener.main.object.origin("RemoteIPRanges");
    let (allowed, except) = (possible.intersect(reached).entries(), out.entries());
    let (mode, key, entries) = match except.len() < allowed.len() {
        true => ("all-except", "except", except),
        false => ("only-list", "allow", allowed),
    };
    work.draft.set(&head, "mode", quoted(mode), &origin);
    for entry in entries {
        work.draft.add(&head, key, quoted(&entry), &origin);
    }
}

/// Whether all clients come in that a connector lets in without signing in, but for those whom one may serve that does
/// not.
fn is_kept(listener: &Listener<'_>, member: &Connector<'_>, reached: &Addresses) -> bool {
    let mut clients = Addresses::of(member.ranges.clone());
    let others = listener.members.iter().filter(|other| !other.anonymous);
    for range in others.flat_map(|other| &other.ranges) {
        clients = clients.minus(range);
    }
    !member.anonymous || clients.minus(reached).is_empty()
}

fn relay(work: &mut Work, listener: &Listener<'_>, auth: Auth, several: bool) {
    let head = match several {
        true => format!("[listener.{}.relay]", listener.name),
        false => "[relay]".to_owned(),
    };
    let main = listener.main.object.origin("PermissionGroups");
    work.draft.set(&head, "allow", "[]", &main);
    for member in listener.members.iter().filter(|member| member.relays) {
        let own = Addresses::of(member.ranges.clone());
        let clients = listener.rights.relays.intersect(&own);
        let origin = member.object.origin("RemoteIPRanges");
        for entry in clients.entries() {
            // A client may be in the ranges of two connectors.
            work.draft.add_once(&head, "allow", quoted(&entry), &origin);
        }
        let lost = !own.minus(&clients).is_empty();
        let (fate, why) = match (clients.is_empty(), lost) {
            (true, _) => (
                Fate::NotTranslated,
                "its clients may relay there, and not here: it is not certain that no other connector serves them",
            ),
            (_, true) => (
                Fate::Changed,
                "its clients may relay, but for those whom another connector serves",
            ),
            _ => (Fate::Translated, "its clients may relay"),
        };
        work.tell(fate, &origin, "relay.allow", why);
    }
    let signed_in = if auth == Auth::Off { "false" } else { "true" };
    work.draft.set(&head, "signed_in", signed_in, &main);
}

/// Names in the greeting.
fn names(work: &mut Work, listener: &Listener<'_>, head: &str, inner_host: Option<&str>) {
    for member in &listener.members {
        let is_main = std::ptr::eq(*member, listener.main);
        let tell = |work: &mut Work, name: &str, fate, why: &str| {
            if member.object.text(name).is_some() {
                let option = format!(
                    "listener.NAME.{}",
                    if name == "Fqdn" { "hostname" } else { "banner" }
                );
                work.tell(fate, &member.object.origin(name), &option, why);
            }
        };
        if !is_main {
            tell(
                work,
                "Fqdn",
                Fate::NotTranslated,
                "another connector at this address and port is of more clients",
            );
            tell(
                work,
                "Banner",
                Fate::NotTranslated,
                "another connector at this address and port is of more clients",
            );
            continue;
        }
        if let Some(name) = member.object.text("Fqdn") {
            let origin = member.object.origin("Fqdn");
            if inner_host.is_some_and(|host| host.eq_ignore_ascii_case(name)) {
                tell(
                    work,
                    "Fqdn",
                    Fate::NotTranslated,
                    "the name of the mail server: the relay has one of its own",
                );
            } else {
                work.draft.set(
                    head,
                    "hostname",
                    quoted(&name.to_ascii_lowercase()),
                    &origin,
                );
                tell(work, "Fqdn", Fate::Translated, "");
            }
        }
        if let Some(banner) = member.object.text("Banner") {
            let text = banner
                .trim_start_matches("220")
                .trim_start_matches(['-', ' ']);
            work.draft.set(
                head,
                "banner",
                quoted(text),
                &member.object.origin("Banner"),
            );
            tell(
                work,
                "Banner",
                Fate::Changed,
                "stands behind the name of the listener",
            );
        }
    }
}

/// The standard asks for so many seconds at least (RFC 5321 section 4.5.3.2).
const IDLE_MIN: u64 = 300;

fn numbers(work: &mut Work, listener: &Listener<'_>, head: &str) {
    idle(work, listener, head);
    sessions(work, listener, head);
    let mut least: Option<(u64, Origin)> = None;
    for (limit, origin) in given(listener, "MaxInboundConnectionPerSource", values::count) {
        let Limit::At(number) = limit else { continue };
        let why = "of clients that may not relay; the least of all connectors";
        work.tell(Fate::Changed, &origin, "listener.NAME.max_per_client", why);
        if least.as_ref().is_none_or(|(least, _)| number < *least) {
            least = Some((number, origin));
        }
    }
    if let Some((number, origin)) = least {
        let number = number.clamp(1, SESSIONS_MAX).to_string();
        work.draft.set(head, "max_per_client", number, &origin);
    }
}

/// The largest that may be written.
const SESSIONS_MAX: u64 = 1_000_000;

/// What each connector of a listener says, where it says it.
fn given<T>(listener: &Listener<'_>, name: &str, read: fn(&str) -> Option<T>) -> Vec<(T, Origin)> {
    let members = listener.members.iter().filter_map(|member| {
        let value = read(member.object.text(name)?)?;
        Some((value, member.object.origin(name)))
    });
    members.collect()
}

fn idle(work: &mut Work, listener: &Listener<'_>, head: &str) {
    let all = given(listener, "ConnectionInactivityTimeout", values::seconds);
    for (seconds, origin) in &all {
        let (fate, why) = match *seconds < IDLE_MIN {
            true => (
                Fate::Changed,
                "five minutes are the least that the standard asks for",
            ),
            false => (Fate::Translated, "the shortest of all connectors"),
        };
        work.tell(fate, origin, "listener.NAME.idle_timeout", why);
    }
    if let Some((seconds, origin)) = all.iter().min_by_key(|(seconds, _)| *seconds) {
        let text = format!("{}s", (*seconds).clamp(IDLE_MIN, 86_400));
        work.draft.set(head, "idle_timeout", quoted(&text), origin);
    }
}

/// Each connector has as many as it says, so the listener has them all.
fn sessions(work: &mut Work, listener: &Listener<'_>, head: &str) {
    let (mut all, mut endless) = (0u64, false);
    let mut last = None;
    for (limit, origin) in given(listener, "MaxInboundConnection", values::count) {
        let option = "listener.NAME.max_sessions";
        match limit {
            Limit::At(number) => {
                work.tell(Fate::Translated, &origin, option, "");
                all = all.saturating_add(number);
            }
            Limit::Unlimited => {
                work.tell(
                    Fate::Changed,
                    &origin,
                    option,
                    "there always is a limit: its default",
                );
                endless = true;
            }
        }
        last = Some(origin);
    }
    if let Some(origin) = last.filter(|_| !endless) {
        let number = all.clamp(1, SESSIONS_MAX).to_string();
        work.draft.set(head, "max_sessions", number, &origin);
    }
}

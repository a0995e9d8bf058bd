//! The services that take mail become listeners, each with whom it lets in and who may relay.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Work;
use super::lines::words;
use super::master::Service;
use super::networks;
use super::openings::Kind;
use super::parameters::Parameters;
use super::restrictions::{Case, Lists};
use crate::addresses::Addresses;
use crate::draft::{list, named, quoted};
use crate::report::{Fate, Origin};

/// A service of master.cf that takes mail by SMTP.
pub(super) struct Listener {
    name: String,
    bind: Vec<String>,
    origin: Origin,
    /// The service that says how.
    pub settings: Service,
    pub parameters: Parameters,
    pub lists: Lists,
    networks: Addresses,
    networks_origin: Origin,
    refused: Refused,
}

/// Who is refused at it.
struct Refused {
    /// Whatever they ask for.
    anything: Addresses,
    /// Recipients elsewhere.
    elsewhere: Addresses,
    /// The same once somebody has signed in.
    signed_in_anything: Addresses,
    signed_in_elsewhere: Addresses,
}

impl Refused {
    /// Who is refused whatever they ask for, signed in or not: they need not connect.
    fn nobody(&self) -> Addresses {
        self.anything.intersect(&self.signed_in_anything)
    }
}

impl Listener {
    /// Whether anybody may write to somebody through it.
    pub fn is_for_strangers(&self) -> bool {
        Addresses::all().minus(&self.refused.anything).is_vast()
    }
}

/// So many listeners are made.
const LISTENERS_MAX: usize = 100;

pub(super) fn read(work: &mut Work<'_>, services: &[Service]) -> Vec<Listener> {
    let assumed = Service {
        name: "smtp".to_owned(),
        kind: "inet".to_owned(),
        command: "smtpd".to_owned(),
        overrides: Vec::new(),
        origin: Origin::unwritten("smtp inet smtpd"),
    };
    let assumed = [assumed];
    let services = if services.is_empty() {
        &assumed[..]
    } else {
        services
    };
    let mut names = BTreeSet::new();
    let mut listeners = Vec::new();
    for service in services.iter().filter(|service| service.kind == "inet") {
        let settings = match &*service.command {
            "smtpd" => service,
            // postscreen hands its clients to the smtpd of type pass.
            "postscreen" => behind(work, services, service),
            _ => continue,
        };
        let Some((host, port)) = service.endpoint() else {
            let why = "its port has a name that is not known here";
            work.report
                .add(Fate::NotTranslated, &service.origin, "", why);
            continue;
        };
        if listeners.len() == LISTENERS_MAX {
            work.report.add(
                Fate::NotTranslated,
                &service.origin,
                "",
                "too many services",
            );
            continue;
        }
        let parameters = work.parameters.with(&settings.overrides, &settings.origin);
        let name = unused(&mut names, port);
        work.report.add(
            Fate::Translated,
            &service.origin,
            &format!("[listener.{name}]"),
            "",
        );
        listeners.push(listener(
            work,
            name,
            (host, port),
            service,
            settings,
            parameters,
        ));
    }
    listeners
}

/// The smtpd to which postscreen hands its clients, by the name that it has there; postscreen itself, if there is none.
fn behind<'a>(work: &Work<'_>, services: &'a [Service], postscreen: &'a Service) -> &'a Service {
    let parameters = work
        .parameters
        .with(&postscreen.overrides, &postscreen.origin);
    let name = parameters.value("smtpd_service_name");
    let name = if name.is_empty() { "smtpd" } else { &*name };
    let mut passed = services
        .iter()
        .filter(|service| service.kind == "pass" && service.command == "smtpd");
    let only = passed.clone().next();
    let named = passed.find(|service| service.name == name);
    named.or(only).unwrap_or(postscreen)
}

fn unused(names: &mut BTreeSet<String>, port: u16) -> String {
    let base = match port {
        25 => "smtp".to_owned(),
        587 => "submission".to_owned(),
        465 => "submissions".to_owned(),
        port => format!("smtp-{port}"),
    };
    let mut name = base.clone();
    for number in 2..LISTENERS_MAX + 2 {
        if names.insert(name.clone()) {
            break;
        }
        name = format!("{base}-{number}");
    }
    name
}

fn listener(
    work: &mut Work<'_>,
    name: String,
    (host, port): (Option<String>, u16),
    service: &Service,
    settings: &Service,
    parameters: Parameters,
) -> Listener {
    let bind = binds(work, host.as_deref(), port, &parameters);
    let (own, networks_origin) = networks::own(work, &parameters);
    let lists = Lists::read(&parameters, &own, &work.files, &mut work.report);
    let rejected = |hosted, signed_in| lists.rejected(Case { hosted, signed_in }, &own);
    let (elsewhere, signed_in_elsewhere) = (rejected(false, false), rejected(false, true));
    let refused = Refused {
        anything: rejected(true, false).intersect(&elsewhere),
        signed_in_anything: rejected(true, true).intersect(&signed_in_elsewhere),
        elsewhere,
        signed_in_elsewhere,
    };
    Listener {
        name,
        bind,
        origin: service.origin.clone(),
        settings: settings.clone(),
        parameters,
        lists,
        networks: own,
        networks_origin,
        refused,
    }
}

/// Addresses and ports as `bind` has them.
fn binds(
    work: &mut Work<'_>,
    host: Option<&str>,
    port: u16,
    parameters: &Parameters,
) -> Vec<String> {
    let protocols = parameters.value("inet_protocols");
    let (v4, v6) = match &*protocols {
        "ipv4" => (true, false),
        "ipv6" => (false, true),
        _ => (true, true),
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    let both = |a: &str, b: &str| {
        [a.parse::<IpAddr>().ok(), b.parse().ok()]
            .into_iter()
            .flatten()
    };
    let interfaces = parameters.get("inet_interfaces");
    let hosts = host.map_or_else(|| words(&interfaces.value), |host| vec![host.to_owned()]);
    for host in hosts {
        match &*host {
            "all" => addresses.extend(both("0.0.0.0", "::")),
            "loopback-only" | "localhost" => addresses.extend(both("127.0.0.1", "::1")),
            host => match host.trim_matches(['[', ']']).parse() {
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let why = format!(
                        "{host} is a name: the listener is at all addresses; write the one it has"
                    );
                    work.report
                        .add(Fate::Changed, &interfaces.origin, "listener.NAME.bind", why);
                    addresses.extend(both("0.0.0.0", "::"));
                }
            },
        }
    }
    addresses.retain(|address| if address.is_ipv4() { v4 } else { v6 });
    addresses.dedup();
    let text = |address| std::net::SocketAddr::new(address, port).to_string();
    addresses.into_iter().map(text).collect()
}

pub(super) fn write(work: &mut Work<'_>, listeners: &[Listener]) {
    let first = listeners.first().map(permitted);
    for (number, listener) in listeners.iter().enumerate() {
        one(work, listener);
        let allowed = may_relay(listener);
        if number == 0 {
            relay(work, "[relay]", listener, &allowed);
        } else if first != Some(permitted(listener)) {
            relay(work, &head(listener, ".relay"), listener, &allowed);
        }
        signed_in(work, listener, number == 0);
    }
    senders(work, listeners);
    policy_services(work, listeners);
}

fn head(listener: &Listener, below: &str) -> String {
    format!("[listener.{}{below}]", listener.name)
}

fn may_relay(listener: &Listener) -> Addresses {
    Addresses::all().minus(&listener.refused.elsewhere)
}

/// All that `[relay]` says of who may relay without signing in.
fn permitted(listener: &Listener) -> (Addresses, Vec<&str>, Vec<&str>) {
    let entries = |kind| {
        let openings = listener.lists.let_through(kind);
        openings.map(|opening| &*opening.entry).collect()
    };
    (
        may_relay(listener),
        entries(Kind::Name),
        entries(Kind::Certificate),
    )
}

fn one(work: &mut Work<'_>, listener: &Listener) {
    let at = head(listener, "");
    let origin = &listener.origin;
    let binds = listener.bind.iter().map(String::as_str);
    work.draft.set(&at, "bind", list(binds), origin);
    let (auth, tls) = security(work, listener);
    work.draft.set(
        &at,
        "auth",
        quoted(auth),
        &listener.parameters.get("smtpd_sasl_auth_enable").origin,
    );
    work.draft.set(
        &at,
        "tls",
        quoted(tls),
        &listener.parameters.get("smtpd_tls_security_level").origin,
    );
    let own = listener.parameters.get("myhostname");
    if own.written && own.value != work.parameters.value("myhostname") {
        work.draft
            .set(&at, "hostname", quoted(&own.value), &own.origin);
    }
    let count = listener
        .parameters
        .get("smtpd_client_connection_count_limit");
    if let Some(number) = count.value.parse::<u32>().ok().filter(|&number| number > 0) {
        work.draft
            .set(&at, "max_per_client", number.to_string(), &count.origin);
        work.report.add(
            Fate::Translated,
            &count.origin,
            "listener.NAME.max_per_client",
            "",
        );
    }
    connect(work, listener, auth);
    for (zone, codes, origin) in &listener.lists.beside.dns_lists {
        let at = format!("[[listener.{}.dnsbl]]", listener.name);
        work.draft.open(&at, origin);
        work.draft.set(&at, "zone", quoted(zone), origin);
        if !codes.is_empty() {
            work.draft
                .set(&at, "codes", list(codes.iter().map(String::as_str)), origin);
        }
    }
}

/// What the listener says of sign-in and of encryption.
fn security(work: &mut Work<'_>, listener: &Listener) -> (&'static str, &'static str) {
    let parameters = &listener.parameters;
    let sasl = parameters.get("smtpd_sasl_auth_enable");
    let level = parameters.get("smtpd_tls_security_level");
    let wrapper = parameters.get("smtpd_tls_wrappermode");
    let is_yes = |name: &str| parameters.is_yes(name);
    let mut tls = match &*level.value {
        _ if is_yes("smtpd_tls_wrappermode") => "implicit",
        // Levels that a server cannot have are this one.
        "encrypt" | "verify" | "secure" | "fingerprint" | "dane" | "dane-only" => "require",
        "may" => "offer",
        "" if is_yes("smtpd_enforce_tls") => "require",
        "" if is_yes("smtpd_use_tls") => "offer",
        _ => "off",
    };
    for written in [&level, &wrapper]
        .into_iter()
        .filter(|written| written.written)
    {
        work.report
            .add(Fate::Translated, &written.origin, "listener.NAME.tls", "");
    }
    if !is_yes("smtpd_sasl_auth_enable") {
        return ("off", tls);
    }
    if tls == "off" {
        tls = "offer";
        let why = "sign-in needs encryption here, so STARTTLS is offered";
        work.report
            .add(Fate::Changed, &sasl.origin, "listener.NAME.tls", why);
    }
    let refuses_strangers = listener.refused.anything.is_everybody();
    let own = Addresses::all().minus(&listener.refused.anything);
    let only_here =
        own.minus(&Addresses::block(IpAddr::from([127, 0, 0, 0]), 8).unwrap_or_default());
    let only_here = only_here.minus(&Addresses::parse("::1").unwrap_or_default());
    let auth = if refuses_strangers
        || (only_here.is_empty() && !listener.refused.signed_in_anything.is_everybody())
    {
        "required"
    } else {
        "optional"
    };
    let why =
        "users come from [auth], not from Cyrus or Dovecot: see gatepost user and [ldap.NAME]";
    work.report
        .add(Fate::Changed, &sasl.origin, "listener.NAME.auth", why);
    (auth, tls)
}

/// Who may connect at all.
fn connect(work: &mut Work<'_>, listener: &Listener, auth: &str) {
    let at = head(listener, ".connect");
    let refused = &listener.refused;
    // Who signs in may come from where strangers may not.
    let nobody = match auth {
        "off" => refused.anything.clone(),
        _ => refused.nobody(),
    };
    let origin = client_origin(listener);
    let may = Addresses::all().minus(&nobody);
    if auth != "required" && nobody != refused.anything {
        let why = "who may come only by signing in may also write to hosted domains without it";
        work.report
            .add(Fate::Changed, &origin, "listener.NAME.auth", why);
    }
    if nobody.is_empty() {
        return names_refused(work, listener, &at);
    }
    if may.is_vast() {
        work.draft.set(&at, "mode", quoted("all-except"), &origin);
        for entry in nobody.entries() {
            work.draft.add(&at, "except", quoted(&entry), &origin);
        }
        return names_refused(work, listener, &at);
    }
    work.draft.set(&at, "mode", quoted("only-list"), &origin);
    for entry in may.entries() {
        work.draft.add(&at, "allow", quoted(&entry), &origin);
    }
}

fn names_refused(work: &mut Work<'_>, listener: &Listener, at: &str) {
    for (name, origin) in &listener.lists.beside.names_refused {
        work.draft.add(at, "except", quoted(name), origin);
    }
}

/// The list that keeps clients away.
fn client_origin(listener: &Listener) -> Origin {
    let client = listener.parameters.get("smtpd_client_restrictions");
    if client.written {
        return client.origin;
    }
    let relay = listener.lists.relay_origin.clone();
    relay.unwrap_or(client.origin)
}

fn relay(work: &mut Work<'_>, at: &str, listener: &Listener, allowed: &Addresses) {
    let let_through = |kind| listener.lists.let_through(kind);
    let same = *allowed == listener.networks;
    let origin = if same {
        listener.networks_origin.clone()
    } else {
        let relay = listener.lists.relay_origin.clone();
        relay.unwrap_or_else(|| listener.networks_origin.clone())
    };
    work.draft.section(at, &origin);
    if allowed.is_vast() {
        let why = format!(
            "listener {} would let anybody send anywhere: nobody may relay by address; list who may in relay.allow",
            listener.name
        );
        work.report.add(Fate::LeftOut, &origin, "", why);
        work.draft.set(at, "allow", "[]", &origin);
    } else if allowed.is_empty() && let_through(Kind::Name).next().is_none() {
        work.draft.set(at, "allow", "[]", &origin);
    } else {
        for entry in allowed.entries() {
            work.draft.add(at, "allow", quoted(&entry), &origin);
        }
    }
    for name in let_through(Kind::Name) {
        work.draft
            .add(at, "allow", quoted(&name.entry), &name.origin);
    }
    if at != "[relay]"
        && let_through(Kind::Certificate).next().is_none()
        && work.draft.has_key("[relay]", "certificates")
    {
        work.draft.set(at, "certificates", "[]", &origin);
    }
    for certificate in let_through(Kind::Certificate) {
        let entry = quoted(&certificate.entry);
        work.draft
            .add(at, "certificates", entry, &certificate.origin);
    }
}

fn signed_in(work: &mut Work<'_>, listener: &Listener, first: bool) {
    let refused = &listener.refused;
    // Those who cannot connect aside: users count here wherever they come from.
    let where_not = refused.signed_in_elsewhere.minus(&refused.nobody());
    let may = where_not.is_empty();
    let has_users = listener.parameters.is_yes("smtpd_sasl_auth_enable");
    let at = if first {
        "[relay]".to_owned()
    } else {
        head(listener, ".relay")
    };
    if has_users && !may {
        let origin = client_origin(listener);
        work.draft.set(&at, "signed_in", "false", &origin);
        if !refused.elsewhere.minus(&where_not).is_empty() {
            let why = "who signs in could relay from some addresses alone, which is not to be had: users relay nowhere";
            work.report
                .add(Fate::NotTranslated, &origin, "relay.signed_in", why);
        }
    }
    // What the first listener says of users is not meant for the others.
    if !first && has_users && may && work.draft.has_key("[relay]", "signed_in") {
        work.draft.set(&at, "signed_in", "true", &listener.origin);
    }
}

/// Each is asked once, about what comes through the listeners that name it.
fn policy_services(work: &mut Work<'_>, listeners: &[Listener]) {
    let mut known: Vec<(String, Option<&str>)> = Vec::new();
    for listener in listeners {
        for service in &listener.lists.beside.policy_services {
            let origin = &service.origin;
            // It is asked about mail of strangers, unless something else is said.
            let directions: &[Option<&str>] = match service.asked_about_all {
                true => &[None, Some("out")],
                false => &[None],
            };
            for direction in directions {
                let is = (service.address.clone(), *direction);
                let number = known
                    .iter()
                    .position(|one| *one == is)
                    .unwrap_or(known.len());
                let name = match number {
                    0 => "policy".to_owned(),
                    number => format!("policy{}", number + 1),
                };
                let at = named("scanner", &name);
                if number == known.len() {
                    known.push(is);
                    work.draft.set(&at, "kind", quoted("policy"), origin);
                    let address = quoted(&service.address);
                    work.draft.set(&at, "address", address, origin);
                    if let Some(direction) = direction {
                        work.draft.set(&at, "direction", quoted(direction), origin);
                    }
                }
                if listeners.len() > 1 {
                    let name = quoted(&listener.name);
                    work.draft.add(&at, "listener", name, origin);
                }
            }
        }
    }
}

/// What is said of senders holds for all listeners here.
fn senders(work: &mut Work<'_>, listeners: &[Listener]) {
    let mut seen = BTreeSet::new();
    for (number, listener) in listeners.iter().enumerate() {
        for (sender, origin) in &listener.lists.beside.blocked_senders {
            if !seen.insert(sender.clone()) {
                continue;
            }
            if number > 0 {
                let why = "refused at every listener";
                work.report
                    .add(Fate::Changed, origin, "senders.blocked", why);
            }
            work.draft
                .add("[senders]", "blocked", quoted(sender), origin);
        }
        if let Some(origin) = &listener.lists.beside.sender_match {
            work.draft
                .set("[auth]", "sender_match", quoted("listed"), origin);
        }
    }
}

/// The section of a domain.
pub(super) fn domain(name: &str) -> String {
    named("domain", name)
}

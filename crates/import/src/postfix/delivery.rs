//! Next hops with what belongs to them: sign-in, encryption; and where all other mail goes.

use std::collections::BTreeMap;

use super::Work;
use super::domains::Class;
use super::lines::words;
use super::tables::{Line, Table};
use super::transports::Way;
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

pub(super) struct Routes {
    /// Where all goes that has no line of its own: the line `*` of transport_maps.
    pub default: Option<(Way, Origin)>,
    relayhost: Option<(Way, Origin)>,
    /// Names, and passwords that are never shown.
    passwords: Vec<Line>,
    policies: Vec<Line>,
    /// Names of the routes that were made, by their hosts and user.
    made: BTreeMap<String, String>,
}

/// Where the files of passwords are to be.
const SECRETS: &str = "/etc/gatepost/secrets";

impl Routes {
    pub fn read(work: &mut Work<'_>) -> Self {
        let relayhost = work.parameters.get("relayhost");
        let way = Way::next_hops(&relayhost.value);
        let has_relayhost = way != Way::Mx;
        if relayhost.written && has_relayhost {
            work.report
                .add(Fate::Translated, &relayhost.origin, "outbound.route", "");
        }
        let passwords = match work.parameters.is_yes("smtp_sasl_auth_enable") {
            true => keys(work, "smtp_sasl_password_maps", "route.NAME.auth"),
            false => Vec::new(),
        };
        let policies = keys(work, "smtp_tls_policy_maps", "route.NAME.tls");
        Self {
            default: None,
            relayhost: has_relayhost.then_some((way, relayhost.origin)),
            passwords,
            policies,
            made: BTreeMap::new(),
        }
    }

    /// How mail of a class goes that has no way of its own.
    pub fn of_class(&self, work: &Work<'_>, class: Class) -> Option<(Way, Origin)> {
        let transport = match class {
            Class::Relay => work.parameters.get("relay_transport"),
            Class::Mailbox => work.parameters.get("virtual_transport"),
            Class::Alias | Class::Local => return None,
        };
        let way = Way::parse(&transport.value, &work.transports);
        match way {
            Way::Mx if class == Class::Relay => self.relayhost.clone(),
            way => Some((way, transport.origin)),
        }
    }

    /// Says where the mail of a section goes.
    pub fn lead(&mut self, work: &mut Work<'_>, head: &str, way: &Way, origin: &Origin) {
        let route = match way {
            Way::Mx => quoted("mx"),
            Way::Hosts(hosts) => self.route(work, hosts, None, false, origin),
            Way::Lmtp(hosts) => self.route(work, hosts, None, true, origin),
            Way::Other(transport) => {
                let why = format!(
                    "the transport {transport} has no counterpart: its mail goes as all other does; write its route"
                );
                return work
                    .report
                    .add(Fate::NotTranslated, origin, "domain.NAME.route", why);
            }
            Way::Refuse(_) => return,
        };
        work.draft.set(head, "route", route, origin);
    }

    /// Hosts as the value of `route`: themselves, or the name of a section where more belongs to them.
    fn route(
        &mut self,
        work: &mut Work<'_>,
        hosts: &[String],
        sender: Option<&str>,
        lmtp: bool,
        origin: &Origin,
    ) -> String {
        let login = hosts.iter().find_map(|host| self.password(host, sender));
        let login = login.cloned().filter(|login| {
            let is_whole = login.value.contains(':');
            if !is_whole {
                let why = "no user and password with a colon between them";
                work.report.add(
                    Fate::NotTranslated,
                    &login.origin.keyed(&login.key),
                    "route.NAME.auth",
                    why,
                );
            }
            is_whole
        });
        let policy = hosts.iter().find_map(|host| self.policy(host)).cloned();
        let first = hosts.first().map_or("", String::as_str);
        if login.is_none() && policy.is_none() && !lmtp {
            return match hosts {
                [one] => quoted(one),
                several => list(several.iter().map(String::as_str)),
            };
        }
        let user = login.as_ref().map_or("", |line| user(&line.value));
        let key = format!("{} {user} {lmtp}", hosts.join(" "));
        if let Some(name) = self.made.get(&key) {
            return quoted(name);
        }
        let name = self.unused(first);
        self.made.insert(key, name.clone());
        let head = format!("[route.{name}]");
        work.draft.set(
            &head,
            "hosts",
            list(hosts.iter().map(String::as_str)),
            origin,
        );
        if lmtp {
            work.draft.set(&head, "protocol", quoted("lmtp"), origin);
        }
        let level = work.parameters.get("smtp_tls_security_level");
        if let Some(policy) = &policy {
            encrypt(work, &head, "tls", &policy.value, &policy.origin);
        } else if login.is_some() && matches!(&*level.value, "encrypt" | "verify" | "secure") {
            encrypt(work, &head, "tls", &level.value, &level.origin);
        }
        if let Some(login) = &login {
            sign_in(work, &name, login);
        }
        quoted(&name)
    }

    fn unused(&self, host: &str) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let base: String = host.chars().map(plain).take(60).collect();
        let base = format!("to-{}", base.trim_matches('-'));
        let taken = |name: &String| self.made.values().any(|made| made == name);
        let mut name = base.clone();
        for number in 2..=self.made.len() + 2 {
            if !taken(&name) {
                break;
            }
            name = format!("{base}-{number}");
        }
        name
    }

    /// Looked for by sender, by the next hop as it is written, and by its name alone.
    fn password(&self, host: &str, sender: Option<&str>) -> Option<&Line> {
        let by_sender = sender.and_then(|sender| find(&self.passwords, sender));
        by_sender
            .or_else(|| find(&self.passwords, host))
            .or_else(|| find(&self.passwords, bare(host)))
    }

    fn policy(&self, host: &str) -> Option<&Line> {
        find(&self.policies, host)
    }

    /// What goes to domains that are not hosted here.
    pub fn write(&mut self, work: &mut Work<'_>) {
        let transport = work.parameters.get("default_transport");
        let by_transport = match Way::parse(&transport.value, &work.transports) {
            Way::Mx => None,
            way => Some((way, transport.origin)),
        };
        let outbound = self
            .default
            .clone()
            .or(by_transport)
            .or_else(|| self.relayhost.clone());
        let fallback = work.parameters.get("smtp_fallback_relay");
        match outbound {
            Some((Way::Refuse(_), origin)) => {
                let why =
                    "mail for all other domains was refused: leave relay.allow empty for that";
                work.report
                    .add(Fate::NotTranslated, &origin, "outbound.route", why);
            }
            Some((way, origin)) => self.lead(work, "[outbound]", &way, &origin),
            None if !fallback.value.is_empty() => {
                let hosts = Way::next_hops(&fallback.value);
                self.lead(work, "[outbound]", &hosts, &fallback.origin);
                work.draft
                    .set("[outbound]", "direct_first", "true", &fallback.origin);
                let why = "where DNS shows no host, or none can be reached";
                work.report.add(
                    Fate::Changed,
                    &fallback.origin,
                    "outbound.direct_first",
                    why,
                );
            }
            None => {}
        }
        let level = work.parameters.get("smtp_tls_security_level");
        if level.written && !level.value.is_empty() {
            encrypt(work, "[outbound]", "tls", &level.value, &level.origin);
        } else {
            let why = "mail is encrypted wherever a server offers it; Postfix did not";
            work.report
                .add(Fate::Changed, &level.origin, "outbound.tls", why);
        }
        self.by_sender(work);
        self.policies_of_domains(work);
    }

    fn by_sender(&mut self, work: &mut Work<'_>) {
        let with_sender = work
            .parameters
            .is_yes("smtp_sender_dependent_authentication");
        for line in keys(work, "sender_dependent_relayhost_maps", "[[sender_route]]") {
            let Way::Hosts(hosts) = Way::next_hops(&line.value) else {
                continue;
            };
            let sender = with_sender.then_some(&*line.key);
            let route = self.route(work, &hosts, sender, false, &line.origin);
            let senders = line.key.strip_prefix('@').unwrap_or(&line.key);
            work.draft.open("[[sender_route]]", &line.origin);
            work.draft
                .set("[[sender_route]]", "senders", list([senders]), &line.origin);
            work.draft
                .set("[[sender_route]]", "route", route, &line.origin);
        }
    }

    /// Policies whose key is no next hop of a route are for domains.
    fn policies_of_domains(&self, work: &mut Work<'_>) {
        let by_mx = !work.draft.has_key("[outbound]", "route");
        for line in &self.policies {
            let origin = line.origin.keyed(&line.key);
            if line.key.starts_with('[') || line.key.contains(':') {
                continue;
            }
            let name = match line.key.strip_prefix('.') {
                Some(rest) => format!("*.{rest}"),
                None => line.key.clone(),
            };
            let head = super::listeners::domain(&name);
            if !work.draft.has(&head) {
                if !by_mx {
                    let why = "mail for that domain goes to a smart host";
                    work.report
                        .add(Fate::NotTranslated, &origin, "domain.NAME.tls", why);
                    continue;
                }
                work.draft
                    .set(&head, "accept_from", quoted("relay"), &line.origin);
            }
            encrypt(work, &head, "tls", &line.value, &origin);
        }
    }
}

fn keys(work: &mut Work<'_>, name: &str, option: &str) -> Vec<Line> {
    let parameter = work.parameters.get(name);
    let mut lines = Vec::new();
    for spec in words(&parameter.value) {
        match work.files.table(&spec, &parameter.origin) {
            Ok(Table::Keys(found)) => {
                lines.extend(found);
                work.report.add(
                    Fate::Translated,
                    &parameter.origin,
                    option,
                    "line by line, below",
                );
            }
            Ok(_) => work.report.add(
                Fate::NotTranslated,
                &parameter.origin,
                option,
                "a table without names",
            ),
            Err(why) => work
                .report
                .add(Fate::NotTranslated, &parameter.origin, option, why),
        }
    }
    lines
}

fn find<'a>(lines: &'a [Line], key: &str) -> Option<&'a Line> {
    let key = key.to_ascii_lowercase();
    lines.iter().find(|line| line.key == key)
}

/// `[host]:port` and `host:port` without brackets and port.
fn bare(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn user(value: &str) -> &str {
    value.split(':').next().unwrap_or("")
}

/// The user, and where the password is to be; itself it goes nowhere.
fn sign_in(work: &mut Work<'_>, route: &str, login: &Line) {
    let head = format!("[route.{route}.auth]");
    let file = format!("{SECRETS}/{route}.password");
    let note = format!(
        "The password stands at {}: put it into {file}, which only the relay's account may read.",
        login.origin
    );
    work.draft.note(&head, &login.origin, &note);
    work.draft
        .set(&head, "user", quoted(user(&login.value)), &login.origin);
    work.draft.set(
        &head,
        "secret",
        quoted(&format!("file:{file}")),
        &login.origin,
    );
    let origin = login.origin.keyed(&login.key);
    let why = format!("the password is not copied: put it into {file}");
    work.report
        .add(Fate::Changed, &origin, &format!("route.{route}.auth"), why);
}

/// A level of Postfix as one of ours.
fn encrypt(work: &mut Work<'_>, head: &str, key: &str, level: &str, origin: &Origin) {
    let word = level.split_whitespace().next().unwrap_or("");
    let (ours, why) = match word {
        "none" => ("off", ""),
        "may" => ("opportunistic", ""),
        "encrypt" => ("require", ""),
        "verify" | "secure" => (
            "verify",
            "the certificate has to be for the host's name; `match` is route.NAME.tls_name",
        ),
        "dane" | "half-dane" => ("opportunistic", "outbound.dane does the rest"),
        "dane-only" => ("require", "without TLSA records, too"),
        _ => {
            let why = format!("the level {word} has no counterpart");
            return work.report.add(Fate::NotTranslated, origin, "tls", why);
        }
    };
    work.draft.set(head, key, quoted(ours), origin);
    let fate = if matches!(word, "none" | "may" | "encrypt") {
        Fate::Translated
    } else {
        Fate::Changed
    };
    let option = format!("{} {key}", head.trim_matches(['[', ']']));
    work.report.add(fate, origin, &option, why);
}

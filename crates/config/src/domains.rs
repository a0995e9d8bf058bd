//! `[domain.NAME]` and `[senders]`: what is ours, from whom it is taken, and where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::{Domain, Place};
use relay_policy::{
    AcceptFrom, DomainKind, DomainRule, DomainTable, NameMap, NamePattern, Recipients, SenderRules,
};
use route::{DomainPattern, TlsDemand, Via};

use crate::assemble::first_place;
use crate::config::{DomainSettings, EightBit};
use crate::deliveries::{tls_demand, warn_of_addresses};
use crate::relay::list;
use crate::routes::via;
use crate::settings::{Section, Settings};
use crate::value::Value;
use crate::{Files, recipients};

/// All domains, as everybody needs them.
#[derive(Default)]
pub(crate) struct Domains {
    pub table: DomainTable,
    pub vias: Vec<(DomainPattern, Via, Place)>,
    pub settings: NameMap<DomainSettings>,
    /// The first hosted one of the file.
    pub first: Option<Domain>,
    /// Files of recipients that were read.
    pub recipient_files: Vec<PathBuf>,
}

pub(crate) fn domains(settings: &mut Settings, files: &dyn Files, data_dir: &Path) -> Domains {
    let mut domains = Domains::default();
    for section in settings.sections_of("domain.*") {
        match NamePattern::parse(&section.name) {
            Ok(pattern) => {
                domain(settings, &section, pattern, files, data_dir, &mut domains);
            }
            Err(why) => {
                let message = format!("[{}] names no domain", section.key);
                settings.error(&section.span, message, &why.to_string());
            }
        }
    }
    domains
}

fn domain(
    settings: &mut Settings,
    section: &Section,
    pattern: NamePattern,
    files: &dyn Files,
    data_dir: &Path,
    domains: &mut Domains,
) {
    let place = settings.place(&section.span);
    let key = |name: &str| format!("{}.{name}", section.key);
    let kind = match settings.text(&key("type"), "domain.*.type").as_deref() {
        Some("local") => DomainKind::Local,
        Some("blocked") => DomainKind::Blocked,
        Some(_) | None => DomainKind::Remote,
    };
    check_meaning(settings, section, kind);
    if kind == DomainKind::Local {
        check_local_recipients(settings, section);
    }
    if kind != DomainKind::Blocked {
        hosted(settings, section, &pattern, kind, data_dir, domains);
    }
    let read = &mut domains.recipient_files;
    let recipients = match kind {
        DomainKind::Blocked => Recipients::Any,
        DomainKind::Remote | DomainKind::Local => {
            recipients::of_domain(settings, section, &pattern, files, read)
        }
    };
    let rule = DomainRule {
        kind,
        recipients,
        accept_from: accept_from(settings, &key("accept_from")),
        accept_from_place: settings.place_of(&key("accept_from")),
        message: settings
            .text(&key("message"), "domain.*.message")
            .map(Arc::from),
        ..DomainRule::remote(pattern, place)
    };
    // The same name in two spellings: TOML cannot see that.
    if let Some(earlier) = domains.table.insert(rule) {
        let message = format!("[{}] is the same domain as one before", section.key);
        settings.error(
            &section.span,
            message,
            &format!("first at {}", earlier.place),
        );
    }
}

/// Where mail for a domain of ours goes, and how.
fn hosted(
    settings: &mut Settings,
    section: &Section,
    pattern: &NamePattern,
    kind: DomainKind,
    data_dir: &Path,
    domains: &mut Domains,
) {
    let key = |name: &str| format!("{}.{name}", section.key);
    let via = match kind {
        DomainKind::Local => {
            Via::Directory(drop_directory(settings, &key("drop_directory"), data_dir))
        }
        DomainKind::Remote | DomainKind::Blocked => via(settings, &key("route")),
    };
    let place = first_place([
        settings.place_of(&key("route")),
        settings.place(&section.span),
    ]);
    domains.vias.push((route_pattern(pattern), via, place));
    if let (None, NamePattern::Exact(name)) = (&domains.first, pattern) {
        domains.first = Some(name.clone());
    }
    let delivery = domain_settings(settings, section);
    if delivery.tls == Some(TlsDemand::Verify) {
        let label = "else make it a [route.NAME] with tls_name";
        warn_of_addresses(settings, &key("route"), label);
    }
    domains.settings.insert(pattern.clone(), delivery);
}

fn domain_settings(settings: &Settings, section: &Section) -> DomainSettings {
    let eight_bit = settings.text(&format!("{}.eight_bit", section.key), "domain.*.eight_bit");
    DomainSettings {
        tls: tls_demand(settings, &format!("{}.tls", section.key), "domain.*.tls"),
        eight_bit: if eight_bit.as_deref() == Some("bounce") {
            EightBit::Bounce
        } else {
            EightBit::Send
        },
        helo_only: settings.flag(&format!("{}.helo_only", section.key), "domain.*.helo_only"),
    }
}

fn route_pattern(pattern: &NamePattern) -> DomainPattern {
    match pattern {
        NamePattern::Exact(name) => DomainPattern::Exact(name.clone()),
        NamePattern::Below(name) => DomainPattern::Below(name.clone()),
        NamePattern::Any => DomainPattern::Any,
    }
}

fn drop_directory(settings: &Settings, key: &str, data_dir: &Path) -> PathBuf {
    let written = settings
        .text(key, "domain.*.drop_directory")
        .map(PathBuf::from);
    written.unwrap_or_else(|| data_dir.join("drop"))
}

fn accept_from(settings: &Settings, key: &str) -> AcceptFrom {
    match settings.get(key).map(|setting| &setting.value) {
        Some(Value::List(_)) => AcceptFrom::List(list(settings, key)),
        Some(Value::Text(word)) if word == "relay" => AcceptFrom::Relay,
        Some(_) | None => AcceptFrom::Anyone,
    }
}

/// A domain that is kept here has no next hop that could be asked.
fn check_local_recipients(settings: &mut Settings, section: &Section) {
    let key = format!("{}.recipients", section.key);
    let word = settings.get(&key).map(|setting| &setting.value);
    if matches!(word, Some(Value::Text(word)) if word == "verify") {
        let message = format!("[{}] is local: there is no next hop to ask", section.key);
        settings.error_at(
            &key,
            message,
            "write a list, \"file:PATH\" or \"ldap:NAME\"",
        );
    }
}

/// Options that this type of domain does not read are mistakes, not decoration.
fn check_meaning(settings: &mut Settings, section: &Section, kind: DomainKind) {
    let unread: &[&str] = match kind {
        DomainKind::Remote => &["drop_directory", "message"],
        DomainKind::Local => &["route", "tls", "message"],
        DomainKind::Blocked => &[
            "route",
            "accept_from",
            "recipients",
            "recipients_unasked",
            "tls",
            "drop_directory",
        ],
    };
    for name in unread {
        let key = format!("{}.{name}", section.key);
        if let Some(span) = settings.get(&key).map(|setting| setting.key.clone()) {
            let message = format!(
                "`{name}` in [{}] means nothing in a {} domain",
                section.key,
                kind.as_str()
            );
            settings.error(&span, message, "take it out, or change the type");
        }
    }
}

pub(crate) fn senders(settings: &Settings) -> SenderRules {
    let mut rules = SenderRules::default();
    for item in settings.items("senders.blocked") {
        if let Value::Sender(sender) = &item.value {
            rules.block(sender.clone(), settings.place(&item.span));
        }
    }
    rules
}

//! `[domain.NAME]` and `[senders]`: what is ours, from whom it is taken, and where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::{Domain, Place};
use relay_policy::{
    AcceptFrom, DomainKind, DomainRule, DomainTable, List, NameMap, NamePattern, Recipients,
    SenderRules,
};
use route::{DomainPattern, TlsDemand, Via};

use crate::config::DomainSettings;
use crate::deliveries::warn_of_smart_hosts;
use crate::form::Either;
use crate::option::Definition;
use crate::options::{domain as options, on_demand as on_demand_options, senders};
use crate::relay::entries;
use crate::routes::via;
use crate::settings::{Section, Settings, first_place};
use crate::values::RecipientsAt;
use crate::{Files, on_demand, recipients};

/// All domains, as everybody needs them.
#[derive(Default)]
pub(crate) struct Domains {
    pub table: DomainTable,
    pub vias: Vec<(DomainPattern, Via, Place)>,
    pub settings: NameMap<DomainSettings>,
    /// How mail waits until somebody asks for it, where it does.
    pub on_demand: NameMap<Option<::queue::OnDemand>>,
    /// Whether somebody knows which recipients exist.
    pub known_recipients: NameMap<bool>,
    /// The first hosted one of the file.
    pub first: Option<Domain>,
    /// Files of recipients that were read.
    pub recipient_files: Vec<PathBuf>,
}

pub(crate) fn domains(settings: &mut Settings, files: &dyn Files, data_dir: &Path) -> Domains {
    let mut domains = Domains::default();
    for section in settings.sections_of(options::SECTION) {
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
    let kind = settings.get(section.at(options::TYPE));
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
    let on_demand = on_demand::read(settings, section);
    let waiting = on_demand.as_ref().map(|(who, expire)| ::queue::OnDemand {
        entry: pattern.clone(),
        expire: *expire,
        place: who.place.clone(),
    });
    domains.on_demand.insert(pattern.clone(), waiting);
    let known = !matches!(recipients, Recipients::Any);
    domains.known_recipients.insert(pattern.clone(), known);
    let rule = DomainRule {
        kind,
        recipients,
        on_demand: on_demand.map(|(who, _)| who),
        accept_from: accept_from(settings, section),
        accept_from_place: settings.place_of(section.at(options::ACCEPT_FROM)),
        message: settings.get(section.at(options::MESSAGE)).map(Arc::from),
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
    let via = match kind {
        DomainKind::Local => Via::Directory(drop_directory(settings, section, data_dir)),
        DomainKind::Remote | DomainKind::Blocked => via(settings, section.at(options::ROUTE)),
    };
    let place = first_place([
        settings.place_of(section.at(options::ROUTE)),
        settings.place(&section.span),
    ]);
    domains.vias.push((route_pattern(pattern), via, place));
    if let (None, NamePattern::Exact(name)) = (&domains.first, pattern) {
        domains.first = Some(name.clone());
    }
    let mut delivery = DomainSettings::default();
    options::fill(settings, section, &mut delivery);
    if delivery.tls == Some(TlsDemand::Verify) {
        warn_of_smart_hosts(settings, section.at(options::ROUTE));
    }
    domains.settings.insert(pattern.clone(), delivery);
}

pub(crate) fn route_pattern(pattern: &NamePattern) -> DomainPattern {
    match pattern {
        NamePattern::Exact(name) => DomainPattern::Exact(name.clone()),
        NamePattern::Below(name) => DomainPattern::Below(name.clone()),
        NamePattern::Any => DomainPattern::Any,
    }
}

fn drop_directory(settings: &Settings, section: &Section, data_dir: &Path) -> PathBuf {
    let written = settings.get(section.at(options::DROP_DIRECTORY));
    written.unwrap_or_else(|| data_dir.join("drop"))
}

fn accept_from(settings: &Settings, section: &Section) -> AcceptFrom {
    let at = section.at(options::ACCEPT_FROM);
    match settings.get(&at) {
        Either::Word(false) => AcceptFrom::Anyone,
        Either::Word(true) => AcceptFrom::Relay,
        Either::List(items) => {
            AcceptFrom::List(List::new(entries(settings, items), settings.place_of(at)))
        }
    }
}

/// A domain that is kept here has no next hop that could be asked.
fn check_local_recipients(settings: &mut Settings, section: &Section) {
    let at = section.at(options::RECIPIENTS);
    if settings.get(&at) == Some(Either::Word(RecipientsAt::NextHop)) {
        let message = format!("[{}] is local: there is no next hop to ask", section.key);
        let label = "write a list, \"file:PATH\" or \"ldap:NAME\"";
        settings.error_at(at, message, label);
    }
}

/// Options that this type of domain does not read are mistakes, not decoration.
fn check_meaning(settings: &mut Settings, section: &Section, kind: DomainKind) {
    let unread: &[&dyn Definition] = match kind {
        DomainKind::Remote => &[options::DROP_DIRECTORY, options::MESSAGE],
        DomainKind::Local => &[
            options::ROUTE,
            options::TLS,
            options::MESSAGE,
            on_demand_options::USERS,
            on_demand_options::CLIENTS,
            on_demand_options::EXPIRE,
        ],
        DomainKind::Blocked => &[
            options::ROUTE,
            options::ACCEPT_FROM,
            options::RECIPIENTS,
            options::RECIPIENTS_UNASKED,
            options::TLS,
            options::DROP_DIRECTORY,
            on_demand_options::USERS,
            on_demand_options::CLIENTS,
            on_demand_options::EXPIRE,
        ],
    };
    for definition in unread {
        let message = format!(
            "`{}` in [{}] means nothing in a {} domain",
            definition.facts().name,
            section.key,
            kind.as_str()
        );
        let label = match definition.facts().name {
            "drop_directory" => "write type = \"local\", or take it out",
            "message" => "write type = \"blocked\", or take it out",
            _ => "take it out, or change the type",
        };
        settings.error_at_name(&section.key_of(*definition), message, label);
    }
}

pub(crate) fn senders(settings: &Settings) -> SenderRules {
    let mut rules = SenderRules::default();
    for item in settings.get(senders::BLOCKED) {
        rules.block(item.value, settings.place(&item.span));
    }
    rules
}

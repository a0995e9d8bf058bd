//! As whom mail goes out, where that is not as it came: `[[send_as]]`, `route.NAME.send_as`,
//! `outbound.masquerade_domain`.

use std::sync::Arc;

use delivery::{SendAs, SendAsRule, SentAs};
use mail::{Domain, Mailbox};
use relay_policy::{AddressRange, Clients, DomainTable, SenderPattern};

use crate::config::Listener;
use crate::option::Opt;
use crate::options::{outbound, route, send_as as options};
use crate::settings::{Section, Settings};

/// Of a relay of this name, with these listeners and domains of ours.
pub(crate) fn read(
    settings: &mut Settings,
    hostname: &Domain,
    listeners: &[Listener],
    hosted: &Arc<DomainTable>,
) -> Arc<SendAs> {
    let sections = settings.sections_of(options::SECTION).into_iter();
    let rules = sections
        .filter_map(|section| rule(settings, &section))
        .collect();
    let sections = settings.sections_of(route::SECTION).into_iter();
    let routes = sections.filter_map(|section| {
        let sent_as = sent_as(settings, &section, route::SEND_AS)?;
        Some((format!("route:{}", section.name).into(), sent_as))
    });
    let routes = routes.collect();
    let of_listeners = listeners.iter().map(|listener| &listener.hostname);
    let place = settings.place_of(outbound::MASQUERADE_DOMAIN);
    let masquerade = settings.get(outbound::MASQUERADE_DOMAIN);
    Arc::new(SendAs {
        rules,
        routes,
        masquerade: masquerade.map(|domain| (domain, place)),
        own_names: of_listeners.chain([hostname]).cloned().collect(),
        hosted: Arc::clone(hosted),
    })
}

fn rule(settings: &mut Settings, section: &Section) -> Option<SendAsRule> {
    let sent_as = sent_as(settings, section, options::AS);
    if sent_as.is_none() && !settings.has_error_in(&section.key) {
        let message = "[[send_as]] has no `as`".to_owned();
        settings.error(&section.span, message, "write as = \"scanner@example.com\"");
    }
    let senders: Vec<SenderPattern> = settings.values(section.at(options::SENDERS));
    if senders.contains(&SenderPattern::Null) {
        let message = "what comes from <> is nobody's, and goes out as it came".to_owned();
        settings.error_at(section.at(options::SENDERS), message, "leave \"<>\" out");
    }
    Some(SendAsRule {
        senders,
        clients: clients(settings, section),
        users: settings
            .values(section.at(options::USERS))
            .into_iter()
            .map(Into::into)
            .collect(),
        sent_as: sent_as?,
    })
}

/// By address alone: a message keeps no name of its client.
fn clients(settings: &mut Settings, section: &Section) -> Vec<AddressRange> {
    let mut ranges = Vec::new();
    for item in settings.get(section.at(options::CLIENTS)) {
        match item.value.clients {
            Clients::Range(range) => ranges.push(range),
            Clients::Below(_) => {
                let message = "[[send_as]] knows clients by address alone".to_owned();
                settings.error(&item.span, message, "write an address, a block or a range");
            }
        }
    }
    ranges
}

/// An address that every server takes: its domain in A-labels.
fn sent_as(
    settings: &mut Settings,
    section: &Section,
    option: &'static Opt<Option<Mailbox>>,
) -> Option<SentAs> {
    let written = settings.get(section.at(option))?;
    let ascii = written
        .in_ascii()
        .and_then(|text| Mailbox::parse(&text).ok());
    if ascii.is_none() {
        let message = "an address beyond ASCII is not taken by every server".to_owned();
        settings.error_at(section.at(option), message, "write one within ASCII");
    }
    Some(SentAs {
        sender: ascii?,
        author: true,
        place: settings.place_of(section.at(option)),
    })
}

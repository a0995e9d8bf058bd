//! `dnsbl` of a listener: DNS lists of unwanted and wanted clients.

use std::sync::Arc;

use relay_policy::{DnsList, DnsLists};

use crate::options::{listener, listener_dnsbl as dnsbl};
use crate::relay::list;
use crate::settings::{Section, Settings};

/// Each list is a question for each stranger.
const LISTS_MAX: usize = 32;

/// Those of a listener.
pub(crate) fn of_listener(settings: &mut Settings, section: &Section) -> DnsLists {
    let within = format!("{}.", section.key);
    let mut sections = settings.sections_of(dnsbl::SECTION);
    sections.retain(|list| list.key.starts_with(&within));
    if let Some(section) = sections.get(LISTS_MAX) {
        let message = format!("more than {LISTS_MAX} DNS lists");
        settings.error(&section.span, message, "");
    }
    let lists: Vec<DnsList> = sections
        .iter()
        .filter_map(|section| dns_list(settings, section))
        .collect();
    let lists = DnsLists {
        lists,
        threshold: settings.get(section.at(listener::DNSBL_THRESHOLD)),
        except: list(settings, section.at(listener::DNSBL_EXCEPT)),
    };
    warn_of_reach(settings, section, &lists);
    lists
}

fn dns_list(settings: &mut Settings, section: &Section) -> Option<DnsList> {
    let reply = settings.get(section.at(dnsbl::REPLY));
    if reply
        .as_deref()
        .is_some_and(|text| !crate::values::is_reply_text(text))
    {
        let message = "a reply is one line of at most 200 plain characters".to_owned();
        settings.error_at(section.at(dnsbl::REPLY), message, "");
    }
    let Some(zone) = settings.get(section.at(dnsbl::ZONE)) else {
        // A zone that cannot be read is reported already.
        if !settings.has_error_in(&section.key) {
            let message = "a DNS list has no `zone`".to_owned();
            settings.error(&section.span, message, "write zone = \"zen.dnsbl.example\"");
        }
        return None;
    };
    Some(DnsList {
        zone,
        codes: settings.values(section.at(dnsbl::CODES)),
        weight: settings.get(section.at(dnsbl::WEIGHT)),
        reply: reply.map(Arc::from),
        place: settings.place(&section.span),
    })
}

/// Lists that together refuse nobody look like protection and are none.
fn warn_of_reach(settings: &mut Settings, section: &Section, lists: &DnsLists) {
    let most: i32 = lists.lists.iter().map(|list| list.weight.max(0)).sum();
    if !lists.lists.is_empty() && most < lists.threshold {
        let message = format!("the DNS lists of [{}] never refuse anybody", section.key);
        let label = format!("all weights together are {most}");
        settings.warn_at(section.at(listener::DNSBL_THRESHOLD), message, &label);
    }
}

//! `dnsbl` of a listener: DNS lists of unwanted and wanted clients.

use std::net::Ipv4Addr;
use std::sync::Arc;

use relay_policy::{DnsList, DnsLists};

use crate::relay::list;
use crate::settings::{Section, Settings};
use crate::value::Value;

/// Each list is a question for each stranger.
const LISTS_MAX: usize = 32;

/// Those of `listener` (its section's key).
pub(crate) fn of_listener(settings: &mut Settings, listener: &str) -> DnsLists {
    let within = format!("{listener}.dnsbl.");
    let mut sections = settings.sections_of("listener.*.dnsbl[]");
    sections.retain(|section| section.key.starts_with(&within));
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
        threshold: settings.signed(
            &format!("{listener}.dnsbl_threshold"),
            "listener.*.dnsbl_threshold",
        ),
        except: list(settings, &format!("{listener}.dnsbl_except")),
    };
    warn_of_reach(settings, listener, &lists);
    lists
}

fn dns_list(settings: &mut Settings, section: &Section) -> Option<DnsList> {
    let key = |name: &str| format!("{}.{name}", section.key);
    let reply = settings.text(&key("reply"), "listener.*.dnsbl[].reply");
    if reply
        .as_deref()
        .is_some_and(|text| !crate::listeners::is_reply_text(text))
    {
        let message = "a reply is one line of at most 200 plain characters".to_owned();
        settings.error_at(&key("reply"), message, "");
    }
    let Some(zone) = settings.name(&key("zone"), "listener.*.dnsbl[].zone") else {
        // A zone that cannot be read is reported already.
        if !settings.has_error() {
            let message = "a DNS list has no `zone`".to_owned();
            settings.error(&section.span, message, "write zone = \"zen.dnsbl.example\"");
        }
        return None;
    };
    Some(DnsList {
        zone,
        codes: codes(settings, &key("codes")),
        weight: settings.signed(&key("weight"), "listener.*.dnsbl[].weight"),
        reply: reply.map(Arc::from),
        place: settings.place(&section.span),
    })
}

fn codes(settings: &Settings, key: &str) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let codes = settings
        .items(key)
        .iter()
        .filter_map(|item| match item.value {
            Value::Codes(first, last) => Some((first, last)),
            _ => None,
        });
    codes.collect()
}

/// Lists that together refuse nobody look like protection and are none.
fn warn_of_reach(settings: &mut Settings, listener: &str, lists: &DnsLists) {
    let most: i32 = lists.lists.iter().map(|list| list.weight.max(0)).sum();
    if !lists.lists.is_empty() && most < lists.threshold {
        let message = format!("the DNS lists of [{listener}] never refuse anybody");
        let label = format!("all weights together are {most}");
        settings.warn_at(&format!("{listener}.dnsbl_threshold"), message, &label);
    }
}

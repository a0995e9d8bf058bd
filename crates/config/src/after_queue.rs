//! `[after_queue]`: a filter to which messages go once they are taken, and the listener on which they
//! come back.

use std::net::SocketAddr;
use std::sync::Arc;

use delivery::Protocol;
use mail::Place;
use relay_policy::{Access, Clients, Entry, List, RelayRule, Rules, WayBack};

use crate::option::{Definition, Opt};
use crate::options::{after_queue as options, listener, listener_connect, listener_relay, route};
use crate::settings::{Section, Settings};
use crate::suggest::nearest;

/// What a message may grow by in the filter, in octets.
const GROWTH: u64 = 1 << 20;

/// The filter.
pub(crate) struct AfterQueue {
    /// The `NAME` of its `[route.NAME]`.
    pub route: Arc<str>,
    /// Where that is said.
    pub place: Place,
    /// The `NAME` of the listener that is the way back.
    listener: String,
    /// Who the filter is there.
    clients: List,
}

/// Nothing where there is none, or it is not whole, which is reported.
pub(crate) fn read(settings: &mut Settings) -> Option<AfterQueue> {
    let help = "write `route` and `return_listener`, or leave the section out";
    if !settings.is_begun(options::SECTION, help) {
        return None;
    }
    let route = named(settings, options::ROUTE, route::SECTION);
    let listener = named(settings, options::RETURN_LISTENER, listener::SECTION);
    let place = settings.place_of(options::ROUTE);
    let clients = clients(settings, &place);
    Some(AfterQueue {
        route: route?.into(),
        listener: listener?,
        clients,
        place,
    })
}

/// The name of a section that has to be there.
fn named(
    settings: &mut Settings,
    option: &'static Opt<Option<String>>,
    pattern: &str,
) -> Option<String> {
    let name = option.facts.name;
    let example = pattern.replace('*', "NAME");
    let Some(written) = settings.get(option) else {
        let written = settings.values.range(format!("{}.", options::SECTION)..);
        let span = written.map(|(_, setting)| setting.key.clone()).next();
        if let Some(span) = span.filter(|_| !settings.has_error_in(options::SECTION)) {
            let message = format!("[{}] has no `{name}`", options::SECTION);
            let label = format!("write {name} = \"NAME\", and a section [{example}]");
            settings.error_in(options::SECTION, &span, message, &label);
        }
        return None;
    };
    if settings.knows(pattern, &written) {
        return Some(written);
    }
    let sections = settings.sections_of(pattern);
    let known = sections.iter().map(|section| section.name.as_str());
    let label = match nearest(&written, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("write a section [{example}] of that name"),
    };
    let message = format!(
        "there is no [{}]",
        pattern.replace('*', &mail::escaped(&written).to_string())
    );
    settings.error_at(option, message, &label);
    None
}

/// Names are looked up too late, and by whom they are given away nobody here has a say.
fn clients(settings: &mut Settings, place: &Place) -> List {
    let items = settings.get(options::FROM).into_iter();
    let placed = items.map(|item| Entry {
        place: settings.place(&item.span),
        ..item.value
    });
    let mut clients: Vec<Entry> = placed.collect();
    let named = clients.iter().find_map(|entry| match entry.clients {
        Clients::Range(_) => None,
        Clients::Below(_) => Some(entry.clone()),
    });
    if let Some(Entry { text, place, .. }) = named
        && let Some(span) = settings.span_at(&place)
    {
        let message = format!("`{}` is no address", mail::escaped(&text));
        settings.error(&span, message, "a filter is known by its address alone");
    }
    for entry in &mut clients {
        if entry.place == Place::Default {
            entry.place = place.clone();
        }
    }
    let written = settings.place_of(options::FROM);
    let place = if written == Place::Default {
        place.clone()
    } else {
        written
    };
    List::new(clients, place)
}

impl AfterQueue {
    /// Whether this is the section of its route.
    pub fn is_route(&self, section: &Section) -> bool {
        section.name == *self.route
    }

    /// Whether this is the section of the listener that is the way back.
    pub fn is_way_back(&self, section: &Section) -> bool {
        section.name == self.listener
    }

    /// The rules of that listener: it is for the filter, and for nobody else.
    pub fn rules(&self, settings: &mut Settings, section: &Section, rules: Rules) -> Rules {
        check_listener(settings, section, &rules.listener.binds);
        let only =
            || Access::only_list(self.clients.clone(), "after_queue.from", self.place.clone());
        Rules {
            connect: only(),
            relay: RelayRule {
                access: only(),
                signed_in: false,
                ..RelayRule::closed()
            },
            way_back: Some(Arc::new(WayBack {
                filter: Arc::clone(&self.route),
                place: self.place.clone(),
            })),
            bound_clients: Arc::default(),
            forwards: Arc::default(),
            dns_lists: Arc::default(),
            greylisting: None,
            ..rules
        }
    }

    /// What its sessions go by: a message that was let in comes back although it has grown.
    pub fn session(&self, session: &mut reception::Settings) {
        let limits = &mut session.limits;
        limits.message_size = limits.message_size.saturating_add(GROWTH);
        limits.header_size = limits.header_size.saturating_add(GROWTH);
    }
}

/// Strangers must not get there: what comes that way goes anywhere. A private address proves nothing,
/// and neither does a loopback one that somebody forwards connections to; so where others than this
/// machine can connect, it has to be said who the filter is.
fn check_listener(settings: &mut Settings, section: &Section, binds: &[SocketAddr]) {
    let is_open = |bind: &&SocketAddr| !bind.ip().to_canonical().is_loopback();
    if let Some(open) = binds.iter().find(is_open)
        && !settings.is_set(options::FROM)
    {
        let message = format!(
            "strangers can reach [{}] at {open}, the way back from the filter",
            section.key
        );
        let label = "write bind = \"127.0.0.1:10025\", or after_queue.from = the filter's address";
        settings.error_at(section.at(listener::BIND), message, label);
    }
    let unread: [(&dyn Definition, &str); 12] = [
        (listener::AUTH, "nobody signs in there"),
        (listener::PROXY_PROTOCOL_FROM, "the filter comes by itself"),
        (listener_connect::MODE, FILTER_ALONE),
        (listener_connect::ALLOW, FILTER_ALONE),
        (listener_connect::EXCEPT, FILTER_ALONE),
        (listener_relay::MODE, FILTER_ALONE),
        (listener_relay::ALLOW, FILTER_ALONE),
        (listener_relay::EXCEPT, FILTER_ALONE),
        (listener_relay::DENY, FILTER_ALONE),
        (listener_relay::CERTIFICATES, FILTER_ALONE),
        (listener_relay::SIGNED_IN, FILTER_ALONE),
        (listener::KIND, "it is neither for strangers nor for users"),
    ];
    for (definition, why) in unread {
        let name = definition.facts().name;
        let message = format!("`{name}` says nothing about the way back from a filter");
        settings.error_at_name(&section.key_of(definition), message, why);
    }
}

const FILTER_ALONE: &str = "it is for after_queue.from alone";

/// What a route speaks: a filter LMTP where nobody says otherwise, so that it has an answer for each
/// recipient.
pub(crate) fn protocol(
    settings: &Settings,
    section: &Section,
    filter: Option<&AfterQueue>,
) -> Protocol {
    let at = section.at(route::PROTOCOL);
    let is_filter = filter.is_some_and(|filter| filter.is_route(section));
    if is_filter && !settings.is_set(&at) {
        return Protocol::Lmtp;
    }
    settings.get(at)
}

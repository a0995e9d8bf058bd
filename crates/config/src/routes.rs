//! Where mail goes: `[outbound]`, `[route.NAME]` and each domain's route, as the table that crate
//! `route` reads.

use std::sync::Arc;

use ::route::{
    DomainPattern, HostAt, HostSpec, Hours, HoursSpan, LargeHours, Routes, SenderPattern,
    SiteOptions, TlsDemand, Via,
};
use delivery::Protocol;
use mail::{Domain, Place, Zone};

use crate::Environment;
use crate::after_queue::{AfterQueue, protocol};
use crate::config::Listener;
use crate::deliveries::{parts, route_tls, warn_of_smart_hosts};
use crate::form::Item;
use crate::option::At;
use crate::options::{outbound, route, route_auth, route_large};
use crate::settings::{Section, Settings};
use crate::source::Span;
use crate::suggest::nearest;
use crate::values::host;

/// Where nobody speaks LMTP.
const SMTP_PORT: u16 = 25;

pub(crate) fn routes(
    settings: &mut Settings,
    domains: Vec<(DomainPattern, Via, Place)>,
    senders: Vec<(SenderPattern, Via, Place)>,
    zone: &Zone,
    (hostname, environment): (&Domain, &Environment),
    listeners: &[Listener],
    filter: Option<&AfterQueue>,
) -> Option<Routes> {
    let mut builder = Routes::builder();
    for section in settings.sections_of(route::SECTION) {
        let hosts = hosts(settings, &section, filter);
        let options = site_options(settings, &section, zone);
        builder.add_route(&section.name, hosts, options, settings.place(&section.span));
    }
    for (pattern, via, place) in domains {
        builder.add_domain(pattern, via, place);
    }
    for (pattern, via, place) in senders {
        builder.add_sender(pattern, via, place);
    }
    let everywhere = via(settings, outbound::ROUTE.into());
    if settings.get(outbound::DIRECT_FIRST) {
        if everywhere == Via::Mx {
            let message = "there is no smart host behind `direct_first`".to_owned();
            settings.warn_at(outbound::DIRECT_FIRST, message, "name it in outbound.route");
        }
        builder.direct_first(settings.place_of(outbound::DIRECT_FIRST));
    }
    builder.outbound(everywhere, settings.place_of(outbound::ROUTE));
    builder.port(settings.get(outbound::PORT));
    builder.ip(settings.get(outbound::IP));
    builder.private_mx(settings.values(outbound::PRIVATE_MX));
    let demand = settings.get(outbound::TLS);
    if demand == TlsDemand::Verify {
        warn_of_smart_hosts(settings, outbound::ROUTE.into());
    }
    builder.tls(demand);
    builder.dane(settings.get(outbound::DANE));
    builder.mta_sts(settings.get(outbound::MTA_STS));
    builder.own_name(hostname.clone());
    for listener in listeners {
        builder.own_name(listener.hostname.clone());
        for bind in &listener.binds {
            builder.own_listener(*bind);
        }
    }
    for address in &environment.addresses {
        builder.own_address(*address);
    }
    if let Some(filter) = filter {
        builder.filter(&filter.route, filter.place.clone());
    }
    // Names were looked up when each route was read, so an unknown one is reported already.
    let routes = builder.build().ok()?;
    check_filter(settings, &routes);
    Some(routes)
}

/// What came back from the filter would go there again.
fn check_filter(settings: &mut Settings, routes: &Routes) {
    if let Some(place) = routes.way_to_filter()
        && let Some(span) = settings.span_at(place)
    {
        let message = "mail that came back from the filter goes to it again".to_owned();
        settings.error(&span, message, "name the route by which it goes on");
    }
}

fn hosts(settings: &mut Settings, section: &Section, filter: Option<&AfterQueue>) -> Vec<HostSpec> {
    let at = section.at(route::HOSTS);
    warn_of_weight(settings, section);
    let mut hosts = settings.values(&at);
    let port = settings.get(section.at(route::PORT));
    hosts
        .iter_mut()
        .for_each(|host| host.port = host.port.or(port));
    let of_all = settings.get(outbound::PORT);
    let speaks_lmtp = protocol(settings, section, filter) == Protocol::Lmtp;
    if speaks_lmtp
        && hosts
            .iter()
            .any(|host| !is_socket(host) && host.port.unwrap_or(of_all) == SMTP_PORT)
    {
        // RFC 2033 keeps the two apart by their ports, so that nobody takes one for the other.
        let message = format!("[{}] speaks LMTP at port 25, which is SMTP's", section.key);
        let label = "write `port` there, as port = 24";
        let written = settings.place_of(section.at(route::PROTOCOL));
        let span = settings.span_at(&written);
        settings.error(
            &span.unwrap_or_else(|| section.span.clone()),
            message,
            label,
        );
    }
    check_sockets(settings, section, &hosts);
    if hosts.is_empty() && (settings.is_set(at) || !settings.has_error_in(&section.key)) {
        let message = format!("[{}] has no `hosts`", section.key);
        let label = "write hosts = [\"[10.0.0.5]:25\"]";
        settings.error_in(&section.key, &section.span, message, label);
    }
    hosts
}

fn is_socket(host: &HostSpec) -> bool {
    matches!(host.at, HostAt::Socket(_))
}

/// Nothing is encrypted at a socket of this machine, and a password is given to nobody in clear.
fn check_sockets(settings: &mut Settings, section: &Section, hosts: &[HostSpec]) {
    if !hosts.iter().any(is_socket) {
        return;
    }
    let user = section.at(route_auth::USER);
    if settings.is_written(user.section()) {
        let message = format!("[{}] signs in at a socket of this machine", section.key);
        let label = "take it out: the permissions of the socket say who may connect";
        settings.error_at(user, message, label);
    }
    if hosts.iter().all(is_socket) {
        let message = format!("`tls` in [{}] is not read", section.key);
        let label = "what goes to a socket of this machine crosses no network";
        settings.warn_at(section.at(route::TLS), message, label);
    }
}

/// What only load that is spread goes by.
fn warn_of_weight(settings: &mut Settings, section: &Section) {
    if settings.get(section.at(route::ORDER)) {
        return;
    }
    let hosts = settings.get(section.at(route::HOSTS));
    if let Some(weighed) = hosts.iter().find(|item| item.value.weight != 1) {
        let message = format!("`weight` in [{}] is not read", section.key);
        settings.warn(&weighed.span, message, "write order = \"spread\" there");
    }
}

fn site_options(settings: &mut Settings, section: &Section, zone: &Zone) -> SiteOptions {
    let rates = settings.get(section.at(route::RATE));
    SiteOptions {
        tls: route_tls(settings, section),
        hours: hours(settings, section, section.at(route::HOURS), zone),
        large: large(settings, section, zone),
        rates: rates.map(|rates| rates.into_iter().map(|item| item.value).collect()),
        ..parts(settings, section).site
    }
}

fn hours(
    settings: &mut Settings,
    section: &Section,
    at: At<Option<Vec<Item<HoursSpan>>>>,
    zone: &Zone,
) -> Option<Hours> {
    let spans = settings.get(&at)?;
    if spans.is_empty() {
        let message = format!("[{}] is never open", section.key);
        settings.error_at(at, message, "name its hours, or take them out");
    }
    let spans = spans.into_iter().map(|item| item.value);
    Some(Hours::new(spans.collect(), zone.clone()))
}

/// The size of large messages and their hours, which need each other.
fn large(settings: &mut Settings, section: &Section, zone: &Zone) -> Option<LargeHours> {
    let over = settings.get(section.at(route_large::OVER));
    let hours = hours(settings, section, section.at(route_large::HOURS), zone);
    let missing = match (over, hours) {
        (None, None) => return None,
        (Some(over), Some(hours)) => return Some(LargeHours { over, hours }),
        (None, Some(_)) => "over",
        (Some(_), None) => "hours",
    };
    if !settings.has_error_in(&section.key) {
        let message = format!("[{}.large] has no `{missing}`", section.key);
        let label = "write large = { over = \"10MB\", hours = \"22:00-06:00\" }";
        settings.error_in(&section.key, &section.span, message, label);
    }
    None
}

/// Reads a `route`: `mx`, the name of a `[route.NAME]`, or hosts.
pub(crate) fn via(settings: &mut Settings, at: At<Vec<Item<String>>>) -> Via {
    let texts = settings.get(&at);
    if let [Item { value, span }] = texts.as_slice() {
        return single(settings, value, span);
    }
    let mut hosts = Vec::new();
    for Item { value, span } in &texts {
        hosts.extend(smart_host(settings, value, span));
    }
    if !hosts.is_empty() {
        return Via::SmartHosts(hosts);
    }
    if texts.is_empty() {
        let label = "write \"mx\" for what DNS says";
        settings.error_at(at, "a route needs a host".into(), label);
    }
    Via::Mx
}

fn single(settings: &mut Settings, text: &str, span: &Span) -> Via {
    if text.eq_ignore_ascii_case("mx") {
        return Via::Mx;
    }
    if settings.knows(route::SECTION, text) {
        return Via::Named(Arc::from(text));
    }
    warn_of_bare_name(settings, text, span);
    smart_host(settings, text, span).map_or(Via::Mx, |host| Via::SmartHosts(vec![host]))
}

fn smart_host(settings: &mut Settings, text: &str, span: &Span) -> Option<HostSpec> {
    match host(text) {
        Ok(host) => Some(host),
        Err(why) => {
            settings.error(
                span,
                format!("\"{}\" is no host", mail::escaped(text)),
                &why,
            );
            None
        }
    }
}

/// A name without a dot is more often a route that nobody defined than a host.
fn warn_of_bare_name(settings: &mut Settings, text: &str, span: &Span) {
    if text.contains(['.', ':', '[', '/']) || host(text).is_err() {
        return;
    }
    let names: Vec<String> = settings
        .sections_of(route::SECTION)
        .into_iter()
        .map(|s| s.name)
        .collect();
    let label = match nearest(text, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => String::new(),
    };
    settings.warn(
        span,
        format!("there is no [route.{text}]: \"{text}\" is taken as a host name"),
        &label,
    );
}

//! Where mail goes: `[outbound]`, `[route.NAME]` and each domain's route, as the table that crate
//! `route` reads.

use std::sync::Arc;

use mail::{Domain, Place};
use route::{DomainPattern, HostSpec, IpFamily, Routes, SiteOptions, TlsDemand, Via};

use crate::config::Listener;
use crate::deliveries::{route_tls, tls_demand, warn_of_addresses};
use crate::kind::host;
use crate::settings::{Section, Settings};
use crate::source::Span;
use crate::suggest::nearest;
use crate::value::{Item, Value};
use crate::{Environment, document};

pub(crate) fn routes(
    settings: &mut Settings,
    domains: Vec<(DomainPattern, Via, Place)>,
    hostname: &Domain,
    listeners: &[Listener],
    environment: &Environment,
) -> Option<Routes> {
    let mut builder = Routes::builder();
    for section in settings.sections_of("route.*") {
        let hosts = hosts(settings, &section);
        let options = site_options(settings, &section);
        builder.add_route(&section.name, hosts, options, settings.place(&section.span));
    }
    for (pattern, via, place) in domains {
        builder.add_domain(pattern, via, place);
    }
    builder.outbound(
        via(settings, "outbound.route"),
        settings.place_of("outbound.route"),
    );
    let port = settings
        .number("outbound.port", "outbound.port")
        .and_then(|port| u16::try_from(port).ok());
    port.map(|port| builder.port(port));
    builder.ip(
        match settings.text("outbound.ip", "outbound.ip").as_deref() {
            Some("4") => IpFamily::V4,
            Some("6") => IpFamily::V6,
            Some(_) | None => IpFamily::Any,
        },
    );
    builder.private_mx(
        settings
            .items("outbound.private_mx")
            .iter()
            .filter_map(|item| match item.value {
                Value::Network(network) => Some(network),
                _ => None,
            }),
    );
    let demand = tls_demand(settings, "outbound.tls", "outbound.tls");
    if demand == Some(TlsDemand::Verify) {
        let label = "else make it a [route.NAME] with tls_name";
        warn_of_addresses(settings, "outbound.route", label);
    }
    builder.tls(demand.unwrap_or_default());
    builder.dane(settings.flag("outbound.dane", "outbound.dane"));
    builder.mta_sts(settings.flag("outbound.mta_sts", "outbound.mta_sts"));
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
    // Names were looked up when each route was read, so an unknown one is reported already.
    builder.build().ok()
}

fn hosts(settings: &mut Settings, section: &Section) -> Vec<HostSpec> {
    let key = format!("{}.hosts", section.key);
    let hosts: Vec<HostSpec> = settings.items(&key).iter().filter_map(host_of).collect();
    let written = settings.get(&key).is_some();
    if hosts.is_empty() && (written || !settings.has_error_in(&section.key)) {
        let message = format!("[{}] has no `hosts`", section.key);
        settings.error(&section.span, message, "write hosts = [\"[10.0.0.5]:25\"]");
    }
    hosts
}

fn host_of(item: &Item) -> Option<HostSpec> {
    match &item.value {
        Value::Host(host) => Some(host.clone()),
        _ => None,
    }
}

fn site_options(settings: &mut Settings, section: &Section) -> SiteOptions {
    let key = |name: &str| format!("{}.{name}", section.key);
    let order = settings.text(&key("order"), "route.*.order");
    SiteOptions {
        tls: route_tls(settings, section),
        tls_name: settings.name(&key("tls_name"), "route.*.tls_name"),
        spread: order.as_deref() == Some("spread"),
        connections_max: settings.number(&key("max_connections"), "route.*.max_connections"),
        messages_per_connection: settings.number(
            &key("messages_per_connection"),
            "route.*.messages_per_connection",
        ),
        timeout: settings.duration(&key("timeout"), "route.*.timeout"),
    }
}

/// Reads a `route`: `mx`, the name of a `[route.NAME]`, or hosts.
pub(crate) fn via(settings: &mut Settings, key: &str) -> Via {
    let texts: Vec<(String, Span)> = settings
        .items(key)
        .iter()
        .filter_map(|item| match &item.value {
            Value::Text(text) => Some((text.clone(), item.span.clone())),
            _ => None,
        })
        .collect();
    if let [(text, span)] = texts.as_slice() {
        return single(settings, text, span);
    }
    let mut hosts = Vec::new();
    for (text, span) in &texts {
        hosts.extend(smart_host(settings, text, span));
    }
    if hosts.is_empty() {
        let empty = settings
            .get(key)
            .filter(|_| texts.is_empty())
            .map(|setting| setting.span.clone());
        if let Some(span) = empty {
            settings.error(
                &span,
                "a route needs a host".into(),
                "write \"mx\" for what DNS says",
            );
        }
        return Via::Mx;
    }
    Via::SmartHosts(hosts)
}

fn single(settings: &mut Settings, text: &str, span: &Span) -> Via {
    if text.eq_ignore_ascii_case("mx") {
        return Via::Mx;
    }
    if settings
        .known_sections
        .contains(&format!("route.{}", document::quoted(text)))
    {
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
    if text.contains(['.', ':', '[']) || host(text).is_err() {
        return;
    }
    let names: Vec<String> = settings
        .sections_of("route.*")
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

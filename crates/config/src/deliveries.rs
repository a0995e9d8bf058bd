//! How a `[route.NAME]` wants to be connected to: encryption, sign-in, own address and name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::route::{HostAt, HostSpec, TlsDemand};
use mail::Host;

use crate::after_queue::{AfterQueue, protocol};
use crate::config::{ClientProof, Delivery, RouteAuth, RouteCredentials};
use crate::form::Item;
use crate::option::{At, Definition, Opt, section_of};
use crate::options::{outbound, route, route_auth as auth_options};
use crate::parts::RouteParts;
use crate::settings::{Section, Settings};
use crate::tls::pairs;
use crate::values::host;

/// With less no mail would get through.
const REPLY_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// What the table fills of one.
pub(crate) fn parts(settings: &Settings, section: &Section) -> RouteParts {
    let mut parts = RouteParts::default();
    route::fill(settings, section, &mut parts);
    parts
}

/// By the names of the sites.
pub(crate) fn deliveries(
    settings: &mut Settings,
    filter: Option<&AfterQueue>,
) -> BTreeMap<Arc<str>, Delivery> {
    let mut deliveries = BTreeMap::new();
    for section in settings.sections_of(route::SECTION) {
        let delivery = Delivery {
            protocol: protocol(settings, &section, filter),
            is_filter: filter.is_some_and(|filter| filter.is_route(&section)),
            ..delivery(settings, &section)
        };
        if delivery != Delivery::default() {
            deliveries.insert(format!("route:{}", section.name).into(), delivery);
        }
    }
    deliveries
}

fn delivery(settings: &mut Settings, section: &Section) -> Delivery {
    let reply_timeout = settings.get(section.at(route::REPLY_TIMEOUT));
    if reply_timeout.is_some_and(|limit| limit < REPLY_TIMEOUT_MIN) {
        settings.error_at(
            section.at(route::REPLY_TIMEOUT),
            "no server replies within that".to_owned(),
            "write 1s at least",
        );
    }
    let certificates = pairs(
        settings,
        section.at(route::CERTIFICATE),
        section.at(route::KEY),
    );
    Delivery {
        auth: auth(settings, section),
        certificate: certificates.into_iter().next(),
        ca: settings.path(section.at(route::CA)),
        ..parts(settings, section).delivery
    }
}

/// What `[route.NAME]` demands; a password never goes out in clear, nor unless somebody wants it so
/// to a host that nobody has verified.
pub(crate) fn route_tls(settings: &mut Settings, section: &Section) -> Option<TlsDemand> {
    let written = settings.get(section.at(route::TLS));
    let signs_in = settings.is_written(section.at(auth_options::USER).section());
    if signs_in && written == Some(TlsDemand::Off) {
        let message = format!("[{}] signs in without encryption", section.key);
        settings.error_at(
            section.at(route::TLS),
            message,
            "write \"verify\", or take auth out",
        );
    }
    let demand = match written {
        Some(written) if signs_in => Some(written.max(TlsDemand::Require)),
        None if signs_in => Some(TlsDemand::Verify),
        other => other,
    };
    if signs_in {
        warn_of_trust(settings, section, written);
    }
    warn_of_unread(settings, section, demand);
    demand
}

/// Whom a password is given to.
fn warn_of_trust(settings: &mut Settings, section: &Section, written: Option<TlsDemand>) {
    let key = &section.key;
    let (message, label) = match written {
        Some(TlsDemand::Verify) => return,
        Some(_) => (
            format!("nobody checks to whom [{key}] gives its password"),
            "set tls = \"verify\" there",
        ),
        None => (
            format!(
                "[{key}] signs in and has no `tls`: its hosts' certificates are verified, \
                 and mail waits where they cannot be"
            ),
            "write tls = \"verify\" there; or tls = \"require\", \
             which gives the password to whoever answers",
        ),
    };
    settings.warn_at(section.at(auth_options::USER), message, label);
}

/// What only verified certificates are held to.
fn warn_of_unread(settings: &mut Settings, section: &Section, demand: Option<TlsDemand>) {
    let demand = demand.unwrap_or_else(|| settings.get(outbound::TLS));
    if demand == TlsDemand::Verify {
        if !settings.is_set(section.at(route::TLS_NAME)) {
            let hosts = settings.get(section.at(route::HOSTS));
            let label = "else write tls_name = \"NAME\", the name that it is for";
            let nameless = |spec: &HostSpec| host_of(spec).filter(|_| spec.tls_name.is_none());
            warn_of_addresses(settings, &hosts, nameless, label);
        }
        return;
    }
    let label = "certificates are checked with tls = \"verify\" only";
    let hosts = settings.get(section.at(route::HOSTS));
    if let Some(named) = hosts.iter().find(|item| item.value.tls_name.is_some()) {
        let message = format!("`tls_name` of a host in [{}] is not read", section.key);
        settings.warn(&named.span, message, label);
    }
    let unread = |name| format!("`{name}` in [{}] is not read", section.key);
    settings.warn_at(section.at(route::CA), unread("ca"), label);
    settings.warn_at(section.at(route::TLS_NAME), unread("tls_name"), label);
}

/// The host of the network that it is, if it is one.
fn host_of(spec: &HostSpec) -> Option<Host> {
    match &spec.at {
        HostAt::Network(host) => Some(host.clone()),
        HostAt::Socket(_) => None,
    }
}

/// Of hosts that are given by their addresses, and verified: few certificates name an address.
fn warn_of_addresses<T>(
    settings: &mut Settings,
    items: &[Item<T>],
    host_of: impl Fn(&T) -> Option<Host>,
    label: &str,
) {
    for item in items {
        if let Some(Host::Literal(address)) = host_of(&item.value) {
            let message = format!(
                "the certificate of [{address}] must name that address \
                 (subjectAltName, iPAddress)"
            );
            settings.warn(&item.span, message, label);
        }
    }
}

/// The same of the `route` of a domain, or of everybody.
pub(crate) fn warn_of_smart_hosts(settings: &mut Settings, at: At<Vec<Item<String>>>) {
    let hosts = settings.get(at);
    let label = "else make it a [route.NAME] with tls_name";
    warn_of_addresses(settings, &hosts, |text| host_of(&host(text).ok()?), label);
}

fn auth(settings: &mut Settings, section: &Section) -> Option<RouteAuth> {
    if !settings.is_written(section.at(auth_options::USER).section()) {
        return None;
    }
    let credentials = if settings.is_set(section.at(auth_options::TOKEN_URL)) {
        token(settings, section)
    } else {
        password(settings, section)
    };
    let user = required(settings, section, auth_options::USER)?;
    Some(RouteAuth {
        place: settings.place_of(section.at(auth_options::USER)),
        user,
        credentials: credentials?,
    })
}

fn password(settings: &mut Settings, section: &Section) -> Option<RouteCredentials> {
    let unread: [&dyn Definition; 7] = [
        auth_options::CLIENT_ID,
        auth_options::CLIENT_SECRET,
        auth_options::ASSERTION_KEY,
        auth_options::ASSERTION_CERTIFICATE,
        auth_options::SUBJECT,
        auth_options::SCOPE,
        auth_options::CA,
    ];
    forbid(
        settings,
        section,
        &unread,
        "is read with a `token_url` only",
    );
    required(settings, section, auth_options::SECRET)?;
    let mechanism = settings.get(section.at(auth_options::MECHANISM));
    Some(RouteCredentials::Password {
        secret: settings.secret(section.at(auth_options::SECRET))?,
        mechanism: mechanism.map(str::to_owned),
    })
}

fn token(settings: &mut Settings, section: &Section) -> Option<RouteCredentials> {
    let unread: [&dyn Definition; 2] = [auth_options::SECRET, auth_options::MECHANISM];
    forbid(
        settings,
        section,
        &unread,
        "is not read beside a `token_url`",
    );
    let client_id = required(settings, section, auth_options::CLIENT_ID)?;
    if !settings.is_set(section.at(auth_options::ASSERTION_KEY)) {
        let why = "is not read without an `assertion_key`";
        forbid(settings, section, &[auth_options::SUBJECT], why);
    }
    let text = |settings: &Settings, option| settings.get(section.at(option));
    Some(RouteCredentials::Token {
        subject: text(settings, auth_options::SUBJECT),
        url: text(settings, auth_options::TOKEN_URL).unwrap_or_default(),
        client_id,
        proof: proof(settings, section)?,
        scope: text(settings, auth_options::SCOPE).unwrap_or_default(),
        ca: settings.path(section.at(auth_options::CA)),
    })
}

fn proof(settings: &mut Settings, section: &Section) -> Option<ClientProof> {
    let Some(assertion) = settings.path(section.at(auth_options::ASSERTION_KEY)) else {
        let why = "is not read without an `assertion_key`";
        forbid(
            settings,
            section,
            &[auth_options::ASSERTION_CERTIFICATE],
            why,
        );
        required(settings, section, auth_options::CLIENT_SECRET)?;
        let secret = settings.secret(section.at(auth_options::CLIENT_SECRET));
        return secret.map(ClientProof::Secret);
    };
    let why = "is not read beside an `assertion_key`";
    forbid(settings, section, &[auth_options::CLIENT_SECRET], why);
    Some(ClientProof::Assertion {
        key: assertion,
        certificate: settings.path(section.at(auth_options::ASSERTION_CERTIFICATE)),
    })
}

/// Reads what sign-in cannot do without.
fn required<T>(
    settings: &mut Settings,
    section: &Section,
    option: &'static Opt<Option<T>>,
) -> Option<T> {
    let at = section.at(option);
    let value = settings.get(&at);
    if value.is_none() && !settings.has_error_in(at.section()) {
        let message = format!("[{}] has no `{}`", at.section(), option.facts.name);
        let label = "sign-in at this route needs it";
        settings.error_in(at.section(), &section.span, message, label);
    }
    value
}

/// What would look like a setting and be none.
fn forbid(settings: &mut Settings, section: &Section, unread: &[&dyn Definition], why: &str) {
    for definition in unread {
        let (key, name) = (section.key_of(*definition), definition.facts().name);
        let message = format!("`{name}` in [{}] {why}", section_of(&key, name));
        settings.error_at_name(&key, message, "");
    }
}

//! How a `[route.NAME]` wants to be connected to: encryption, sign-in, own address and name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mail::Host;
use route::TlsDemand;

use crate::config::{ClientProof, Delivery, RouteAuth, RouteCredentials};
use crate::kind::host;
use crate::settings::{Section, Settings};
use crate::tls::pairs;
use crate::value::Value;

/// By the names of the sites.
pub(crate) fn deliveries(settings: &mut Settings) -> BTreeMap<Arc<str>, Delivery> {
    let mut deliveries = BTreeMap::new();
    for section in settings.sections_of("route.*") {
        let delivery = delivery(settings, &section);
        if delivery != Delivery::default() {
            deliveries.insert(format!("route:{}", section.name).into(), delivery);
        }
    }
    deliveries
}

fn delivery(settings: &mut Settings, section: &Section) -> Delivery {
    let key = |name: &str| format!("{}.{name}", section.key);
    let certificates = pairs(settings, &key("certificate"), &key("key"));
    Delivery {
        auth: auth(settings, section),
        certificate: certificates.into_iter().next(),
        ca: settings.path(&key("ca")),
        source_ip: settings.address(&key("source_ip")),
        helo: settings.name(&key("helo"), "route.*.helo"),
    }
}

/// How much encryption a next hop must give, as the word says it.
pub(crate) fn tls_demand(settings: &Settings, key: &str, pattern: &str) -> Option<TlsDemand> {
    let word = settings.text(key, pattern)?;
    Some(match word.as_str() {
        "off" => TlsDemand::Off,
        "require" => TlsDemand::Require,
        "verify" => TlsDemand::Verify,
        _ => TlsDemand::Opportunistic,
    })
}

/// What `[route.NAME]` demands; a password never goes out in clear, nor unless somebody wants it so
/// to a host that nobody has verified.
pub(crate) fn route_tls(settings: &mut Settings, section: &Section) -> Option<TlsDemand> {
    let key = format!("{}.tls", section.key);
    let written = tls_demand(settings, &key, "route.*.tls");
    let signs_in = settings.is_written(&format!("{}.auth", section.key));
    if signs_in && written == Some(TlsDemand::Off) {
        let message = format!("[{}] signs in without encryption", section.key);
        settings.error_at(&key, message, "write \"verify\", or take auth out");
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
    let route = &section.key;
    let (message, label) = match written {
        Some(TlsDemand::Verify) => return,
        Some(_) => (
            format!("nobody checks to whom [{route}] gives its password"),
            "set tls = \"verify\" there",
        ),
        None => (
            format!(
                "[{route}] signs in and has no `tls`: its hosts' certificates are verified, and mail waits where they cannot be"
            ),
            "write tls = \"verify\" there; or tls = \"require\", which gives the password to whoever answers",
        ),
    };
    settings.warn_at(&format!("{route}.auth.user"), message, label);
}

/// What only verified certificates are held to.
fn warn_of_unread(settings: &mut Settings, section: &Section, demand: Option<TlsDemand>) {
    let demand = demand.or_else(|| tls_demand(settings, "outbound.tls", "outbound.tls"));
    if demand == Some(TlsDemand::Verify) {
        let named = settings.get(&format!("{}.tls_name", section.key)).is_some();
        if !named {
            let label = "else write tls_name = \"NAME\", the name that it is for";
            warn_of_addresses(settings, &format!("{}.hosts", section.key), label);
        }
        return;
    }
    for name in ["ca", "tls_name"] {
        let message = format!("`{name}` in [{}] is not read", section.key);
        let label = "certificates are checked with tls = \"verify\" only";
        settings.warn_at(&format!("{}.{name}", section.key), message, label);
    }
}

/// Of hosts that are given by their addresses, and verified: few certificates name an address.
pub(crate) fn warn_of_addresses(settings: &mut Settings, key: &str, label: &str) {
    let addresses: Vec<_> = (settings.items(key).iter())
        .filter_map(|item| Some((literal_of(&item.value)?, item.span.clone())))
        .collect();
    for (address, span) in addresses {
        let message = format!(
            "the certificate of [{address}] must name that address (subjectAltName, iPAddress)"
        );
        settings.warn(&span, message, label);
    }
}

fn literal_of(value: &Value) -> Option<IpAddr> {
    let host = match value {
        Value::Host(spec) => spec.host.clone(),
        Value::Text(text) => host(text).ok()?.host,
        _ => return None,
    };
    match host {
        Host::Literal(address) => Some(address),
        Host::Domain(_) => None,
    }
}

fn auth(settings: &mut Settings, section: &Section) -> Option<RouteAuth> {
    let base = format!("{}.auth", section.key);
    if !settings.is_written(&base) {
        return None;
    }
    let by_token = settings.get(&format!("{base}.token_url")).is_some();
    let credentials = if by_token {
        token(settings, section, &base)
    } else {
        password(settings, section, &base)
    };
    let user = required(settings, section, &base, "user", |settings, key| {
        settings.text(key, "route.*.auth.user")
    })?;
    Some(RouteAuth {
        place: settings.place_of(&format!("{base}.user")),
        user,
        credentials: credentials?,
    })
}

fn password(settings: &mut Settings, section: &Section, base: &str) -> Option<RouteCredentials> {
    let unread = [
        "client_id",
        "client_secret",
        "assertion_key",
        "assertion_certificate",
        "subject",
        "scope",
        "ca",
    ];
    forbid(settings, base, &unread, "is read with a `token_url` only");
    let secret = required(settings, section, base, "secret", Settings::secret)?;
    Some(RouteCredentials::Password {
        secret,
        mechanism: settings.text(&format!("{base}.mechanism"), "route.*.auth.mechanism"),
    })
}

fn token(settings: &mut Settings, section: &Section, base: &str) -> Option<RouteCredentials> {
    let key = |name: &str| format!("{base}.{name}");
    let why = "is not read beside a `token_url`";
    forbid(settings, base, &["secret", "mechanism"], why);
    let text = |settings: &Settings, name: &str| {
        settings.text(&key(name), &format!("route.*.auth.{name}"))
    };
    let client_id = required(settings, section, base, "client_id", |settings, key| {
        settings.text(key, "route.*.auth.client_id")
    })?;
    if settings.get(&key("assertion_key")).is_none() {
        forbid(
            settings,
            base,
            &["subject"],
            "is not read without an `assertion_key`",
        );
    }
    Some(RouteCredentials::Token {
        subject: text(settings, "subject"),
        url: text(settings, "token_url").unwrap_or_default(),
        client_id,
        proof: proof(settings, section, base)?,
        scope: text(settings, "scope").unwrap_or_default(),
        ca: settings.path(&key("ca")),
    })
}

fn proof(settings: &mut Settings, section: &Section, base: &str) -> Option<ClientProof> {
    let key = |name: &str| format!("{base}.{name}");
    let Some(assertion) = settings.path(&key("assertion_key")) else {
        let why = "is not read without an `assertion_key`";
        forbid(settings, base, &["assertion_certificate"], why);
        let secret = required(settings, section, base, "client_secret", Settings::secret);
        return secret.map(ClientProof::Secret);
    };
    let why = "is not read beside an `assertion_key`";
    forbid(settings, base, &["client_secret"], why);
    Some(ClientProof::Assertion {
        key: assertion,
        certificate: settings.path(&key("assertion_certificate")),
    })
}

/// Reads what sign-in cannot do without.
fn required<T>(
    settings: &mut Settings,
    section: &Section,
    base: &str,
    name: &str,
    read: impl Fn(&Settings, &str) -> Option<T>,
) -> Option<T> {
    let value = read(settings, &format!("{base}.{name}"));
    if value.is_none() && !settings.has_error_in(base) {
        let message = format!("[{base}] has no `{name}`");
        settings.error(&section.span, message, "sign-in at this route needs it");
    }
    value
}

/// What would look like a setting and be none.
fn forbid(settings: &mut Settings, base: &str, names: &[&str], why: &str) {
    for name in names {
        let key = format!("{base}.{name}");
        if let Some(span) = settings.get(&key).map(|setting| setting.key.clone()) {
            settings.error(&span, format!("`{name}` in [{base}] {why}"), "");
        }
    }
}

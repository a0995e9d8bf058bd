//! `[listener.NAME]`: the virtual servers, and which of them stay closed.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::Domain;
use relay_policy::{Demand, Rules};

use crate::config::{Kind, Listener};
use crate::relay::{self, Shared};
use crate::settings::{Section, Settings};

/// RFC 6409 and RFC 8314.
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

pub(crate) fn listeners(
    settings: &mut Settings,
    hostname: &Domain,
    shared: &Shared,
) -> Vec<Listener> {
    let sections = settings.sections_of("listener.*");
    let listeners: Vec<Listener> = sections
        .iter()
        .map(|section| listener(settings, section, hostname, shared))
        .collect();
    check_binds(settings, &sections, &listeners);
    listeners
}

fn listener(
    settings: &mut Settings,
    section: &Section,
    hostname: &Domain,
    shared: &Shared,
) -> Listener {
    let key = |name: &str| format!("{}.{name}", section.key);
    let binds = binds(settings, section);
    let kind = kind(settings, section, &binds);
    let place = settings.place(&section.span);
    let name: Arc<str> = section.name.as_str().into();
    let rules = Rules {
        connect: relay::connect(settings, &section.key),
        relay: relay::of_listener(settings, &section.key, &shared.relay),
        domains: Arc::clone(&shared.domains),
        senders: Arc::clone(&shared.senders),
        listener: relay_policy::Listener {
            name: Arc::clone(&name),
            binds: binds.clone(),
            // What is not in force is not offered, whatever the file says.
            tls: Demand {
                place: settings.place_of(&key("tls")),
                ..Demand::off()
            },
            sign_in: Demand {
                place: settings.place_of(&key("auth")),
                ..Demand::off()
            },
            sign_in_at: None,
            place: place.clone(),
        },
    };
    let number = |name: &str, pattern: &str| settings.number(&key(name), pattern).unwrap_or(1);
    Listener {
        sessions_max: number("max_sessions", "listener.*.max_sessions"),
        sessions_per_client_max: number("max_per_client", "listener.*.max_per_client"),
        idle_timeout: settings
            .duration(&key("idle_timeout"), "listener.*.idle_timeout")
            .unwrap_or_default(),
        hostname: settings
            .name(&key("hostname"), "listener.*.hostname")
            .unwrap_or_else(|| hostname.clone()),
        banner: banner(settings, &key("banner")),
        closed: closed(settings, section, kind, &binds),
        rules: Arc::new(rules),
        name,
        binds,
        kind,
        place,
    }
}

fn binds(settings: &mut Settings, section: &Section) -> Vec<SocketAddr> {
    let key = format!("{}.bind", section.key);
    let binds = settings.sockets(&key);
    if binds.is_empty() && (settings.get(&key).is_some() || !settings.has_error_in(&section.key)) {
        let message = format!("[{}] has no `bind`", section.key);
        settings.error(&section.span, message, "write bind = \"0.0.0.0:25\"");
    }
    binds
}

fn kind(settings: &mut Settings, section: &Section, binds: &[SocketAddr]) -> Kind {
    match settings
        .text(&format!("{}.kind", section.key), "listener.*.kind")
        .as_deref()
    {
        Some("submission") => return Kind::Submission,
        Some("submissions") => return Kind::Submissions,
        Some(_) => return Kind::Mx,
        None => {}
    }
    let mut kinds = binds.iter().map(|bind| match bind.port() {
        SUBMISSION_PORT => Kind::Submission,
        SUBMISSIONS_PORT => Kind::Submissions,
        _ => Kind::Mx,
    });
    let kind = kinds.next().unwrap_or(Kind::Mx);
    if kinds.any(|other| other != kind) {
        let message = format!("the ports of [{}] are of different kinds", section.key);
        settings.error(
            &section.span,
            message,
            "write `kind`, or make a listener for each",
        );
    }
    kind
}

/// It stands in the greeting: one line, and short (RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets).
const BANNER_BYTES_MAX: usize = 200;

fn banner(settings: &mut Settings, key: &str) -> Option<String> {
    let banner = settings.text(key, "listener.*.banner")?;
    let plain = banner.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if banner.len() > BANNER_BYTES_MAX || !plain {
        let message =
            format!("a banner is one line of at most {BANNER_BYTES_MAX} plain characters");
        settings.error_at(key, message, "");
    }
    Some(banner)
}

/// A listener that needs what this version does not have is never opened without it.
fn closed(
    settings: &mut Settings,
    section: &Section,
    kind: Kind,
    binds: &[SocketAddr],
) -> Option<String> {
    let key = |name: &str| format!("{}.{name}", section.key);
    let word = |name: &str, pattern: &str| settings.text(&key(name), pattern).unwrap_or_default();
    let (auth, tls) = (
        word("auth", "listener.*.auth"),
        word("tls", "listener.*.tls"),
    );
    let proxies = !settings.items(&key("proxy_protocol_from")).is_empty();
    let written = settings.get(&key("kind")).is_some();
    let needs = match kind {
        Kind::Submission | Kind::Submissions if written => {
            Some("its kind implies sign-in and TLS".to_owned())
        }
        Kind::Submission | Kind::Submissions => {
            let port = binds.first().map_or(0, SocketAddr::port);
            Some(format!("port {port} implies sign-in and TLS"))
        }
        Kind::Mx if auth == "required" => Some("`auth` requires sign-in".to_owned()),
        Kind::Mx if tls == "require" || tls == "implicit" => Some(format!("`tls` is \"{tls}\"")),
        Kind::Mx if proxies => Some("`proxy_protocol_from` needs the PROXY protocol".to_owned()),
        Kind::Mx => None,
    };
    match needs {
        Some(needs) => {
            let why = format!("{needs}, which this version does not have yet");
            let message = format!("listener `{}` stays closed", mail::escaped(&section.name));
            settings.warn(&section.span, message, &why);
            Some(why)
        }
        None => {
            warn_of_offers(settings, &[(key("auth"), auth), (key("tls"), tls)]);
            None
        }
    }
}

/// What was asked for in so many words and is not offered; nothing is less safe than the file says, as it was never required.
fn warn_of_offers(settings: &mut Settings, offers: &[(String, String)]) {
    for (key, word) in offers {
        if word != "off" {
            let label = "nothing is offered by this version";
            settings.warn_at(key, format!("`{key}` is not in force yet"), label);
        }
    }
}

fn check_binds(settings: &mut Settings, sections: &[Section], listeners: &[Listener]) {
    let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
    for (section, listener) in sections.iter().zip(listeners) {
        for bind in listener.binds.iter().filter(|bind| bind.port() != 0) {
            if let Some((_, other)) = taken.iter().find(|(known, _)| known == bind) {
                let message = format!("{bind} is bound twice");
                settings.error(&section.span, message, &format!("`{other}` has it already"));
            }
            taken.push((*bind, &section.key));
        }
    }
}

//! `[listener.NAME]`: the virtual servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::{Limit, SlotLimits};
use mail::Domain;
use relay_policy::{AddressRange, CertificatePattern, Clients, Demand, List, RelayRule, Rules};

use crate::config::{Kind, Listener, Tls};
use crate::relay::{self, Shared, list};
use crate::settings::{Section, Settings};
use crate::{dns_lists, tls};

/// RFC 6409 and RFC 8314.
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

pub(crate) fn listeners(
    settings: &mut Settings,
    hostname: &Domain,
    shared: &Shared,
) -> Vec<Listener> {
    let sections = settings.sections_of("listener.*");
    let mut listeners: Vec<Listener> = sections
        .iter()
        .map(|section| listener(settings, section, hostname, shared))
        .collect();
    check_binds(settings, &sections, &listeners);
    let sign_in_at = sign_in_at(&listeners);
    for listener in &mut listeners {
        Arc::make_mut(&mut listener.rules)
            .listener
            .sign_in_at
            .clone_from(&sign_in_at);
    }
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
    let (sign_in, encryption, implicit_tls) = demands(settings, section, kind);
    let tls = tls::of_listener(settings, &section.key, &shared.tls);
    let starttls_except = without_starttls(settings, section, &encryption, implicit_tls);
    let relay = relay::of_listener(settings, &section.key, &shared.relay);
    warn_of_names(settings, section, &relay, &tls);
    let rules = Rules {
        connect: relay::connect(settings, &section.key),
        relay,
        domains: Arc::clone(&shared.domains),
        senders: Arc::clone(&shared.senders),
        sender_match: shared.sender_match,
        sender_match_place: shared.sender_match_place.clone(),
        dns_lists: Arc::new(dns_lists::of_listener(settings, &section.key)),
        listener: relay_policy::Listener {
            name: Arc::clone(&name),
            binds: binds.clone(),
            tls: encryption,
            starttls_except,
            sign_in,
            // Known when all listeners are.
            sign_in_at: None,
            place: place.clone(),
        },
    };
    let proxies = proxies(settings, &key("proxy_protocol_from"));
    let number = |name: &str, pattern: &str| Limit {
        value: settings.number(&key(name), pattern).unwrap_or(1),
        place: settings.place_of(&key(name)),
    };
    let bare_lf = settings.text(&key("bare_lf"), "listener.*.bare_lf");
    Listener {
        mend_bare_lf: bare_lf.as_deref() == Some("mend"),
        slots: SlotLimits {
            in_all: number("max_sessions", "listener.*.max_sessions"),
            per_client: number("max_per_client", "listener.*.max_per_client"),
        },
        idle_timeout: settings
            .duration(&key("idle_timeout"), "listener.*.idle_timeout")
            .unwrap_or_default(),
        hostname: settings
            .name(&key("hostname"), "listener.*.hostname")
            .unwrap_or_else(|| hostname.clone()),
        banner: banner(settings, &key("banner")),
        rules: Arc::new(rules),
        name,
        tls,
        implicit_tls,
        proxies,
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

/// What stands in a reply is one line, and short (RFC 5321 section 4.5.3.1.5: a reply line has at
/// most 512 octets).
const TEXT_BYTES_MAX: usize = 200;

/// Whether a text fits into one line of a reply.
pub(crate) fn is_reply_text(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    text.len() <= TEXT_BYTES_MAX && plain
}

fn banner(settings: &mut Settings, key: &str) -> Option<String> {
    let banner = settings.text(key, "listener.*.banner")?;
    if !is_reply_text(&banner) {
        let message = format!("a banner is one line of at most {TEXT_BYTES_MAX} plain characters");
        settings.error_at(key, message, "");
    }
    Some(banner)
}

/// Whether users sign in, and whether sessions are encrypted, as written or as the kind implies.
fn demands(settings: &mut Settings, section: &Section, kind: Kind) -> (Demand, Demand, bool) {
    let key = |name: &str| format!("{}.{name}", section.key);
    let word = |name: &str, pattern: &str| settings.text(&key(name), pattern);
    let (auth_default, tls_default) = match kind {
        Kind::Mx => ("off", "offer"),
        Kind::Submission => ("required", "require"),
        Kind::Submissions => ("required", "implicit"),
    };
    let auth = word("auth", "listener.*.auth").unwrap_or_else(|| auth_default.into());
    let tls = word("tls", "listener.*.tls").unwrap_or_else(|| tls_default.into());
    if auth != "off" && tls == "off" {
        let message = format!("[{}] offers sign-in without TLS", section.key);
        let label = "sign-in only under TLS: passwords never pass in clear";
        settings.error_at(&key("tls"), message, label);
    }
    let sign_in = Demand {
        offered: auth != "off",
        required: auth == "required",
        place: settings.place_of(&key("auth")),
    };
    let encryption = Demand {
        offered: tls != "off",
        required: tls == "require" || tls == "implicit",
        place: settings.place_of(&key("tls")),
    };
    (sign_in, encryption, tls == "implicit")
}

/// Where users may sign in, for advice; the first such listener of the file.
pub(crate) fn sign_in_at(listeners: &[Listener]) -> Option<Arc<str>> {
    let offers = |listener: &&Listener| listener.rules.listener.sign_in.offered;
    let listener = listeners.iter().find(offers)?;
    let port = listener.binds.first().map_or(0, SocketAddr::port);
    Some(match port {
        // A free one, which is known only once it is taken.
        0 => format!("listener {}", mail::escaped(&listener.name)).into(),
        port => format!("port {port}").into(),
    })
}

/// Networks larger than these hold strangers, and a PROXY header of a stranger is a forged address.
const PROXIES_BITS_MIN_V4: u32 = 8;
const PROXIES_BITS_MIN_V6: u32 = 7;

fn proxies(settings: &mut Settings, key: &str) -> List {
    let list = list(settings, key);
    for entry in list.entries() {
        let why = match &entry.clients {
            Clients::Range(range) if is_wide(range) => "this holds addresses of strangers",
            Clients::Range(_) => continue,
            Clients::Below(_) => "a name is looked up too late: write its address",
        };
        if let Some(span) = settings.span_at(&entry.place) {
            let message = format!("`{}` is no proxy", mail::escaped(&entry.text));
            settings.error(&span, message, why);
        }
    }
    list
}

/// Those from whom STARTTLS is withheld; each such list is warned of, since what they send can be
/// read and changed on its way.
fn without_starttls(
    settings: &mut Settings,
    section: &Section,
    encryption: &Demand,
    implicit_tls: bool,
) -> List {
    let key = format!("{}.starttls_except", section.key);
    let list = list(settings, &key);
    if list.entries().is_empty() {
        return list;
    }
    let named = list.entries().iter().find_map(|entry| match entry.clients {
        Clients::Range(_) => None,
        Clients::Below(_) => Some(entry.clone()),
    });
    if let Some(entry) = named
        && let Some(span) = settings.span_at(&entry.place)
    {
        let message = format!("`{}` is no address", mail::escaped(&entry.text));
        settings.error(&span, message, "a name is looked up too late");
    } else if implicit_tls || !encryption.offered {
        let message = format!("[{}] has no STARTTLS to withhold", section.key);
        settings.error_at(&key, message, "leave it out, or write tls = \"offer\"");
    } else if encryption.required {
        let message = format!("[{}] requires TLS of everybody", section.key);
        let label = "they could send nothing: make a listener for them with tls = \"offer\"";
        settings.error_at(&key, message, label);
    } else {
        let names: Vec<_> = list.entries().iter().map(|entry| &*entry.text).collect();
        let names = names.join(", ");
        let message = format!("STARTTLS is withheld from {names} in [{}]", section.key);
        settings.warn_at(&key, message, "what they send goes in clear");
    }
    list
}

fn is_wide(range: &AddressRange) -> bool {
    match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            u32::from(last) - u32::from(first) >= 1 << (u32::BITS - PROXIES_BITS_MIN_V4)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            u128::from(last) - u128::from(first) >= 1 << (u128::BITS - PROXIES_BITS_MIN_V6)
        }
        // No range joins two families.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => true,
    }
}

/// Names in certificates mean nothing without an authority that vouches for them.
fn warn_of_names(settings: &mut Settings, section: &Section, rule: &RelayRule, tls: &Tls) {
    if tls.client_ca.is_some() {
        return;
    }
    for entry in &rule.certificates {
        let CertificatePattern::Name(_) = &entry.pattern else {
            continue;
        };
        if let Some(span) = settings.span_at(&entry.place) {
            let name = mail::escaped(&entry.text);
            let message = format!("certificates for `{name}` never count in [{}]", section.key);
            let label = "names need a client_ca; fingerprints do not";
            settings.warn(&span, message, label);
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

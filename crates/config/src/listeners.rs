//! `[listener.NAME]`: the virtual servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::{Limit, SlotLimits};
use relay_policy::{AddressRange, CertificatePattern, Clients, Demand, List, RelayRule, Rules};

use crate::after_queue::AfterQueue;
use crate::config::{Kind, Listener, Tls};
use crate::options::listener as options;
use crate::parts::ListenerParts;
use crate::parts::Wanted;
use crate::relay::{self, Shared, list};
use crate::settings::{Section, Settings};
use crate::values::{REPLY_TEXT_BYTES_MAX, is_reply_text};
use crate::{dns_lists, tls};

/// RFC 6409 and RFC 8314.
const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

/// `session` is what the sessions of all have in common.
pub(crate) fn listeners(
    settings: &mut Settings,
    session: &reception::Settings,
    shared: &Shared,
) -> Vec<Listener> {
    let sections = settings.sections_of(options::SECTION);
    let mut listeners: Vec<Listener> = sections
        .iter()
        .map(|section| listener(settings, section, session, shared))
        .collect();
    check_binds(settings, &sections, &listeners);
    let sign_in_at = sign_in_at(&listeners);
    for listener in &mut listeners {
        Arc::make_mut(&mut listener.rules)
            .listener
            .sign_in_at
            .clone_from(&sign_in_at);
        Arc::make_mut(&mut listener.session).rules = Arc::clone(&listener.rules);
    }
    listeners
}

fn listener(
    settings: &mut Settings,
    section: &Section,
    session: &reception::Settings,
    shared: &Shared,
) -> Listener {
    let binds = binds(settings, section);
    let kind = kind(settings, section, &binds);
    let (sign_in, encryption, implicit_tls) = demands(settings, section, kind);
    let tls = tls::of_listener(settings, section, &shared.tls);
    let starttls_except = without_starttls(settings, section, &encryption, implicit_tls);
    let itself = relay_policy::Listener {
        name: section.name.as_str().into(),
        binds: binds.clone(),
        tls: encryption,
        starttls_except,
        sign_in,
        // Known when all listeners are.
        sign_in_at: None,
        place: settings.place(&section.span),
    };
    let rules = Arc::new(rules(settings, section, itself, shared, &tls));
    let mut parts = parts(settings, section, session, &rules);
    if let Some(filter) = way_back(section, shared) {
        filter.session(&mut parts.session);
    }
    Listener {
        proxies: proxies(settings, section),
        hostname: parts.session.hostname.clone(),
        session: Arc::new(parts.session),
        slots: parts.slots,
        name: Arc::clone(&rules.listener.name),
        place: rules.listener.place.clone(),
        rules,
        tls,
        implicit_tls,
        binds,
        kind,
    }
}

fn rules(
    settings: &mut Settings,
    section: &Section,
    listener: relay_policy::Listener,
    shared: &Shared,
    tls: &Tls,
) -> Rules {
    let relay = relay::of_listener(settings, section, &shared.relay);
    warn_of_names(settings, section, &relay, tls);
    let rules = Rules {
        connect: relay::connect(settings, section),
        relay,
        local: None,
        way_back: None,
        bound_clients: Arc::clone(&shared.bound_clients),
        domains: Arc::clone(&shared.domains),
        forwards: Arc::clone(&shared.forwards),
        rewriting: shared.rewriting.clone(),
        senders: Arc::clone(&shared.senders),
        sender_match: shared.sender_match,
        sender_match_place: shared.sender_match_place.clone(),
        dns_lists: Arc::new(dns_lists::of_listener(settings, section)),
        greylisting: shared.greylisting.clone(),
        policies: Arc::clone(&shared.policies),
        listener,
    };
    match way_back(section, shared) {
        Some(filter) => filter.rules(settings, section, rules),
        None => rules,
    }
}

/// The filter from which this listener is the way back, if it is one.
fn way_back<'a>(section: &Section, shared: &'a Shared) -> Option<&'a AfterQueue> {
    let filter = shared.after_queue.as_ref();
    filter.filter(|filter| filter.is_way_back(section))
}

/// What sessions of this listener go by.
fn parts(
    settings: &mut Settings,
    section: &Section,
    session: &reception::Settings,
    rules: &Arc<Rules>,
) -> ListenerParts {
    let mut parts = ListenerParts {
        session: session.clone(),
        slots: SlotLimits {
            in_all: Limit::default_of(1),
            per_client: Limit::default_of(1),
        },
    };
    options::fill(settings, section, &mut parts);
    let own = &mut parts.session;
    let everywhere = own.hostname.clone();
    if let Some(hostname) = settings.get(section.at(options::HOSTNAME)) {
        own.hostname = hostname;
    }
    own.own_names = Arc::new([own.hostname.clone(), everywhere]);
    if let Some(banner) = banner(settings, section) {
        own.banner = banner.into();
    }
    own.rules = Arc::clone(rules);
    parts
}

fn binds(settings: &mut Settings, section: &Section) -> Vec<SocketAddr> {
    let at = section.at(options::BIND);
    let binds = settings.values(&at);
    if binds.is_empty() && (settings.is_set(&at) || !settings.has_error_in(&section.key)) {
        let message = format!("[{}] has no `bind`", section.key);
        let label = "write bind = \"0.0.0.0:25\"";
        settings.error_in(&section.key, &section.span, message, label);
    }
    binds
}

fn kind(settings: &mut Settings, section: &Section, binds: &[SocketAddr]) -> Kind {
    if let Some(kind) = settings.get(section.at(options::KIND)) {
        return kind;
    }
    let mut kinds = binds.iter().map(|bind| match bind.port() {
        SUBMISSION_PORT => Kind::Submission,
        SUBMISSIONS_PORT => Kind::Submissions,
        _ => Kind::Mx,
    });
    let kind = kinds.next().unwrap_or(Kind::Mx);
    if kinds.any(|other| other != kind) {
        let message = format!("the ports of [{}] are of different kinds", section.key);
        let label = "write `kind`, or make a listener for each";
        settings.error(&section.span, message, label);
    }
    kind
}

fn banner(settings: &mut Settings, section: &Section) -> Option<String> {
    let at = section.at(options::BANNER);
    let banner = settings.get(&at)?;
    if !is_reply_text(&banner) {
        let message =
            format!("a banner is one line of at most {REPLY_TEXT_BYTES_MAX} plain characters");
        settings.error_at(at, message, "");
    }
    Some(banner)
}

/// Whether users sign in, and whether sessions are encrypted, as written or as the kind implies.
fn demands(settings: &mut Settings, section: &Section, kind: Kind) -> (Demand, Demand, bool) {
    let (auth_default, tls_default) = match kind {
        Kind::Mx => (Wanted::NOT, Wanted::OFFERED),
        Kind::Submission => (Wanted::REQUIRED, Wanted::REQUIRED),
        Kind::Submissions => (Wanted::REQUIRED, Wanted::FROM_THE_START),
    };
    let (auth_at, tls_at) = (section.at(options::AUTH), section.at(options::TLS));
    let auth = settings.get(&auth_at).unwrap_or(auth_default);
    let tls = settings.get(&tls_at).unwrap_or(tls_default);
    if auth.offered && !tls.offered {
        let message = format!("[{}] offers sign-in without TLS", section.key);
        let label = "sign-in only under TLS: passwords never pass in clear";
        settings.error_at(&tls_at, message, label);
    }
    let sign_in = auth.demand(settings.place_of(auth_at));
    let encryption = tls.demand(settings.place_of(tls_at));
    (sign_in, encryption, tls.at_once)
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

fn proxies(settings: &mut Settings, section: &Section) -> List {
    let list = list(settings, section.at(options::PROXY_PROTOCOL_FROM));
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
    let at = section.at(options::STARTTLS_EXCEPT);
    let list = list(settings, (&at).into());
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
        settings.error_at(&at, message, "leave it out, or write tls = \"offer\"");
    } else if encryption.required {
        let message = format!("[{}] requires TLS of everybody", section.key);
        let label = "they could send nothing: make a listener for them with tls = \"offer\"";
        settings.error_at(&at, message, label);
    } else {
        let names: Vec<_> = list.entries().iter().map(|entry| &*entry.text).collect();
        let names = names.join(", ");
        let message = format!("STARTTLS is withheld from {names} in [{}]", section.key);
        settings.warn_at(&at, message, "what they send goes in clear");
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

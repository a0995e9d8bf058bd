//! `[syslog.NAME]`: servers to which logs go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::syslog::{Destination, Form, Format, Framing};
use mail::{Domain, Zone};

use crate::config::Syslog;
use crate::form::Item;
use crate::options::syslog as options;
use crate::settings::{Section, Settings, quoted};
use crate::source::Span;
use crate::suggest::nearest;
use crate::tls::pairs;

/// What rsyslog takes of a message unless told otherwise.
const MAX_BYTES: usize = 8096;
/// RFC 5426 section 3.2: what servers should take in a datagram.
const MAX_BYTES_UDP: usize = 2048;

/// Servers by their names.
pub(crate) type Syslogs = BTreeMap<Arc<str>, Arc<Syslog>>;

/// All of them.
pub(crate) fn read(settings: &mut Settings, hostname: &Domain, zone: &Zone) -> Syslogs {
    let mut syslogs = BTreeMap::new();
    for section in settings.sections_of(options::SECTION) {
        if let Some(syslog) = one(settings, &section, hostname, zone) {
            syslogs.insert(Arc::clone(&syslog.name), Arc::new(syslog));
        }
    }
    syslogs
}

/// `None` where it is not said where it is.
fn one(
    settings: &mut Settings,
    section: &Section,
    hostname: &Domain,
    zone: &Zone,
) -> Option<Syslog> {
    let Some(to) = settings.get(section.at(options::TO)) else {
        if !settings.has_error_in(&section.key) {
            let message = format!("[{}] has no `to`", section.key);
            let label = "write to = \"/dev/log\"";
            settings.error_in(&section.key, &section.span, message, label);
        }
        return None;
    };
    let certificates = pairs(
        settings,
        section.at(options::CERTIFICATE),
        section.at(options::KEY),
    );
    check(settings, section, &to);
    let (form, framing, max_bytes) = match &to {
        Destination::Unix(_) => (Form::Local, Framing::Datagram, MAX_BYTES),
        Destination::Udp(..) => (Form::Ietf, Framing::Datagram, MAX_BYTES_UDP),
        Destination::Tcp(..) | Destination::Tls(..) => {
            let framing = settings.get(section.at(options::FRAMING));
            (
                Form::Ietf,
                framing.unwrap_or(Framing::OctetCounting),
                MAX_BYTES,
            )
        }
    };
    let form = match settings.get(section.at(options::FORMAT)) {
        // Without our name where nobody else is.
        Some(Form::Bsd) if form == Form::Local => Form::Local,
        Some(written) => written,
        None => form,
    };
    let written = settings.get(section.at(options::MAX_BYTES));
    Some(Syslog {
        name: section.name.as_str().into(),
        format: Format {
            form,
            framing,
            facility: settings.get(section.at(options::FACILITY)),
            max_bytes: written.unwrap_or(max_bytes),
            host: hostname.as_str().into(),
            zone: zone.clone(),
        },
        ca: settings.path(section.at(options::CA)),
        certificate: certificates.into_iter().next(),
        to,
    })
}

/// What is not read where messages go there.
fn check(settings: &mut Settings, section: &Section, to: &Destination) {
    if to.is_datagram() && settings.is_set(section.at(options::FRAMING)) {
        let message = "a datagram is a message: there is nothing to frame".to_owned();
        settings.error_at(
            section.at(options::FRAMING),
            message,
            "for tcp:// and tls://",
        );
    }
    if matches!(to, Destination::Tls(..)) {
        return;
    }
    let label = "for tls://";
    for at in [section.at(options::CERTIFICATE), section.at(options::KEY)] {
        let message = format!(
            "`{}` is not read: nothing is encrypted",
            at.option.facts.name
        );
        settings.error_at(at, message, label);
    }
    let message = "`ca` is not read: nothing is encrypted".to_owned();
    settings.error_at(section.at(options::CA), message, label);
}

/// The server that is called so; an error at `span` when there is none.
pub(crate) fn named(
    settings: &mut Settings,
    syslogs: &Syslogs,
    name: &str,
    span: &Span,
) -> Option<Arc<Syslog>> {
    if let Some(syslog) = syslogs.get(name) {
        return Some(Arc::clone(syslog));
    }
    if !settings.knows(options::SECTION, name) {
        let near = nearest(name, syslogs.keys().map(|name| &**name));
        let label = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("there is no [syslog.{}]", quoted(name));
        let label = label.unwrap_or_else(|| "write such a section".to_owned());
        settings.error(span, message, &label);
    }
    None
}

/// The same for a list.
pub(crate) fn all_named(
    settings: &mut Settings,
    syslogs: &Syslogs,
    names: Vec<Item<String>>,
) -> Vec<Arc<Syslog>> {
    let names = names.into_iter();
    names
        .filter_map(|item| named(settings, syslogs, &item.value, &item.span))
        .collect()
}

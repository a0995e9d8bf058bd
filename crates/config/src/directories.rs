//! `[ldap.NAME]`: directories that know recipients and users.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Directory, FiltersWritten};
use crate::option::At;
use crate::options::ldap;
use crate::settings::{Section, Settings, quoted};
use crate::source::Span;
use crate::suggest::nearest;

pub(crate) fn directories(settings: &mut Settings) -> BTreeMap<Arc<str>, Directory> {
    let mut directories = BTreeMap::new();
    for section in settings.sections_of(ldap::SECTION) {
        let directory = directory(settings, &section);
        directories.insert(Arc::clone(&directory.name), directory);
    }
    directories
}

fn directory(settings: &mut Settings, section: &Section) -> Directory {
    for (option, example) in [
        (ldap::URL, "ldaps://dc.example.com"),
        (ldap::BASE, "dc=example,dc=com"),
    ] {
        if !settings.is_set(section.at(option)) && !settings.has_error_in(&section.key) {
            let name = option.facts.name;
            let message = format!("[{}] has no `{name}`", section.key);
            let label = format!("write {name} = \"{example}\"");
            settings.error_in(&section.key, &section.span, message, &label);
        }
    }
    let mut directory = Directory {
        name: section.name.as_str().into(),
        ca: settings.path(section.at(ldap::CA)),
        secret: settings.secret(section.at(ldap::SECRET)),
        filters_written: FiltersWritten {
            filter: settings.is_set(section.at(ldap::FILTER)),
            user_filter: settings.is_set(section.at(ldap::USER_FILTER)),
        },
        place: settings.place(&section.span),
        ..Directory::default()
    };
    ldap::fill(settings, section, &mut directory);
    check(settings, section, &directory);
    directory
}

fn check(settings: &mut Settings, section: &Section, directory: &Directory) {
    for at in [section.at(ldap::FILTER), section.at(ldap::USER_FILTER)] {
        check_filter(settings, section, at);
    }
    if directory.user_name.is_empty() {
        let at = section.at(ldap::USER_NAME);
        let message = format!("`{}` is an attribute", at.key);
        settings.error_at(at, message, "write \"mail\", or \"dn\"");
    }
    crate::settings::positive(settings, section.at(ldap::TIMEOUT));
    if directory.bind.is_some() != directory.secret.is_some() {
        let message = format!("[{}] needs `bind` and `secret` together", section.key);
        let label = "leave both out for an anonymous bind";
        settings.error(&section.span, message, label);
    }
    check_encryption(settings, section, directory);
}

fn check_filter(settings: &mut Settings, section: &Section, at: At<String>) {
    if !settings.get(&at).contains("%s") {
        let name = at.option.facts.name;
        let message = format!("`{name}` in [{}] finds the same for everybody", section.key);
        settings.error_at(at, message, "%s stands for who is looked for");
    }
}

fn check_encryption(settings: &mut Settings, section: &Section, directory: &Directory) {
    let encrypted = directory.url.starts_with("ldaps://");
    if encrypted && directory.start_tls {
        let message = "an ldaps:// connection is encrypted from the start".to_owned();
        let label = "take it out, or write ldap://";
        settings.error_at(section.at(ldap::START_TLS), message, label);
    } else if !encrypted && !directory.start_tls && !is_here(&directory.url) {
        let message = "passwords go to this directory in clear".to_owned();
        let label = "write ldaps://, or start_tls = true";
        settings.warn_at(section.at(ldap::URL), message, label);
    }
}

/// Whether the connection does not leave this machine.
fn is_here(url: &str) -> bool {
    let host = url.strip_prefix("ldap://").unwrap_or(url);
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|here| host.starts_with(here))
}

/// The directory called `name`; an error at `span` when there is none.
pub(crate) fn named(settings: &mut Settings, name: &str, span: &Span) -> Option<Arc<str>> {
    if settings.knows(ldap::SECTION, name) {
        return Some(name.into());
    }
    let sections = settings.sections_of(ldap::SECTION);
    let known = sections.iter().map(|section| section.name.as_str());
    let label = match nearest(name, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "write such a section".to_owned(),
    };
    let message = format!("there is no [ldap.{}]", quoted(name));
    settings.error(span, message, &label);
    None
}

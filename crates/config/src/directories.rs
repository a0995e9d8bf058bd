//! `[ldap.NAME]`: directories that know recipients and users.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Directory, FiltersWritten};
use crate::document::quoted;
use crate::settings::{Section, Settings};
use crate::source::Span;
use crate::suggest::nearest;

pub(crate) fn directories(settings: &mut Settings) -> BTreeMap<Arc<str>, Directory> {
    let mut directories = BTreeMap::new();
    for section in settings.sections_of("ldap.*") {
        let directory = directory(settings, &section);
        directories.insert(Arc::clone(&directory.name), directory);
    }
    directories
}

fn directory(settings: &mut Settings, section: &Section) -> Directory {
    let key = |name: &str| format!("{}.{name}", section.key);
    for (name, example) in [
        ("url", "ldaps://dc.example.com"),
        ("base", "dc=example,dc=com"),
    ] {
        if settings.get(&key(name)).is_none() && !settings.has_error_in(&section.key) {
            let message = format!("[{}] has no `{name}`", section.key);
            settings.error(
                &section.span,
                message,
                &format!("write {name} = \"{example}\""),
            );
        }
    }
    let text = |name: &str, pattern: &str| settings.text(&key(name), pattern);
    let written = |name: &str| settings.get(&key(name)).is_some();
    let directory = Directory {
        name: section.name.as_str().into(),
        url: text("url", "ldap.*.url").unwrap_or_default(),
        start_tls: settings.flag(&key("start_tls"), "ldap.*.start_tls"),
        ca: settings.path(&key("ca")),
        bind: text("bind", "ldap.*.bind"),
        secret: settings.secret(&key("secret")),
        base: text("base", "ldap.*.base").unwrap_or_default(),
        filter: text("filter", "ldap.*.filter").unwrap_or_default(),
        user_filter: text("user_filter", "ldap.*.user_filter").unwrap_or_default(),
        filters_written: FiltersWritten {
            filter: written("filter"),
            user_filter: written("user_filter"),
        },
        user_name: text("user_name", "ldap.*.user_name").unwrap_or_default(),
        timeout: settings
            .duration(&key("timeout"), "ldap.*.timeout")
            .unwrap_or_default(),
        place: settings.place(&section.span),
    };
    check(settings, section, &directory);
    directory
}

fn check(settings: &mut Settings, section: &Section, directory: &Directory) {
    let key = |name: &str| format!("{}.{name}", section.key);
    for (name, filter) in [
        ("filter", &directory.filter),
        ("user_filter", &directory.user_filter),
    ] {
        if !filter.contains("%s") {
            let message = format!("`{name}` in [{}] finds the same for everybody", section.key);
            settings.error_at(&key(name), message, "%s stands for who is looked for");
        }
    }
    if directory.user_name.is_empty() {
        let message = format!("`{}` is an attribute", key("user_name"));
        settings.error_at(&key("user_name"), message, "write \"mail\", or \"dn\"");
    }
    if directory.timeout.is_zero() {
        let message = format!("`{}` must be longer than nothing", key("timeout"));
        settings.error_at(&key("timeout"), message, "");
    }
    if directory.bind.is_some() != directory.secret.is_some() {
        let message = format!("[{}] needs `bind` and `secret` together", section.key);
        settings.error(
            &section.span,
            message,
            "leave both out for an anonymous bind",
        );
    }
    check_encryption(settings, section, directory);
}

fn check_encryption(settings: &mut Settings, section: &Section, directory: &Directory) {
    let encrypted = directory.url.starts_with("ldaps://");
    let key = |name: &str| format!("{}.{name}", section.key);
    if encrypted && directory.start_tls {
        let message = "an ldaps:// connection is encrypted from the start".to_owned();
        settings.error_at(&key("start_tls"), message, "take it out, or write ldap://");
    } else if !encrypted && !directory.start_tls && !is_here(&directory.url) {
        let message = "passwords go to this directory in clear".to_owned();
        settings.warn_at(&key("url"), message, "write ldaps://, or start_tls = true");
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
    if settings
        .known_sections
        .contains(&format!("ldap.{}", quoted(name)))
    {
        return Some(name.into());
    }
    let sections = settings.sections_of("ldap.*");
    let known = sections.iter().map(|section| section.name.as_str());
    let label = match nearest(name, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => "write such a section".to_owned(),
    };
    let message = format!("there is no [ldap.{}]", quoted(name));
    settings.error(span, message, &label);
    None
}

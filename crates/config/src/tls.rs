//! `[tls]`, and what a listener changes of it.

use std::path::PathBuf;

use mail::Place;

use crate::config::{CertificateFiles, Tls, TlsVersion};
use crate::settings::Settings;
use crate::source::Span;
use crate::value::Value;

pub(crate) fn global(settings: &mut Settings) -> Tls {
    let certificates = pairs(settings, "tls.certificate", "tls.key");
    let (purpose, tickets) = ("tls.client_ca_server_purpose", "tls.session_tickets");
    let tls = Tls {
        certificates,
        min_version: version(settings, "tls.min_version").unwrap_or_default(),
        client_ca: settings.path("tls.client_ca"),
        client_ca_server_purpose: settings.flag(purpose, purpose),
        session_tickets: settings.number(tickets, tickets).unwrap_or_default(),
    };
    check_purpose(settings, purpose, &tls);
    tls
}

/// `[tls]` as `listener` (its section's key) changes it, key by key.
pub(crate) fn of_listener(settings: &mut Settings, listener: &str, global: &Tls) -> Tls {
    let key = |name: &str| format!("{listener}.{name}");
    let (certificate, private) = (key("certificate"), key("key"));
    let purpose = key("client_ca_server_purpose");
    let has = |settings: &Settings, key: &str| settings.get(key).is_some();
    let certificates = match (has(settings, &certificate), has(settings, &private)) {
        (false, false) => global.certificates.clone(),
        (true, true) => pairs(settings, &certificate, &private),
        (true, false) => pairs(settings, &certificate, "tls.key"),
        (false, true) => pairs(settings, "tls.certificate", &private),
    };
    let tls = Tls {
        certificates,
        min_version: version(settings, &key("min_version")).unwrap_or(global.min_version),
        client_ca: settings
            .path(&key("client_ca"))
            .or_else(|| global.client_ca.clone()),
        client_ca_server_purpose: if has(settings, &purpose) {
            settings.flag(&purpose, "listener.*.client_ca_server_purpose")
        } else {
            global.client_ca_server_purpose
        },
        session_tickets: settings
            .number(&key("session_tickets"), "listener.*.session_tickets")
            .unwrap_or(global.session_tickets),
    };
    check_purpose(settings, &purpose, &tls);
    tls
}

/// Without authorities of ours there is nobody for whom a purpose could count.
fn check_purpose(settings: &mut Settings, key: &str, tls: &Tls) {
    if tls.client_ca_server_purpose && tls.client_ca.is_none() && settings.get(key).is_some() {
        let message = "client_ca_server_purpose needs a client_ca";
        let label = "public authorities alone say nothing about who may relay";
        settings.error_at(key, message.to_owned(), label);
    }
}

fn version(settings: &Settings, key: &str) -> Option<TlsVersion> {
    let Value::Text(word) = &settings.get(key)?.value else {
        return None;
    };
    Some(if word == "1.3" {
        TlsVersion::V1_3
    } else {
        TlsVersion::V1_2
    })
}

/// Certificates with their keys; each needs its own.
pub(crate) fn pairs(
    settings: &mut Settings,
    certificate: &str,
    key: &str,
) -> Vec<CertificateFiles> {
    let chains = paths(settings, certificate);
    let keys = paths(settings, key);
    if chains.len() != keys.len() {
        let message = format!(
            "each certificate needs its key: {} and {}",
            chains.len(),
            keys.len()
        );
        let (at, label) = if settings.get(certificate).is_some() {
            (
                certificate,
                format!("as many as in `{key}`, in the same order"),
            )
        } else {
            (
                key,
                format!("as many as in `{certificate}`, in the same order"),
            )
        };
        settings.error_at(at, message, &label);
    }
    let pairs = chains.into_iter().zip(keys);
    pairs
        .map(|((chain, place), (key, _))| CertificateFiles { chain, key, place })
        .collect()
}

/// One path or a list of them.
fn paths(settings: &Settings, key: &str) -> Vec<(PathBuf, Place)> {
    let path = |value: &Value, span: &Span| match value {
        Value::Text(path) => Some((settings.base.join(path), settings.place(span))),
        _ => None,
    };
    let single = settings.get(key).and_then(|s| path(&s.value, &s.span));
    let items = settings.items(key).iter();
    let listed = items.filter_map(|item| path(&item.value, &item.span));
    single.into_iter().chain(listed).collect()
}

//! `[tls]`, and what a listener changes of it.

use std::path::PathBuf;
use std::sync::Arc;

use mail::{Domain, Place};

use crate::acme;
use crate::config::{CertificateFiles, Tls};
use crate::form::Item;
use crate::option::At;
use crate::options::{listener, tls as options};
use crate::settings::{Section, Settings};

pub(crate) fn global(settings: &mut Settings, hostname: &Domain) -> Tls {
    let (chains, keys) = (options::CERTIFICATE.into(), options::KEY.into());
    let tls = Tls {
        certificates: pairs(settings, chains, keys),
        acme: acme::read(settings, hostname).map(Arc::new),
        min_version: settings.get(options::MIN_VERSION),
        client_ca: settings.path(options::CLIENT_CA),
        client_ca_server_purpose: settings.get(options::CLIENT_CA_SERVER_PURPOSE),
        session_tickets: settings.get(options::SESSION_TICKETS),
    };
    if settings.is_set(options::CLIENT_CA_SERVER_PURPOSE) {
        check_purpose(settings, options::CLIENT_CA_SERVER_PURPOSE, &tls);
    }
    tls
}

/// `[tls]` as a listener changes it, key by key.
pub(crate) fn of_listener(settings: &mut Settings, section: &Section, global: &Tls) -> Tls {
    let (chains, keys) = (section.at(listener::CERTIFICATE), section.at(listener::KEY));
    let is_own = settings.is_set(&chains) || settings.is_set(&keys);
    let certificates = match (settings.is_set(&chains), settings.is_set(&keys)) {
        (false, false) => global.certificates.clone(),
        (true, true) => pairs(settings, chains, keys),
        (true, false) => pairs(settings, chains, options::KEY.into()),
        (false, true) => pairs(settings, options::CERTIFICATE.into(), keys),
    };
    let purpose = section.at(listener::CLIENT_CA_SERVER_PURPOSE);
    let own_tickets = settings.get(section.at(listener::SESSION_TICKETS));
    let own_version = settings.get(section.at(listener::MIN_VERSION));
    let own_purpose = settings.get(&purpose);
    let tls = Tls {
        certificates,
        acme: global.acme.clone().filter(|_| !is_own),
        min_version: own_version.unwrap_or(global.min_version),
        client_ca: settings
            .path(section.at(listener::CLIENT_CA))
            .or_else(|| global.client_ca.clone()),
        client_ca_server_purpose: own_purpose.unwrap_or(global.client_ca_server_purpose),
        session_tickets: own_tickets.unwrap_or(global.session_tickets),
    };
    if own_purpose.is_some() {
        check_purpose(settings, purpose, &tls);
    }
    tls
}

/// Without authorities of ours there is nobody for whom a purpose could count.
fn check_purpose<T: 'static>(settings: &mut Settings, at: impl Into<At<T>>, tls: &Tls) {
    if tls.client_ca_server_purpose && tls.client_ca.is_none() {
        let message = "client_ca_server_purpose needs a client_ca";
        let label = "public authorities alone say nothing about who may relay";
        settings.error_at(at, message.to_owned(), label);
    }
}

/// Certificates with their keys; each needs its own.
pub(crate) fn pairs(
    settings: &mut Settings,
    certificate: At<Vec<Item<PathBuf>>>,
    key: At<Vec<Item<PathBuf>>>,
) -> Vec<CertificateFiles> {
    let chains = paths(settings, &certificate);
    let keys = paths(settings, &key);
    if chains.len() != keys.len() {
        let message = format!(
            "each certificate needs its key: {} and {}",
            chains.len(),
            keys.len()
        );
        let (at, other) = if settings.is_set(&certificate) {
            (certificate, key)
        } else {
            (key, certificate)
        };
        let label = format!("as many as in `{}`, in the same order", other.key);
        settings.error_at(at, message, &label);
    }
    let pairs = chains.into_iter().zip(keys);
    pairs
        .map(|((chain, place), (key, _))| CertificateFiles { chain, key, place })
        .collect()
}

fn paths(settings: &Settings, at: &At<Vec<Item<PathBuf>>>) -> Vec<(PathBuf, Place)> {
    let items = settings.get(at).into_iter();
    items
        .map(|item| (settings.base.join(item.value), settings.place(&item.span)))
        .collect()
}

//! `[tls.acme]`: certificates that we get by ourselves.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use mail::Domain;

use crate::config::{Acme, AcmeBinding, AcmeChallenge, AcmeName, CertificateFiles};
use crate::options::{tls_acme as options, top};
use crate::settings::{Settings, positive};

/// One order is made after the other: more names would wait for each other too long.
const NAMES_MAX: usize = 100;

/// `None` where there is no such section. All of it has defaults, so an empty one is one too.
pub(crate) fn read(settings: &mut Settings, hostname: &Domain) -> Option<Acme> {
    let is_empty = settings.empty_sections.contains_key(options::SECTION);
    if !is_empty && !settings.is_written(options::SECTION) {
        return None;
    }
    let challenge = settings.get(options::CHALLENGE);
    let folder = settings.get(top::DATA_DIR).join("acme");
    let names = names(settings, hostname, challenge, &folder);
    let hook = settings.path(options::HOOK);
    if challenge == AcmeChallenge::Dns && hook.is_none() {
        let message = "dns-01 needs a hook".to_owned();
        let label = "write hook = \"/usr/local/bin/PROGRAM\", which adds and removes the record";
        settings.error_at(options::CHALLENGE, message, label);
    }
    if challenge != AcmeChallenge::Dns && hook.is_some() {
        let message = format!("nobody calls the hook: {} needs none", challenge.as_str());
        settings.warn_at(options::HOOK, message, "for challenge = \"dns-01\"");
    }
    positive(settings, options::HOOK_TIMEOUT);
    Some(Acme {
        names,
        directory: settings.get(options::DIRECTORY),
        ca: settings.path(options::CA),
        contact: settings.get(options::CONTACT),
        binding: binding(settings),
        challenge,
        binds: binds(settings, challenge),
        hook,
        hook_timeout: settings.get(options::HOOK_TIMEOUT),
        profile: settings.get(options::PROFILE),
        keep_key: settings.get(options::KEEP_KEY),
        folder,
    })
}

fn binding(settings: &mut Settings) -> Option<AcmeBinding> {
    let (key_id, key) = (
        settings.get(options::EAB_KEY_ID),
        settings.secret(options::EAB_KEY),
    );
    let (is_of_id, is_of_key) = (key_id.is_some(), key.is_some());
    if is_of_id && !is_of_key {
        let message = "eab_key_id needs its eab_key".to_owned();
        settings.error_at(
            options::EAB_KEY_ID,
            message,
            "write eab_key = \"file:PATH\"",
        );
    }
    if is_of_key && !is_of_id {
        let message = "eab_key needs its eab_key_id".to_owned();
        settings.error_at(options::EAB_KEY, message, "write eab_key_id = \"NAME\"");
    }
    let (key_id, key) = (key_id?, key?);
    Some(AcmeBinding { key_id, key })
}

fn names(
    settings: &mut Settings,
    hostname: &Domain,
    challenge: AcmeChallenge,
    folder: &Path,
) -> Vec<AcmeName> {
    let named = |name: &str, place| {
        // `*` is no part of any name, nor is `_`.
        let file = folder.join(format!("{}.pem", name.replace('*', "_")));
        AcmeName {
            name: name.into(),
            files: CertificateFiles {
                chain: file.clone(),
                key: file,
                place,
            },
        }
    };
    let written = settings.get(options::NAMES);
    if written.is_empty() {
        let place = settings.place_of(options::NAMES);
        return vec![named(&hostname.as_str().to_ascii_lowercase(), place)];
    }
    let mut names: Vec<AcmeName> = Vec::new();
    for item in written {
        let name = &item.value;
        if names.iter().any(|other| *other.name == **name) {
            let message = format!("{name} is there twice");
            settings.error(&item.span, message, "once is enough");
        }
        if name.starts_with("*.") && challenge != AcmeChallenge::Dns {
            let message = format!("{name} cannot be proven by {}", challenge.as_str());
            settings.error(&item.span, message, "write challenge = \"dns-01\"");
        }
        let place = settings.place(&item.span);
        names.push(named(name, place));
    }
    if names.len() > NAMES_MAX {
        let message = format!("more than {NAMES_MAX} names");
        settings.error_at(
            options::NAMES,
            message,
            "each gets a certificate of its own",
        );
    }
    names
}

/// What authorities ask: RFC 8555 section 8.3, RFC 8737 section 3.
fn binds(settings: &mut Settings, challenge: AcmeChallenge) -> Vec<SocketAddr> {
    let port = match challenge {
        AcmeChallenge::Http => 80,
        AcmeChallenge::TlsAlpn => 443,
        AcmeChallenge::Dns => {
            let message = "nothing is bound for dns-01".to_owned();
            settings.warn_at(options::BIND, message, "for http-01 and tls-alpn-01");
            return Vec::new();
        }
    };
    let written = settings.values(options::BIND);
    if !written.is_empty() {
        return written;
    }
    vec![
        (Ipv4Addr::UNSPECIFIED, port).into(),
        (Ipv6Addr::UNSPECIFIED, port).into(),
    ]
}

//! `[auth]`: who signs in with us, and how; `[verify]` beside it.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Auth, Issuer, KeySource};
use crate::directories;
use crate::options::{auth as options, auth_oauth as oauth, verify};
use crate::settings::Settings;

pub(crate) fn auth(settings: &mut Settings, data_dir: &Path) -> Auth {
    let mechanisms = settings.values(options::MECHANISMS);
    if mechanisms.is_empty() {
        let message = "nobody can sign in without a mechanism".to_owned();
        let label = "leave it out for all, or write auth = \"off\" for the listeners";
        settings.error_at(options::MECHANISMS, message, label);
    }
    Auth {
        users_file: settings
            .path(options::USERS_FILE)
            .unwrap_or_else(|| data_dir.join("users.toml")),
        mechanisms: owned(&mechanisms),
        sender_match: settings.get(options::SENDER_MATCH),
        directories: user_directories(settings),
        issuer: issuer(settings),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn user_directories(settings: &mut Settings) -> Vec<Arc<str>> {
    let written = settings.get(options::LDAP).into_iter();
    written
        .filter_map(|item| directories::named(settings, &item.value, &item.span))
        .collect()
}

/// Whose tokens, for whom, by which keys: without one of these any token of the world would do.
const TOGETHER: &str = "issuer, audience and keys belong together";

fn issuer(settings: &mut Settings) -> Option<Issuer> {
    let help = "write `issuer`, `audience` and `keys`, or leave the section out";
    if !settings.is_begun(oauth::SECTION, help) {
        return None;
    }
    let [issuer, audience] = [oauth::ISSUER, oauth::AUDIENCE].map(|option| {
        let text = settings.get(option).filter(|text| !text.is_empty());
        settings.needed(option, text, TOGETHER)
    });
    let keys = settings.get(oauth::KEYS);
    let keys = settings.needed(oauth::KEYS, keys, TOGETHER);
    let algorithms = settings.values(oauth::ALGORITHMS);
    if algorithms.is_empty() {
        let message = "no token can be checked without an algorithm".to_owned();
        settings.error_at(oauth::ALGORITHMS, message, "write [\"RS256\"]");
    }
    Some(Issuer {
        place: settings.place_of(oauth::ISSUER),
        issuer: issuer?,
        audience: audience?,
        keys: match keys? {
            KeySource::File(path) => KeySource::File(settings.base.join(path)),
            url @ KeySource::Url(_) => url,
        },
        user_claim: settings.get(oauth::USER_CLAIM),
        algorithms: owned(&algorithms),
    })
}

pub(crate) fn check_verify(settings: &mut Settings) {
    crate::settings::positive(settings, verify::TIMEOUT);
}

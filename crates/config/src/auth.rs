//! `[auth]`: who signs in with us, and how; `[verify]` beside it.

use std::path::Path;
use std::sync::Arc;

use relay_policy::SenderMatch;

use crate::config::{Auth, Issuer, KeySource, Verify};
use crate::directories;
use crate::settings::Settings;
use crate::source::Span;
use crate::value::Value;

pub(crate) fn auth(settings: &mut Settings, data_dir: &Path) -> Auth {
    let mechanisms = settings.words("auth.mechanisms");
    if mechanisms.is_empty() {
        let message = "nobody can sign in without a mechanism".to_owned();
        let label = "leave it out for all, or write auth = \"off\" for the listeners";
        settings.error_at("auth.mechanisms", message, label);
    }
    let sender_match = match settings
        .text("auth.sender_match", "auth.sender_match")
        .as_deref()
    {
        Some("off") => SenderMatch::Off,
        Some("own") => SenderMatch::Own,
        Some(_) | None => SenderMatch::Listed,
    };
    Auth {
        users_file: settings
            .path("auth.users_file")
            .unwrap_or_else(|| data_dir.join("users.toml")),
        mechanisms,
        failures_max: settings
            .number("auth.max_failures", "auth.max_failures")
            .unwrap_or(1),
        sender_match,
        directories: user_directories(settings),
        issuer: issuer(settings),
    }
}

fn user_directories(settings: &mut Settings) -> Vec<Arc<str>> {
    let written: Vec<(String, Span)> = settings
        .items("auth.ldap")
        .iter()
        .filter_map(|item| match &item.value {
            Value::Text(name) => Some((name.clone(), item.span.clone())),
            _ => None,
        })
        .collect();
    let named = |(name, span): &(String, Span)| directories::named(settings, name, span);
    written.iter().filter_map(named).collect()
}

fn issuer(settings: &mut Settings) -> Option<Issuer> {
    const BASE: &str = "auth.oauth";
    if !settings.is_written(BASE) {
        return None;
    }
    let [issuer, audience, keys] = ["issuer", "audience", "keys"].map(|name| {
        let key = format!("{BASE}.{name}");
        let text = settings.text(&key, &key).filter(|text| !text.is_empty());
        if text.is_none() && !settings.has_error_in(BASE) {
            missing(settings, name);
        }
        text
    });
    let algorithms = settings.words("auth.oauth.algorithms");
    if algorithms.is_empty() {
        let message = "no token can be checked without an algorithm".to_owned();
        settings.error_at("auth.oauth.algorithms", message, "write [\"RS256\"]");
    }
    let keys = keys?;
    Some(Issuer {
        place: settings.place_of("auth.oauth.issuer"),
        issuer: issuer?,
        audience: audience?,
        keys: match keys.strip_prefix("file:") {
            Some(path) => KeySource::File(settings.base.join(path)),
            None => KeySource::Url(keys),
        },
        user_claim: settings
            .text("auth.oauth.user_claim", "auth.oauth.user_claim")
            .unwrap_or_default(),
        algorithms,
    })
}

/// Whose tokens, for whom, by which keys: without one of these any token of the world would do.
fn missing(settings: &mut Settings, name: &str) {
    let options = settings.values.iter();
    let written = options.filter(|(key, _)| key.starts_with("auth.oauth."));
    let spans = written.map(|(_, setting)| &setting.key);
    let Some(span) = spans.min_by_key(|s| (s.file, s.range.start)).cloned() else {
        return;
    };
    let message = format!("[auth.oauth] has no `{name}`");
    settings.error(&span, message, "issuer, audience and keys belong together");
}

pub(crate) fn verify(settings: &mut Settings) -> Verify {
    crate::assemble::positive(settings, &["verify.timeout"]);
    let span = |key| settings.duration(key, key).unwrap_or_default();
    Verify {
        positive: span("verify.positive"),
        negative: span("verify.negative"),
        timeout: span("verify.timeout"),
    }
}

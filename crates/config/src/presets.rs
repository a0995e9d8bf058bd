//! What well-known services ask of who hands them mail: one word on a route in place of what their
//! manuals say. Whatever the route says itself goes before.

use crate::option::Definition;
use crate::options::{route, route_auth};
use crate::parts::Preset;
use crate::settings::{Section, Settings};

fn filled_by(preset: Preset) -> &'static [Filled] {
    match preset {
        Preset::Microsoft365 => MICROSOFT365,
        Preset::Hve => HVE,
        Preset::Google => GOOGLE,
        Preset::Ses => SES,
    }
}

/// An option that a preset fills in.
struct Filled {
    option: &'static dyn Definition,
    /// As it could be written.
    value: &'static str,
    /// Only where this option is written as well.
    beside: Option<&'static dyn Definition>,
}

const fn filled(option: &'static dyn Definition, value: &'static str) -> Filled {
    Filled {
        option,
        value,
        beside: None,
    }
}

const fn beside(
    written: &'static dyn Definition,
    option: &'static dyn Definition,
    value: &'static str,
) -> Filled {
    Filled {
        option,
        value,
        beside: Some(written),
    }
}

/// Client submission by a mailbox of Exchange Online: 30 messages a minute, 10,000 recipients a
/// day, three connections at once.
const MICROSOFT365: &[Filled] = &[
    filled(route::PORT, "587"),
    filled(route::TLS, "\"verify\""),
    filled(route::MAX_CONNECTIONS, "3"),
    filled(route::RATE, "[\"30/1m\", \"10000 recipients/1d\"]"),
    beside(
        route_auth::TOKEN_URL,
        route_auth::SCOPE,
        "\"https://outlook.office365.com/.default\"",
    ),
];
/// High Volume Email of Microsoft 365, for recipients of one's own organization: accounts of its
/// own, which sign in with a password.
const HVE: &[Filled] = &[
    filled(route::PORT, "587"),
    filled(route::TLS, "\"verify\""),
    beside(route_auth::SECRET, route_auth::MECHANISM, "\"LOGIN\""),
];
/// A user of Google Workspace: 2,000 messages and 10,000 recipients in 24 hours.
const GOOGLE: &[Filled] = &[
    filled(route::PORT, "587"),
    filled(route::TLS, "\"verify\""),
    filled(route::RATE, "[\"2000/1d\", \"10000 recipients/1d\"]"),
    beside(
        route_auth::TOKEN_URL,
        route_auth::SCOPE,
        "\"https://mail.google.com/\"",
    ),
];
/// Amazon SES. Its limits are each account's own: what is too fast for it, it says.
const SES: &[Filled] = &[
    filled(route::PORT, "587"),
    filled(route::TLS, "\"verify\""),
    beside(route_auth::SECRET, route_auth::MECHANISM, "\"PLAIN\""),
];

/// Fills in what the presets of all routes say and nobody wrote.
pub(crate) fn fill(settings: &mut Settings) {
    for section in settings.sections_of(route::SECTION) {
        if let Some(preset) = settings.get(section.at(route::PRESET)) {
            for filled in filled_by(preset) {
                fill_one(settings, &section, filled);
            }
        }
    }
}

fn fill_one(settings: &mut Settings, section: &Section, filled: &Filled) {
    let is_written = |option: &dyn Definition| settings.setting(&section.key_of(option)).is_some();
    if !is_written(filled.option) && filled.beside.is_none_or(is_written) {
        let key = section.key_of(filled.option);
        settings.presets.insert(key, filled.value);
    }
}

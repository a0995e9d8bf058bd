use std::fmt::Write;
use std::time::Duration;

use mail::Place;

use crate::Config;
use crate::options::{Force, OPTIONS, OptionSpec};
use crate::settings::{Setting, Settings};
use crate::value::Value;

/// One option as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `listener.internet.bind`
    pub key: String,
    /// Its value, as it could be written.
    pub value: String,
    /// Where it was written, or the default.
    pub place: Place,
    /// What stands there does nothing in this version.
    pub idle: bool,
}

/// The effective configuration as text, one option a line with its place; `changed_only` leaves
/// defaults out.
pub fn show(shown: &[Shown], changed_only: bool) -> String {
    let mut text = String::new();
    for option in shown
        .iter()
        .filter(|option| !changed_only || option.place != Place::Default)
    {
        let idle = if option.idle {
            ", not in force yet"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} = {}  # {}{idle}",
            option.key, option.value, option.place
        );
    }
    text
}

/// Every option that was written or has a default, in the order of the table.
pub(crate) fn shown(settings: &Settings, config: &Config) -> Vec<Shown> {
    let mut all = Vec::new();
    for spec in OPTIONS {
        match spec.key.split_once(".*.") {
            _ if spec.key.contains("[]") => {
                let written = settings
                    .values
                    .iter()
                    .filter(|(_, s)| s.spec.key == spec.key);
                all.extend(written.map(|(key, setting)| written_option(settings, key, setting)));
            }
            Some((family, rest)) => {
                for section in settings.sections_of(&format!("{family}.*")) {
                    all.extend(option(
                        settings,
                        spec,
                        format!("{}.{rest}", section.key),
                        config,
                    ));
                }
            }
            None => all.extend(option(settings, spec, spec.key.to_owned(), config)),
        }
    }
    all
}

fn option(settings: &Settings, spec: &OptionSpec, key: String, config: &Config) -> Option<Shown> {
    if let Some(setting) = settings.get(&key) {
        return Some(written_option(settings, &key, setting));
    }
    let value = match spec.default {
        _ if spec.force == Force::Later => return None,
        "" => dependent_default(spec, config)?,
        // The preset changes the default.
        _ if spec.key == "queue.retry" => pauses(&config.queue.retry),
        default => default.to_owned(),
    };
    Some(Shown {
        key,
        value,
        place: Place::Default,
        idle: false,
    })
}

/// Defaults that follow from something else.
fn dependent_default(spec: &OptionSpec, config: &Config) -> Option<String> {
    let value = match spec.key {
        "hostname" | "listener.*.hostname" => config.hostname.to_string(),
        "postmaster" => config.postmaster.as_ref()?.to_string(),
        "auth.users_file" => config.auth.users_file.display().to_string(),
        "limits.recipients_of_strangers" => {
            return Some(config.limits.recipients_of_strangers.to_string());
        }
        "control.socket" => config.control.socket.display().to_string(),
        _ => return None,
    };
    Some(format!("\"{value}\""))
}

fn pauses(pauses: &[Duration]) -> String {
    let minutes: Vec<String> = pauses
        .iter()
        .map(|p| format!("\"{}m\"", p.as_secs() / 60))
        .collect();
    format!("[{}]", minutes.join(", "))
}

fn written_option(settings: &Settings, key: &str, setting: &Setting) -> Shown {
    let text = |span: &crate::source::Span| {
        let source = settings.sources.get(span.file);
        source
            .and_then(|source| source.text.get(span.range.clone()))
            .unwrap_or_default()
    };
    let value = match &setting.value {
        // A list may go over many lines with comments between; its elements do not.
        Value::List(items) if text(&setting.span).starts_with('[') => {
            let items: Vec<&str> = items.iter().map(|item| text(&item.span)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => text(&setting.span).to_owned(),
    };
    let idle = setting.spec.force == Force::Later;
    Shown {
        key: key.to_owned(),
        value,
        place: settings.place(&setting.span),
        idle,
    }
}

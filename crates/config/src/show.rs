use std::fmt::Write;

use mail::Place;

use crate::config::Config;
use crate::option::Facts;
use crate::settings::{Setting, Settings};
use crate::shown::Shown;
use crate::source::Span;
use crate::table::{Row, rows};

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

/// Every option that was written, or follows from a preset, or has a default, in the order of the table.
pub(crate) fn shown(settings: &Settings, config: &Config) -> Vec<Shown> {
    let mut all = Vec::new();
    for row in rows() {
        match row.key.split_once(".*.") {
            _ if row.key.contains("[]") || row.key.ends_with(".*") => {
                all.extend(only_written(settings, row));
            }
            Some((family, rest)) => {
                for section in settings.sections_of(&format!("{family}.*")) {
                    let key = format!("{}.{rest}", section.key);
                    all.extend(option(settings, row, key, config));
                }
            }
            None => all.extend(option(settings, row, row.key.clone(), config)),
        }
    }
    all
}

/// What somebody wrote, where there are no defaults: in the tables of a list, and under names of the
/// administrator's.
fn only_written(settings: &Settings, row: &'static Row) -> Vec<Shown> {
    let is_row = |setting: &Setting| setting.definition.facts().key() == row.key;
    let written = settings
        .values
        .iter()
        .filter(|(_, setting)| is_row(setting));
    written
        .map(|(key, setting)| written_option(settings, row, key, setting))
        .collect()
}

fn option(settings: &Settings, row: &'static Row, key: String, config: &Config) -> Option<Shown> {
    if let Some(setting) = settings.setting(&key) {
        return Some(written_option(settings, row, &key, setting));
    }
    let (value, place) = match settings.presets.get(&key) {
        Some(value) => ((*value).to_owned(), Place::Preset),
        None => (default_of(row.definition.facts(), config)?, Place::Default),
    };
    Some(Shown {
        option: &row.key,
        key,
        value,
        place,
        idle: false,
    })
}

fn default_of(facts: &Facts, config: &Config) -> Option<String> {
    if !facts.in_force {
        return None;
    }
    match facts.follows {
        Some(follows) => follows(config),
        None if facts.default.is_empty() => None,
        None => Some(facts.default.to_owned()),
    }
}

fn written_option(settings: &Settings, row: &'static Row, key: &str, setting: &Setting) -> Shown {
    let text = |span: &Span| settings.text(span).unwrap_or_default();
    let value = text(&setting.span);
    // A list may go over many lines with comments between; its elements do not.
    let value = if value.starts_with('[') {
        let items: Vec<&str> = setting.items.iter().map(text).collect();
        format!("[{}]", items.join(", "))
    } else {
        value.to_owned()
    };
    Shown {
        option: &row.key,
        key: key.to_owned(),
        value,
        place: settings.place(&setting.span),
        idle: !setting.definition.facts().in_force,
    }
}

//! What every option says and where that stands. What was written is kept; defaults are worked out when
//! somebody asks: of ten thousand domains they would be most of the configuration.

use std::collections::BTreeMap;
use std::fmt::Write;

use mail::Place;

use crate::config::Config;
use crate::option::Facts;
use crate::settings::{Setting, Settings};
use crate::shown::{Shown, Written};
use crate::source::Span;
use crate::table::{Row, rows};

/// The effective configuration as text, one option a line with its place; `changed_only` leaves
/// defaults out.
pub fn show(config: &Config, changed_only: bool) -> String {
    let mut text = String::new();
    for option in config
        .options()
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

impl Written {
    pub fn of(settings: &Settings) -> Self {
        let mut written = Self::default();
        for section in &settings.sections {
            let of_pattern = written.sections.entry(section.pattern.clone());
            of_pattern.or_default().push(section.key.clone());
        }
        let by_key = rows().iter().map(|row| (row.key.as_str(), row));
        let by_key: BTreeMap<&str, &'static Row> = by_key.collect();
        for (key, setting) in &settings.values {
            if let Some(row) = by_key.get(&*setting.definition.facts().key()) {
                let of_row = written.options.entry(&row.key).or_default();
                of_row.push(written_option(settings, row, key, setting));
            }
        }
        if !settings.presets.is_empty() {
            written.add_presets(settings);
        }
        written
    }

    fn add_presets(&mut self, settings: &Settings) {
        for row in rows() {
            for key in self.keys(row) {
                let preset = settings.presets.get(&key);
                let preset = preset.filter(|_| settings.setting(&key).is_none());
                if let Some(value) = preset {
                    let shown = unwritten(row, key, (*value).to_owned(), Place::Preset);
                    let of_row = self.options.entry(&row.key).or_default();
                    let at = of_row.partition_point(|other| other.key < shown.key);
                    of_row.insert(at, shown);
                }
            }
        }
    }

    fn of_row(&self, row: &Row) -> &[Shown] {
        self.options.get(&*row.key).map_or(&[], Vec::as_slice)
    }

    fn sections_of(&self, family: &str) -> &[String] {
        let found = self.sections.get(&format!("{family}.*"));
        found.map_or(&[], Vec::as_slice)
    }

    /// The keys under which an option may stand that has a default, in the order of the files.
    fn keys(&self, row: &Row) -> Vec<String> {
        match row.key.split_once(".*.") {
            _ if is_only_written(row) => Vec::new(),
            Some((family, rest)) => {
                let sections = self.sections_of(family).iter();
                sections
                    .map(|section| format!("{section}.{rest}"))
                    .collect()
            }
            None => vec![row.key.clone()],
        }
    }

    /// The key in full of what is asked for.
    fn key(&self, row: &Row, asked: &str) -> Option<String> {
        let Some((family, rest)) = row.key.split_once(".*.") else {
            return (row.key == asked).then(|| asked.to_owned());
        };
        let section = asked.strip_prefix(family)?.strip_prefix('.')?;
        let section = section.strip_suffix(rest)?.strip_suffix('.')?;
        let is_named = |key: &&String| {
            let name = key
                .strip_prefix(family)
                .and_then(|key| key.strip_prefix('.'));
            name.is_some_and(|name| is_same_name(name, section))
        };
        let found = self.sections_of(family).iter().find(is_named)?;
        Some(format!("{found}.{rest}"))
    }
}

impl Config {
    /// Every option that was written, or follows from a preset, or has a default, in the order of the
    /// table.
    pub fn options(&self) -> impl Iterator<Item = Shown> {
        rows().iter().flat_map(|row| self.of_row(row))
    }

    /// What one option of the table (`listener.*.bind`) says, in each section that may have it.
    pub fn values_of(&self, pattern: &str) -> Vec<Shown> {
        let row = rows().iter().find(|row| row.key == pattern);
        row.map_or_else(Vec::new, |row| self.of_row(row))
    }

    /// An option by its full key, in which names of domains may stand in any case and without quotation
    /// marks: `domain.example.org.route`.
    pub fn option(&self, key: &str) -> Option<Shown> {
        let found = |row| Some((row, self.written.key(row, key)?));
        let (row, key) = rows().iter().find_map(found)?;
        self.at(row, key)
    }

    /// What was written, or follows from a preset.
    pub fn written(&self) -> impl Iterator<Item = &Shown> {
        self.written.options.values().flatten()
    }

    fn of_row(&self, row: &'static Row) -> Vec<Shown> {
        match is_only_written(row) {
            true => self.written.of_row(row).to_vec(),
            false => {
                let keys = self.written.keys(row).into_iter();
                keys.filter_map(|key| self.at(row, key)).collect()
            }
        }
    }

    fn at(&self, row: &'static Row, key: String) -> Option<Shown> {
        let written = self.written.of_row(row);
        if let Ok(at) = written.binary_search_by(|shown| shown.key.cmp(&key)) {
            return written.get(at).cloned();
        }
        let default = default_of(row.definition.facts(), self)?;
        Some(unwritten(row, key, default, Place::Default))
    }
}

/// Whether an option has no default, as in the tables of a list, and under names of the
/// administrator's.
fn is_only_written(row: &Row) -> bool {
    row.key.contains("[]") || row.key.ends_with(".*")
}

/// Names of domains may be written in any case and in quotation marks.
fn is_same_name<'a>(written: &'a str, asked: &'a str) -> bool {
    let letters = |name: &'a str| {
        let letters = name.bytes().filter(|octet| *octet != b'"');
        letters.map(|octet| octet.to_ascii_lowercase())
    };
    letters(written).eq(letters(asked))
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

fn unwritten(row: &'static Row, key: String, value: String, place: Place) -> Shown {
    Shown {
        option: &row.key,
        key,
        value,
        place,
        idle: false,
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

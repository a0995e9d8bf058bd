//! What was written, option by option, before it is put together.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::Duration;

use admission::{Limit, Rate};
use mail::Place;

use crate::config::Secret;
use crate::diagnostic::{Diagnostic, Severity};
use crate::form::{Item, Origin};
use crate::option::{At, Definition, Facts, Opt, join, section_of};
use crate::source::{Source, Span};

/// One option that somebody wrote.
pub(crate) struct Setting {
    pub definition: &'static dyn Definition,
    /// Its name within the section, which is the administrator's where the table has a `*`.
    pub name: String,
    pub key: Span,
    pub span: Span,
    /// Of a list: its elements.
    pub items: Vec<Span>,
}

/// All files' options by their full keys (`listener.internet.bind`), and what is wrong with them so
/// far.
#[derive(Default)]
pub(crate) struct Settings {
    /// The folder of the main file, from which relative paths start.
    pub base: PathBuf,
    pub sources: Vec<Source>,
    pub values: BTreeMap<String, Setting>,
    /// What presets say of options that nobody wrote, as TOML.
    pub presets: BTreeMap<String, &'static str>,
    /// Sections with a name of the administrator's, in the order of the files.
    pub sections: Vec<Section>,
    pub known_sections: HashSet<String>,
    /// Sections without a name that stand in a file with nothing in them.
    pub empty_sections: BTreeMap<String, Span>,
    pub found: Vec<Found>,
}

/// Something that is wrong, or looks so.
pub(crate) struct Found {
    /// The section that it is about: `listener.internet`; empty when it is about none.
    pub section: String,
    pub span: Option<Span>,
    pub diagnostic: Diagnostic,
}

/// A section as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// As the table names it: `listener.*`.
    pub pattern: String,
    /// `listener.internet`
    pub key: String,
    /// `internet`
    pub name: String,
    pub span: Span,
}

impl Section {
    /// The whole file, for options that stand in no section with a name.
    pub fn top() -> Self {
        Self {
            pattern: String::new(),
            key: String::new(),
            name: String::new(),
            span: Span {
                file: 0,
                range: 0..0,
            },
        }
    }

    /// An option of this section, or of one within it.
    pub fn at<T>(&self, option: &'static Opt<T>) -> At<T> {
        At {
            option,
            key: self.key_in(&option.facts),
        }
    }

    /// The key of such an option: `listener.internet.bind`.
    pub fn key_of(&self, definition: &dyn Definition) -> String {
        self.key_in(definition.facts())
    }

    fn key_in(&self, facts: &Facts) -> String {
        let within = facts.section.strip_prefix(&*self.pattern);
        debug_assert!(within.is_some(), "{facts:?} in [{}]", self.pattern);
        let section = format!("{}{}", self.key, within.unwrap_or_default());
        join(&section, facts.name)
    }
}

impl Settings {
    /// A digest of all text read so far.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for source in &self.sources {
            (&source.name, &source.text).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub fn place(&self, span: &Span) -> Place {
        self.sources
            .get(span.file)
            .map_or(Place::Default, |source| source.place(span.range.start))
    }

    /// A diagnostic that points at `span`.
    pub fn at(&self, severity: Severity, span: &Span, message: String, label: &str) -> Diagnostic {
        let location = self
            .sources
            .get(span.file)
            .map(|source| source.location(&span.range));
        Diagnostic {
            location,
            label: label.to_owned(),
            ..Diagnostic::new(severity, message)
        }
    }

    pub fn error(&mut self, span: &Span, message: String, label: &str) {
        self.error_in("", span, message, label);
    }

    /// An error of `section`, about which no more is said then that only follows from it.
    pub fn error_in(&mut self, section: &str, span: &Span, message: String, label: &str) {
        let diagnostic = self.at(Severity::Error, span, message, label);
        self.push(section, Some(span.clone()), diagnostic);
    }

    pub fn warn(&mut self, span: &Span, message: String, label: &str) {
        let diagnostic = self.at(Severity::Warning, span, message, label);
        self.push("", Some(span.clone()), diagnostic);
    }

    /// An error at an option's value; nothing when nobody wrote it.
    pub fn error_at<T: 'static>(&mut self, at: impl Into<At<T>>, message: String, label: &str) {
        let at = at.into();
        if let Some(span) = self.setting(&at.key).map(|setting| setting.span.clone()) {
            self.error_in(at.section(), &span, message, label);
        }
    }

    /// The same at its name.
    pub fn error_at_name(&mut self, key: &str, message: String, label: &str) {
        if let Some(setting) = self.setting(key) {
            let (span, name) = (setting.key.clone(), setting.definition.facts().name);
            self.error_in(section_of(key, name), &span, message, label);
        }
    }

    /// A warning at an option's value; nothing when nobody wrote it.
    pub fn warn_at<T: 'static>(&mut self, at: impl Into<At<T>>, message: String, label: &str) {
        let at = at.into();
        if let Some(span) = self.setting(&at.key).map(|setting| setting.span.clone()) {
            self.warn(&span, message, label);
        }
    }

    pub fn push(&mut self, section: &str, span: Option<Span>, diagnostic: Diagnostic) {
        self.found.push(Found {
            section: section.to_owned(),
            span,
            diagnostic,
        });
    }

    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.values.get(key)
    }

    /// Whether somebody wrote this option.
    pub fn is_set<T: 'static>(&self, at: impl Into<At<T>>) -> bool {
        self.values.contains_key(&at.into().key)
    }

    /// Where an option was written, or that it was not.
    pub fn place_of<T: 'static>(&self, at: impl Into<At<T>>) -> Place {
        let key = at.into().key;
        match self.setting(&key) {
            Some(setting) => self.place(&setting.span),
            None if self.presets.contains_key(&key) => Place::Preset,
            None => Place::Default,
        }
    }

    /// Sections of a pattern, in the order in which they were written.
    pub fn sections_of(&self, pattern: &str) -> Vec<Section> {
        self.sections
            .iter()
            .filter(|section| section.pattern == pattern)
            .cloned()
            .collect()
    }

    /// Whether something in this section is wrong already, so that what is missing may only be
    /// unreadable.
    pub fn has_error_in(&self, section: &str) -> bool {
        let mut errors = self.errors();
        errors.any(|found| found.section == section)
    }

    /// Whether anything is wrong so far.
    pub fn has_error(&self) -> bool {
        self.errors().next().is_some()
    }

    fn errors(&self) -> impl Iterator<Item = &Found> {
        let is_error = |found: &&Found| found.diagnostic.severity == Severity::Error;
        self.found.iter().filter(is_error)
    }

    /// Whether there is a section of this pattern with this name.
    pub fn knows(&self, pattern: &str, name: &str) -> bool {
        let key = pattern.replace('*', &quoted(name));
        self.known_sections.contains(&key)
    }

    /// Whether somebody wrote an option of this section.
    pub fn is_written(&self, section: &str) -> bool {
        let within = format!("{section}.");
        let from = self.values.range(within.clone()..).next();
        from.is_some_and(|(key, _)| key.starts_with(&within))
    }

    /// The same of one that is nothing without its options: where it stands there without any, that is
    /// an error, and `help` says what belongs in it.
    pub fn is_begun(&mut self, section: &str, help: &str) -> bool {
        if self.is_written(section) {
            return true;
        }
        if let Some(span) = self.empty_sections.get(section).cloned() {
            let message = format!("[{section}] says nothing");
            self.error_in(section, &span, message, help);
        }
        false
    }

    /// The value of an option that its section, of which something is written, cannot be without;
    /// `label` says what belongs together.
    pub fn needed<T, U>(&mut self, option: &Opt<T>, value: Option<U>, label: &str) -> Option<U> {
        let section = option.facts.section;
        if value.is_none() && !self.has_error_in(section) {
            let within = format!("{section}.");
            let written = self.values.range(within.clone()..);
            let written = written.take_while(|(key, _)| key.starts_with(&within));
            let spans = written.map(|(_, setting)| &setting.key);
            if let Some(span) = spans.min_by_key(|s| (s.file, s.range.start)).cloned() {
                let message = format!("[{section}] has no `{}`", option.facts.name);
                self.error_in(section, &span, message, label);
            }
        }
        value
    }

    /// The part of the files that begins at `place`.
    pub fn span_at(&self, place: &Place) -> Option<Span> {
        let sections = self.sections.iter().map(|section| &section.span);
        let settings = self.values.values();
        let values =
            settings.flat_map(|setting| std::iter::once(&setting.span).chain(&setting.items));
        sections
            .chain(values)
            .find(|span| self.place(span) == *place)
            .cloned()
    }
}

/// What the table can fill with an option of type `T`.
pub(crate) trait Field<T> {
    fn of(value: T, place: impl FnOnce() -> Place) -> Self;
}

impl<T> Field<T> for T {
    fn of(value: T, _: impl FnOnce() -> Place) -> Self {
        value
    }
}

/// A limit knows the line that set it.
impl<T> Field<T> for Limit<T> {
    fn of(value: T, place: impl FnOnce() -> Place) -> Self {
        Self {
            value,
            place: place(),
        }
    }
}

impl<T> Field<Option<T>> for Option<Limit<T>> {
    fn of(value: Option<T>, place: impl FnOnce() -> Place) -> Self {
        value.map(|value| Limit::of(value, place))
    }
}

/// The queue manager takes a rate in its parts.
impl Field<Option<Rate>> for Option<(u32, Duration)> {
    fn of(value: Option<Rate>, _: impl FnOnce() -> Place) -> Self {
        value.map(|rate| (rate.count, rate.per))
    }
}

/// Reads options as values of the types that the table of options gives them.
impl Settings {
    /// What was written, or what a preset says, or the table's default. What was written has been read once without a
    /// fault, else it would not be among the values.
    pub fn get<T: Default + 'static>(&self, at: impl Into<At<T>>) -> T {
        let At { option, key } = at.into();
        let written = self.setting(&key).and_then(|setting| {
            let origin = Origin {
                file: setting.span.file,
                offset: setting.span.range.start,
            };
            option.read(self.text(&setting.span)?, origin)
        });
        let preset = self.presets.get(&key).copied();
        let unwritten = || option.read(preset.unwrap_or(option.facts.default), Origin::NOWHERE);
        written.or_else(unwritten).unwrap_or_default()
    }

    /// The same for a field that the table fills.
    pub fn fill<T: Default + 'static, F: Field<T>>(&self, at: impl Into<At<T>>) -> F {
        let at = at.into();
        F::of(self.get(&at), || self.place_of(&at))
    }

    /// The values of a list.
    pub fn values<T: 'static>(&self, at: impl Into<At<Vec<Item<T>>>>) -> Vec<T> {
        let items = self.get(at);
        items.into_iter().map(|item| item.value).collect()
    }

    /// A path; a relative one starts at the folder of the main file.
    pub fn path(&self, at: impl Into<At<Option<PathBuf>>>) -> Option<PathBuf> {
        self.get(at).map(|path| self.base.join(path))
    }

    /// A secret; a relative path starts at the folder of the main file.
    pub fn secret(&self, at: impl Into<At<Option<Secret>>>) -> Option<Secret> {
        self.get(at).map(|secret| self.located(secret))
    }

    /// The same for a list of them.
    pub fn secrets(&self, at: impl Into<At<Vec<Item<Secret>>>>) -> Vec<Secret> {
        let secrets = self.values(at).into_iter();
        secrets.map(|secret| self.located(secret)).collect()
    }

    fn located(&self, secret: Secret) -> Secret {
        match secret {
            Secret::File(path) => Secret::File(self.base.join(path)),
            Secret::Variable(name) => Secret::Variable(name),
        }
    }

    /// The options of a section whose names are the administrator's, in the order in which they were
    /// written: their keys, and where those stand.
    pub fn named<T: 'static>(&self, option: &'static Opt<T>) -> Vec<(At<T>, String, Span)> {
        let row = option.facts.key();
        let of_row = |setting: &Setting| setting.definition.facts().key() == row;
        let written = self.values.iter().filter(|(_, setting)| of_row(setting));
        let mut named: Vec<_> = written
            .map(|(key, setting)| {
                let key = key.clone();
                (
                    At { option, key },
                    setting.name.clone(),
                    setting.key.clone(),
                )
            })
            .collect();
        named.sort_by_key(|(_, _, span)| (span.file, span.range.start));
        named
    }

    /// The text of a part of the files.
    pub fn text(&self, span: &Span) -> Option<&str> {
        let source = self.sources.get(span.file)?;
        source.text.get(span.range.clone())
    }
}

/// A wait of no time at all would fail always.
pub(crate) fn positive(settings: &mut Settings, at: impl Into<At<Duration>>) {
    let at = at.into();
    if settings.get(&at).is_zero() {
        let message = format!("`{}` must be longer than nothing", at.key);
        settings.error_at(at, message, "");
    }
}

/// A name as TOML writes it in a dotted key.
pub(crate) fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        return name.to_owned();
    }
    format!(
        "\"{}\"",
        mail::escaped(name).to_string().replace('"', "\\\"")
    )
}

/// Where something was written, for values that have no default of their own.
pub(crate) fn first_place(places: [Place; 2]) -> Place {
    let [first, second] = places;
    if first == Place::Default {
        second
    } else {
        first
    }
}

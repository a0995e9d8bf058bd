//! What was written, option by option, before it is put together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use admission::Rate;
use mail::{Domain, Mailbox, Place};
use toml::de::DeValue;

use crate::diagnostic::{Diagnostic, Severity};
use crate::options::{OPTIONS, OptionSpec};
use crate::source::{Source, Span};
use crate::value::{Item, Secret, Value};

/// One option that somebody wrote.
#[derive(Debug)]
pub(crate) struct Setting {
    pub spec: &'static OptionSpec,
    pub value: Value,
    pub key: Span,
    pub span: Span,
}

/// All files' options by their full keys (`listener.internet.bind`), and what is wrong with them so
/// far.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The folder of the main file, from which relative paths start.
    pub base: PathBuf,
    pub sources: Vec<Source>,
    pub values: BTreeMap<String, Setting>,
    /// Named sections in the order of the files: the pattern (`listener.*`), the full key, the
    /// name, where.
    pub sections: Vec<Section>,
    pub known_sections: HashSet<String>,
    /// Problems, with where they are.
    pub found: Vec<(Option<Span>, Diagnostic)>,
}

/// A section with a name of the administrator's.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub pattern: String,
    pub key: String,
    pub name: String,
    pub span: Span,
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
        let diagnostic = self.at(Severity::Error, span, message, label);
        self.found.push((Some(span.clone()), diagnostic));
    }

    pub fn warn(&mut self, span: &Span, message: String, label: &str) {
        let diagnostic = self.at(Severity::Warning, span, message, label);
        self.found.push((Some(span.clone()), diagnostic));
    }

    /// An error at an option's value; nothing when nobody wrote it.
    pub fn error_at(&mut self, key: &str, message: String, label: &str) {
        if let Some(span) = self.get(key).map(|setting| setting.span.clone()) {
            self.error(&span, message, label);
        }
    }

    /// A warning at an option's value; nothing when nobody wrote it.
    pub fn warn_at(&mut self, key: &str, message: String, label: &str) {
        if let Some(span) = self.get(key).map(|setting| setting.span.clone()) {
            self.warn(&span, message, label);
        }
    }

    pub fn push(&mut self, span: Option<Span>, diagnostic: Diagnostic) {
        self.found.push((span, diagnostic));
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key)
    }

    /// Where an option was written, or that it was not.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key)
            .map_or(Place::Default, |setting| self.place(&setting.span))
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
        let within = format!("[{section}]");
        self.found
            .iter()
            .any(|(_, d)| d.severity == Severity::Error && d.message.contains(&within))
    }

    /// Whether anything is wrong so far.
    pub fn has_error(&self) -> bool {
        self.found
            .iter()
            .any(|(_, d)| d.severity == Severity::Error)
    }

    /// Whether somebody wrote an option of this section.
    pub fn is_written(&self, section: &str) -> bool {
        let within = format!("{section}.");
        let from = self.values.range(within.clone()..).next();
        from.is_some_and(|(key, _)| key.starts_with(&within))
    }

    /// The part of the files that begins at `place`.
    pub fn span_at(&self, place: &Place) -> Option<Span> {
        let sections = self.sections.iter().map(|section| &section.span);
        let values = self.values.values().flat_map(|setting| {
            let items: &[Item] = match &setting.value {
                Value::List(items) => items,
                _ => &[],
            };
            std::iter::once(&setting.span).chain(items.iter().map(|item| &item.span))
        });
        sections
            .chain(values)
            .find(|span| self.place(span) == *place)
            .cloned()
    }
}

/// Typed access. The value is what was written, or the table's default; an option whose kind does
/// not fit the accessor is a fault of ours that the first test meets.
impl Settings {
    /// `key` is the option's full key, `pattern` its name in the table.
    fn value(&self, key: &str, pattern: &str) -> Option<Value> {
        self.get(key)
            .map(|setting| setting.value.clone())
            .or_else(|| default_of(pattern))
    }

    pub fn text(&self, key: &str, pattern: &str) -> Option<String> {
        match self.value(key, pattern)? {
            Value::Text(text) => Some(text),
            other => mismatch(pattern, &other),
        }
    }

    pub fn flag(&self, key: &str, pattern: &str) -> bool {
        match self.value(key, pattern) {
            Some(Value::Bool(flag)) => flag,
            Some(other) => mismatch(pattern, &other),
            None => false,
        }
    }

    pub fn number(&self, key: &str, pattern: &str) -> Option<u32> {
        match self.value(key, pattern)? {
            Value::Number(n) => u32::try_from(n).ok(),
            other => mismatch(pattern, &other),
        }
    }

    pub fn signed(&self, key: &str, pattern: &str) -> i32 {
        match self.value(key, pattern) {
            Some(Value::Signed(n)) => i32::try_from(n).unwrap_or_default(),
            other => mismatch(pattern, &other),
        }
    }

    /// `None` for `off`.
    pub fn rate(&self, key: &str) -> Option<Rate> {
        match self.value(key, key)? {
            Value::Rate(rate) => Some(rate),
            Value::Text(_) => None,
            other => mismatch(key, &other),
        }
    }

    /// A path that has no default; a relative one starts at the folder of the main file.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        match &self.get(key)?.value {
            Value::Text(path) => Some(self.base.join(path)),
            other => mismatch(key, other),
        }
    }

    /// A secret that has no default; a relative path starts at the folder of the main file.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        match &self.get(key)?.value {
            Value::Secret(Secret::File(path)) => Some(Secret::File(self.base.join(path))),
            Value::Secret(Secret::Variable(name)) => Some(Secret::Variable(name.clone())),
            other => mismatch(key, other),
        }
    }

    pub fn address(&self, key: &str) -> Option<IpAddr> {
        match self.get(key)?.value {
            Value::Address(address) => Some(address),
            ref other => mismatch(key, other),
        }
    }

    /// The texts of a list, or of its default.
    pub fn words(&self, key: &str) -> Vec<String> {
        let Some(Value::List(items)) = self.value(key, key) else {
            return Vec::new();
        };
        let words = items.into_iter().filter_map(|item| match item.value {
            Value::Text(text) => Some(text),
            _ => None,
        });
        words.collect()
    }

    pub fn size(&self, key: &str) -> u64 {
        match self.value(key, key) {
            Some(Value::Size(n)) => n,
            other => mismatch(key, &other),
        }
    }

    /// `None` for `off`, and where nothing is written and the table has no default.
    pub fn duration(&self, key: &str, pattern: &str) -> Option<Duration> {
        match self.value(key, pattern)? {
            Value::Duration(duration) => Some(duration),
            Value::Text(_) => None,
            other => mismatch(pattern, &other),
        }
    }

    pub fn name(&self, key: &str, pattern: &str) -> Option<Domain> {
        match self.value(key, pattern)? {
            Value::Name(name) => Some(name),
            other => mismatch(pattern, &other),
        }
    }

    pub fn mailbox(&self, key: &str) -> Option<Mailbox> {
        match self.value(key, key)? {
            Value::Mailbox(mailbox) => Some(mailbox),
            other => mismatch(key, &other),
        }
    }

    /// The elements of a list that somebody wrote; the table's lists of clients, hosts and the like
    /// are empty by default.
    pub fn items(&self, key: &str) -> &[Item] {
        match self.get(key).map(|setting| &setting.value) {
            Some(Value::List(items)) => items,
            Some(_) | None => &[],
        }
    }

    pub fn durations(&self, key: &str) -> Vec<Duration> {
        let Some(Value::List(items)) = self.value(key, key) else {
            return Vec::new();
        };
        let durations = items.into_iter().filter_map(|item| match item.value {
            Value::Duration(duration) => Some(duration),
            _ => None,
        });
        durations.collect()
    }

    pub fn sockets(&self, key: &str) -> Vec<SocketAddr> {
        let sockets = self.items(key).iter().filter_map(|item| match item.value {
            Value::Socket(socket) => Some(socket),
            _ => None,
        });
        sockets.collect()
    }
}

/// The table and the code disagree: nothing that a file could hold leads here.
fn mismatch<T>(key: &str, value: &impl std::fmt::Debug) -> T {
    unreachable!("option {key} is read as another kind than the table says: {value:?}")
}

fn default_of(pattern: &str) -> Option<Value> {
    let spec = spec(pattern)?;
    if spec.default.is_empty() {
        return None;
    }
    spec.kind.read(&DeValue::parse(spec.default).ok()?, 0).ok()
}

/// The table's row for a pattern.
pub(crate) fn spec(pattern: &str) -> Option<&'static OptionSpec> {
    static INDEX: std::sync::LazyLock<HashMap<&'static str, &'static OptionSpec>> =
        std::sync::LazyLock::new(|| OPTIONS.iter().map(|spec| (spec.key, spec)).collect());
    INDEX.get(pattern).copied()
}

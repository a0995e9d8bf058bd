//! What was written, option by option, before it is put together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use mail::{Domain, Mailbox, Place};
use toml::de::DeValue;

use crate::diagnostic::{Diagnostic, Severity};
use crate::options::{OPTIONS, OptionSpec};
use crate::source::{Source, Span};
use crate::value::{Item, Value};

/// One option that somebody wrote.
#[derive(Debug)]
pub(crate) struct Setting {
    pub spec: &'static OptionSpec,
    pub value: Value,
    pub key: Span,
    pub span: Span,
}

/// All files' options by their full keys (`listener.internet.bind`), and what is wrong with them so far.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub sources: Vec<Source>,
    pub values: BTreeMap<String, Setting>,
    /// Named sections in the order of the files: the pattern (`listener.*`), the full key, the name, where.
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

    /// Whether something in this section is wrong already, so that what is missing may only be unreadable.
    pub fn has_error_in(&self, section: &str) -> bool {
        let within = format!("[{section}]");
        self.found
            .iter()
            .any(|(_, d)| d.severity == Severity::Error && d.message.contains(&within))
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

/// Typed access. The value is what was written, or the table's default; an option whose kind does not fit the accessor is a fault of
/// ours that the first test meets.
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

    /// The elements of a list that somebody wrote; the table's lists of clients, hosts and the like are empty by default.
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

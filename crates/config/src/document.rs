//! From the text of one file to options: the walk through its tree, driven by the table.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Severity;
use crate::form::Problem;
use crate::option::join;
use crate::options::limits_rate_per_user;
use crate::settings::{Section, Setting, Settings, quoted};
use crate::source::{Source, Span, may_be_secret};
use crate::suggest::{self, nearest};
use crate::table::{Row, SHORTHANDS, is_section, names_in, options, row};
use crate::values;

/// The option that is meant then.
const SHORTHAND_FOR: &str = limits_rate_per_user::MESSAGES.facts.name;

/// A key as TOML has read it.
type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// Where the walk stands.
#[derive(Clone, Default)]
struct Path {
    /// `listener.*`
    pattern: String,
    /// `listener.internet`
    key: String,
}

impl Path {
    fn below(&self, pattern: &str, key: &str) -> Self {
        Self {
            pattern: join(&self.pattern, pattern),
            key: join(&self.key, key),
        }
    }

    /// For messages: ` in [listener.internet]`, or nothing at the top.
    fn within(&self) -> String {
        if self.key.is_empty() {
            return String::new();
        }
        match self.key.rsplit_once('.') {
            // The number of a table in a list stands nowhere in the file.
            Some((list, _)) if self.pattern.ends_with("[]") => format!(" in [[{list}]]"),
            Some(_) | None => format!(" in [{}]", self.key),
        }
    }
}

/// Reads one file's text into `settings`; what is wrong goes there too.
pub(crate) fn read(settings: &mut Settings, name: &str, text: String) {
    let file = settings.sources.len();
    settings.sources.push(Source::new(name, text));
    let text = settings.sources[file].text.clone();
    let (root, errors) = DeTable::parse_recoverable(&text);
    let mut walk = Walk { settings, file };
    for error in &errors {
        walk.syntax_error(error, root.get_ref(), text.len());
    }
    walk.table(root.get_ref(), &Path::default());
}

struct Walk<'a> {
    settings: &'a mut Settings,
    file: usize,
}

impl Walk<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span {
            file: self.file,
            range,
        }
    }

    fn syntax_error(&mut self, error: &toml::de::Error, root: &DeTable<'_>, len: usize) {
        let range = error.span().unwrap_or(len..len);
        let span = self.span(range.clone());
        if error.message() == "duplicate key" {
            let word = self.settings.sources[self.file]
                .text
                .get(range)
                .unwrap_or("")
                .to_owned();
            let label = self.first_use(&word, &span, root);
            let message = format!("`{word}` is set twice");
            return self.settings.error(&span, message, &label);
        }
        let message = format!("this is not TOML: {}", error.message());
        // As in a path of Windows.
        let is_escape = error.message().starts_with("missing escaped value");
        let label = if is_escape {
            "text with backslashes stands in single quotes, as 'a\\b'; a path is one of this machine, as \"/srv/pickup\""
        } else {
            ""
        };
        self.settings.error(&span, message, label);
    }

    /// Where a key that is set twice stands first, when only one place can be meant.
    fn first_use(&self, word: &str, second: &Span, root: &DeTable<'_>) -> String {
        let mut uses = Vec::new();
        keys_called(word.trim_matches(['"', '\'']), root, &mut uses);
        uses.retain(|range| range.start < second.range.start);
        match uses.as_slice() {
            [first] => format!(
                "first set at {}",
                self.settings.place(&self.span(first.clone()))
            ),
            _ => String::new(),
        }
    }

    fn table(&mut self, table: &DeTable<'_>, at: &Path) {
        let mut entries: Vec<_> = table.iter().collect();
        // The tree is sorted by name; files are read from top to bottom.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            self.entry(key, value, at);
        }
    }

    fn entry(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>, at: &Path) {
        let name = key.get_ref().as_ref();
        let any_name = format!("{}.*", at.pattern);
        // Where names of the administrator's stand beside options, those are meant first.
        let is_option = row(&join(&at.pattern, name)).is_some();
        let named = !is_option && (is_section(&any_name) || row(&any_name).is_some());
        let child = at.below(if named { "*" } else { name }, &quoted(name));
        if let Some(row) = row(&child.pattern) {
            return self.option(row, key, value, &child, at);
        }
        let list = Path {
            pattern: format!("{}[]", child.pattern),
            key: child.key.clone(),
        };
        match value.get_ref() {
            DeValue::Table(table) if is_section(&child.pattern) => {
                self.section(name, key.span(), &child, named);
                if table.is_empty() && !named {
                    let span = self.span(key.span());
                    self.settings.empty_sections.insert(child.key.clone(), span);
                }
                self.table(table, &child);
            }
            DeValue::Array(items) if is_section(&list.pattern) => self.tables(items.iter(), &list),
            DeValue::String(_) if SHORTHANDS.contains(&child.pattern.as_str()) => {
                let messages = child.below(SHORTHAND_FOR, SHORTHAND_FOR);
                if let Some(row) = row(&messages.pattern) {
                    self.option(row, key, value, &messages, &child);
                }
            }
            _ if is_section(&list.pattern) => {
                let message = format!("`{name}`{} is a list of tables", at.within());
                let label = format!("write [[{}]]", child.key);
                self.error(at, key.span(), message, &label);
            }
            _ if is_section(&child.pattern) => {
                let message = format!("`{name}`{} is a section, not a value", at.within());
                let is_nameless = named && row(&format!("{any_name}.{name}")).is_some();
                if named && !is_nameless && !names_in(&at.pattern).is_empty() {
                    return self.unknown(name, key.span(), value.get_ref(), at);
                }
                let label = if is_nameless {
                    format!("give the section a name, as [{}.NAME]", at.key)
                } else {
                    format!("write [{}]", child.key)
                };
                self.error(at, key.span(), message, &label);
            }
            _ => self.unknown(name, key.span(), value.get_ref(), at),
        }
    }

    /// An error within the section at `at`.
    fn error(&mut self, at: &Path, range: Range<usize>, message: String, label: &str) {
        let span = self.span(range);
        self.settings.error_in(&at.key, &span, message, label);
    }

    fn section(&mut self, name: &str, range: Range<usize>, path: &Path, named: bool) {
        if named && self.settings.known_sections.insert(path.key.clone()) {
            let section = Section {
                pattern: path.pattern.clone(),
                key: path.key.clone(),
                name: name.to_owned(),
                span: self.span(range),
            };
            self.settings.sections.push(section);
        }
    }

    /// Each table of a list becomes a section of the list's pattern with its number.
    fn tables<'b>(&mut self, items: impl Iterator<Item = &'b Spanned<DeValue<'b>>>, list: &Path) {
        for (number, item) in items.enumerate() {
            let key = format!("{}.{}-{number}", list.key, self.file);
            let path = Path {
                pattern: list.pattern.clone(),
                key,
            };
            match item.get_ref() {
                DeValue::Table(table) => {
                    self.section(&number.to_string(), item.span(), &path, true);
                    self.table(table, &path);
                }
                _ => {
                    let message = format!("`{}` is a list of tables", list.key);
                    self.error(list, item.span(), message, "");
                }
            }
        }
    }

    fn option(
        &mut self,
        row: &'static Row,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
        path: &Path,
        at: &Path,
    ) {
        if let Some(first) = self.settings.setting(&path.key) {
            let first = self.settings.place(&first.key);
            let message = format!("`{}` is set twice", path.key);
            return self.error(at, key.span(), message, &format!("first set at {first}"));
        }
        if let Err(problems) = row.definition.check(value, self.file) {
            return self.wrong(key.get_ref(), row, at, problems);
        }
        let items = value.get_ref().as_array().map(|items| items.iter());
        let setting = Setting {
            definition: row.definition,
            name: key.get_ref().clone().into_owned(),
            key: self.span(key.span()),
            span: self.span(value.span()),
            items: items
                .into_iter()
                .flatten()
                .map(|item| self.span(item.span()))
                .collect(),
        };
        self.settings.values.insert(path.key.clone(), setting);
    }

    fn wrong(&mut self, written: &str, row: &Row, at: &Path, problems: Vec<Problem>) {
        let name = match row.definition.facts().name {
            "*" => mail::escaped(written).to_string(),
            name => name.to_owned(),
        };
        let takes_secrets = row.definition.expected().contains(values::SECRET_EXPECTED);
        for problem in problems {
            let message = format!("`{name}`{} must be {}", at.within(), problem.expected);
            let settings = &mut self.settings;
            let mut found = settings.at(Severity::Error, &problem.span, message, &problem.label);
            // One of a list stands on a line without its key.
            if let Some(location) = found.location.as_mut().filter(|_| takes_secrets) {
                location.hide();
            }
            settings.push(&at.key, Some(problem.span.clone()), found);
        }
    }

    fn unknown(&mut self, name: &str, range: Range<usize>, value: &DeValue<'_>, at: &Path) {
        let known: Vec<&str> = names_in(&at.pattern);
        let what = if matches!(value, DeValue::Table(_)) {
            "section"
        } else {
            "key"
        };
        let meant = nearest(name, known.iter().copied());
        let label = match meant {
            Some(word) => format!("did you mean `{word}`?"),
            None => elsewhere(name, &at.pattern),
        };
        let shown = mail::escaped(name);
        let span = self.span(range);
        let (section, message) = if what == "section" {
            let section = at.below("", &quoted(name)).key;
            let message = format!("unknown section [{section}]");
            (section, message)
        } else {
            let message = format!("unknown key `{shown}`{}", at.within());
            (at.key.clone(), message)
        };
        let mut diagnostic = self.settings.at(Severity::Error, &span, message, &label);
        let location = diagnostic.location.as_mut();
        if let Some(location) = location.filter(|_| meant.is_some_and(may_be_secret)) {
            location.hide_behind();
        }
        let diagnostic = if label.is_empty() {
            diagnostic.with_note("help", format!("known here: {}", known.join(", ")))
        } else {
            diagnostic
        };
        self.settings.push(&section, Some(span), diagnostic);
    }
}

/// A key that is right in another section.
fn elsewhere(name: &str, here: &str) -> String {
    let homes: Vec<&str> = options()
        .filter(|facts| facts.name == name && facts.section != here)
        .map(|facts| facts.section)
        .collect();
    match homes.as_slice() {
        [""] => format!("`{name}` belongs at the top of the file, before any section"),
        [home] => format!(
            "`{name}` belongs in [{}]",
            home.replace('*', "NAME").replace("[]", "")
        ),
        _ => suggest::word_of_others(name)
            .map(|key| format!("here that is `{key}`"))
            .unwrap_or_default(),
    }
}

fn keys_called(word: &str, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        if key.get_ref() == word {
            found.push(key.span());
        }
        match value.get_ref() {
            DeValue::Table(inner) => keys_called(word, inner, found),
            DeValue::Array(items) => {
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                tables.for_each(|inner| keys_called(word, inner, found));
            }
            _ => {}
        }
    }
}

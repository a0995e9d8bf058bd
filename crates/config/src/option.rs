//! One option: where it stands, what may be written, what is meant when nothing is.

use std::fmt::Debug;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::Config;
use crate::form::{Form, Origin, Problem};

/// What is known of an option beside its type.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The section it stands in: `listener.*`; empty at the top of the file. `*` stands for a name
    /// that the administrator gives, `[]` marks a list of tables.
    pub section: &'static str,
    /// Its name within the section.
    pub name: &'static str,
    /// What is meant when nothing is written, as TOML; empty: nothing, or what `meaning` says.
    pub default: &'static str,
    /// What it means, in one paragraph.
    pub meaning: &'static str,
    /// Whether it does something yet; otherwise it is read and checked, and that is all.
    pub in_force: bool,
    /// Whether a reload may change it; otherwise a reload that would is refused.
    pub reloads: bool,
    /// The default where it follows from something else.
    pub(crate) follows: Option<fn(&Config) -> Option<String>>,
}

impl Facts {
    /// Its full name in the table: `listener.*.bind`.
    pub fn key(&self) -> String {
        join(self.section, self.name)
    }

    /// What it means, and whether it does that, and when; as the reference has it.
    pub(crate) fn meaning_in_full(&self) -> String {
        let remark = if !self.in_force {
            " Not in force yet."
        } else if !self.reloads {
            " Changes with a restart only."
        } else {
            ""
        };
        format!("{}{remark}", self.meaning)
    }
}

/// `section.name`, or the name alone at the top of the file.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// An option whose values are of type `T`.
pub(crate) struct Opt<T: 'static> {
    pub facts: Facts,
    form: &'static dyn Form<T>,
}

impl<T> Opt<T> {
    pub const fn new(
        section: &'static str,
        name: &'static str,
        meaning: &'static str,
        form: &'static dyn Form<T>,
    ) -> Self {
        let facts = Facts {
            section,
            name,
            default: "",
            meaning: meaning.trim_ascii(),
            in_force: true,
            reloads: true,
            follows: None,
        };
        Self { facts, form }
    }

    /// With what is meant when nothing is written, as TOML.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.facts.default = text;
        self
    }

    /// With a default that follows from something else, as TOML; only `config show` asks.
    pub const fn follows(mut self, text: fn(&Config) -> Option<String>) -> Self {
        self.facts.follows = Some(text);
        self
    }

    /// It cannot change while the relay runs.
    pub const fn fixed(mut self) -> Self {
        self.facts.reloads = false;
        self
    }

    /// It is read and checked, and does nothing yet.
    pub const fn not_yet(mut self) -> Self {
        self.facts.in_force = false;
        self
    }

    /// Reads its value from `text`; `None` for text that is wrong.
    pub fn read(&self, text: &str, origin: Origin) -> Option<T> {
        self.form.read(&DeValue::parse(text).ok()?, origin).ok()
    }
}

/// An option at its place in the file: `listener.*.bind` as `listener.internet.bind`.
pub(crate) struct At<T: 'static> {
    pub option: &'static Opt<T>,
    pub key: String,
}

impl<T> At<T> {
    /// The section as it is written: `listener.internet`.
    pub fn section(&self) -> &str {
        section_of(&self.key, self.option.facts.name)
    }
}

/// The section of the option `name` with this key.
pub(crate) fn section_of<'a>(key: &'a str, name: &str) -> &'a str {
    key.strip_suffix(name).unwrap_or(key).trim_end_matches('.')
}

impl<T> From<&'static Opt<T>> for At<T> {
    fn from(option: &'static Opt<T>) -> Self {
        debug_assert!(!option.facts.section.contains('*'), "{:?}", option.facts);
        Self {
            key: option.facts.key(),
            option,
        }
    }
}

impl<T> From<&Self> for At<T> {
    fn from(at: &Self) -> Self {
        Self {
            option: at.option,
            key: at.key.clone(),
        }
    }
}

/// An option without its type, as the walk through a file, the explanations and the schema see it.
pub(crate) trait Definition: Sync {
    fn facts(&self) -> &Facts;

    /// What it takes, in words.
    fn expected(&self) -> String;

    fn check(&self, value: &Spanned<DeValue<'_>>, file: usize) -> Result<(), Vec<Problem>>;

    fn schema(&self) -> Value;

    /// Equal for texts that mean the same; `None` for text that is wrong.
    fn meant_by(&self, text: &str) -> Option<String>;
}

impl<T: Debug> Definition for Opt<T> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn expected(&self) -> String {
        self.form.expected()
    }

    fn check(&self, value: &Spanned<DeValue<'_>>, file: usize) -> Result<(), Vec<Problem>> {
        self.form.read(value, Origin { file, offset: 0 }).map(drop)
    }

    fn schema(&self) -> Value {
        self.form.schema()
    }

    fn meant_by(&self, text: &str) -> Option<String> {
        let value = self.read(text, Origin::NOWHERE)?;
        Some(format!("{value:?}"))
    }
}

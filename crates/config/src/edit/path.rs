//! Keys as they are given: `listener.internet.bind`, `screen["no exe"].then`.

use toml_edit::{Item, Key, Value};

/// A key is no longer, and leads no deeper.
const KEY_OCTETS_MAX: usize = 1000;
const STEPS_MAX: usize = 16;

/// One step of a key.
pub(super) struct Step {
    pub key: Key,
    /// Which table, where it is a list of them.
    pub pick: Option<Pick>,
}

impl Step {
    pub fn name(&self) -> &str {
        self.key.get()
    }
}

/// Which table of a list is meant.
pub(super) enum Pick {
    /// From 0.
    Number(usize),
    /// By its `name`.
    Name(String),
}

impl Pick {
    /// The number of the table in this list.
    pub fn number_in(&self, item: &Item, list: &str) -> Result<usize, String> {
        let names: Vec<Option<&str>> = match item {
            Item::ArrayOfTables(tables) => tables
                .iter()
                .map(|table| table.get("name")?.as_str())
                .collect(),
            Item::Value(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_inline_table()?.get("name")?.as_str())
                .collect(),
            Item::Table(_) | Item::Value(_) | Item::None => {
                return Err(format!("`{list}` is no list of tables"));
            }
        };
        let found = match self {
            Self::Number(number) => Some(*number).filter(|number| *number < names.len()),
            Self::Name(wanted) => {
                let mut all = names
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| **name == Some(wanted));
                let first = all.next().map(|(at, _)| at);
                if all.next().is_some() {
                    return Err(format!(
                        "two of `{list}` are called so: say which, as {list}[0]"
                    ));
                }
                first
            }
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = names.iter().flatten().copied().collect();
            format!(
                "there is no such table in `{list}`; there are: {}",
                known.join(", ")
            )
        })
    }
}

/// Reads a key.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    if text.len() > KEY_OCTETS_MAX {
        return Err(format!("a key has at most {KEY_OCTETS_MAX} octets"));
    }
    let mut rest = text.trim();
    let mut steps = Vec::new();
    loop {
        let (name, behind) = word(rest, &['.', '['])?;
        let key = one_key(name)?;
        let (pick, behind) = match behind.strip_prefix('[') {
            None => (None, behind),
            Some(within) => {
                let (which, behind) = word(within, &[']'])?;
                let behind = behind.strip_prefix(']').ok_or_else(malformed)?;
                (Some(pick(which)?), behind)
            }
        };
        steps.push(Step { key, pick });
        if behind.is_empty() {
            return Ok(steps);
        }
        rest = behind.strip_prefix('.').ok_or_else(malformed)?;
        if steps.len() == STEPS_MAX {
            return Err(format!("a key leads through at most {STEPS_MAX} names"));
        }
    }
}

fn malformed() -> String {
    "is written as relay.allow, domain.\"example.com\".route or screen[\"NAME\"].then".to_owned()
}

/// A word up to one of these ends, with its quotes; and what follows.
fn word<'a>(text: &'a str, ends: &[char]) -> Result<(&'a str, &'a str), String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let end = text.find(ends).unwrap_or(text.len());
        return text.split_at_checked(end).ok_or_else(malformed);
    };
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' && quote == '"' {
            is_escaped = true;
        } else if c == quote {
            return text
                .split_at_checked(at + c.len_utf8())
                .ok_or_else(malformed);
        }
    }
    Err(malformed())
}

fn one_key(text: &str) -> Result<Key, String> {
    let mut keys = Key::parse(text).map_err(|_| malformed())?;
    let key = keys
        .pop()
        .filter(|_| keys.is_empty())
        .ok_or_else(malformed)?;
    // Blanks around it stay behind.
    let bare = key.as_repr().and_then(|repr| repr.as_raw().as_str()) == Some(text);
    if bare {
        Ok(key)
    } else {
        Ok(Key::new(key.get()))
    }
}

fn pick(text: &str) -> Result<Pick, String> {
    if let Ok(number) = text.parse() {
        return Ok(Pick::Number(number));
    }
    if !text.starts_with(['"', '\'']) {
        return Err(malformed());
    }
    Ok(Pick::Name(one_key(text)?.get().to_owned()))
}

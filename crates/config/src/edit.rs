//! Changes to the text of a configuration file: everything that is not changed stays as it was
//! written, comments, blanks and order included.

mod comments;
mod list;
mod order;
mod path;

use std::fmt;

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Key, Table, Value};

use path::{Pick, Step};

/// A larger text is not edited.
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// So many changes may be made at once.
const EDITS_MAX: usize = 1000;
/// A value is no longer.
const VALUE_OCTETS_MAX: usize = 100_000;

/// One change to the text of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The option or section: `relay.allow`, `domain."example.com".route`, `screen["no exe"].then`;
    /// tables of a list by their `name` or from `[0]`.
    pub key: String,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It gets this value, as TOML; where it is not written yet, it stands at the end of its section.
    /// What stays in a list keeps its comments.
    Set(String),
    /// It is no longer written. Comments right above it go with it.
    Remove,
    /// This value, as TOML, is one more in its list; an inline table becomes a table of a list of
    /// tables: `[[screen]]`.
    Append(String),
    /// This value, as TOML, is no longer in its list.
    Take(String),
    /// This table of a list of tables stands at another place in it, a number from 0; the comments
    /// right above it go with it.
    Move(String),
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditError {
    /// The key as it was given; empty when it is about the text as a whole.
    pub key: String,
    /// What is wrong, and what to do.
    pub why: String,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}`: ", mail::escaped(&self.key))?;
        }
        write!(f, "{}", mail::escaped(&self.why))
    }
}

impl std::error::Error for EditError {}

/// Makes these changes to a file's text, one after the other, and gives the new text. Whether that is
/// a configuration, [`crate::load`] says.
///
/// # Errors
/// The text is not TOML, or one of the changes cannot be made.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let whole = |why: String| EditError {
        key: String::new(),
        why,
    };
    if text.len() > TEXT_OCTETS_MAX || edits.len() > EDITS_MAX {
        let why = format!(
            "at most {EDITS_MAX} changes are made at once, to at most {TEXT_OCTETS_MAX} octets"
        );
        return Err(whole(why));
    }
    // Only the library's own line ends come out of it.
    let is_crlf = text.contains("\r\n") && !text.replace("\r\n", "").contains('\n');
    let (mark, plain) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let plain = plain.replace("\r\n", "\n");
    let document = plain.parse::<DocumentMut>();
    let mut document = document.map_err(|why| {
        let why = why.message();
        whole(format!(
            "the file is not TOML: {why}; `gatepost config check` shows where"
        ))
    })?;
    for Edit { key, change } in edits {
        change_one(&mut document, key, change).map_err(|why| EditError {
            key: key.clone(),
            why,
        })?;
    }
    let mut edited = document.to_string();
    if !plain.ends_with('\n') && !plain.is_empty() && edited.ends_with('\n') {
        edited.pop();
    }
    let edited = if is_crlf {
        edited.replace('\n', "\r\n")
    } else {
        edited
    };
    Ok(format!("{mark}{edited}"))
}

/// What stands for an option in a file's text, without comments around it; `None`: nothing does.
///
/// # Errors
/// The text is not TOML, or the key is none.
pub fn written(text: &str, key: &str) -> Result<Option<String>, EditError> {
    let error = |why| EditError {
        key: key.to_owned(),
        why,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = text.parse::<DocumentMut>();
    let mut document = document.map_err(|why| error(why.message().to_owned()))?;
    let steps = path::parse(key).map_err(error)?;
    let Some((leaf, above)) = steps.split_last() else {
        return Ok(None);
    };
    let Ok(mut level) = Level::at(&mut document, above, false) else {
        return Ok(None);
    };
    let item = level.get(leaf.name());
    Ok(item.map(|item| item.to_string().trim().to_owned()))
}

/// Whether this is one value of TOML.
pub fn is_value(text: &str) -> bool {
    value(text).is_ok()
}

/// Text as a value of TOML: in quotes.
pub fn text_value(text: &str) -> String {
    Value::from(text).to_string().trim().to_owned()
}

fn change_one(document: &mut DocumentMut, key: &str, change: &Change) -> Result<(), String> {
    let steps = path::parse(key)?;
    let Some((leaf, above)) = steps.split_last() else {
        return Err("names no option".to_owned());
    };
    let makes = matches!(change, Change::Set(_) | Change::Append(_));
    if *change == Change::Remove {
        let left = remove(Level::at(document, above, false)?, leaf)?;
        comments::keep(document, left);
        return Ok(());
    }
    if let Change::Move(to) = change {
        return move_table(document, above, leaf, to);
    }
    let mut level = Level::at(document, above, makes)?;
    if leaf.pick.is_some() {
        return Err("is a table of a list: name an option in it, or remove it".to_owned());
    }
    match change {
        Change::Set(text) => set(&mut level, &leaf.key, value(text)?),
        Change::Append(text) => append(&mut level, &leaf.key, value(text)?),
        Change::Take(text) => {
            let item = level.get(leaf.name()).ok_or_else(unwritten)?;
            let list = item.as_array_mut();
            list::take(list.ok_or_else(no_list)?, &value(text)?)
        }
        Change::Remove | Change::Move(_) => Ok(()),
    }
}

fn move_table(
    document: &mut DocumentMut,
    above: &[Step],
    leaf: &Step,
    to: &str,
) -> Result<(), String> {
    let to: usize = to
        .trim()
        .parse()
        .map_err(|_| "its place is a number, from 0".to_owned())?;
    let pick = leaf.pick.as_ref();
    let pick = pick.ok_or_else(|| "is no table of a list: only those have an order".to_owned())?;
    // What was added just now has no place in the file yet.
    *document = document
        .to_string()
        .parse()
        .map_err(|why: toml_edit::TomlError| why.message().to_owned())?;
    order::spread(document);
    let name = leaf.name();
    let mut level = Level::at(document, above, false)?;
    let item = level.get(name).ok_or_else(unwritten)?;
    let from = pick.number_in(item, name)?;
    match item {
        Item::ArrayOfTables(tables) => order::move_table(tables, from, to),
        Item::Table(_) | Item::Value(_) | Item::None => Err(format!(
            "is not written as [[{name}]]: write it so, and it can be moved"
        )),
    }
}

fn unwritten() -> String {
    "is not in the file".to_owned()
}

fn no_list() -> String {
    "is no list: set or remove it".to_owned()
}

/// A value as it is given, without what stands around it.
fn value(text: &str) -> Result<Value, String> {
    if text.len() > VALUE_OCTETS_MAX {
        return Err(format!("a value has at most {VALUE_OCTETS_MAX} octets"));
    }
    let value = text.trim().parse::<Value>();
    let mut value = value.map_err(|why| {
        let why = why.message().trim().to_owned();
        format!("this value is not TOML ({why}): text stands in quotes, a list in brackets")
    })?;
    value.decor_mut().clear();
    Ok(value)
}

/// A table in which the walk along a key stands.
enum Level<'a> {
    Table(&'a mut Table),
    Inline(&'a mut InlineTable),
}

impl<'a> Level<'a> {
    /// Where these steps lead; `makes` sections that are not there.
    fn at(document: &'a mut DocumentMut, steps: &[Step], makes: bool) -> Result<Self, String> {
        let mut level = Self::Table(document.as_table_mut());
        for step in steps {
            level = level.below(step, makes)?;
        }
        Ok(level)
    }

    fn below(self, step: &Step, makes: bool) -> Result<Self, String> {
        let name = step.name();
        let item = match self {
            Self::Inline(table) => {
                if makes && step.pick.is_none() && !table.contains_key(name) {
                    add_inline(table, &step.key, InlineTable::new().into());
                }
                table_item(table, name)
            }
            Self::Table(table) => {
                if makes && step.pick.is_none() && !table.contains_key(name) {
                    let mut section = Table::new();
                    section.set_implicit(true);
                    section.set_dotted(table.is_dotted());
                    table.insert_formatted(&step.key, Item::Table(section));
                }
                table.get_mut(name)
            }
        };
        let item = item.ok_or_else(|| format!("there is no `{name}` in the file"))?;
        match &step.pick {
            None => Self::of_item(item, name),
            Some(pick) => Self::picked(item, pick, name),
        }
    }

    fn of_item(item: &'a mut Item, name: &str) -> Result<Self, String> {
        match item {
            Item::Table(table) => Ok(Self::Table(table)),
            Item::Value(Value::InlineTable(table)) => Ok(Self::Inline(table)),
            Item::ArrayOfTables(_) => Err(format!(
                "`{name}` is a list of tables: say which, as {name}[0] or {name}[\"NAME\"]"
            )),
            Item::Value(_) | Item::None => Err(format!(
                "`{name}` is a value in the file, and no section: remove it first"
            )),
        }
    }

    fn picked(item: &'a mut Item, pick: &Pick, name: &str) -> Result<Self, String> {
        let at = pick.number_in(item, name)?;
        let found = match item {
            Item::ArrayOfTables(tables) => tables.get_mut(at).map(Self::Table),
            Item::Value(Value::Array(values)) => {
                let value = values.get_mut(at).and_then(Value::as_inline_table_mut);
                value.map(Self::Inline)
            }
            Item::Table(_) | Item::Value(_) | Item::None => None,
        };
        found.ok_or_else(|| format!("`{name}` is no list of tables"))
    }

    fn get(&mut self, name: &str) -> Option<&mut Item> {
        match self {
            Self::Table(table) => table.get_mut(name),
            Self::Inline(table) => table_item(table, name),
        }
    }
}

fn table_item<'a>(table: &'a mut InlineTable, name: &str) -> Option<&'a mut Item> {
    table.get_key_value_mut(name).map(|(_, item)| item)
}

fn set(level: &mut Level<'_>, key: &Key, mut value: Value) -> Result<(), String> {
    if let Some(item) = level.get(key.get()) {
        let Item::Value(old) = item else {
            return Err("is a section in the file: set an option in it".to_owned());
        };
        if let (Value::Array(old), Value::Array(new)) = (&mut *old, &value)
            && list::become_same(old, new)
        {
            return Ok(());
        }
        *value.decor_mut() = old.decor().clone();
        *old = value;
        return Ok(());
    }
    add(level, key, value);
    Ok(())
}

/// A new option at the end of its section, as far in as the one before it.
fn add(level: &mut Level<'_>, key: &Key, value: Value) {
    let table = match level {
        Level::Inline(table) => return add_inline(table, key, value),
        Level::Table(table) => table,
    };
    let last = table.iter().filter(|(_, item)| item.is_value()).last();
    let prefix = last.and_then(|(name, _)| table.key(name)?.leaf_decor().prefix()?.as_str());
    let indent: String = prefix.map(comments::indent).unwrap_or_default();
    table.insert_formatted(key, Item::Value(value));
    if let (Some(mut key), false) = (table.key_mut(key.get()), indent.is_empty()) {
        key.leaf_decor_mut().set_prefix(indent);
    }
}

/// The blank before the closing brace stays there.
fn add_inline(table: &mut InlineTable, key: &Key, mut value: Value) {
    let last = table.iter_mut().last().map(|(_, value)| value);
    if let Some(last) = last {
        let end = list::suffix(last);
        last.decor_mut().set_suffix("");
        value = value.decorated(" ", end);
    }
    table.insert_formatted(key, value);
}

fn append(level: &mut Level<'_>, key: &Key, value: Value) -> Result<(), String> {
    let Some(item) = level.get(key.get()) else {
        return append_first(level, key, value);
    };
    match item {
        Item::ArrayOfTables(tables) => {
            tables.push(table_of(value)?);
            Ok(())
        }
        Item::Value(Value::Array(values)) => list::append(values, value),
        // Where one may stand in the place of a list.
        Item::Value(Value::String(one)) => {
            let mut list = toml_edit::Array::new();
            list.push(one.value());
            list::append(&mut list, value)?;
            *list.decor_mut() = one.decor().clone();
            *item = Item::Value(Value::Array(list));
            Ok(())
        }
        Item::Table(_) | Item::Value(_) | Item::None => Err(no_list()),
    }
}

fn append_first(level: &mut Level<'_>, key: &Key, value: Value) -> Result<(), String> {
    match level {
        Level::Table(table) if value.is_inline_table() => {
            let mut tables = ArrayOfTables::new();
            tables.push(table_of(value)?);
            table.insert_formatted(key, Item::ArrayOfTables(tables));
        }
        Level::Table(_) | Level::Inline(_) => {
            let mut list = toml_edit::Array::new();
            list::append(&mut list, value)?;
            add(level, key, Value::Array(list));
        }
    }
    Ok(())
}

fn table_of(value: Value) -> Result<Table, String> {
    let Value::InlineTable(table) = value else {
        return Err("takes tables: { name = \"...\" }".to_owned());
    };
    let mut table = table.into_table();
    table.fmt();
    Ok(table)
}

/// What is left of the comments above it: those that a blank line parts from it.
fn remove(level: Level<'_>, leaf: &Step) -> Result<comments::Left, String> {
    let name = leaf.name();
    match (level, &leaf.pick) {
        (Level::Table(table), None) => comments::remove(table, name).ok_or_else(unwritten),
        (Level::Inline(table), None) => {
            let removed = table.remove(name).ok_or_else(unwritten)?;
            if let Some((_, last)) = table.iter_mut().last() {
                let end = list::suffix(&removed);
                if last
                    .decor()
                    .suffix()
                    .is_none_or(|own| own.as_str() == Some(""))
                {
                    last.decor_mut().set_suffix(end);
                }
            }
            Ok(comments::Left::default())
        }
        (mut level, Some(pick)) => {
            let item = level.get(name).ok_or_else(unwritten)?;
            let at = pick.number_in(item, name)?;
            match item {
                Item::ArrayOfTables(tables) => Ok(comments::remove_table(tables, at)),
                Item::Value(Value::Array(values)) => {
                    list::remove(values, at);
                    Ok(comments::Left::default())
                }
                Item::Table(_) | Item::Value(_) | Item::None => Err(no_list()),
            }
        }
    }
}

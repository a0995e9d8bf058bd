//! What becomes of comments when an option or a section goes: those right above it go with it, and
//! those that a blank line parts from it stay.

use toml_edit::{ArrayOfTables, Decor, DocumentMut, Item, Table};

/// Comments that stay, and behind which place of the file.
#[derive(Default)]
pub(super) struct Left {
    text: String,
    /// Of the table before them.
    position: isize,
}

/// The blanks before a key on its own line.
pub(super) fn indent(prefix: &str) -> String {
    let line = prefix.rsplit('\n').next().unwrap_or_default();
    line.chars().filter(|c| matches!(c, ' ' | '\t')).collect()
}

/// Removes an option or section from a table; `None`: there is none.
pub(super) fn remove(table: &mut Table, name: &str) -> Option<Left> {
    let next = next_value(table, name);
    let position = table.position().unwrap_or(-1);
    let (key, item) = table.remove_entry(name)?;
    match item {
        Item::None => None,
        Item::Table(removed) => Some(left_by(&removed)),
        Item::ArrayOfTables(mut removed) => Some(remove_table(&mut removed, 0)),
        Item::Value(_) => {
            let text = parted(prefix_of(key.leaf_decor()));
            let next = next.and_then(|next| table.key_mut(&next));
            let Some(mut next) = next.filter(|_| !text.is_empty()) else {
                return Some(Left { text, position });
            };
            let decor = next.leaf_decor_mut();
            decor.set_prefix(before(text, prefix_of(decor)));
            Some(Left::default())
        }
    }
}

/// The option behind this one in its section.
fn next_value(table: &Table, name: &str) -> Option<String> {
    let behind = table.iter().skip_while(|(other, _)| *other != name).skip(1);
    let mut values = behind.filter(|(_, item)| item.is_value());
    values.next().map(|(name, _)| name.to_owned())
}

/// What stays, before what was there.
fn before(text: String, prefix: &str) -> String {
    text + prefix.trim_start_matches('\n')
}

/// Removes a table of a list.
pub(super) fn remove_table(tables: &mut ArrayOfTables, at: usize) -> Left {
    if at >= tables.len() {
        return Left::default();
    }
    left_by(&tables.remove(at))
}

fn left_by(table: &Table) -> Left {
    Left {
        text: parted(prefix_of(table.decor())),
        position: table.position().unwrap_or(isize::MAX),
    }
}

/// What a blank line parts from what follows it, with that line; nothing where it is only blanks.
fn parted(prefix: &str) -> String {
    let end = prefix.rfind("\n\n").map(|at| at + 2);
    let kept = end.and_then(|end| prefix.get(..end)).unwrap_or_default();
    if kept.trim().is_empty() {
        return String::new();
    }
    kept.to_owned()
}

fn prefix_of(decor: &Decor) -> &str {
    decor
        .prefix()
        .and_then(|prefix| prefix.as_str())
        .unwrap_or_default()
}

/// Puts what is left before the next section, or at the end of the file.
pub(super) fn keep(document: &mut DocumentMut, left: Left) {
    if left.text.is_empty() {
        return;
    }
    let next = next_position(document, left.position);
    if let Some(decor) = next.and_then(|next| decor_at(document, next)) {
        let prefix = before(left.text, prefix_of(decor));
        decor.set_prefix(prefix);
        return;
    }
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    document.set_trailing(left.text + &trailing);
}

/// Of the first table behind this one.
fn next_position(document: &DocumentMut, behind: isize) -> Option<isize> {
    let mut left = vec![document.as_table()];
    let mut next: Option<isize> = None;
    while let Some(table) = left.pop() {
        let position = table.position().filter(|at| *at > behind);
        let is_shown = !table.is_implicit() && !table.is_dotted();
        if let Some(at) = position.filter(|_| is_shown) {
            next = Some(next.map_or(at, |known| known.min(at)));
        }
        for (_, item) in table.iter() {
            match item {
                Item::Table(inner) => left.push(inner),
                Item::ArrayOfTables(tables) => left.extend(tables.iter()),
                Item::None | Item::Value(_) => {}
            }
        }
    }
    next
}

fn decor_at(document: &mut DocumentMut, position: isize) -> Option<&mut Decor> {
    let mut left = vec![document.as_table_mut()];
    while let Some(table) = left.pop() {
        if table.position() == Some(position) {
            return Some(table.decor_mut());
        }
        for (_, item) in table.iter_mut() {
            match item {
                Item::Table(inner) => left.push(inner),
                Item::ArrayOfTables(tables) => left.extend(tables.iter_mut()),
                Item::None | Item::Value(_) => {}
            }
        }
    }
    None
}

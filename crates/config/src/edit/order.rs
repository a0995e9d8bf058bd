//! The order of the tables of a list: one moves with all that is in it and the comments right above
//! it; blank lines, and comments that one parts from it, stay in their place.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

/// Makes room behind each header of the file for all headers of one table. Everything stands where
/// it stood.
pub(super) fn spread(document: &mut DocumentMut) {
    let mut count = 0;
    each(document.as_table_mut(), |_| count += 1);
    each(document.as_table_mut(), |table| {
        let position = table.position().map(|at| at.saturating_mul(count));
        table.set_position(position);
    });
}

/// Moves one to another place, both from 0, in a file with such room.
///
/// # Errors
/// There is no such place.
pub(super) fn move_table(tables: &mut ArrayOfTables, from: usize, to: usize) -> Result<(), String> {
    if from.max(to) >= tables.len() {
        let last = tables.len().saturating_sub(1);
        return Err(format!("its place is a number from 0 to {last}"));
    }
    let mut all: Vec<Table> = std::mem::take(tables).into_iter().collect();
    let (low, high) = (from.min(to), from.max(to));
    let moved = all.get_mut(low..=high).unwrap_or_default();
    let places: Vec<(Option<isize>, String)> = moved
        .iter_mut()
        .map(|table| (table.position(), parts(table).0))
        .collect();
    if from < to {
        moved.rotate_left(1);
    } else {
        moved.rotate_right(1);
    }
    for (table, (position, stays)) in moved.iter_mut().zip(places) {
        let goes = parts(table).1;
        table.decor_mut().set_prefix(stays + &goes);
        stand_at(table, position.unwrap_or_default());
    }
    all.into_iter().for_each(|table| tables.push(table));
    Ok(())
}

/// What stands above a header: what stays in its place, and what goes with it.
fn parts(table: &Table) -> (String, String) {
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str());
    let prefix = prefix.unwrap_or_default();
    let (mut end, mut at) = (0, 0);
    for line in prefix.split_inclusive('\n') {
        at += line.len();
        if line.ends_with('\n') && line.trim().is_empty() {
            end = at;
        }
    }
    let (stays, goes) = prefix.split_at(end);
    (stays.to_owned(), goes.to_owned())
}

/// Puts a table's header, and those in it behind that in their order, from this position on.
fn stand_at(table: &mut Table, position: isize) {
    let mut own = Vec::new();
    each(table, |inner| own.extend(inner.position()));
    own.sort_unstable();
    each(table, |inner| {
        let rank = inner.position().and_then(|at| own.binary_search(&at).ok());
        if let Some(rank) = rank {
            inner.set_position(Some(position.saturating_add_unsigned(rank)));
        }
    });
}

/// The table, and all below it.
fn each(table: &mut Table, mut act: impl FnMut(&mut Table)) {
    let mut left = vec![table];
    while let Some(table) = left.pop() {
        act(table);
        for (_, item) in table.iter_mut() {
            match item {
                Item::Table(inner) => left.push(inner),
                Item::ArrayOfTables(tables) => left.extend(tables.iter_mut()),
                Item::None | Item::Value(_) => {}
            }
        }
    }
}

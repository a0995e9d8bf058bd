//! Lists of values: each value keeps its comments, a list over many lines stays one.

use std::collections::BTreeSet;

use toml_edit::{Array, Value};

/// As far in as the first value of a list over many lines.
const INDENT: &str = "  ";

/// One more value at the end.
pub(super) fn append(list: &mut Array, value: Value) -> Result<(), String> {
    if list.iter().any(|one| is_same(one, &value)) {
        return Err(format!("{} is in the list already", shown(&value)));
    }
    push(list, value);
    Ok(())
}

fn push(list: &mut Array, value: Value) {
    let tail = end_of(list);
    let last = list.iter().last().map(prefix);
    let (before, behind) = match (tail.find('\n'), &last) {
        // A comment on the line of the value before stays there, one on a line of its own at the end.
        (Some(at), _) => {
            let (same_line, rest) = tail.split_at(at);
            let within = last.as_deref().and_then(|prefix| prefix.rsplit_once('\n'));
            let within = within.map_or(INDENT, |(_, indent)| indent);
            (format!("{same_line}\n{within}"), rest.to_owned())
        }
        (None, Some(_)) => (" ".to_owned(), tail),
        (None, None) => (String::new(), tail),
    };
    list.push_formatted(value.decorated(before, ""));
    list.set_trailing(behind);
}

/// The list says what `new` says, in that order: what stays keeps its comments and its line. `false`,
/// and nothing is done, where that would be another order of what stays, or one stands there twice.
pub(super) fn become_same(list: &mut Array, new: &Array) -> bool {
    let wanted: BTreeSet<String> = new.iter().map(identity).collect();
    let all: Vec<String> = list.iter().map(identity).collect();
    let known: BTreeSet<&String> = all.iter().collect();
    let stays = all.iter().filter(|one| wanted.contains(*one));
    let wanted_of_it = new.iter().map(identity);
    let mut wanted_of_it = wanted_of_it.filter(|one| known.contains(one));
    let is_once = wanted.len() == new.len() && known.len() == all.len();
    if !is_once || !stays.eq(wanted_of_it.by_ref().collect::<Vec<_>>().iter()) {
        return false;
    }
    for (at, one) in all.iter().enumerate().rev() {
        if !wanted.contains(one) {
            remove(list, at);
        }
    }
    for (at, one) in new.iter().enumerate() {
        if !known.contains(&identity(one)) {
            insert(list, at, one.clone());
        }
    }
    true
}

/// One more value before the one at this place: comments above that one stay with it.
fn insert(list: &mut Array, at: usize, value: Value) {
    let Some(next) = list.get_mut(at) else {
        return push(list, value);
    };
    let above = prefix(next);
    let (own, rest) = match above.split_once('\n') {
        None => (above, " ".to_owned()),
        Some((same_line, rest)) => {
            let indent = rest.rsplit('\n').next().unwrap_or_default();
            let indent: String = indent.chars().take_while(|c| c.is_whitespace()).collect();
            (format!("{same_line}\n{indent}"), format!("\n{rest}"))
        }
    };
    next.decor_mut().set_prefix(rest);
    list.insert_formatted(at, value.decorated(own, ""));
}

/// The value is gone.
pub(super) fn take(list: &mut Array, value: &Value) -> Result<(), String> {
    let at = list.iter().position(|one| is_same(one, value));
    let at = at.ok_or_else(|| format!("{} is not in the list", shown(value)))?;
    remove(list, at);
    Ok(())
}

/// What stands behind the value on its line goes with it, and what is above it; what stands on the
/// line of the value before stays.
pub(super) fn remove(list: &mut Array, at: usize) {
    let tail = end_of(list);
    let Some(removed) = (at < list.len()).then(|| list.remove(at)) else {
        return;
    };
    let above = prefix(&removed);
    let same_line = above.split('\n').next().unwrap_or_default();
    match list.get_mut(at) {
        Some(next) => {
            let joined = joined(same_line, &prefix(next));
            next.decor_mut().set_prefix(joined);
            list.set_trailing(tail);
        }
        None if tail.contains('\n') => list.set_trailing(joined(same_line, &tail)),
        None => list.set_trailing(tail),
    }
    if list.is_empty() {
        list.set_trailing_comma(false);
    }
}

/// The line's end of the one, and what follows it in the other.
fn joined(same_line: &str, other: &str) -> String {
    let rest = other.find('\n').and_then(|at| other.get(at..));
    format!("{same_line}{}", rest.unwrap_or_default())
}

/// What stands between the last value, its comma included, and the bracket; no value has it any
/// more.
fn end_of(list: &mut Array) -> String {
    let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
    let of_last = list.iter_mut().last().map(|last| {
        let end = suffix(last);
        last.decor_mut().set_suffix("");
        end
    });
    of_last.unwrap_or_default() + &trailing
}

fn prefix(value: &Value) -> String {
    let prefix = value.decor().prefix().and_then(|text| text.as_str());
    prefix.unwrap_or_default().to_owned()
}

pub(super) fn suffix(value: &Value) -> String {
    let suffix = value.decor().suffix().and_then(|text| text.as_str());
    suffix.unwrap_or_default().to_owned()
}

/// The same value, however it is written.
fn is_same(one: &Value, other: &Value) -> bool {
    identity(one) == identity(other)
}

/// The same for one text in whichever quotes.
fn identity(value: &Value) -> String {
    match value.as_str() {
        Some(text) => shown(&Value::from(text)),
        None => shown(value),
    }
}

fn shown(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

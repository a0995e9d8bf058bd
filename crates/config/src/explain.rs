use crate::table::{Row, names_in, options, row, rows};

/// What an option is for: its kind, default and help. The key is written as in the file
/// (`listener.internet.bind`, `relay.allow`), with any name where one goes; a section (`queue`,
/// `listener.internet`) lists its options. `None` for an unknown key.
pub fn explain(key: &str) -> Option<String> {
    let key = key.trim().trim_matches(['[', ']']);
    // A name may hold dots, and yet `route.a.auth.ca` is `auth.ca` of `a`, not `ca` of `a.auth`.
    let fitting = rows().iter().filter(|row| matches(&row.key, key));
    let row = fitting.max_by_key(|row| row.key.len());
    row.map(explain_option).or_else(|| explain_section(key))
}

/// Whether `key` is `pattern` with a name in place of the star.
fn matches(pattern: &str, key: &str) -> bool {
    let pattern = pattern.replace("[]", "");
    match pattern.split_once(".*") {
        None => pattern == key,
        Some((head, tail)) => {
            let middle = key
                .strip_prefix(head)
                .and_then(|rest| rest.strip_prefix('.'));
            middle
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|name| !name.is_empty())
        }
    }
}

/// A key or section of the table as an administrator writes it.
pub(crate) fn written(pattern: &str) -> String {
    pattern.replace('*', "NAME").replace("[]", "")
}

/// A section as its heading in the file: `[listener.NAME]`, `[[screen]]`.
pub(crate) fn bracketed(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("[[{}]]", written(list)),
        None => format!("[{}]", written(section)),
    }
}

fn explain_option(row: &Row) -> String {
    let facts = row.definition.facts();
    let default = match facts.default {
        "" => "none",
        default => default,
    };
    let mut text = format!(
        "{}\n  {}\n  takes    {}\n  default  {default}",
        written(&row.key),
        facts.meaning,
        row.definition.expected()
    );
    if !facts.in_force {
        text.push_str("\n  This version reads it and does not use it yet.");
    } else if !facts.reloads {
        text.push_str("\n  It cannot change while the relay runs.");
    }
    text
}

fn explain_section(key: &str) -> Option<String> {
    let mut sections: Vec<&str> = Vec::new();
    for facts in options() {
        let mut section = facts.section;
        while !section.is_empty() {
            if !sections.contains(&section) {
                sections.push(section);
            }
            section = section.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }
    let pattern = sections.iter().find(|section| matches(section, key))?;
    let pattern = if names_in(pattern).is_empty() && row(&format!("{pattern}.*")).is_none() {
        format!("{pattern}.*")
    } else {
        (*pattern).to_owned()
    };
    let mut text = format!("[{}]", written(&pattern));
    let prefix = format!("{pattern}.");
    for row in rows() {
        if let Some(name) = row.key.strip_prefix(&prefix) {
            let meaning = row.definition.facts().meaning;
            text.push_str(&format!("\n  {:<24} {meaning}", written(name)));
        }
    }
    Some(text)
}

//! The rows of the table as one list, for those who need no types.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::option::{Definition, Facts};
use crate::options::{
    SECTIONS, limits_rate_per_client, limits_rate_per_network, limits_rate_per_user,
};

/// Sections of which one text means their `messages`: `rate_per_client = "600/1h"`.
pub(crate) const SHORTHANDS: [&str; 3] = [
    limits_rate_per_client::SECTION,
    limits_rate_per_network::SECTION,
    limits_rate_per_user::SECTION,
];

/// A row of the table, with its full key.
pub(crate) struct Row {
    pub key: String,
    pub definition: &'static dyn Definition,
}

/// Every option there is, in the order of the table.
pub(crate) fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let all = SECTIONS.iter().copied().flatten();
        all.map(|definition| Row {
            key: definition.facts().key(),
            definition: *definition,
        })
        .collect()
    });
    &ROWS
}

/// The row for a full key.
pub(crate) fn row(key: &str) -> Option<&'static Row> {
    static INDEX: LazyLock<HashMap<&'static str, &'static Row>> =
        LazyLock::new(|| rows().iter().map(|row| (row.key.as_str(), row)).collect());
    INDEX.get(key).copied()
}

/// What is known of every option, in the order of the table.
pub fn options() -> impl Iterator<Item = &'static Facts> {
    rows().iter().map(|row| row.definition.facts())
}

/// Whether the table has options below this pattern.
pub(crate) fn is_section(pattern: &str) -> bool {
    let pattern = pattern.trim_start_matches('.');
    rows().iter().any(|row| {
        row.key
            .strip_prefix(pattern)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The names of options and sections within a section.
pub(crate) fn names_in(pattern: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows() {
        let rest = match pattern {
            "" => Some(row.key.as_str()),
            _ => row
                .key
                .strip_prefix(pattern)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest
            .and_then(|rest| rest.split('.').next())
            .map(|name| name.trim_end_matches("[]"));
        names.extend(name.filter(|name| *name != "*" && !names.contains(name)));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_what_its_option_takes() {
        let mut with_default = 0;
        for row in rows() {
            let default = row.definition.facts().default;
            if !default.is_empty() {
                let meant = row.definition.meant_by(default);
                assert!(meant.is_some(), "{} = {default}", row.key);
                with_default += 1;
            }
        }
        assert!(with_default > 50, "{with_default}");
    }

    #[test]
    fn every_key_stands_in_the_table_once() {
        let keys: BTreeSet<&str> = rows().iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys.len(), rows().len());
    }
}

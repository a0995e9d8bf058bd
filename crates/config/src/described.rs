use serde_json::Value;

use crate::explain::written;
use crate::option::Facts;
use crate::schema;
use crate::table::rows;

/// One option of the table, for those who show it and let people write it.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its key in the table: `listener.*.bind`.
    pub pattern: &'static str,
    /// Its key as an administrator writes it: `listener.NAME.bind`.
    pub key: String,
    /// Its section, in the same way; empty at the top of the file.
    pub section: String,
    /// What it takes, in words.
    pub takes: String,
    /// Its values as a JSON schema.
    pub schema: Value,
    /// The rest.
    pub facts: &'static Facts,
}

/// Every option there is, in the order of the table.
pub fn described() -> impl Iterator<Item = Described> {
    rows().iter().map(|row| {
        let facts = row.definition.facts();
        Described {
            pattern: &row.key,
            key: written(&row.key),
            section: written(facts.section),
            takes: row.definition.expected(),
            schema: schema::option(row),
            facts,
        }
    })
}

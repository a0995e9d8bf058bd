//! What options say and where that stands, as it is kept.

use std::collections::BTreeMap;

use mail::Place;

/// One option as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key in the table: `listener.*.bind`.
    pub option: &'static str,
    /// `listener.internet.bind`
    pub key: String,
    /// Its value, as it could be written.
    pub value: String,
    /// Where it was written; or that a preset says it, or the default.
    pub place: Place,
    /// What stands there does nothing in this version.
    pub idle: bool,
}

/// What somebody wrote, or follows from a preset.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// By rows of the table; those of a row by their keys.
    pub options: BTreeMap<&'static str, Vec<Shown>>,
    /// The sections with names of the administrator's, by their pattern in the table (`listener.*`), in
    /// the order of the files.
    pub sections: BTreeMap<String, Vec<String>>,
}

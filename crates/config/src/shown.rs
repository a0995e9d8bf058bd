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

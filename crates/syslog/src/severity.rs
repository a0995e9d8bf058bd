/// How much a message weighs, of RFC 5424 section 6.2.1 those that a log of ours has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody has to see to it.
    Error,
    /// Somebody may have to see to it soon.
    Warning,
    /// It happened.
    Informational,
    /// Details of how it happened.
    Debug,
}

impl Severity {
    /// Its number.
    pub fn code(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Informational => 6,
            Self::Debug => 7,
        }
    }
}

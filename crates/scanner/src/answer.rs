use crate::{ClamdVersion, Finding, Learned};

/// What a scanner answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What it says of the message.
    Finding(Finding),
    /// It is there.
    Alive,
    /// What clamd is.
    Version(ClamdVersion),
    /// What it made of a message that it should learn.
    Learned(Learned),
}

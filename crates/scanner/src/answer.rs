use crate::{ClamdVersion, Finding, IcapOptions, Learned, PolicyAction};

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
    /// What an ICAP service says of itself.
    Options(IcapOptions),
    /// What a policy service wants to be done.
    Action(PolicyAction),
}

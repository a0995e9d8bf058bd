use crate::{Question, Why};

/// Why a check does not go on.
pub(crate) enum Stop {
    /// These have to be known first.
    Ask(Vec<Question>),
    /// The result is temperror or permerror.
    Error(Why),
}

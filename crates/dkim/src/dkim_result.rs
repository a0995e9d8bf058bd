use std::fmt;

/// What came of a signature, in the words of RFC 8601 section 2.7.1. A message without any has
/// `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DkimResult {
    /// It is good: whoever owns the domain signed what has come here.
    Pass,
    /// It is not good.
    Fail,
    /// It may be good, and is of a kind that we do not take.
    Policy,
    /// It is good, and says too little.
    Neutral,
    /// It cannot be told now.
    TempError,
    /// It can never be told.
    PermError,
}

impl DkimResult {
    /// As `Authentication-Results` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Why a relay could not start.

use std::fmt;

/// Why a relay could not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration gives it nothing to do, or names files that cannot be used.
    Configuration(String),
    /// The machine does not let it: an address, a user, the spool.
    System(String),
}

impl From<String> for StartError {
    fn from(why: String) -> Self {
        Self::System(why)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(why) | Self::System(why) => f.write_str(why),
        }
    }
}

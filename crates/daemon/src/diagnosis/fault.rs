/// Why there is no diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// What is asked cannot be, as things are configured.
    Asked {
        /// What of it: `user`.
        what: String,
        /// Why not.
        why: String,
    },
    /// Something is named that is not configured; a text.
    Unknown(String),
    /// It is about nothing that there is; a definite no.
    No(String),
    /// What is configured cannot be read.
    Configuration(String),
    /// Nobody can tell now.
    CannotTell(String),
}

impl Fault {
    pub(crate) fn asked(what: impl ToString, why: impl ToString) -> Self {
        Self::Asked {
            what: what.to_string(),
            why: why.to_string(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked { what, why } => write!(f, "{what}: {why}"),
            Self::Unknown(why)
            | Self::No(why)
            | Self::Configuration(why)
            | Self::CannotTell(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

use std::process::ExitCode;

/// Why a command did not do what it was asked; decides the exit code (sysexits.h where it has a
/// word for it).
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be used: 78.
    Configuration(String),
    /// No relay answers on the control socket: 69.
    Unreachable(String),
    /// A temporary condition, or it could not be told: 75.
    Temporary(String),
    /// A definite no: 1.
    No(String),
    /// The command line makes no sense: 2.
    Usage(String),
}

impl Failure {
    /// Prints the failure on standard error; gives the exit code.
    pub fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Configuration(text) => (text, 78),
            Self::Unreachable(text) => (text, 69),
            Self::Temporary(text) => (text, 75),
            Self::No(text) => (text, 1),
            Self::Usage(text) => (text, 2),
        };
        let text = text.trim_end();
        if text.starts_with("error") || text.starts_with("warning") {
            eprintln!("{text}");
        } else {
            eprintln!("error: {text}");
        }
        ExitCode::from(code)
    }
}

impl From<daemon::RemoteError> for Failure {
    fn from(error: daemon::RemoteError) -> Self {
        match error {
            daemon::RemoteError::Unreachable(why) => Self::Unreachable(why),
            daemon::RemoteError::Refused(why) => Self::No(why),
        }
    }
}

impl From<daemon::diagnosis::Fault> for Failure {
    fn from(fault: daemon::diagnosis::Fault) -> Self {
        use daemon::diagnosis::Fault;
        match fault {
            Fault::Asked { what, why } => Self::Usage(format!("--{what}: {why}")),
            Fault::Unknown(why) => Self::Usage(why),
            Fault::No(why) => Self::No(why),
            Fault::Configuration(why) => Self::Configuration(why),
            Fault::CannotTell(why) => Self::Temporary(why),
        }
    }
}

/// How a command ends.
pub type Outcome = Result<ExitCode, Failure>;

/// One thing that DNS was asked for.
pub struct Finding {
    /// What it means for mail.
    pub mark: Mark,
    /// The domain, host or address that it is about.
    pub subject: String,
    /// What was looked for.
    pub what: &'static str,
    /// What was found.
    pub text: String,
}

/// What it means for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Ok,
    /// As somebody may well want it.
    Note,
    /// Mail works, and some servers will hold it against us.
    Warning,
    /// Mail is lost or refused for it.
    Fail,
    /// DNS does not answer.
    CannotTell,
}

impl Mark {
    /// As it is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fail => "FAIL",
            Self::CannotTell => "unknown",
        }
    }
}

impl Finding {
    pub(in crate::diagnosis) fn new(
        mark: Mark,
        subject: impl ToString,
        what: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self {
            mark,
            subject: subject.to_string(),
            what,
            text: text.into(),
        }
    }
}

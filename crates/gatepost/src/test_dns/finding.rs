/// One thing that DNS was asked for.
pub(super) struct Finding {
    pub mark: Mark,
    /// The domain, host or address that it is about.
    pub subject: String,
    pub what: &'static str,
    pub text: String,
}

/// What it means for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    /// As somebody may well want it.
    Note,
    /// Mail works, and some servers will hold it against us.
    Warning,
    /// Mail is lost or refused for it.
    Fail,
    CannotTell,
}

impl Mark {
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
    pub fn new(
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

use std::fmt;

/// What is wrong with a filter's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Characters before the trouble, so a caret can be put under it.
    pub position: usize,
    /// What is wrong there.
    pub what: Box<str>,
    /// What was probably meant.
    pub suggestion: Option<Box<str>>,
}

impl FilterError {
    pub(crate) fn new(position: usize, what: impl Into<Box<str>>) -> Self {
        Self {
            position,
            what: what.into(),
            suggestion: None,
        }
    }

    pub(crate) fn suggesting(mut self, suggestion: Option<impl Into<Box<str>>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

/// On one line; what the user wrote is quoted without control characters.
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "filter, character {}: {}",
            self.position + 1,
            mail::escaped(&self.what)
        )?;
        match &self.suggestion {
            Some(meant) => write!(f, " (did you mean `{}`?)", mail::escaped(meant)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}

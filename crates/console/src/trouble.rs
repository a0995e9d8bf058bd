//! What goes wrong, as a page says it.

use std::fmt;

use axum::http::StatusCode;

/// What goes wrong for a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
    /// At the sign-in: whether the password is right, and a code is asked for.
    pub(crate) needs_code: bool,
}

impl Trouble {
    pub(crate) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self {
            status,
            why: why.into(),
            needs_code: false,
        }
    }

    /// The visitor asked wrongly.
    pub(crate) fn asked_wrongly(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// Nothing there.
    pub(crate) fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// A fault of ours.
    pub(crate) fn ours(why: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
    }

    /// What kind it is, as a heading.
    pub(crate) fn heading(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "There is no such thing",
            StatusCode::FORBIDDEN => "Not with your role",
            StatusCode::UNAUTHORIZED => "Sign in first",
            StatusCode::CONFLICT => "It was not done",
            status if status.is_client_error() => "That cannot be done",
            _ => "The relay could not answer",
        }
    }
}

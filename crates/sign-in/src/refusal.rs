//! Why somebody was refused: for the log and for the guard. The client hears only 535.

use std::fmt;

use crate::TokenFault;

/// A sign-in that was refused, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The name that was tried, in its one spelling, when it got that far. Never a password or a
    /// token.
    pub user: Option<Box<str>>,
    /// Who that is, when somebody goes by several names: failures by any of them are this one's. In
    /// its one spelling too.
    pub known_as: Option<Box<str>>,
    /// Why it was refused; the client is not told.
    pub reason: Reason,
}

/// What was wrong with a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not what the mechanism says: a fault of the program, not a guess at a password.
    Malformed,
    /// No such user, a wrong password or proof, or a user who was disabled.
    WrongSecret,
    /// The client wants to act as somebody else.
    OtherIdentity,
    /// The channel binding does not fit: the mechanism was tampered with, or somebody sits in the
    /// middle.
    ChannelBinding,
    /// The token is not good.
    Token(TokenFault),
    /// At the console: the password is right, and the code of the second factor is not, or counted
    /// before.
    WrongCode,
    /// At the console: the password is right, or an issuer vouches, and the user has no role there.
    NoRole,
}

impl Why {
    pub(crate) fn malformed() -> Self {
        Self {
            user: None,
            known_as: None,
            reason: Reason::Malformed,
        }
    }

    pub(crate) fn of(user: &str, reason: Reason) -> Self {
        Self {
            user: Some(user.into()),
            known_as: None,
            reason,
        }
    }

    /// A wrong password of somebody whom the source calls `known_as`.
    pub(crate) fn wrong_secret(user: &str, known_as: &str) -> Self {
        Self::known_as(user, known_as, Reason::WrongSecret)
    }

    /// Of somebody whom the source calls `known_as`, by the name that was tried, in its one spelling.
    pub fn known_as(user: &str, known_as: &str, reason: Reason) -> Self {
        let spelling = crate::prepare_name(known_as).unwrap_or_else(|| known_as.to_lowercase());
        Self {
            known_as: Some(spelling).filter(|name| name != user).map(Into::into),
            ..Self::of(user, reason)
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}: {}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not what the mechanism says"),
            Self::WrongSecret => f.write_str("no such user, wrong password, or disabled"),
            Self::OtherIdentity => f.write_str("wants to act as somebody else"),
            Self::ChannelBinding => f.write_str("the channel binding does not fit"),
            Self::Token(fault) => fault.fmt(f),
            Self::WrongCode => f.write_str("right password, wrong or used code"),
            Self::NoRole => f.write_str("known, but without a role at the console"),
        }
    }
}

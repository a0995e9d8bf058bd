//! With what we sign in at a server.

use std::fmt;

/// With what we sign in at a server. Debug shows the user only.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user who signs in with a password.
    Password {
        /// The name to sign in with.
        user: String,
        /// The password, in clear.
        password: String,
    },
    /// Name and OAuth access token.
    Token {
        /// The name to sign in with.
        user: String,
        /// The token, as it was issued.
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Token { user, .. } => write!(f, "Token({user})"),
        }
    }
}

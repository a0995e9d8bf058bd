use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/console/sign-in`: what somebody typed at the console.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleSignIn {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
    /// The code of the second factor, where it was asked for.
    #[serde(default)]
    pub code: Option<String>,
    /// The IP address of the browser: failures count against it.
    pub client: String,
}

/// Who is signed in at the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleSignedIn {
    /// The name, as the log knows it.
    pub name: String,
    /// `viewer`, `operator` or `admin`
    pub role: String,
    /// Whether there was a second factor.
    pub second_factor: bool,
    /// Another one as soon as the users file has another password or second factor for the user.
    pub stamp: String,
}

/// The body of `POST /v1/console/links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleLinkWanted {
    /// Who asks for it, and will be signed in by it.
    pub by: String,
}

/// A link that signs in once, as `admin`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleLink {
    /// What is redeemed by it.
    pub token: String,
    /// The whole link, for a browser.
    pub url: String,
    /// Until when it can be used, RFC 3339.
    pub expires: String,
}

/// The body of `POST /v1/console/redeem`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleToken {
    /// What stands in the link.
    pub token: String,
}

/// Who is signed in by a link: nobody of the users file, so `/v1/console/still` does not know him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleRedeemed {
    /// Who asked for the link.
    pub name: String,
    /// `admin`
    pub role: String,
}

/// The body of `POST /v1/console/still`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleUser {
    /// The name that the sign-in gave.
    pub user: String,
}

/// What somebody may do at the console now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleStill {
    /// `viewer`, `operator` or `admin`
    pub role: String,
    /// As a sign-in gives it.
    pub stamp: String,
}

/// Without the password and the code.
impl fmt::Debug for ConsoleSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleSignIn({:?}, {})", self.user, self.client)
    }
}

/// Without the token.
impl fmt::Debug for ConsoleLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleLink({})", self.expires)
    }
}

/// Without the token.
impl fmt::Debug for ConsoleToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsoleToken")
    }
}

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

/// Who vouches for people at the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleIssuerRow {
    /// The host, by which people know it.
    pub name: String,
}

/// The body of `POST /v1/console/issuer/begin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleIssuerWanted {
    /// Where the issuer is to lead the browser back to.
    pub redirect: String,
}

/// A sign-in on its way to the issuer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleIssuerBegun {
    /// The issuer's page, for the browser.
    pub url: String,
    /// For the browser alone, which brings it back.
    pub ticket: String,
}

/// The body of `POST /v1/console/issuer/end`: what a browser came back with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleIssuerAnswer {
    /// What the browser was given.
    pub ticket: String,
    /// As it went to the issuer.
    pub state: String,
    /// The code of the issuer; empty where it refused.
    #[serde(default)]
    pub code: String,
    /// Who led back, where that is said.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Where to.
    pub redirect: String,
    /// Why the issuer refused, in its words.
    #[serde(default)]
    pub error: Option<String>,
    /// The IP address of the browser: failures count against it.
    pub client: String,
}

/// Who is signed in at the console by an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleVouched {
    /// The name, as the log knows it.
    pub name: String,
    /// `viewer`, `operator` or `admin`
    pub role: String,
    /// To be shown to `/v1/console/still`.
    pub stamp: String,
    /// After so many seconds the issuer has to be asked again.
    pub seconds: u64,
}

/// The body of `POST /v1/console/still`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleUser {
    /// The name that the sign-in gave.
    pub user: String,
    /// The stamp that it gave; needed where an issuer vouched.
    #[serde(default)]
    pub stamp: Option<String>,
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

/// Without the ticket, and without what is sent to the issuer.
impl fmt::Debug for ConsoleIssuerBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsoleIssuerBegun")
    }
}

/// Without ticket, state and code.
impl fmt::Debug for ConsoleIssuerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsoleIssuerAnswer({})", self.client)
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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One act through the control socket or the console, as it is written down: `GET /v1/audit`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Later ones have higher ones.
    pub number: u64,
    /// When it was over, RFC 3339.
    pub at: String,
    /// Whose act it is: an account of this machine, or who was signed in at the console.
    pub who: String,
    /// The number of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// `command line`, `console`, or `relay` for what comes of an act later.
    pub way: String,
    /// For whom the account said to act, such as who became root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was to be done: the path below `/v1/` to which it was posted.
    pub verb: String,
    /// To what: the filter of the recipients, which is empty for all of them; the site, the session,
    /// the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Why, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The operation on the queue that was begun, or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// How many of them it came to, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `done`, `begun` (an operation, which has a row of its own at its end), `refused` or `failed`
    pub result: String,
    /// Why it was refused, or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The query of `GET /v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Only those with a lower number than this: the last of the page before.
    #[serde(default)]
    pub before: Option<u64>,
    /// So many at most \[100].
    #[serde(default)]
    pub limit: Option<usize>,
}

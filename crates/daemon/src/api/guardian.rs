use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody whose mail to other domains is counted: `GET /v1/guardian`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardianRow {
    /// `user`, `client`, `account` or `sender domain`
    pub kind: String,
    /// Which one.
    pub name: String,
    /// In this hour.
    pub hour: GuardianCounts,
    /// In this hour and the 23 before it.
    pub day: GuardianCounts,
    /// How many recipients are usual in a day; nothing before that is known.
    pub usual: Option<u64>,
    /// Since when there is too much, RFC 3339; nothing when there was not for a day.
    pub over_since: Option<String>,
    /// Of what there was too much last, and by which line.
    pub why: Option<String>,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardianCounts {
    /// Messages.
    pub messages: u32,
    /// Their recipients.
    pub recipients: u32,
    /// Those among them to whom nobody wrote in that name, as far as is remembered.
    pub new_recipients: u32,
    /// Recipients that were refused for good.
    pub failures: u32,
}

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GuardianQuery {
    /// So many at most, the worst first \[20].
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Whom an operator trusts again: `POST /v1/guardian/clear`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardianSubject {
    /// `user`, `client`, `account` or `sender domain`
    pub kind: String,
    /// Which one.
    pub name: String,
}

/// For whom it is counted anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardianCleared {
    /// `user`, `client`, `account` or `sender domain`
    pub kind: String,
    /// Which one.
    pub name: String,
}

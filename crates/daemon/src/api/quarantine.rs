use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HeldRow;

/// A page of what screening holds: the answer to `GET /v1/quarantine/page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinePage {
    /// What was found.
    pub rows: Vec<HeldRow>,
    /// Where to go on (`after`); `null` when there is nothing more. A page may be short, or empty,
    /// and there may be more all the same: a question takes only so much of the disk's time.
    pub next: Option<String>,
}

/// The body of `POST /v1/quarantine/link` and of what is done by a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseLinkToken {
    /// What stands behind the last stroke of the link.
    pub token: String,
}

/// What a link of a digest stands for: the answer to `POST /v1/quarantine/link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkedMessage {
    /// The message, for one recipient.
    pub message: HeldRow,
    /// Until when the link counts, RFC 3339.
    pub until: String,
}

/// The body of `POST /v1/quarantine/release`, `POST /v1/quarantine/delete` and
/// `POST /v1/quarantine/ID/release-without-attachments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineChange {
    /// Which of those that are held, as the text of a filter; all of them when it is empty.
    pub filter: String,
    /// Who says so.
    pub by: String,
    /// Why, for the log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What went on without its attachments: `POST /v1/quarantine/ID/release-without-attachments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineReleased {
    /// The queue id under which it was held.
    pub id: String,
    /// The queue id under which it goes on.
    pub released_as: String,
    /// For whom.
    pub recipients: Vec<String>,
    /// What is not in it any longer: place, name, and what it was.
    pub removed: Vec<String>,
}

/// What a held message is: the body of `POST /v1/quarantine/ID/learn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineLesson {
    /// As what scanners learn it.
    pub lesson: TaughtAs,
    /// Who says so.
    pub by: String,
}

/// What scanners learn of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TaughtAs {
    /// That it is unwanted.
    Spam,
    /// That it is wanted.
    Ham,
}

/// What scanners made of it: `POST /v1/quarantine/ID/learn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineLearned {
    /// The message's queue id.
    pub id: String,
    /// As what they were to learn it.
    pub lesson: TaughtAs,
    /// What each of them said.
    pub answers: Vec<LearnedRow>,
}

/// What one scanner says of a message that it is to learn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LearnedRow {
    /// Its name.
    pub scanner: String,
    /// Where it was taught.
    pub address: String,
    /// Whether it is its list of fuzzy hashes that learns.
    pub fuzzy: bool,
    /// What came of it.
    pub result: LearnedResult,
    /// Why, where it did not learn.
    pub why: Option<String>,
}

/// What came of teaching a scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedResult {
    /// It learned.
    Learned,
    /// It knew it, or cannot make anything of it.
    NotNeeded,
    /// It refused, or did not answer.
    Failed,
}

/// Who is told what is held: `POST /v1/quarantine/digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineDigest {
    /// Their addresses; none where nothing was held since the last time.
    pub to: Vec<String>,
}

/// What screening holds, counted: `GET /v1/quarantine/report`. The most first, the hundred of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineReport {
    /// Messages.
    pub messages: u64,
    /// Their recipients that are held.
    pub recipients: u64,
    /// Octets of the messages.
    pub size: u64,
    /// Recipients by the rule that holds their message.
    pub rules: Vec<QuarantineCount>,
    /// Recipients by the domain of the sender; `<>` for the null sender.
    pub sender_domains: Vec<QuarantineCount>,
    /// Messages by recipient.
    pub by_recipient: Vec<QuarantineCount>,
    /// There may be more: not all were looked at, as `looks` says.
    #[serde(default)]
    pub is_cut: bool,
}

/// How many there are of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineCount {
    /// Of which one.
    pub name: String,
    /// So many.
    pub count: u64,
}

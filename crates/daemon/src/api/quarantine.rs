use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of what screening holds: the answer to `GET /v1/quarantine/page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinePage {
    /// What was found.
    pub rows: Vec<QuarantineRow>,
    /// Where to go on (`after`); `null` when there is nothing more. A page may be short, or empty,
    /// and there may be more all the same: a question takes only so much of the disk's time.
    pub next: Option<String>,
}

/// One recipient for whom screening holds a message: `GET /v1/quarantine`. What others wrote has no
/// control characters any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineRow {
    /// The message's queue id.
    pub id: String,
    /// MAIL FROM, nothing for `<>`.
    pub from: String,
    /// The address of the recipient.
    pub to: String,
    /// The subject of the message, decoded.
    pub subject: String,
    /// Octets of the message.
    pub size: u64,
    /// When it came, RFC 3339.
    pub arrived: String,
    /// For how many seconds it has been held.
    pub age_seconds: u64,
    /// The rule that holds it; nothing where that was no rule.
    pub rule: Option<String>,
    /// What the rule found, and its line of the configuration.
    pub reason: String,
}

/// What is in a message that screening holds: `GET /v1/quarantine/ID`. All of it is text without
/// control characters, which can be shown as it is, and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedMessage {
    /// Its recipients that are held.
    pub recipients: Vec<QuarantineRow>,
    /// The fields of its header, decoded, in their order.
    pub fields: Vec<QuarantinedField>,
    /// Its parts and attachments, and what is in those, in their order.
    pub parts: Vec<QuarantinedPart>,
    /// What could not be looked into.
    pub unread: Vec<UnreadPart>,
    /// Its texts.
    pub texts: Vec<QuarantinedText>,
    /// Whether there is more than is shown.
    pub is_cut: bool,
}

/// A field of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedField {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// A part that can be opened, or an entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedPart {
    /// Where it is: `2`, `2/inner.zip/run.exe`.
    pub place: String,
    /// All names that it may be shown by.
    pub names: Vec<String>,
    /// The content type that it is said to have.
    pub declared: String,
    /// What it is by its octets.
    pub kind: String,
    /// Octets, decoded.
    pub size: u64,
    /// Whether only its recipient can read it.
    pub is_encrypted: bool,
}

/// Something that could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadPart {
    /// Where it is; empty for the message itself.
    pub place: String,
    /// Why.
    pub why: String,
}

/// A text, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedText {
    /// Where it is.
    pub place: String,
    /// Whether it was HTML: then this is what a browser shows of it.
    pub is_html: bool,
    /// Its lines, without the end ones.
    pub lines: Vec<String>,
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
    pub message: QuarantineRow,
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

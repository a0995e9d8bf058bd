use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One recipient for whom a message is held, by screening (`GET /v1/quarantine`) or as badmail. What
/// others wrote has no control characters any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldRow {
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
    /// The rule that holds it; nothing where that was no rule, and for badmail.
    pub rule: Option<String>,
    /// What the rule found, and its line of the configuration; for badmail, why it went no further.
    pub reason: String,
}

/// What is in a message that screening holds (`GET /v1/quarantine/ID`), or that is badmail
/// (`GET /v1/badmail/ID`). All of it is text without control characters, which can be shown as it is,
/// and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldMessage {
    /// Its recipients that are held.
    pub recipients: Vec<HeldRow>,
    /// The fields of its header, decoded, in their order.
    pub fields: Vec<HeldField>,
    /// Its parts and attachments, and what is in those, in their order.
    pub parts: Vec<HeldPart>,
    /// What could not be looked into.
    pub unread: Vec<UnreadPart>,
    /// Its texts.
    pub texts: Vec<HeldText>,
    /// Whether there is more than is shown.
    pub is_cut: bool,
}

/// A field of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldField {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// A part that can be opened, or an entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldPart {
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
pub struct HeldText {
    /// Where it is.
    pub place: String,
    /// Whether it was HTML: then this is what a browser shows of it.
    pub is_html: bool,
    /// Its lines, without the end ones.
    pub lines: Vec<String>,
}

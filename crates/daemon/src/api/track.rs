//! What became of messages, as JSON.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that happened to one recipient, or to a message, a sign-in or a connection that came to
/// name none. What is not known is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TrackRow {
    /// Its place in the store: later rows have greater ones.
    pub number: i64,
    /// When it happened, RFC 3339.
    pub at: String,
    /// What happened: `received`, `refused`, `postponed`, `delivered`, `deferred`, `failed`,
    /// `expired`, `bounced`, `dropped`, `held`, `released`, `deleted`, `rerouted`, `forwarded`,
    /// `expanded`, `notified`, `screened`, `rewritten`
    pub result: String,
    /// At what: `connect`, `sign-in`, `mail`, `rcpt`, `data`, `delivery`, `queue`, `operator`
    pub stage: String,
    /// The message's queue id.
    pub id: Option<String>,
    /// Which of its recipients, by number.
    pub recipient: Option<u32>,
    /// The recipient's address.
    pub to: Option<String>,
    /// MAIL FROM, nothing for `<>`.
    pub from: Option<String>,
    /// Who handed it in.
    pub client: Option<String>,
    /// The client's host name, where it was asked for and leads back to its address.
    pub client_name: Option<String>,
    /// What the client called itself.
    pub hello: Option<String>,
    /// Who had signed in; of a refused sign-in the name that was tried, if it got that far.
    pub user: Option<String>,
    /// The listener that it came through.
    pub listener: Option<String>,
    /// The number of the session or of the delivery agent in the log.
    pub session: Option<u64>,
    /// Version, cipher, key exchange group and kind of handshake of the connection.
    pub tls: Option<String>,
    /// Octets of the message.
    pub size: Option<u64>,
    /// Its Message-ID, without brackets.
    pub message_id: Option<String>,
    /// Its subject as written, where `tracking.subject` keeps it.
    pub subject: Option<String>,
    /// The site where it was to go.
    pub route: Option<String>,
    /// The server that was asked.
    pub host: Option<String>,
    /// What was answered, by us or by that server.
    pub reply: Option<String>,
    /// The configuration line that decided.
    pub place: Option<String>,
    /// More words: why, by whom, to where.
    pub note: Option<String>,
    /// How long the message had been with us.
    pub queued_ms: Option<u64>,
    /// How long the attempt took.
    pub took_ms: Option<u64>,
    /// How long the server took to answer the final dot.
    pub replied_ms: Option<u64>,
    /// Which attempt it was.
    pub tries: Option<u32>,
    /// The other message that it has to do with: of a notice what it is about, and the reverse.
    pub other: Option<String>,
    /// Made again after a crash, from what the spool knew.
    pub recovered: bool,
}

/// Which rows: the query of `GET /v1/track`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct TrackQuery {
    /// A filter; everything when empty.
    #[serde(default)]
    pub filter: String,
    /// Only rows before this number, newest first: `next` of the page before.
    #[serde(default)]
    pub before: Option<i64>,
    /// Only rows behind this number, oldest first: to follow what happens. When there is none it is
    /// waited for some seconds.
    #[serde(default)]
    pub after: Option<i64>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<usize>,
    /// All that happened, instead of what happened last to each recipient.
    #[serde(default)]
    pub events: bool,
    /// A page ends after about so many rows that were looked at, however many were found.
    #[serde(default)]
    pub looks: Option<usize>,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrackPage {
    /// What was found.
    pub rows: Vec<TrackRow>,
    /// Where to go on (`before`); `null` when there is nothing more. A page may be short, or empty,
    /// and there may be more all the same: a question takes only so much of the disk's time.
    pub next: Option<i64>,
    /// All from this moment on was looked at, RFC 3339.
    pub reached: Option<String>,
    /// The greatest number there is (`after`, to follow).
    pub end: i64,
}

/// How far back is looked for a Message-ID: the query of `GET /v1/trace/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TraceQuery {
    /// At about so many rows, the newest ones; at all of them when left out. A queue id is found at
    /// once.
    #[serde(default)]
    pub looks: Option<usize>,
}

/// One message's life: `GET /v1/trace/ID`, by queue id or Message-ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The messages, each with all that happened to it in order; notices about one follow on it.
    pub messages: Vec<TracedMessage>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracedMessage {
    /// Its queue id.
    pub id: String,
    /// The message that it is a notice about.
    pub about: Option<String>,
    /// All that happened to it, in order.
    pub rows: Vec<TrackRow>,
}

/// An SMTP dialogue that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptRow {
    /// When it ended, RFC 3339.
    pub at: String,
    /// The number of the session in the log; `null` of an attempt.
    pub session: Option<u64>,
    /// What was said, line by line: milliseconds since the line before, `C:` the client, `S:` the
    /// server or `#` a remark, and the text.
    pub text: String,
}

/// Whose dialogues are to be kept for a while: one of `client`, `user`, `site`, `address`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default, JsonSchema)]
pub struct TraceChange {
    /// Sessions of clients with this address, or in this network.
    #[serde(default)]
    pub client: Option<String>,
    /// Sessions of this user.
    #[serde(default)]
    pub user: Option<String>,
    /// Attempts at this site.
    #[serde(default)]
    pub site: Option<String>,
    /// Sessions and attempts for this recipient.
    #[serde(default)]
    pub address: Option<String>,
    /// For so long, as `1h`; `7d` at most.
    pub lasting: String,
}

/// Whose dialogues are kept for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceRow {
    /// `client`, `user`, `site` or `address`
    pub kind: String,
    /// Which.
    pub whom: String,
    /// Until then, RFC 3339.
    pub until: String,
}

/// How the tracking store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrackingStatus {
    /// Rows that could not be kept since the start.
    pub lost: u64,
    /// Of these, made again since from what the spool knows.
    pub made_again: u64,
    /// What is wrong with the store at present.
    pub trouble: Option<String>,
}

impl TrackingStatus {
    /// Rows that are lost and were not made again.
    pub fn missing(&self) -> u64 {
        self.lost.saturating_sub(self.made_again)
    }
}

/// The rows as a file of comma-separated values (RFC 4180): every field of every row, under a line
/// with their names, which stands above no rows, too. A program reads the same columns every time.
///
/// # Errors
/// A row could not be written, which no input brings about.
pub fn as_csv(rows: &[TrackRow]) -> Result<String, serde_json::Error> {
    let names = columns(&TrackRow::default())?;
    let names = names.keys().map(|name| quoted(name)).collect::<Vec<_>>();
    let mut text = names.join(",") + "\n";
    for row in rows {
        let cells = columns(row)?;
        let cells = cells.values().map(field);
        let _to_text = writeln!(text, "{}", cells.collect::<Vec<_>>().join(","));
    }
    Ok(text)
}

/// What a row says, under which names.
fn columns(
    row: &TrackRow,
) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
    match serde_json::to_value(row)? {
        serde_json::Value::Object(columns) => Ok(columns),
        _ => Ok(serde_json::Map::new()),
    }
}

fn field(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// In quotes, and on one line. What a spreadsheet would take for a formula is marked as text: a
/// stranger may have written it.
fn quoted(text: &str) -> String {
    let text = mail::escaped(text).to_string();
    let mark = if text.starts_with(['=', '+', '-', '@']) {
        "'"
    } else {
        ""
    };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

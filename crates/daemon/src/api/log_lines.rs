use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lines of the log: `GET /v1/log/tail`, `GET /v1/log/follow`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// So many of the last lines \[200; none where somebody follows].
    #[serde(default)]
    pub lines: Option<usize>,
    /// Those alone that weigh at least so much: `error`, `warn`, `info` or `debug`.
    #[serde(default)]
    pub level: Option<String>,
    /// Those alone that have this somewhere, in any case of letters.
    #[serde(default)]
    pub word: Option<String>,
}

/// A protocol log that lies in files: `GET /v1/log/protocol`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolLogRow {
    /// Its name: that of `[log.NAME]`.
    pub name: String,
    /// The folder of its files.
    pub directory: String,
}

/// Which lines of a protocol log: the query of `GET /v1/log/protocol/NAME`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolLogQuery {
    /// So many of the last lines \[200]; 1,000 at most.
    #[serde(default)]
    pub lines: Option<usize>,
    /// Those alone that have this somewhere, in any case of letters.
    #[serde(default)]
    pub word: Option<String>,
}

/// The end of the file that was written last: `GET /v1/log/protocol/NAME`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolLogTail {
    /// The file; none where nothing was written yet.
    pub file: Option<String>,
    /// Its last lines that match, oldest first; controls in them are escaped.
    pub lines: Vec<String>,
    /// Only the end of the file, a megabyte, was looked at.
    pub is_cut: bool,
}

/// A line of the relay's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Later lines have greater numbers; a start begins anew.
    pub number: u64,
    /// When it was written, RFC 3339.
    pub at: String,
    /// `error`, `warn`, `info` or `debug`
    pub level: String,
    /// What happened.
    pub text: String,
    /// What is said beside, in order.
    pub fields: Vec<LogField>,
}

/// A field of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogField {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// What comes to somebody who follows the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LogEvent {
    /// A line.
    Line {
        /// Which one.
        line: LogLine,
    },
    /// Lines that came faster than he read.
    Lost {
        /// How many, those among them that would not have matched.
        count: u64,
    },
}

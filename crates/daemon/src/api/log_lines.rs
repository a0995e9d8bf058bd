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

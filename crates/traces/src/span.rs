use std::time::Duration;

use mail::Timestamp;

/// Something that began and ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What kind of thing.
    pub name: &'static str,
    /// Which side of a connection we were on; `None`: neither.
    pub side: Option<Side>,
    /// The trace.
    pub trace: u128,
    /// Its own name within that.
    pub id: u64,
    /// The span above it.
    pub parent: Option<u64>,
    /// Spans of other traces that it has to do with: trace and span.
    pub links: Vec<(u128, u64)>,
    /// When it ended, by the system's clock.
    pub ended: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// It came to no good end.
    pub failed: bool,
}

/// Which side of a connection we were on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Others connected to us.
    Server,
    /// We connected to others.
    Client,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word.
    Text(String),
    /// A count.
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

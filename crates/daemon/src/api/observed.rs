use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The query of `GET /v1/rates`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RatesQuery {
    /// How far back, `1h` to `24h` \[1h].
    #[serde(default, rename = "for")]
    pub lasting: Option<String>,
}

/// How much went on, in steps of the same length, the oldest first; the newest is not over. Counted
/// since the relay started, in recipients: `GET /v1/rates`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// When the first step began, RFC 3339.
    pub since: String,
    /// How long a step is.
    pub step_seconds: u64,
    /// Taken, in each step.
    pub received: Vec<u64>,
    /// Refused for good.
    pub refused: Vec<u64>,
    /// Refused for now.
    pub postponed: Vec<u64>,
    /// Taken on by next hops.
    pub delivered: Vec<u64>,
    /// To be tried again.
    pub deferred: Vec<u64>,
    /// Refused for good by next hops.
    pub failed: Vec<u64>,
    /// How many were in the queue, waiting or held, when they were counted last in the step; nothing
    /// where they were not.
    pub queued: Vec<Option<u64>>,
    /// Why clients were refused in the last hour, whatever was asked for: the most frequent first.
    pub why_refused: Vec<RefusedWhy>,
}

/// Refusals with one status by one line of the configuration, sign-ins and connections included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedWhy {
    /// `550 5.7.1`
    pub status: String,
    /// The line that had it so: file, line, column.
    pub place: Option<String>,
    /// How often.
    pub count: u64,
    /// When it was so last, RFC 3339.
    pub last: String,
    /// Who was refused then.
    pub client: String,
    /// What was answered.
    pub reply: String,
    /// Which rule decided, and what it went by.
    pub reason: Option<String>,
}

/// The query of `GET /v1/devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DevicesQuery {
    /// Those seen in so long a time, up to `31d` \[7d].
    #[serde(default, rename = "for")]
    pub lasting: Option<String>,
    /// So many at most of each kind \[100].
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Who sends through the relay: `GET /v1/devices`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceLists {
    /// Clients and users who may send to anybody, and did; the latest first.
    pub devices: Vec<DeviceRow>,
    /// Who tried, and was refused because he is not permitted; the latest first.
    pub not_permitted: Vec<DeviceRow>,
}

/// A user, or a client that did not sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRow {
    /// From where, the last time: an address, or an account of this machine as `uid:33`.
    pub client: String,
    /// The client's host name, where that was asked for and leads back to its address.
    pub name: Option<String>,
    /// Who signed in.
    pub user: Option<String>,
    /// When he was here last, RFC 3339.
    pub seen: String,
    /// The version of TLS then; nothing where it was in clear.
    pub tls: Option<String>,
    /// As whom he sent, the latest first; empty for `<>`.
    pub senders: Vec<String>,
    /// Messages of his that were taken in that time, by days.
    pub messages: u64,
    /// How often he was refused in that time.
    pub refusals: u64,
    /// The newest of all refusals.
    pub refusal: Option<DeviceRefusal>,
}

/// What was said to somebody who was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRefusal {
    /// When, RFC 3339.
    pub at: String,
    /// What was answered.
    pub reply: String,
    /// Which rule decided, and what it went by; empty where none did.
    pub reason: String,
    /// Its line; empty where there is none.
    pub place: String,
}

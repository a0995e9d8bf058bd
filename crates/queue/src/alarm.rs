use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};

use crate::AgentId;

/// So long mail may be due for a site that is neither left alone nor paused nor paced, without an
/// attempt.
pub(crate) const NOT_TRIED_MAX: Duration = Duration::from_secs(30 * 60);
/// So long every attempt at a site may fail for the site's own sake.
pub(crate) const NO_PROGRESS_MAX: Duration = Duration::from_secs(4 * 3600);
/// So long an agent may have one job: longer than a large message takes over a slow line.
pub(crate) const JOB_MAX: Duration = Duration::from_secs(3600);

/// Something is not as it should be, and stays so by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The site where it is.
    pub site: Arc<str>,
    /// What it is.
    pub what: Stuck,
    /// Since when, on the queue's line of time.
    pub since: Timestamp,
    /// The reason, as far as it is known.
    pub why: String,
}

/// What does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// Mail is due, and nobody tries.
    NotTried,
    /// It is tried, and no server of the site takes part.
    NoProgress,
    /// An agent has had one job for too long.
    Agent(AgentId, QueueId),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried => f.write_str("mail is due and was not tried"),
            Self::NoProgress => f.write_str("no attempt has reached a server that works"),
            Self::Agent(agent, id) => write!(f, "out-{agent} still has {id} in hand"),
        }
    }
}

use std::sync::Arc;

use mail::{Failure, Place, Timestamp};
use spool::Pause;

use crate::RestingHost;

/// A site as the queue manager sees it at a moment: why what waits for it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteShape {
    /// The site's name.
    pub name: Arc<str>,
    /// Whether mail goes there just now.
    pub condition: Condition,
    /// Connections there, with and without a message under way.
    pub connections: usize,
    /// How many there may be at present.
    pub connections_max: usize,
    /// Messages in memory that wait for one of them.
    pub ready: usize,
    /// Hosts of it that let nobody in of late.
    pub resting: Vec<RestingHost>,
    /// Messages that have to wait for their size.
    pub large: Option<LargeClosed>,
    /// The pace to which the site has brought us down, and in what words.
    pub slowed: Option<String>,
}

/// Which messages are too large to go to a site at this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeClosed {
    /// Those of more octets.
    pub over: u64,
    /// Their hours begin then, on the queue's line of time.
    pub until: Timestamp,
}

/// Whether mail goes to a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Up,
    /// It did not answer, and is left alone.
    Suspended {
        /// Until then, on the queue's line of time.
        until: Timestamp,
        /// What was wrong last time.
        why: Option<Failure>,
    },
    /// It was left alone, and one message tries whether it is back.
    Probing,
    /// An operator lets nothing go there.
    Paused(Pause),
    /// It is no site, but a domain whose mail waits until somebody asks for it; as written there.
    Unasked(Place),
    /// It is outside its hours.
    Closed {
        /// They begin then, on the queue's line of time.
        until: Timestamp,
    },
    /// As much went there as may.
    Paced {
        /// From then on more may go.
        until: Timestamp,
        /// The rate that is used up, or what the site said.
        why: String,
    },
}

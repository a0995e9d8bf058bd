use std::sync::Arc;

use bytes::Bytes;
use mail::Reply;
use route::{HopAddress, Site};
use spool::{Message, Recipient};

/// An agent: one worker that holds one connection, to one site, for one job after the other.
/// Numbered by the queue, never reused.
pub type AgentId = u64;

/// One message to be brought to one site, for all its recipients there.
#[derive(Debug, Clone)]
pub struct Job {
    /// The message.
    pub message: Arc<Message>,
    /// Its content (without the head), when it is still in memory; to be read from the spool
    /// otherwise.
    pub content: Option<Bytes>,
    /// For whom; at least one.
    pub recipients: Vec<Recipient>,
    /// The site to which it is brought.
    pub site: Site,
    /// Hosts of the site that let nobody in of late: they are tried after all others.
    pub resting: Arc<[HopAddress]>,
    /// Why the message may not go now where it goes when the site is of no use
    /// ([`Site::otherwise`]), if that is so: there it is paused, or outside its hours.
    pub shut: Option<Reply>,
    /// So many attempts before counted as no try, because the message was only turned away; told of
    /// while the job stays in memory.
    pub excused: u32,
}

use std::time::Duration;

/// How long to wait for the peer.
///
/// Whoever drives a connection restarts its timer whenever `phase` changes, and only then: the
/// limit holds for a whole command, reply or block of data, so a peer that sends one octet at a
/// time gains nothing (RFC 5321 section 4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    /// Changes with every step of the conversation.
    pub phase: u32,
    /// How long this phase may take.
    pub limit: Duration,
}

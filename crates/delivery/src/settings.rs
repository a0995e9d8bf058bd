use std::time::Duration;

use mail::Host;

use crate::Identity;

/// How we talk to servers of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How we name ourselves: our host name (RFC 5321 section 4.1.1.1).
    pub helo: Host,
    /// What is spoken.
    pub protocol: Protocol,
    /// Never say EHLO: for servers that break on it.
    pub helo_only: bool,
    /// Recipients in one transaction. RFC 5321 section 4.5.3.1.8: a server must take 100. A
    /// server's LIMITS may lower it.
    pub recipients_max: usize,
    /// A recipient with NOTIFY=NEVER gets the null reverse path at a server that offers no DSN (RFC
    /// 3461 section 5.2.2), which keeps the promise and takes the sender's domain out of the
    /// envelope.
    pub never_as_null: bool,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// They are filters of ours: told of each message where it came from, as far as they ask for it
    /// (XFORWARD), and for whom it was (ORCPT).
    pub is_filter: bool,
    /// Sign in before the first message; nothing is sent where that fails, nor without encryption.
    pub credentials: Option<Identity>,
}

impl Settings {
    /// The defaults, with our name.
    pub fn new(helo: Host) -> Self {
        Self {
            helo,
            protocol: Protocol::default(),
            helo_only: false,
            recipients_max: 100,
            never_as_null: false,
            timeouts: Timeouts::default(),
            is_filter: false,
            credentials: None,
        }
    }
}

/// How a server of a route is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: to the server that keeps the mailboxes, which answers for each recipient.
    Lmtp,
}

/// What to do with 8-bit content when the server does not offer 8BITMIME. The stricter is the
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum EightBit {
    /// Send it as it is: nearly every server copes.
    #[default]
    Send,
    /// Bounce with 5.6.3, as RFC 6152 section 3 has it.
    Bounce,
}

/// How long each step may take. Where RFC 5321 section 4.5.3.2 has a word, the defaults are the
/// least that it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The greeting, 220, once there is a connection.
    pub greeting: Duration,
    /// Replies to EHLO, HELO, MAIL, RCPT, RSET.
    pub command: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// The answer to DATA, 354.
    pub data_start: Duration,
    /// Each block of content, until it is written.
    pub data_block: Duration,
    /// The reply to the final dot.
    pub data_end: Duration,
    /// Each further one of LMTP. RFC 2033 has no word on it.
    pub next_end: Duration,
    /// Between two messages: then the conversation quits by itself.
    pub idle: Duration,
    /// The reply to QUIT: only politeness waits for it.
    pub quit: Duration,
}

impl Timeouts {
    /// The same, but for a server that has so long for each step until the message is with it, and
    /// for each answer of LMTP after the first. Its first word on the message itself keeps its time:
    /// what is given up then, and was taken, goes out twice (RFC 5321 section 4.5.3.2.6).
    #[must_use]
    pub fn with_replies_within(self, limit: Duration) -> Self {
        Self {
            greeting: limit,
            command: limit,
            handshake: limit,
            data_start: limit,
            data_block: limit,
            next_end: limit,
            ..self
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            greeting: minutes(5),
            command: minutes(5),
            // No RFC speaks of it. Two minutes are long enough for any server, and a wire that
            // swallows handshakes costs no more.
            handshake: minutes(2),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
            // A server that has answered for one recipient has the message, and is about to answer
            // for the next, if it ever will: there are those that answer once for all.
            next_end: Duration::from_secs(30),
            idle: Duration::from_secs(5),
            quit: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_time_for_replies_is_none_for_the_word_on_the_message() {
        let usual = Timeouts::default();
        let limit = Duration::from_secs(7);
        let hasty = usual.with_replies_within(limit);
        let replies = [
            hasty.greeting,
            hasty.command,
            hasty.handshake,
            hasty.data_start,
            hasty.data_block,
            hasty.next_end,
        ];
        assert_eq!(replies, [limit; 6]);
        assert_eq!(
            (hasty.data_end, hasty.idle, hasty.quit),
            (usual.data_end, usual.idle, usual.quit)
        );
    }
}

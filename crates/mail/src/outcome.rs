use std::fmt;

use crate::Reply;

/// What one attempt did for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility.
    Delivered(Delivery),
    /// Not now: try again later.
    Deferred(Failure),
    /// Never: the sender is told.
    Failed(Failure),
}

impl Outcome {
    /// The reply that stands behind the outcome.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(delivery) => &delivery.reply,
            Self::Deferred(failure) | Self::Failed(failure) => &failure.reply,
        }
    }
}

/// Who took responsibility for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the server said, or what we say of a file that we wrote.
    pub reply: Reply,
    /// The server, as in [`Failure::host`]; none when it was filed on this machine, which is where
    /// the recipient reads it.
    pub host: Option<Box<str>>,
}

/// Why an attempt did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How far the trouble reaches.
    pub scope: Scope,
    /// What the server said, or what we say about the trouble when no server spoke:
    /// [`Reply::is_from_peer`].
    pub reply: Reply,
    /// The host that spoke or could not be reached, as `mx1.example.com [192.0.2.1]:25`; none when
    /// no host was involved.
    pub host: Option<Box<str>>,
}

impl Failure {
    /// Whether a server says by it that mail comes too fast: by 421, by 432 4.3.2 (too many
    /// connections at once), by a status of security or policy (4.7.x) before a recipient is named
    /// or after the whole message, or in words. What concerns an address, a mailbox or the content
    /// is none of this, nor is greylisting, which wants the same message again whatever the pace.
    pub fn is_too_fast(&self) -> bool {
        let reply = &self.reply;
        if !reply.is_from_peer() || !reply.is_transient() {
            return false;
        }
        if reply.code() == 421 {
            return true;
        }
        let status = reply.status();
        let of_policy = match (reply.has_status(), status.subject, status.detail) {
            (true, 1 | 2 | 6, _) | (true, 5, 3) => return false,
            (true, 7, _) => true,
            (true, 3, 2) => reply.code() == 432,
            (true | false, _, _) => false,
        };
        let text = reply.text().to_ascii_lowercase();
        let greylists = text.contains("greylist") || text.contains("graylist");
        !greylists && (of_policy && self.scope > Scope::Recipient || speaks_of_pace(&text))
    }

    /// Whether a server speaks of connections: fewer of them may be what it wants, rather than less
    /// mail in a time.
    pub fn is_about_connections(&self) -> bool {
        let text = self.reply.text().to_ascii_lowercase();
        ["connection", "session", "concurren", "thread"]
            .iter()
            .any(|word| text.contains(word))
    }
}

/// Whether a server's words, in small letters, are about how much comes how fast.
fn speaks_of_pace(text: &str) -> bool {
    const PHRASES: [&str; 6] = [
        "too fast",
        "too quickly",
        "too much mail",
        "throttl",
        "slow down",
        "too many",
    ];
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let of_rate = words.any(|word| matches!(word, "rate" | "rates" | "ratelimit" | "ratelimited"));
    let of_much = PHRASES.iter().any(|phrase| text.contains(phrase));
    (of_rate || of_much) && !text.contains("too many hops")
}

/// How far a failure reaches; decides what is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// This recipient only: the others of the message go on.
    Recipient,
    /// This message, whatever the host: other messages to the site go on.
    Message,
    /// This host: the next one of the site is tried.
    Host,
    /// The whole site: nothing more is tried there for a while.
    Site,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Host => "host",
            Self::Site => "site",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What servers say, as far as they document it or it was seen of them: how far it reaches, the
    /// code, the status, the text.
    const TOO_FAST: &str = "\
        host 421 - Try again later, closing connection.
        host 421 7.28 unusual rate of mail
        host 421 7.0 Error: too many connections from 192.0.2.1
        message 432 3.2 STOREDRV.ClientSubmit; sender thread limit exceeded
        message 451 7.500 Server busy. Please try again later
        message 450 7.1 Error: too much mail from 192.0.2.1
        message 454 - Throttling failure: Maximum sending rate exceeded.
        message 452 - Too many messages in this session
        recipient 450 3.0 Rate limit exceeded
        recipient 450 7.1 Error: too many recipients from 192.0.2.1";

    /// The recipient's own (greylisting, policies, mailboxes), the content's, trouble of the
    /// server's own, and what is said for good or of a success.
    const OTHERS: &str = "\
        recipient 450 7.1 Client host rejected: cannot find your hostname
        recipient 450 2.1 The user is receiving mail at a rate that prevents more
        recipient 452 5.3 Too many recipients
        message 451 7.1 Greylisted, please try again later
        message 452 2.2 Mailbox full
        message 451 6.0 too many attachments
        message 452 3.1 Insufficient system storage
        message 451 3.2 Not accepting network messages
        message 451 - Local error in processing
        message 451 - The corporate server operates separately
        message 450 - too many hops
        message 451 4.3 Temporary lookup failure
        message 550 7.1 rate limit exceeded
        message 554 7.1 too many complaints
        message 250 0.0 rate limited, and taken";

    fn failure(line: &str) -> Failure {
        let words: Vec<&str> = line.trim().splitn(4, ' ').collect();
        let scope = match words[0] {
            "host" => Scope::Host,
            "message" => Scope::Message,
            _ => Scope::Recipient,
        };
        let status = words[2].split_once('.');
        let status = status.map(|(subject, detail)| {
            let number = |digits: &str| digits.parse::<u16>().unwrap();
            (number(subject), number(detail))
        });
        Failure {
            scope,
            reply: Reply::from_peer(words[1].parse().unwrap(), status, words[3]).unwrap(),
            host: None,
        }
    }

    #[test]
    fn a_reply_that_means_too_fast_is_told_from_others() {
        for (lines, expected) in [(TOO_FAST, true), (OTHERS, false)] {
            for line in lines.lines() {
                assert_eq!(failure(line).is_too_fast(), expected, "{line}");
            }
        }
        // What we say ourselves of a server is no word of its own.
        let own = Failure {
            reply: Reply::new(421, 7, 0, "too many"),
            ..failure("host 421 7.0 too many")
        };
        assert!(!own.is_too_fast());
    }
}

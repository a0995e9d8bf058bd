use std::fmt;
use std::net::Ipv6Addr;

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

impl Failure {
    /// Whether a server refuses for good because of the IPv6 address that we come from, so that it
    /// may take the same over IPv4: by 5.7.25 (RFC 7372: no reverse DNS), or by a refusal for
    /// security or policy that names an IPv6 address, IPv6 itself or the PTR record. To be asked of
    /// what came over IPv6 only. What is said of a recipient, a mailbox or the content is none of
    /// this.
    pub fn is_about_ipv6(&self) -> bool {
        let reply = &self.reply;
        if !reply.is_from_peer() || !reply.is_permanent() {
            return false;
        }
        let status = reply.status();
        match (reply.has_status(), status.subject, status.detail) {
            (true, 7, 25) => true,
            // Refused by policy (1), by SPF or several checks of the sender's address (23, 26), or
            // by Microsoft's own lists (from 500 on).
            (true, 7, 1 | 23 | 26 | 500..) | (false, _, _) => speaks_of_ipv6(reply.text()),
            (true, _, _) => false,
        }
    }
}

/// Whether a server's words name an IPv6 address, IPv6, or what an address has in the reverse DNS.
fn speaks_of_ipv6(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '.');
    let mut words = words.map(|word| word.trim_matches('.').to_ascii_lowercase());
    words.any(|word| {
        let word = word.strip_prefix("ipv6:").unwrap_or(&word);
        // A colon may follow on an address that ends in two.
        let readings = [word, word.strip_suffix(':').unwrap_or(word)];
        let mut addresses = readings.iter().flat_map(|text| text.parse::<Ipv6Addr>());
        let is_address = addresses.any(|address| !address.is_unspecified());
        is_address || matches!(readings[1], "ipv6" | "ptr" | "rdns")
    })
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

    /// What Google, Microsoft, Postfix and others say of an IPv6 address, as far as they document it
    /// or it was seen of them.
    const OF_IPV6: &str = "\
        message 550 7.1 [2001:db8::25] Our system has detected that this message does not meet IPv6 \
            sending guidelines regarding PTR records and authentication.
        message 550 7.25 [2001:db8::25] The IP address sending this message does not have a PTR record
        message 550 7.26 blocked because the sender is unauthenticated. SPF [a.example] with ip: \
            [2001:db8::25] = did not pass
        recipient 554 7.1 Service unavailable; Client host [2001:db8::25] blocked using a.list.example
        recipient 550 7.25 Client host rejected: cannot find your hostname
        recipient 550 7.1 Service unavailable, sending IPv6 address [2001:db8:0:1::25] must have \
            reverse DNS record.
        recipient 550 7.606 Access denied, banned sending IP [IPv6:2001:db8::25]
        message 554 7.26 Service unavailable, message sent over IPv6 must pass either SPF or DKIM
        message 550 - Reject due to policy restrictions: 2001:db8::25
        recipient 550 - inconsistent or no DNS PTR record for 2001:db8:849:9800::aa
        recipient 550 - 2001:db8::: listed
        recipient 554 - no PTR for your address
        recipient 550 7.1 IPv6 not accepted here";

    /// Of IPv4 addresses, recipients, contents, relaying; what is said for now; what only looks like
    /// an address.
    const NOT_OF_IPV6: &str = "\
        recipient 550 1.1 <bob@a.example>: no such user at 2001:db8::1
        recipient 554 7.1 Service unavailable; Client host [192.0.2.25] blocked using a.list.example
        recipient 554 7.1 <bob@a.example>: Relay access denied
        message 550 7.26 This mail is unauthenticated, which poses a security risk
        message 554 7.1 Message refused: content at 12:30:45 was spam
        message 552 3.4 too large: 2001:db8::25
        message 550 7.509 Access denied, sending domain a.example does not pass DMARC verification
        message 421 7.0 [2001:db8::25] does not meet IPv6 sending guidelines
        recipient 450 7.25 Client host rejected: cannot find your reverse hostname
        recipient 550 - User unknown
        message 554 6.0 see std::fmt and ::
        message 250 2.0 taken from 2001:db8::25";

    #[test]
    fn a_refusal_of_our_ipv6_address_is_told_from_others() {
        for (lines, expected) in [(OF_IPV6, true), (NOT_OF_IPV6, false)] {
            for line in lines.lines() {
                assert_eq!(failure(line).is_about_ipv6(), expected, "{line}");
            }
        }
        let own = Failure {
            reply: Reply::new(550, 7, 25, "no PTR"),
            ..failure("message 550 7.25 no PTR")
        };
        assert!(!own.is_about_ipv6());
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

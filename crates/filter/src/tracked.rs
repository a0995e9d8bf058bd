use mail::TrackedResult;

use crate::Glob;

/// A condition on what became of a recipient, which only the tracking store can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// `state:`
    Result(TrackedResult),
    /// `listener:` through which it came.
    Listener(Glob),
    /// `hello:` what the client called itself.
    Hello(Glob),
    /// `route:` the site where it was to go: a route's name, or the domain of an MX.
    Route(Glob),
    /// `host:` the server that was asked.
    Host(Glob),
    /// `reply:` these words stand in what was answered.
    Reply(Box<str>),
    /// `message-id:` without brackets.
    MessageId(Glob),
    /// `subject:` these words stand in it.
    Subject(Box<str>),
}

/// What a tracking row knows beyond what is known of a waiting recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackedFacts<'a> {
    /// What happened.
    pub result: TrackedResult,
    /// The name of the listener.
    pub listener: &'a str,
    /// What the client called itself.
    pub hello: &'a str,
    /// The name of the site.
    pub route: &'a str,
    /// The server, as `mx1.example.com [192.0.2.1]:25`.
    pub host: &'a str,
    /// What was answered.
    pub reply: &'a str,
    /// The Message-ID, without its brackets.
    pub message_id: &'a str,
    /// The subject, where it is kept.
    pub subject: &'a str,
}

impl Tracked {
    /// Whether only the arrival of a message tells it, and nothing that happens later.
    pub(crate) fn is_of_arrival(&self) -> bool {
        match self {
            Self::Listener(_) | Self::Hello(_) | Self::MessageId(_) | Self::Subject(_) => true,
            Self::Result(_) | Self::Route(_) | Self::Host(_) | Self::Reply(_) => false,
        }
    }

    pub(crate) fn holds(&self, facts: &TrackedFacts<'_>) -> bool {
        match self {
            Self::Result(result) => facts.result == *result,
            Self::Listener(glob) => glob.matches(facts.listener),
            Self::Hello(glob) => glob.matches(facts.hello),
            Self::Route(glob) => glob.matches(facts.route),
            Self::Host(glob) => is_host(glob, facts.host),
            Self::Reply(words) => contains(facts.reply, words),
            Self::MessageId(glob) => glob.matches(facts.message_id),
            Self::Subject(words) => contains(facts.subject, words),
        }
    }
}

/// A server may be asked for by its name, by its address, or by all that is written of it.
fn is_host(glob: &Glob, host: &str) -> bool {
    let parts = host.split([' ', '[', ']']).filter(|part| !part.is_empty());
    glob.matches(host) || parts.into_iter().any(|part| glob.matches(part))
}

/// In either case, as far as ASCII goes. An underscore stands for a blank, which parts conditions.
fn contains(text: &str, words: &str) -> bool {
    let same = |a: &u8, b: &u8| a.eq_ignore_ascii_case(b) || *b == b'_' && *a == b' ';
    let (text, words) = (text.as_bytes(), words.as_bytes());
    let mut at = text.windows(words.len().max(1));
    at.any(|window| window.iter().zip(words).all(|(a, b)| same(a, b)))
}

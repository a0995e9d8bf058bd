use std::time::Duration;

use mail::Place;

/// A limit, and the line of the configuration that set it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limit<T> {
    /// What is allowed at most.
    pub value: T,
    /// Where it was written.
    pub place: Place,
}

impl<T> Limit<T> {
    /// A limit that nobody wrote.
    pub fn default_of(value: T) -> Self {
        Self {
            value,
            place: Place::Default,
        }
    }

    /// Another limit that follows from this one, by the same line.
    pub(crate) fn with<U>(&self, value: U) -> Limit<U> {
        Limit {
            value,
            place: self.place.clone(),
        }
    }
}

/// So many in so much time: `100/1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may come in the time `per`.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// How often something may happen; `None`: as often as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// How many messages may be begun.
    pub messages: Option<Limit<Rate>>,
    /// How many recipients the stored messages may have, all together.
    pub recipients: Option<Limit<Rate>>,
    /// How many connections may be made.
    pub connections: Option<Limit<Rate>>,
    /// How many of the recipients may be senders to whom bounces of forwarded mail are turned back.
    pub bounces: Option<Limit<Rate>>,
}

/// How much a message may have when it begins; `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Recipients.
    pub recipients: Option<u32>,
    /// Of these, senders to whom bounces of forwarded mail are turned back.
    pub bounces: Option<u32>,
}

/// How many sessions a listener has at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLimits {
    /// Of all clients together.
    pub in_all: Limit<u32>,
    /// Of one client that may not relay.
    pub per_client: Limit<u32>,
}

/// How fast clients and users may go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Connections, messages and recipients of one address (IPv6: /64) that may not relay.
    pub per_client: RateLimits,
    /// The same of one network: IPv4 /24, IPv6 /48.
    pub per_network: RateLimits,
    /// Messages and recipients of one user.
    pub per_user: RateLimits,
    /// Whether loopback addresses are held to the limits of strangers too.
    pub limit_loopback: Limit<bool>,
    /// Unknown recipients that a session may name; how many a client may name in an hour follows
    /// from it.
    pub unknown_recipients: Limit<u32>,
    /// How long a stranger has to be silent before it is greeted.
    pub greeting_delay: Limit<Duration>,
}

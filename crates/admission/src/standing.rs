use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mail::Place;

use crate::counters::Counted;
use crate::{Limit, Limits, Rate, RateLimits, Subject};

/// A client may name so many times the unknown recipients of one session in [`HARVEST_PER`].
pub(crate) const HARVEST_SESSIONS: u32 = 5;
/// A network so many times, in the same time: whoever guesses from many addresses at once, and not
/// the neighbours of one who guesses.
pub(crate) const HARVEST_SESSIONS_OF_NETWORK: u32 = 100;
/// The time in which unknown recipients of a client are counted.
const HARVEST_PER: Duration = HOUR;
const HOUR: Duration = Duration::from_secs(3600);

/// How a client stands with us: who it is for the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As fast as it likes.
    Free(Freedom),
    /// Held to the rates of its address and of its network.
    Stranger {
        /// The client's address, as the counters know it.
        client: Subject,
        /// The network of that.
        network: Subject,
        /// Those in force when it came.
        limits: Arc<Limits>,
    },
    /// Held to the rates of its user.
    User {
        /// The user's name, as the counters know it.
        user: Subject,
        /// The user's own, or those of everybody.
        rates: RateLimits,
    },
}

/// Why a client goes as fast as it likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freedom {
    /// It may relay.
    Permitted,
    /// It is on this machine, and nobody said that strangers come by it: this line did not.
    Loopback(Place),
}

/// The rates that a user has for itself, in place of those of everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnRates {
    /// How many messages the user may begin in an hour; `None`: the rate of everybody holds.
    pub messages_per_hour: Option<u32>,
    /// How many recipients the user's messages may have in an hour; `None`: everybody's.
    pub recipients_per_hour: Option<u32>,
    /// Where the user was written.
    pub place: Place,
}

impl Standing {
    /// A client that has connected from `address`; whether it may relay by that alone is known.
    pub fn new(address: IpAddr, is_permitted: bool, limits: &Arc<Limits>) -> Self {
        if is_permitted {
            Self::permitted()
        } else if address.to_canonical().is_loopback() && !limits.limit_loopback.value {
            Self::Free(Freedom::Loopback(limits.limit_loopback.place.clone()))
        } else {
            Self::Stranger {
                client: Subject::client(address),
                network: Subject::network(address),
                limits: Arc::clone(limits),
            }
        }
    }

    /// A client that may relay.
    pub fn permitted() -> Self {
        Self::Free(Freedom::Permitted)
    }

    /// A client that has signed in.
    pub fn user(name: &Arc<str>, own: &OwnRates, limits: &Limits) -> Self {
        let hourly = |count: Option<u32>| {
            count.map(|count| Limit {
                value: Rate { count, per: HOUR },
                place: own.place.clone(),
            })
        };
        let everybody = &limits.per_user;
        Self::User {
            user: Subject::User(Arc::clone(name)),
            rates: RateLimits {
                messages: hourly(own.messages_per_hour).or_else(|| everybody.messages.clone()),
                recipients: hourly(own.recipients_per_hour)
                    .or_else(|| everybody.recipients.clone()),
                connections: None,
                bounces: None,
            },
        }
    }

    /// Whether it has the slots of those that may relay. This machine is free of rates alone: a
    /// program on it that runs wild must not take all slots.
    pub fn is_permitted(&self) -> bool {
        match self {
            Self::Free(Freedom::Permitted) => true,
            Self::Free(Freedom::Loopback(_)) | Self::Stranger { .. } | Self::User { .. } => false,
        }
    }

    /// How long the client has to be silent before it is greeted, where it has to be: with no time
    /// at all it must have said nothing by then.
    pub fn silence(&self) -> Option<Duration> {
        match self {
            Self::Stranger { limits, .. } => Some(limits.greeting_delay.value),
            Self::Free(_) | Self::User { .. } => None,
        }
    }

    /// Whose counters are asked about what is counted, and the limit of each.
    pub(crate) fn rates(&self, counted: Counted) -> Vec<(&Subject, Limit<Rate>)> {
        let of_subject = match self {
            Self::Free(_) => Vec::new(),
            Self::User { user, rates } => vec![(user, rates.of(counted))],
            Self::Stranger {
                client,
                network,
                limits,
            } => {
                let guesses = |sessions| limits.guesses(counted, sessions);
                let of_client = limits.per_client.of(counted);
                let of_network = limits.per_network.of(counted);
                vec![
                    (client, of_client.or_else(|| guesses(HARVEST_SESSIONS))),
                    (
                        network,
                        of_network.or_else(|| guesses(HARVEST_SESSIONS_OF_NETWORK)),
                    ),
                ]
            }
        };
        let limited = of_subject.into_iter();
        limited
            .filter_map(|(subject, limit)| Some((subject, limit?)))
            .collect()
    }
}

impl RateLimits {
    fn of(&self, counted: Counted) -> Option<Limit<Rate>> {
        match counted {
            Counted::Connections => self.connections.clone(),
            Counted::Messages => self.messages.clone(),
            Counted::Recipients => self.recipients.clone(),
            Counted::Bounces => self.bounces.clone(),
            Counted::UnknownRecipients => None,
        }
    }
}

impl Limits {
    /// The limit of unknown recipients, as that of so many sessions.
    fn guesses(&self, counted: Counted, sessions: u32) -> Option<Limit<Rate>> {
        let of_session = &self.unknown_recipients;
        (counted == Counted::UnknownRecipients).then(|| {
            of_session.with(Rate {
                count: of_session.value.saturating_mul(sessions),
                per: HARVEST_PER,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is free, who has to be silent, and who has the slots of those that may relay.
    #[test]
    fn strangers_alone_are_held_to_limits_and_this_machine_only_where_it_is_written() {
        const SECOND: Duration = Duration::from_secs(1);
        for (address, is_permitted, limit_loopback, is_free) in [
            ("203.0.113.9", false, false, false),
            ("203.0.113.9", true, false, true),
            ("2001:db8::1", false, false, false),
            ("127.0.0.1", false, false, true),
            ("127.8.8.8", false, false, true),
            ("::1", false, false, true),
            ("::ffff:127.0.0.1", false, false, true),
            ("127.0.0.1", false, true, false),
            ("::1", false, true, false),
            ("127.0.0.1", true, true, true),
        ] {
            let limits = Arc::new(Limits {
                limit_loopback: Limit::default_of(limit_loopback),
                greeting_delay: Limit::default_of(SECOND),
                ..Limits::default()
            });
            let standing = Standing::new(address.parse().unwrap(), is_permitted, &limits);
            let case = format!("{address} {is_permitted} {limit_loopback}");
            assert_eq!(matches!(standing, Standing::Free(_)), is_free, "{case}");
            assert_eq!(standing.silence(), (!is_free).then_some(SECOND), "{case}");
            assert_eq!(standing.is_permitted(), is_permitted, "{case}");
        }
    }
}

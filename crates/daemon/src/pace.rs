//! How fast clients and users may go: counts activities over all sessions, and says when it is too
//! much.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use config::{Limits, Rate, Rates};
use engine::{Activity, Subject};
use mail::Reply;
use sign_in::Account;

/// A client may name so many times the unknown recipients of one session in [`HARVEST_PER`].
const HARVEST_SESSIONS: u32 = 5;
/// A network so many times, in the same time: whoever guesses from many addresses at once, and not
/// the neighbours of one who guesses.
const HARVEST_SESSIONS_OF_NETWORK: u32 = 100;
/// The time in which unknown recipients of a client are counted.
const HARVEST_PER: Duration = HOUR;
const HOUR: Duration = Duration::from_secs(3600);

/// The counters of all sessions.
pub(crate) struct Pace {
    started: Instant,
    rates: Mutex<engine::Rates>,
}

/// Who is held to which rates.
#[derive(Debug, Clone)]
pub(crate) enum Pacing {
    /// A client that may relay by its address: as fast as it likes.
    Free,
    /// A stranger: by its address and its network.
    Stranger {
        client: Subject,
        network: Subject,
        per_client: Rates,
        per_network: Rates,
    },
    /// A user.
    User { user: Subject, rates: Rates },
}

impl Pacing {
    pub(crate) fn stranger(address: IpAddr, limits: &Limits) -> Self {
        Self::Stranger {
            client: Subject::client(address),
            network: Subject::network(address),
            per_client: limits.rate_per_client,
            per_network: limits.rate_per_network,
        }
    }

    /// The user's own rates, or those of everybody.
    pub(crate) fn user(account: &Account, everybody: Rates) -> Self {
        let hourly = |count: Option<u32>| count.map(|count| Rate { count, per: HOUR });
        let rates = Rates {
            messages: hourly(account.messages_per_hour).or(everybody.messages),
            recipients: hourly(account.recipients_per_hour).or(everybody.recipients),
            connections: None,
        };
        Self::User {
            user: Subject::User(Arc::clone(&account.name)),
            rates,
        }
    }

    /// Whose counters they are, with the rates that hold for an activity.
    fn counters(&self, activity: Activity) -> Vec<(&Subject, Rate)> {
        let of = |rates: &Rates| match activity {
            Activity::Connection => rates.connections,
            Activity::Message => rates.messages,
            Activity::Recipient => rates.recipients,
            Activity::UnknownRecipient => None,
        };
        let counters = match self {
            Self::Free => Vec::new(),
            Self::Stranger {
                client,
                network,
                per_client,
                per_network,
            } => {
                vec![(client, of(per_client)), (network, of(per_network))]
            }
            Self::User { user, rates } => vec![(user, of(rates))],
        };
        counters
            .into_iter()
            .filter_map(|(subject, rate)| Some((subject, rate?)))
            .collect()
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            rates: Mutex::default(),
        }
    }
}

impl Pace {
    /// Counts one connection; the reply in place of the greeting when there were too many, or when
    /// the client guesses recipients.
    pub(crate) fn connect(&self, pacing: &Pacing, limits: &Limits) -> Result<(), Reply> {
        self.take(pacing, Activity::Connection, "connections")?;
        let Pacing::Stranger {
            client, network, ..
        } = pacing
        else {
            return Ok(());
        };
        let guesses = |subject, rate| {
            self.with(|rates, now| rates.left(subject, Activity::UnknownRecipient, rate, now) == 0)
        };
        let (of_client, of_network) = (harvest(limits), harvest_of_network(limits));
        if guesses(client, of_client) || guesses(network, of_network) {
            return Err(Reply::new(
                421,
                7,
                0,
                "Too many unknown recipients from you, try again later",
            ));
        }
        Ok(())
    }

    /// Counts one message, and gives how many recipients are left; 4yz when there were too many.
    pub(crate) fn begin(&self, pacing: &Pacing) -> Result<Option<u32>, Reply> {
        self.take(pacing, Activity::Message, "messages")?;
        let counters = pacing.counters(Activity::Recipient);
        let left = |(subject, rate): &(&Subject, Rate)| {
            self.with(|rates, now| rates.left(subject, Activity::Recipient, *rate, now))
        };
        Ok(counters.iter().map(left).min())
    }

    /// Counts recipients of a stored message.
    pub(crate) fn carried(&self, pacing: &Pacing, recipients: u32) {
        for (subject, rate) in pacing.counters(Activity::Recipient) {
            self.with(|rates, now| {
                rates.count(subject.clone(), Activity::Recipient, rate, recipients, now)
            });
        }
    }

    /// Counts a recipient that does not exist. What a client names beyond its own allowance, over
    /// sessions that it has open still, does not count for its network: one client alone never uses
    /// that up.
    pub(crate) fn guessed(&self, address: IpAddr, limits: &Limits) {
        const ACTIVITY: Activity = Activity::UnknownRecipient;
        let (client, network) = (Subject::client(address), Subject::network(address));
        let (of_client, of_network) = (harvest(limits), harvest_of_network(limits));
        self.with(|rates, now| {
            if rates.left(&client, ACTIVITY, of_client, now) > 0 {
                rates.count(network, ACTIVITY, of_network, 1, now);
            }
            rates.count(client, ACTIVITY, of_client, 1, now);
        });
    }

    fn take(&self, pacing: &Pacing, activity: Activity, what: &str) -> Result<(), Reply> {
        for (subject, rate) in pacing.counters(activity) {
            if !self.with(|rates, now| rates.take(subject.clone(), activity, rate, 1, now)) {
                let code = if activity == Activity::Connection {
                    421
                } else {
                    451
                };
                return Err(Reply::new(
                    code,
                    7,
                    1,
                    format!("Too many {what} from you, try again later"),
                ));
            }
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut engine::Rates, Duration) -> T) -> T {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut rates, self.started.elapsed())
    }
}

fn harvest(limits: &Limits) -> Rate {
    Rate {
        count: limits.unknown_recipients.saturating_mul(HARVEST_SESSIONS),
        per: HARVEST_PER,
    }
}

fn harvest_of_network(limits: &Limits) -> Rate {
    let sessions = HARVEST_SESSIONS_OF_NETWORK;
    Rate {
        count: limits.unknown_recipients.saturating_mul(sessions),
        per: HARVEST_PER,
    }
}

#[cfg(test)]
mod tests {
    use mail::{Domain, Place};
    use relay_policy::Rights;

    use super::*;

    fn limits(text: &str) -> config::Config {
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let loaded = config::parse("gatepost.toml", text, &environment);
        loaded.unwrap_or_else(|why| panic!("{why}")).config
    }

    fn stranger(address: &str, limits: &Limits) -> Pacing {
        Pacing::stranger(address.parse().unwrap(), limits)
    }

    fn code<T>(answer: Result<T, Reply>) -> u16 {
        answer.map_or_else(|reply| reply.code(), |_| 250)
    }

    #[test]
    fn a_stranger_connects_and_sends_so_often_and_its_network_a_little_more() {
        let config = limits(
            "[limits]\nrate_per_client = { connections = \"2/1d\", messages = \"1/1d\" }\n\
             rate_per_network = { connections = \"3/1d\", messages = \"2/1d\" }\n",
        );
        let (limits, pace) = (&config.limits, Pace::default());
        for (address, expected) in [
            ("198.51.100.1", [250, 250, 421]),
            // the refused connection did not count for the network
            ("198.51.100.2", [250, 421, 421]),
            ("198.51.101.1", [250, 250, 421]),
        ] {
            let codes = [(); 3].map(|()| code(pace.connect(&stranger(address, limits), limits)));
            assert_eq!(codes, expected, "{address}");
        }
        for (address, expected) in [
            ("198.51.100.1", [250, 451]),
            ("198.51.100.2", [250, 451]),
            ("198.51.100.3", [451, 451]),
        ] {
            let codes = [(); 2].map(|()| code(pace.begin(&stranger(address, limits))));
            assert_eq!(codes, expected, "{address}");
        }
        let free = [(); 9].map(|()| code(pace.connect(&Pacing::Free, limits)));
        assert_eq!(free, [250; 9]);
    }

    #[test]
    fn a_message_hears_how_many_recipients_are_left() {
        let config = limits(
            "[limits]\nrate_per_client = { recipients = \"10/1d\" }\n\
             rate_per_network = { recipients = \"12/1d\" }\n",
        );
        let pace = Pace::default();
        let [one, neighbour] =
            ["198.51.100.1", "198.51.100.2"].map(|address| stranger(address, &config.limits));
        assert_eq!(pace.begin(&one), Ok(Some(10)));
        pace.carried(&one, 7);
        assert_eq!(pace.begin(&one), Ok(Some(3)));
        assert_eq!(pace.begin(&neighbour), Ok(Some(5)));
        pace.carried(&one, 9);
        assert_eq!(pace.begin(&one), Ok(Some(0)));
        assert_eq!(pace.begin(&neighbour), Ok(Some(0)));
        assert_eq!(pace.begin(&Pacing::Free), Ok(None));
    }

    #[test]
    fn who_guesses_recipients_is_turned_away_without_its_network() {
        let config = limits("[limits]\nunknown_recipients = 2\n");
        let (limits, pace) = (&config.limits, Pace::default());
        let connect = |address: &str| code(pace.connect(&stranger(address, limits), limits));
        for (client, same_client, neighbour) in [
            ("2001:db8::1", "2001:db8::2", "2001:db8:0:7::1"),
            ("198.51.100.1", "198.51.100.1", "198.51.100.2"),
        ] {
            for _ in 0..2 * HARVEST_SESSIONS {
                assert_eq!(connect(client), 250);
                pace.guessed(same_client.parse().unwrap(), limits);
            }
            assert_eq!(connect(client), 421);
            // Over sessions that were open by then.
            for _ in 0..10 * HARVEST_SESSIONS_OF_NETWORK {
                pace.guessed(client.parse().unwrap(), limits);
            }
            assert_eq!(connect(neighbour), 250);
        }
    }

    #[test]
    fn a_network_of_many_that_guess_is_turned_away() {
        let config = limits("[limits]\nunknown_recipients = 2\n");
        let (limits, pace) = (&config.limits, Pace::default());
        let connect = |address: &str| code(pace.connect(&stranger(address, limits), limits));
        let clients = HARVEST_SESSIONS_OF_NETWORK / HARVEST_SESSIONS;
        for client in 1..=clients {
            assert_eq!(connect("198.51.100.255"), 250);
            for _ in 0..2 * HARVEST_SESSIONS {
                let client = format!("198.51.100.{client}");
                pace.guessed(client.parse().unwrap(), limits);
            }
        }
        assert_eq!(connect("198.51.100.255"), 421);
        assert_eq!(connect("198.51.101.255"), 250);
    }

    #[test]
    fn a_user_has_rates_of_its_own_or_those_of_everybody() {
        let pace = Pace::default();
        let rate = |count| Some(Rate { count, per: HOUR });
        let everybody = Rates {
            messages: rate(1),
            recipients: rate(5),
            connections: rate(1),
        };
        let user = |name: &str, messages_per_hour| {
            let rights = Rights {
                may_relay: true,
                senders: Box::default(),
                place: Place::Default,
            };
            let account = Account {
                name: name.into(),
                rights: Arc::new(rights),
                messages_per_hour,
                recipients_per_hour: None,
            };
            Pacing::user(&account, everybody)
        };
        let ann = user("ann", None);
        assert_eq!(pace.begin(&ann), Ok(Some(5)));
        assert_eq!(code(pace.begin(&ann)), 451);
        let bob = user("bob", Some(2));
        assert_eq!([(); 3].map(|()| code(pace.begin(&bob))), [250, 250, 451]);
    }
}

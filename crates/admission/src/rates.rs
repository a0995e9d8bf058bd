//! How fast clients and users may go: counts over all sessions, and says when it is too much.

use std::time::Duration;

use mail::Place;

use crate::counters::{Counted, Counters};
use crate::{Allowance, Excess, Standing, TurnAway};

/// What all sessions did in the last while. Times are of any clock that only goes forward.
#[derive(Debug, Default)]
pub struct Rates {
    counters: Counters,
}

impl Rates {
    /// Counts one connection.
    ///
    /// # Errors
    /// There were too many, or the client guesses recipients.
    pub fn connect(&mut self, standing: &Standing, now: Duration) -> Result<(), TurnAway> {
        self.take(standing, Counted::Connections, Excess::Connections, now)?;
        for (subject, limit) in standing.rates(Counted::UnknownRecipients) {
            let kind = Counted::UnknownRecipients;
            if self.counters.left(subject, kind, limit.value, now) == 0 {
                return Err(too_much(Excess::Guesses, limit.place));
            }
        }
        Ok(())
    }

    /// Counts one message, and gives how much of everything it may have.
    ///
    /// # Errors
    /// There were too many messages.
    pub fn begin(&mut self, standing: &Standing, now: Duration) -> Result<Allowance, TurnAway> {
        self.take(standing, Counted::Messages, Excess::Messages, now)?;
        let left = |kind| {
            let rates = standing.rates(kind).into_iter();
            let left =
                rates.map(|(subject, limit)| self.counters.left(subject, kind, limit.value, now));
            left.min()
        };
        Ok(Allowance {
            recipients: left(Counted::Recipients),
            bounces: left(Counted::Bounces),
        })
    }

    /// Counts the recipients of a stored message, and those among them to whom a bounce was turned
    /// back.
    pub fn carried(&mut self, standing: &Standing, recipients: u32, bounces: u32, now: Duration) {
        for (kind, count) in [
            (Counted::Recipients, recipients),
            (Counted::Bounces, bounces),
        ] {
            for (subject, limit) in standing.rates(kind) {
                let subject = subject.clone();
                self.counters.count(subject, kind, limit.value, count, now);
            }
        }
    }

    /// Counts a recipient that does not exist. What a client names beyond its own allowance, over
    /// sessions that it has open still, does not count for its network: one client alone never uses
    /// that up.
    pub fn guessed(&mut self, standing: &Standing, now: Duration) {
        // The client first, its network after.
        for (subject, limit) in standing.rates(Counted::UnknownRecipients) {
            let kind = Counted::UnknownRecipients;
            let in_time = self.counters.left(subject, kind, limit.value, now) > 0;
            self.counters
                .count(subject.clone(), kind, limit.value, 1, now);
            if !in_time {
                return;
            }
        }
    }

    fn take(
        &mut self,
        standing: &Standing,
        counted: Counted,
        excess: Excess,
        now: Duration,
    ) -> Result<(), TurnAway> {
        for (subject, limit) in standing.rates(counted) {
            if !self.counters.take(subject, counted, limit.value, now) {
                return Err(too_much(excess, limit.place));
            }
        }
        Ok(())
    }
}

fn too_much(excess: Excess, place: Place) -> TurnAway {
    TurnAway { excess, place }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::standing::{HARVEST_SESSIONS, HARVEST_SESSIONS_OF_NETWORK};
    use crate::{Limit, Limits, OwnRates, Rate, RateLimits};

    const NOW: Duration = Duration::from_secs(1000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn line(line: u32) -> Place {
        Place::line(&"gatepost.toml".into(), line, 1)
    }

    /// So many a day, by this line.
    fn daily(count: u32, at: u32) -> Option<Limit<Rate>> {
        let (value, place) = (Rate { count, per: DAY }, line(at));
        Some(Limit { value, place })
    }

    fn limits(per_client: RateLimits, per_network: RateLimits, unknown: u32) -> Arc<Limits> {
        Arc::new(Limits {
            per_client,
            per_network,
            unknown_recipients: Limit {
                value: unknown,
                place: line(9),
            },
            ..Limits::default()
        })
    }

    fn stranger(address: &str, limits: &Arc<Limits>) -> Standing {
        Standing::new(address.parse().unwrap(), false, limits)
    }

    /// The number of the line that turned somebody away; 0 when nobody was.
    fn told<T>(answer: Result<T, TurnAway>) -> u32 {
        match answer {
            Ok(_) => 0,
            Err(TurnAway {
                place: Place::Line { line, .. },
                ..
            }) => line,
            Err(why) => panic!("{why:?} names no line"),
        }
    }

    #[test]
    fn a_stranger_connects_and_sends_so_often_and_its_network_a_little_more() {
        let of = |connections, messages, at| RateLimits {
            connections: daily(connections, at),
            messages: daily(messages, at),
            ..RateLimits::default()
        };
        let (limits, mut rates) = (limits(of(2, 1, 1), of(3, 2, 2), 10), Rates::default());
        for (address, expected) in [
            ("198.51.100.1", [0, 0, 1]),
            // the refused connection did not count for the network
            ("198.51.100.2", [0, 2, 1]),
            ("198.51.101.1", [0, 0, 1]),
        ] {
            let lines = [(); 3].map(|()| told(rates.connect(&stranger(address, &limits), NOW)));
            assert_eq!(lines, expected, "{address}");
        }
        for (address, expected) in [
            ("198.51.100.1", [0, 1]),
            ("198.51.100.2", [0, 1]),
            ("198.51.100.3", [2, 1]),
        ] {
            let lines = [(); 2].map(|()| told(rates.begin(&stranger(address, &limits), NOW)));
            assert_eq!(lines, expected, "{address}");
        }
        let free = [(); 9].map(|()| told(rates.connect(&Standing::permitted(), NOW)));
        assert_eq!(free, [0; 9]);
    }

    #[test]
    fn a_message_hears_how_many_recipients_are_left() {
        let of = |recipients| RateLimits {
            recipients: daily(recipients, 1),
            ..RateLimits::default()
        };
        let (limits, mut rates) = (limits(of(10), of(12), 10), Rates::default());
        let [one, neighbour] =
            ["198.51.100.1", "198.51.100.2"].map(|address| stranger(address, &limits));
        assert_eq!(rates.begin(&one, NOW), Ok(recipients(10)));
        rates.carried(&one, 7, 0, NOW);
        assert_eq!(rates.begin(&one, NOW), Ok(recipients(3)));
        assert_eq!(rates.begin(&neighbour, NOW), Ok(recipients(5)));
        rates.carried(&one, 9, 0, NOW);
        assert_eq!(rates.begin(&one, NOW), Ok(recipients(0)));
        assert_eq!(rates.begin(&neighbour, NOW), Ok(recipients(0)));
        assert_eq!(
            rates.begin(&Standing::permitted(), NOW),
            Ok(Allowance::default())
        );
    }

    /// So many recipients, and bounces without end.
    fn recipients(left: u32) -> Allowance {
        Allowance {
            recipients: Some(left),
            bounces: None,
        }
    }

    #[test]
    fn a_stranger_has_only_so_many_bounces_turned_back() {
        let of = |bounces, at| RateLimits {
            bounces: daily(bounces, at),
            ..RateLimits::default()
        };
        let (limits, mut rates) = (limits(of(3, 1), of(4, 2), 10), Rates::default());
        let [one, neighbour] =
            ["198.51.100.1", "198.51.100.2"].map(|address| stranger(address, &limits));
        let bounces = |left| {
            Ok(Allowance {
                recipients: None,
                bounces: Some(left),
            })
        };
        assert_eq!(rates.begin(&one, NOW), bounces(3));
        rates.carried(&one, 5, 2, NOW);
        assert_eq!(rates.begin(&one, NOW), bounces(1));
        rates.carried(&one, 1, 1, NOW);
        // It may still send other mail.
        assert_eq!(rates.begin(&one, NOW), bounces(0));
        assert_eq!(rates.begin(&neighbour, NOW), bounces(1));
    }

    #[test]
    fn who_guesses_recipients_is_turned_away_without_its_network() {
        let limits = limits(RateLimits::default(), RateLimits::default(), 2);
        for (client, same_client, neighbour) in [
            ("2001:db8::1", "2001:db8::2", "2001:db8:0:7::1"),
            ("198.51.100.1", "198.51.100.1", "198.51.100.2"),
        ] {
            let mut rates = Rates::default();
            for _ in 0..2 * HARVEST_SESSIONS {
                assert_eq!(rates.connect(&stranger(client, &limits), NOW), Ok(()));
                rates.guessed(&stranger(same_client, &limits), NOW);
            }
            let turned_away = rates.connect(&stranger(client, &limits), NOW);
            let (excess, place) = (Excess::Guesses, line(9));
            assert_eq!(turned_away, Err(TurnAway { excess, place }));
            // Over sessions that were open by then.
            for _ in 0..10 * HARVEST_SESSIONS_OF_NETWORK {
                rates.guessed(&stranger(client, &limits), NOW);
            }
            assert_eq!(rates.connect(&stranger(neighbour, &limits), NOW), Ok(()));
        }
    }

    #[test]
    fn a_network_of_many_that_guess_is_turned_away() {
        let limits = limits(RateLimits::default(), RateLimits::default(), 2);
        let mut rates = Rates::default();
        let clients = HARVEST_SESSIONS_OF_NETWORK / HARVEST_SESSIONS;
        for client in 1..=clients {
            assert_eq!(
                told(rates.connect(&stranger("198.51.100.255", &limits), NOW)),
                0
            );
            for _ in 0..2 * HARVEST_SESSIONS {
                let client = format!("198.51.100.{client}");
                rates.guessed(&stranger(&client, &limits), NOW);
            }
        }
        assert_eq!(
            told(rates.connect(&stranger("198.51.100.255", &limits), NOW)),
            9
        );
        assert_eq!(
            told(rates.connect(&stranger("198.51.101.255", &limits), NOW)),
            0
        );
    }

    #[test]
    fn a_user_has_rates_of_its_own_or_those_of_everybody() {
        let mut rates = Rates::default();
        let limits = Limits {
            per_user: RateLimits {
                messages: daily(1, 1),
                recipients: daily(5, 1),
                connections: daily(1, 1),
                bounces: daily(1, 1),
            },
            ..Limits::default()
        };
        let user = |name: &str, messages_per_hour| {
            let own = OwnRates {
                messages_per_hour,
                recipients_per_hour: None,
                place: line(7),
            };
            Standing::user(&name.into(), &own, &limits)
        };
        let ann = user("ann", None);
        assert_eq!(rates.connect(&ann, NOW), Ok(()));
        assert_eq!(rates.begin(&ann, NOW), Ok(recipients(5)));
        assert_eq!(told(rates.begin(&ann, NOW)), 1);
        let bob = user("bob", Some(2));
        let lines = [(); 3].map(|()| told(rates.begin(&bob, NOW)));
        assert_eq!(lines, [0, 0, 7]);
    }
}

//! How often a client, its network or a user may do something: many small counters, each a single
//! time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use config::Rate;

/// Counters kept at most; beyond, those go first that would be full again soonest.
pub const COUNTERS_MAX: usize = 100_000;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One client: an IPv4 address, or the /64 that one IPv6 site has at least.
    Client(IpAddr),
    /// Its network: IPv4 /24, IPv6 /48.
    Network(IpAddr),
    /// A user who signed in.
    User(Arc<str>),
}

impl Subject {
    /// The client at `address`.
    pub fn client(address: IpAddr) -> Self {
        Self::Client(prefix(address, 32, 64))
    }

    /// The network of the client at `address`.
    pub fn network(address: IpAddr) -> Self {
        Self::Network(prefix(address, 24, 48))
    }
}

fn prefix(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4_address) => {
            let host = 32 - v4;
            let kept = (u64::from(v4_address.to_bits()) >> host) << host;
            Ipv4Addr::from_bits(u32::try_from(kept).unwrap_or(u32::MAX)).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() >> (128 - v6) << (128 - v6)).into()
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// A connection made.
    Connection,
    /// A message begun.
    Message,
    /// A recipient of a stored message.
    Recipient,
    /// A recipient named that does not exist: somebody is guessing addresses.
    UnknownRecipient,
}

/// Counters of the last while, for all sessions together.
///
/// A counter is the time at which its subject will have its whole allowance again (the generic cell
/// rate algorithm): so a subject that did nothing for long needs no counter, and an allowance of 60
/// in a minute comes back one a second.
#[derive(Debug, Default)]
pub struct Rates {
    full_at: HashMap<(Subject, Activity), Duration>,
}

impl Rates {
    /// How many more activities `rate` allows at `now` (a time that only grows).
    pub fn left(&self, subject: &Subject, activity: Activity, rate: Rate, now: Duration) -> u32 {
        let Some(full_at) = self.full_at.get(&(subject.clone(), activity)) else {
            return rate.count;
        };
        let owed = full_at.saturating_sub(now);
        let free = rate.per.saturating_sub(owed);
        let each = rate.per.as_nanos() / u128::from(rate.count.max(1));
        u32::try_from(free.as_nanos() / each.max(1))
            .unwrap_or(u32::MAX)
            .min(rate.count)
    }

    /// Counts `times` activities, if that many are left; `false`, and nothing is counted, if not.
    pub fn take(
        &mut self,
        subject: Subject,
        activity: Activity,
        rate: Rate,
        times: u32,
        now: Duration,
    ) -> bool {
        let may = self.left(&subject, activity, rate, now) >= times;
        if may {
            self.count(subject, activity, rate, times, now);
        }
        may
    }

    /// Counts `times` activities, whatever is left.
    pub fn count(
        &mut self,
        subject: Subject,
        activity: Activity,
        rate: Rate,
        times: u32,
        now: Duration,
    ) {
        if self.full_at.len() >= COUNTERS_MAX {
            self.forget(now);
        }
        let spent = rate
            .per
            .mul_f64(f64::from(times) / f64::from(rate.count.max(1)));
        let full_at = self.full_at.entry((subject, activity)).or_insert(now);
        *full_at = (*full_at)
            .max(now)
            .saturating_add(spent)
            .min(now + rate.per.saturating_mul(2));
    }

    /// Drops counters that say nothing any more; when that is not half of them, those that will say
    /// nothing soonest.
    fn forget(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() > COUNTERS_MAX / 2 {
            let mut times: Vec<Duration> = self.full_at.values().copied().collect();
            let (_, median, _) = times.select_nth_unstable(COUNTERS_MAX / 2);
            let median = *median;
            self.full_at.retain(|_, full_at| *full_at > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rate(count: u32) -> Rate {
        Rate { count, per: MINUTE }
    }

    fn client(text: &str) -> Subject {
        Subject::client(text.parse().unwrap())
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back_little_by_little() {
        let mut rates = Rates::default();
        let start = Duration::from_secs(1000);
        let take = |rates: &mut Rates, at| {
            rates.take(client("192.0.2.1"), Activity::Message, rate(6), 1, at)
        };
        assert!((0..6).all(|_| take(&mut rates, start)));
        assert!(!take(&mut rates, start));
        assert!(!take(&mut rates, start + Duration::from_secs(9)));
        assert!(take(&mut rates, start + Duration::from_secs(10)));
        assert!(!take(&mut rates, start + Duration::from_secs(10)));
        let left = rates.left(
            &client("192.0.2.1"),
            Activity::Message,
            rate(6),
            start + 2 * MINUTE,
        );
        assert_eq!(left, 6);
    }

    #[test]
    fn subjects_and_deeds_are_counted_apart() {
        let mut rates = Rates::default();
        let once = rate(1);
        assert!(rates.take(client("192.0.2.1"), Activity::Message, once, 1, MINUTE));
        assert!(rates.take(client("192.0.2.2"), Activity::Message, once, 1, MINUTE));
        assert!(rates.take(client("192.0.2.1"), Activity::Connection, once, 1, MINUTE));
        assert!(rates.take(
            Subject::User("ann".into()),
            Activity::Message,
            once,
            1,
            MINUTE
        ));
        assert!(!rates.take(
            client("::ffff:192.0.2.1"),
            Activity::Message,
            once,
            1,
            MINUTE
        ));
    }

    #[test]
    fn neighbours_share_a_network() {
        let network = |text: &str| Subject::network(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("192.0.2.255"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1::1"), network("2001:db8:1:ff::1"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn a_flood_of_clients_does_not_fill_the_memory() {
        let mut rates = Rates::default();
        for number in 0..COUNTERS_MAX as u32 + 10 {
            let address = IpAddr::from(Ipv4Addr::from_bits(number));
            rates.count(
                Subject::client(address),
                Activity::Connection,
                rate(10),
                1,
                MINUTE,
            );
        }
        assert!(rates.full_at.len() <= COUNTERS_MAX);
    }
}

//! Who failed to sign in, and what follows from it.
//!
//! Four memories. The pair of user and client network is banned after a few failures, for ever
//! longer. A client is banned when it fails with many users, and its network when many clients do:
//! nobody is shut out because of one neighbour. The user as a whole is only slowed, never locked:
//! else anybody could lock somebody out. Everything is bounded and forgotten with time; the time is
//! an argument.

use std::net::IpAddr;
use std::time::Duration;

use crate::recent::Recent;
use crate::subject::prefix;

/// Failures of one user from one network before the first ban.
const PAIR_FAILURES_MAX: u32 = 3;
/// Failures of one client, over all users, in [`WINDOW`].
const CLIENT_FAILURES_MAX: u32 = 20;
/// Failures of one network. More than one client can make in that time, as it is banned in between,
/// each time for longer.
const NETWORK_FAILURES_MAX: u32 = 100;
const WINDOW: Duration = Duration::from_secs(600);
/// The first ban; each further one is twice as long.
const BAN_FIRST: Duration = Duration::from_secs(60);
const BAN_MAX: Duration = Duration::from_secs(3600);
/// The longest wait of a user as a whole.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// What is older than this counts no longer.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A user without a failure for so long is not slowed any more.
const SLOW_FOR: Duration = Duration::from_secs(1800);
/// Pairs, clients, networks and users that are remembered, of each at most so many.
const REMEMBERED_MAX: usize = 65_536;

/// Steps of sign-ins under way at one time: each may hash a password, which takes a core and some
/// memory for a while.
pub const SIGN_IN_STEPS_MAX: usize = 4;
/// How long a step may wait for its turn; a flood of sign-ins delays, and does not pile up.
pub const SIGN_IN_WAIT: Duration = Duration::from_secs(20);
/// No refusal is sent sooner after the client's last message. Sources differ in what a wrong
/// password costs (a hash, a directory far away), and a ban costs nothing: whoever answers waits
/// until then, so that the time tells nothing of it.
pub const REFUSAL_AFTER: Duration = Duration::from_secs(1);

/// What the guard says about a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Answer after so long, whatever the answer is.
    Allowed {
        /// Zero for nearly everybody.
        delay: Duration,
    },
    /// Answer like a wrong password, also when it is right: nobody is to learn of the ban, and
    /// guess on when it ends.
    Banned {
        /// When it ends, on the same clock as the argument.
        until: Duration,
    },
}

/// One client: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client(IpAddr);

impl Client {
    fn of(address: IpAddr) -> Self {
        Self(prefix(address, 32, 64))
    }
}

/// Where clients count as one: the /24 of an IPv4 address, the /64 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(prefix(address, 24, 64))
    }
}

/// Failures that lead to bans.
#[derive(Debug, Default)]
struct Record {
    failures: u32,
    bans: u32,
    banned_until: Duration,
    /// When the failures began to count.
    since: Duration,
    last: Duration,
}

impl Record {
    fn ban(&mut self, now: Duration) {
        self.banned_until = now + doubled(BAN_FIRST, self.bans, BAN_MAX);
        self.bans += 1;
    }

    /// Counts one more failure, whoever the user, and bans when there were so many within
    /// [`WINDOW`].
    fn count_towards(&mut self, most: u32, now: Duration) {
        if self.count(now, WINDOW) >= most {
            self.failures = 0;
            self.ban(now);
        }
    }

    /// Counts one more, of those within the window; everything is forgotten after a day.
    fn count(&mut self, now: Duration, window: Duration) -> u32 {
        if now.saturating_sub(self.last) > FORGET_AFTER {
            *self = Self::default();
        }
        if self.failures == 0 || now.saturating_sub(self.since) > window {
            self.since = now;
            self.failures = 0;
        }
        self.last = now;
        self.failures += 1;
        self.failures
    }
}

/// Failures that only slow down.
#[derive(Debug, Default)]
struct Slowness {
    failures: u32,
    last: Duration,
}

impl Slowness {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) > SLOW_FOR
    }
}

/// Remembers who failed. `now` is any clock that only goes forward; names are in their one spelling.
///
/// In this order: before anything is verified, [`Guard::check`] without a user (a banned network is
/// refused unheard, after [`REFUSAL_AFTER`]). When the exchange has ended, [`Guard::check`]
/// with the user: banned makes a refusal of whatever came out, so that a ban looks like a wrong
/// password and takes as long. Else [`Guard::succeeded`] or [`Guard::failed`].
#[derive(Debug)]
pub struct Guard {
    pairs: Recent<(Box<str>, Network), Record>,
    clients: Recent<Client, Record>,
    networks: Recent<Network, Record>,
    users: Recent<Box<str>, Slowness>,
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard {
    /// With nobody in it.
    pub fn new() -> Self {
        Self {
            pairs: Recent::new(REMEMBERED_MAX),
            clients: Recent::new(REMEMBERED_MAX),
            networks: Recent::new(REMEMBERED_MAX),
            users: Recent::new(REMEMBERED_MAX),
        }
    }

    /// What holds for this client, and for this user from there.
    pub fn check(&self, user: Option<&str>, client: IpAddr, now: Duration) -> Judgement {
        let network = Network::of(client);
        let pair = user.and_then(|user| self.pairs.get(&(user.into(), network)));
        let client = self.clients.get(&Client::of(client));
        let bans = [client, self.networks.get(&network), pair];
        let until = bans
            .into_iter()
            .flatten()
            .map(|record| record.banned_until)
            .max()
            .unwrap_or_default();
        if until > now {
            return Judgement::Banned { until };
        }
        Judgement::Allowed {
            delay: user.map_or(Duration::ZERO, |user| self.delay(user, now)),
        }
    }

    /// A sign-in failed. Failures during a ban change nothing: a program that goes on with an old
    /// password must not keep its user banned for ever, nor its network.
    pub fn failed(&mut self, user: Option<&str>, client: IpAddr, now: Duration) {
        if self.is_banned(user, client, now) {
            return;
        }
        let network = Network::of(client);
        if let Some(user) = user {
            self.failed_user(user, network, now);
        }
        let client = self.clients.touch(Client::of(client));
        client.count_towards(CLIENT_FAILURES_MAX, now);
        let network = self.networks.touch(network);
        network.count_towards(NETWORK_FAILURES_MAX, now);
    }

    /// The failure that was just counted for the name that was typed was that of `user`, who has
    /// other names too: it counts for this one as well, so that several names are not several
    /// tries.
    ///
    /// A refusal is delayed by what was typed alone, all the same. Were it by all names of a user,
    /// then trying two in turn would show whether there is somebody who has both.
    pub fn failed_also(&mut self, user: &str, client: IpAddr, now: Duration) {
        if !self.is_banned(Some(user), client, now) {
            self.failed_user(user, Network::of(client), now);
        }
    }

    /// A sign-in succeeded: what this user did wrong from this network was its own mistake.
    /// Failures from elsewhere stay.
    pub fn succeeded(&mut self, user: &str, client: IpAddr) {
        let Some(pair) = self.pairs.remove(&(user.into(), Network::of(client))) else {
            return;
        };
        if let Some(slowness) = self.users.get(&Box::from(user)) {
            let failures = slowness.failures.saturating_sub(pair.failures);
            self.users.touch(user.into()).failures = failures;
        }
    }

    fn is_banned(&self, user: Option<&str>, client: IpAddr, now: Duration) -> bool {
        matches!(self.check(user, client, now), Judgement::Banned { .. })
    }

    fn failed_user(&mut self, user: &str, network: Network, now: Duration) {
        let pair = self.pairs.touch((user.into(), network));
        if pair.count(now, FORGET_AFTER) >= PAIR_FAILURES_MAX {
            pair.ban(now);
        }
        let slowness = self.users.touch(user.into());
        if slowness.is_over(now) {
            slowness.failures = 0;
        }
        slowness.failures = slowness.failures.saturating_add(1);
        slowness.last = now;
    }

    /// None for the first failure, then 1, 2, 4, 8 seconds and the longest.
    fn delay(&self, user: &str, now: Duration) -> Duration {
        match self.users.get(&Box::from(user)) {
            Some(slowness) if !slowness.is_over(now) && slowness.failures > 1 => {
                doubled(Duration::from_secs(1), slowness.failures - 2, DELAY_MAX)
            }
            Some(_) | None => Duration::ZERO,
        }
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn banned(until: u64) -> Judgement {
        Judgement::Banned { until: at(until) }
    }

    fn allowed(delay: u64) -> Judgement {
        Judgement::Allowed { delay: at(delay) }
    }

    const HOME: &str = "192.0.2.7";
    const NEIGHBOUR: &str = "192.0.2.8";
    const ELSEWHERE: &str = "198.51.100.1";

    /// Each row: at this second, ann fails from home; then a check at the same second says this.
    #[test]
    fn bans_of_a_pair_grow() {
        let mut guard = Guard::new();
        for (second, expected) in [
            (10, allowed(0)),
            (11, allowed(1)),
            (12, banned(72)),
            (40, banned(72)),
            (72, banned(192)),
            (192, banned(432)),
            (432, banned(912)),
            (912, banned(1872)),
            (1872, banned(3792)),
            (3792, banned(7392)),
            (7392, banned(10992)),
        ] {
            guard.failed(Some("ann"), ip(HOME), at(second));
            let judgement = guard.check(Some("ann"), ip(HOME), at(second));
            assert_eq!(judgement, expected, "at {second}");
        }
    }

    #[test]
    fn a_ban_ends_and_holds_only_for_the_pair() {
        let mut guard = Guard::new();
        for second in 0..3 {
            guard.failed(Some("ann"), ip(HOME), at(second));
        }
        let until = 62;
        for (user, client, second, expected) in [
            (Some("ann"), "192.0.2.200", 3, banned(until)),
            (Some("ann"), "::ffff:192.0.2.200", 3, banned(until)),
            (Some("ann"), HOME, 61, banned(until)),
            (Some("ann"), HOME, 62, allowed(2)),
            (Some("ann"), ELSEWHERE, 3, allowed(2)),
            (Some("bob"), HOME, 3, allowed(0)),
            (None, HOME, 3, allowed(0)),
        ] {
            let judgement = guard.check(user, ip(client), at(second));
            assert_eq!(judgement, expected, "{user:?} {client} at {second}");
        }
    }

    #[test]
    fn an_ipv6_network_is_a_64() {
        let mut guard = Guard::new();
        for host in 1..4 {
            guard.failed(Some("ann"), ip(&format!("2001:db8:0:1::{host}")), at(0));
        }
        let check = |text| guard.check(Some("ann"), ip(text), at(1));
        assert_eq!(check("2001:db8:0:1:ffff::9"), banned(60));
        assert_eq!(check("2001:db8:0:2::1"), allowed(2));
    }

    /// Failures of one user from ever new networks: no lock, at most ten seconds.
    #[test]
    fn a_user_is_slowed_and_never_locked() {
        let mut guard = Guard::new();
        for (row, delay) in [0, 1, 2, 4, 8, 10, 10, 10].into_iter().enumerate() {
            guard.failed(Some("ann"), ip(&format!("10.0.{row}.1")), at(100));
            assert_eq!(guard.check(Some("ann"), ip(HOME), at(100)), allowed(delay));
        }
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(1900)), allowed(10));
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(1901)), allowed(0));
    }

    #[test]
    fn success_forgives_only_what_came_from_there() {
        let mut guard = Guard::new();
        guard.failed(Some("ann"), ip(HOME), at(0));
        guard.failed(Some("ann"), ip(HOME), at(0));
        guard.failed(Some("ann"), ip(ELSEWHERE), at(0));
        guard.failed(Some("ann"), ip(ELSEWHERE), at(0));
        guard.succeeded("ann", ip(HOME));
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(0)), allowed(1));
        guard.failed(Some("ann"), ip(HOME), at(0));
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(0)), allowed(2));
        guard.failed(Some("ann"), ip(ELSEWHERE), at(0));
        assert_eq!(guard.check(Some("ann"), ip(ELSEWHERE), at(0)), banned(60));
    }

    #[test]
    fn a_client_that_tries_many_users_is_banned_without_its_network() {
        let mut guard = Guard::new();
        for user in 0..CLIENT_FAILURES_MAX {
            let judgement = guard.check(Some("somebody"), ip(HOME), at(5));
            assert_eq!(judgement, allowed(0), "after {user}");
            guard.failed(Some(&format!("user{user}")), ip(HOME), at(5));
        }
        assert_eq!(guard.check(None, ip(HOME), at(5)), banned(65));
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(5)), banned(65));
        assert_eq!(guard.check(None, ip(NEIGHBOUR), at(5)), allowed(0));
        assert_eq!(guard.check(None, ip(ELSEWHERE), at(5)), allowed(0));
        assert_eq!(guard.check(None, ip(HOME), at(65)), allowed(0));
    }

    #[test]
    fn three_names_of_one_user_are_not_nine_guesses() {
        let mut guard = Guard::new();
        for name in ["clara", "clara@corp.test", "c.clara"] {
            assert_eq!(guard.check(Some(name), ip(HOME), at(0)), allowed(0));
            guard.failed(Some(name), ip(HOME), at(0));
            guard.failed_also("clara@hosted.test", ip(HOME), at(0));
        }
        let check = |name| guard.check(Some(name), ip(HOME), at(1));
        assert_eq!(check("clara@hosted.test"), banned(60));
        // Who only types names learns nothing of that.
        assert_eq!(check("clara"), allowed(0));
    }

    /// However long it goes on, with a new user each time.
    #[test]
    fn one_client_never_gets_its_network_banned() {
        let mut guard = Guard::new();
        for second in 0..24 * 3600 {
            guard.failed(Some(&format!("user{second}")), ip(HOME), at(second));
            let neighbour = guard.check(None, ip(NEIGHBOUR), at(second));
            assert_eq!(neighbour, allowed(0), "at {second}");
        }
    }

    #[test]
    fn a_network_whose_clients_try_many_users_is_banned() {
        let mut guard = Guard::new();
        for user in 0..NETWORK_FAILURES_MAX {
            assert_eq!(guard.check(None, ip(HOME), at(5)), allowed(0), "{user}");
            let client = format!("192.0.2.{}", 100 + user % 10);
            guard.failed(Some(&format!("user{user}")), ip(&client), at(5));
        }
        assert_eq!(guard.check(None, ip(HOME), at(5)), banned(65));
        assert_eq!(guard.check(None, ip(ELSEWHERE), at(5)), allowed(0));
    }

    #[test]
    fn failures_far_apart_do_not_ban_a_client() {
        let mut guard = Guard::new();
        for turn in 0..3 {
            for _ in 1..CLIENT_FAILURES_MAX {
                guard.failed(None, ip(HOME), at(turn * 601));
            }
            assert_eq!(guard.check(None, ip(HOME), at(turn * 601)), allowed(0));
        }
    }

    #[test]
    fn a_day_forgives_everything() {
        let mut guard = Guard::new();
        for second in 0..3 {
            guard.failed(Some("ann"), ip(HOME), at(second));
        }
        let later = 3 + 24 * 3600;
        guard.failed(Some("ann"), ip(HOME), at(later));
        assert_eq!(guard.check(Some("ann"), ip(HOME), at(later)), allowed(0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut guard = Guard::new();
        for client in 0..REMEMBERED_MAX as u32 + 10 {
            let address = IpAddr::from((client << 8).to_be_bytes());
            guard.failed(Some(&client.to_string()), address, at(0));
        }
        assert!(guard.pairs.len() <= REMEMBERED_MAX);
        assert!(guard.clients.len() <= REMEMBERED_MAX);
        assert!(guard.networks.len() <= REMEMBERED_MAX);
        assert!(guard.users.len() <= REMEMBERED_MAX);
    }
}

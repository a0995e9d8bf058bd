//! Turns at fetching policies: strangers say what is fetched, so no one of them may keep the others
//! waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail::Domain;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Fetches at one time.
const FETCHES_MAX: usize = 64;
/// Fetches at one time for domains of one holder.
const FETCHES_PER_HOLDER: usize = 4;
/// Holders remembered before those are forgotten for whom nothing is fetched.
const HOLDERS_KEPT: usize = 256;
/// A second label as short as this below a country's is taken for that country's own (`co.uk`,
/// `com.au`).
const COUNTRYS_LABEL_LEN_MAX: usize = 3;

/// How many fetch at one time, and how many of them for one holder of domains.
pub(super) struct Turns {
    all: Semaphore,
    holders: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// Others were fetching all the time.
    NoTurn,
    /// The work was not done in time.
    NotDone,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(FETCHES_MAX),
            holders: Mutex::new(HashMap::new()),
        }
    }

    /// Does `work` for `domain` when its turn has come; waits and works for `limit` in all.
    ///
    /// # Errors
    /// The limit has passed.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        domain: &Domain,
        work: impl Future<Output = T>,
    ) -> Result<T, Late> {
        let mut begun = false;
        let in_turn = async {
            let of_holder = self.of_holder(domain);
            let _own = of_holder.acquire().await;
            let _any = self.all.acquire().await;
            begun = true;
            work.await
        };
        match timeout(limit, in_turn).await {
            Ok(done) => Ok(done),
            Err(_) if begun => Err(Late::NotDone),
            Err(_) => Err(Late::NoTurn),
        }
    }

    fn of_holder(&self, domain: &Domain) -> Arc<Semaphore> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.len() >= HOLDERS_KEPT {
            // Whoever waits or works has a hand on its own.
            holders.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = holders.entry(holder(domain).into());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(FETCHES_PER_HOLDER))))
    }
}

/// Below which name one holder can make as many domains as it likes: the last two labels, or three
/// where the second belongs to a country's registry. A guess without a list of registries: when it
/// is wrong, some who have nothing to do with each other share their turns.
fn holder(domain: &Domain) -> &str {
    let name = domain.as_str();
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (last, second, third) = (dots.next(), dots.next(), dots.next());
    let (Some(last), Some(second)) = (last, second) else {
        return name;
    };
    let of_country = name.len() - last - 1 == 2 && last - second - 1 <= COUNTRYS_LABEL_LEN_MAX;
    match (of_country, third) {
        (false, _) => &name[second + 1..],
        (true, Some(third)) => &name[third + 1..],
        (true, None) => name,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    /// 300 fetches that never end, for domains that `name` makes, all begun or waiting for their
    /// turn; how many have begun.
    async fn silent(
        turns: &Arc<Turns>,
        name: fn(usize) -> String,
    ) -> (JoinSet<Result<(), Late>>, usize) {
        let (mut waiting, began) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for number in 0..300 {
            let (turns, began) = (Arc::clone(turns), Arc::clone(&began));
            waiting.spawn(async move {
                let work = async {
                    began.fetch_add(1, Ordering::Relaxed);
                    pending().await
                };
                turns.within(LIMIT, &domain(&name(number)), work).await
            });
        }
        tokio::time::sleep(LIMIT / 2).await;
        let began = began.load(Ordering::Relaxed);
        (waiting, began)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_one_deadline_however_many_hosts_are_silent() {
        let (start, turns) = (Instant::now(), Arc::new(Turns::new()));
        let (waiting, began) = silent(&turns, |number| format!("d{number}.example")).await;
        assert_eq!(began, FETCHES_MAX);
        let ended = waiting.join_all().await;
        assert!(ended.iter().all(Result::is_err));
        assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_hosts_of_one_holder_leave_the_others_their_turn() {
        let turns = Arc::new(Turns::new());
        let (_waiting, began) = silent(&turns, |number| format!("s{number}.bad.example")).await;
        assert_eq!(began, FETCHES_PER_HOLDER);
        let (start, good) = (Instant::now(), domain("good.example"));
        let done = turns.within(LIMIT, &good, async { 7 }).await;
        assert_eq!((done, start.elapsed()), (Ok(7), Duration::ZERO));
    }

    #[tokio::test]
    async fn holders_for_whom_nothing_is_fetched_are_forgotten() {
        let turns = Turns::new();
        for number in 0..10 * HOLDERS_KEPT {
            let domain = domain(&format!("d{number}.example"));
            assert_eq!(turns.within(LIMIT, &domain, async {}).await, Ok(()));
        }
        assert!(turns.holders.lock().unwrap().len() <= HOLDERS_KEPT);
    }

    #[test]
    fn whoever_holds_a_domain_holds_those_below() {
        for (name, expected) in [
            ("example.com", "example.com"),
            ("a.b.example.com", "example.com"),
            ("a.example.co.uk", "example.co.uk"),
            ("example.com.au", "example.com.au"),
            ("com.au", "com.au"),
            ("mail.example.de", "example.de"),
            ("test", "test"),
        ] {
            assert_eq!(holder(&domain(name)), expected);
        }
    }
}

//! What DNS lists say of a client (RFC 5782).
//!
//! All lists are asked side by side. A list that does not answer in time has no say. A list that
//! has been shut down may answer for every address, or with an error code; such a list would refuse
//! all mail, so it is cut off, and the log says so.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Domain;
use relay_policy::{DnsLists, Listing};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::resolver::{Lookup, Resolver, reversed};

/// How long all lists together may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Questions to lists at one time; the rest wait their turn within the time.
const QUESTIONS_MAX: usize = 256;
/// Lists asked about one client; configurations have a handful.
const LISTS_MAX: usize = 32;
/// Answers kept: one a list and client.
const ANSWERS_MAX: u64 = 50_000;
/// For how long an answer is kept at least and at most, whatever its time to live.
const TTL: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// For how long nothing is asked of a list that did not answer.
const FAILURE_TTL: Duration = Duration::from_secs(10);
/// How often a list is tested.
const TEST_TTL: Duration = Duration::from_secs(3600);
/// Results of tests that are kept at most: one a list.
const TESTS_MAX: u64 = 1_000;

/// Asks DNS lists.
pub struct DnsListLookup {
    shared: Arc<Services>,
}

struct Services {
    resolver: Arc<Resolver>,
    answers: moka::future::Cache<(Domain, IpAddr), Heard>,
    /// Lists that passed or failed their test.
    tests: moka::future::Cache<Domain, Tested>,
    permits: Semaphore,
}

/// What a list said, and for how long that is kept.
#[derive(Debug, Clone)]
struct Heard {
    codes: Arc<[Ipv4Addr]>,
    ttl: Duration,
}

/// What the test of a list gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tested {
    Alive,
    /// It lists 127.0.0.1, and with it everybody.
    ListsEverybody,
    /// It did not answer.
    Silent,
}

struct ByTtl;

impl<K> moka::Expiry<K, Heard> for ByTtl {
    fn expire_after_create(&self, _: &K, heard: &Heard, _: Instant) -> Option<Duration> {
        Some(heard.ttl)
    }
}

struct ByResult;

impl moka::Expiry<Domain, Tested> for ByResult {
    fn expire_after_create(&self, _: &Domain, tested: &Tested, _: Instant) -> Option<Duration> {
        Some(match tested {
            Tested::Alive | Tested::ListsEverybody => TEST_TTL,
            Tested::Silent => FAILURE_TTL,
        })
    }
}

impl DnsListLookup {
    /// Asks by `resolver`.
    pub fn new(resolver: Arc<Resolver>) -> Self {
        let shared = Services {
            resolver,
            answers: moka::future::Cache::builder()
                .max_capacity(ANSWERS_MAX)
                .expire_after(ByTtl)
                .build(),
            tests: moka::future::Cache::builder()
                .max_capacity(TESTS_MAX)
                .expire_after(ByResult)
                .build(),
            permits: Semaphore::new(QUESTIONS_MAX),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The lists that name `address`, in the order in which they are written. Takes 5 seconds at
    /// most.
    pub async fn listings(&self, lists: &DnsLists, address: IpAddr) -> Arc<[Listing]> {
        let address = address.to_canonical();
        let mut asked = JoinSet::new();
        for (at, list) in lists.lists.iter().take(LISTS_MAX).enumerate() {
            let (shared, zone) = (Arc::clone(&self.shared), list.zone.clone());
            asked.spawn(async move { (at, shared.listing(zone, address).await) });
        }
        let mut found = Vec::new();
        let all = async {
            while let Some(answer) = asked.join_next().await {
                if let Ok((at, Some(listing))) = answer {
                    found.push((at, listing));
                }
            }
        };
        if timeout(TIMEOUT, all).await.is_err() {
            tracing::debug!(client = %address, "a DNS list did not answer in time");
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, listing)| listing).collect()
    }

    /// Whether a list tells us who is on it: it answers, and does not list everybody, as those do that
    /// have no answers for a resolver.
    pub async fn answers(&self, zone: &Domain) -> bool {
        let tests = &self.shared.tests;
        let tested = tests.get_with(zone.clone(), self.shared.test(zone));
        timeout(TIMEOUT, tested).await == Ok(Tested::Alive)
    }
}

impl Services {
    async fn listing(&self, zone: Domain, address: IpAddr) -> Option<Listing> {
        let key = (zone.clone(), address);
        let test = self.tests.get_with(zone.clone(), self.test(&zone));
        let heard = self.answers.get_with(key, self.ask(&zone, address));
        let (tested, heard) = tokio::join!(test, heard);
        let counts = tested == Tested::Alive && !heard.codes.is_empty();
        counts.then(|| Listing {
            zone,
            codes: heard.codes.to_vec().into(),
        })
    }

    /// RFC 5782 section 5: "IPv4-based DNSxLs MUST NOT contain an entry for 127.0.0.1".
    async fn test(&self, zone: &Domain) -> Tested {
        match self.question(zone, Ipv4Addr::LOCALHOST.into()).await.0 {
            Lookup::Found(_) => {
                tracing::warn!(%zone, "this DNS list lists 127.0.0.1, and so everybody: it is not asked for an hour");
                Tested::ListsEverybody
            }
            Lookup::NoData | Lookup::NoSuchName => Tested::Alive,
            Lookup::Failed(why) => {
                tracing::debug!(%zone, why, "this DNS list does not answer");
                Tested::Silent
            }
        }
    }

    async fn ask(&self, zone: &Domain, address: IpAddr) -> Heard {
        let (found, ttl) = self.question(zone, address).await;
        let ttl = ttl.clamp(TTL.0, TTL.1);
        let codes = match found {
            Lookup::Found(codes) => codes,
            Lookup::NoData | Lookup::NoSuchName => Vec::new(),
            Lookup::Failed(why) => {
                tracing::debug!(%zone, client = %address, why, "this DNS list does not answer");
                return Heard {
                    codes: [].into(),
                    ttl: FAILURE_TTL,
                };
            }
        };
        let counted = codes.iter().copied().filter(|code| is_listing(*code));
        let heard = Heard {
            codes: counted.collect(),
            ttl,
        };
        if heard.codes.len() < codes.len() {
            tracing::warn!(%zone, client = %address, ?codes, "this DNS list answers with an error or nonsense, which does not count");
        }
        heard
    }

    async fn question(&self, zone: &Domain, address: IpAddr) -> (Lookup<Vec<Ipv4Addr>>, Duration) {
        let _permit = self.permits.acquire().await;
        let name = format!("{}{zone}", reversed(address));
        self.resolver.list_entry(name).await
    }
}

/// Listings are in 127.0.0.0/8 (RFC 5782 section 2.1); 127.255.255.0/24 is what lists say to those
/// whom they do not answer. An answer elsewhere comes from whoever took over the name of a list
/// that is gone.
fn is_listing(code: Ipv4Addr) -> bool {
    let [first, second, third, _] = code.octets();
    first == 127 && (second, third) != (255, 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::pretend::{Data, Pretend};

    fn lists(zones: &[&str]) -> DnsLists {
        let list = |zone: &&str| relay_policy::DnsList {
            zone: Domain::parse(zone).unwrap(),
            codes: Vec::new(),
            weight: 1,
            reply: None,
            place: mail::Place::Default,
        };
        DnsLists {
            lists: zones.iter().map(list).collect(),
            ..DnsLists::default()
        }
    }

    async fn asked(lookup: &DnsListLookup, zones: &[&str], address: &str) -> Vec<String> {
        let lists = lists(zones);
        let listings = lookup.listings(&lists, address.parse().unwrap());
        let text = |listing: &Listing| format!("{} {:?}", listing.zone, listing.codes);
        listings.await.iter().map(text).collect()
    }

    const V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.good.example";

    #[tokio::test]
    async fn lists_are_asked_side_by_side_and_bad_ones_do_not_count() {
        let dns = Pretend::serve(&[
            ("9.113.0.203.good.example", Data::A([127, 0, 0, 2])),
            ("9.113.0.203.good.example", Data::A([127, 0, 0, 10])),
            (V6, Data::A([127, 0, 0, 3])),
            ("9.113.0.203.second.example", Data::A([127, 0, 0, 4])),
            ("9.113.0.203.second.example", Data::A([127, 255, 255, 254])),
            ("9.113.0.203.error.example", Data::A([127, 255, 255, 252])),
            ("9.113.0.203.parked.example", Data::A([192, 0, 2, 80])),
            ("9.113.0.203.dead.example", Data::A([127, 0, 0, 2])),
            ("1.0.0.127.dead.example", Data::A([127, 0, 0, 2])),
            ("9.113.0.203.broken.example", Data::Fail),
        ])
        .await;
        let lookup = DnsListLookup::new(dns.resolver());
        let zones = [
            "second.example",
            "error.example",
            "parked.example",
            "dead.example",
            "broken.example",
            "good.example",
        ];
        let expected = [
            "second.example [127.0.0.4]",
            "good.example [127.0.0.2, 127.0.0.10]",
        ];
        assert_eq!(asked(&lookup, &zones, "203.0.113.9").await, expected);
        assert_eq!(asked(&lookup, &zones, "::ffff:203.0.113.9").await, expected);
        assert_eq!(
            asked(&lookup, &zones, "2001:db8::1").await,
            ["good.example [127.0.0.3]"]
        );
        assert!(asked(&lookup, &zones, "203.0.113.10").await.is_empty());
        // Kept: the client's entry and the list's test were asked for once each.
        assert_eq!(dns.asked("9.113.0.203.good.example"), 1);
        assert_eq!(dns.asked("1.0.0.127.good.example"), 1);
    }

    #[tokio::test]
    async fn a_list_whose_test_is_not_answered_has_no_say() {
        let dns = Pretend::serve(&[
            ("9.113.0.203.good.example", Data::A([127, 0, 0, 2])),
            ("1.0.0.127.good.example", Data::Fail),
        ])
        .await;
        let lookup = DnsListLookup::new(dns.resolver());
        assert!(
            asked(&lookup, &["good.example"], "203.0.113.9")
                .await
                .is_empty()
        );
    }
}

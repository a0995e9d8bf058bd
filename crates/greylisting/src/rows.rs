use std::fmt;

use admission::Recent;
use ipnet::IpNet;
use mail::{Domain, Timestamp};

use crate::history::{History, Taken};
use crate::reputation::Score;
use crate::settings::{Settings, millis};
use crate::triplet::{Origin, Triplet};

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A triplet that waits.
    Waiting,
    /// A triplet that passed.
    Passed,
    /// The network of clients.
    Client,
    /// A domain of senders.
    SenderDomain,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Waiting,
        Self::Passed,
        Self::Client,
        Self::SenderDomain,
    ];

    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Passed => "passed",
            Self::Client => "client",
            Self::SenderDomain => "sender domain",
        }
    }
}

/// One entry, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// The network or the domain; of a triplet whose client passes SPF, the word `SPF`.
    pub name: String,
    /// Of a triplet: the sender; empty for the null sender.
    pub sender: Option<Box<str>>,
    /// Of a triplet: the recipient.
    pub recipient: Option<Box<str>>,
    /// When it was seen last; of what waits, when it was seen first.
    pub at: Timestamp,
    /// In how many hours mail of it was taken.
    pub times: u32,
    /// What it is worth.
    pub score: i32,
}

/// Of whom nothing is to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Of clients in this network.
    Client(IpNet),
    /// Of senders at this domain.
    SenderDomain(Domain),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(network) => write!(f, "client {network}"),
            Self::SenderDomain(domain) => write!(f, "sender domain {domain}"),
        }
    }
}

impl History {
    /// Those of a kind that were seen last, the latest first; `most` at most.
    pub fn rows(&self, settings: &Settings, kind: Kind, most: usize, now: Timestamp) -> Vec<Row> {
        let half_life = millis(settings.half_life);
        let points = |score: Option<&Score>| {
            let score = score.copied().unwrap_or_default();
            score.points(now.as_millis(), half_life)
        };
        match kind {
            Kind::Waiting => triplets(kind, &self.waiting, most),
            Kind::Passed => triplets(kind, &self.passed, most),
            Kind::Client => {
                let (all, scores) = (&self.networks, &self.network_scores);
                let seen = seen(all, scores, most);
                let score = |network: &IpNet| points(scores.get(network));
                let rows = seen.into_iter();
                rows.map(|(at, one)| party(kind, at, one, all.get(one), score(one)))
                    .collect()
            }
            Kind::SenderDomain => {
                let (all, scores) = (&self.domains, &self.domain_scores);
                let seen = seen(all, scores, most);
                let score = |domain: &Domain| points(scores.get(domain));
                let rows = seen.into_iter();
                rows.map(|(at, one)| party(kind, at, one, all.get(one), score(one)))
                    .collect()
            }
        }
    }

    /// Forgets all of it; `false` when there is nothing.
    pub fn clear(&mut self, subject: &Subject) -> bool {
        let before = self.len();
        match subject {
            Subject::Client(network) => {
                let others = |one: &IpNet| !network.contains(one);
                let elsewhere = |triplet: &Triplet| match &triplet.origin {
                    Origin::Network(one) => others(one),
                    Origin::Sender => true,
                };
                self.waiting.retain(elsewhere);
                self.passed.retain(elsewhere);
                self.networks.retain(others);
                self.network_scores.retain(others);
            }
            Subject::SenderDomain(domain) => {
                self.waiting.retain(|triplet| !triplet.is_of(domain));
                self.passed.retain(|triplet| !triplet.is_of(domain));
                self.domains.retain(|one| one != domain);
                self.domain_scores.retain(|one| one != domain);
            }
        }
        let is_cleared = self.len() < before;
        if is_cleared {
            self.set_changed();
        }
        is_cleared
    }

    /// Entries in all.
    pub fn len(&self) -> usize {
        self.waiting.len()
            + self.passed.len()
            + self.networks.len()
            + self.domains.len()
            + self.network_scores.len()
            + self.domain_scores.len()
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn triplets(kind: Kind, all: &Recent<Triplet, u64>, most: usize) -> Vec<Row> {
    let seen = latest(all.iter().map(|(triplet, at)| (*at, triplet)), most);
    let rows = seen.into_iter().map(|(at, triplet)| Row {
        kind,
        name: match triplet.origin {
            Origin::Network(network) => network.to_string(),
            Origin::Sender => "SPF".to_owned(),
        },
        sender: Some(triplet.sender.clone()),
        recipient: Some(triplet.recipient.clone()),
        at: Timestamp::from_millis(at),
        times: 0,
        score: 0,
    });
    rows.collect()
}

/// Those of whom anything is known, each once.
fn seen<'a, K: std::hash::Hash + Eq>(
    taken: &'a Recent<K, Taken>,
    scores: &'a Recent<K, Score>,
    most: usize,
) -> Vec<(u64, &'a K)> {
    let of_taken = taken.iter().map(|(one, taken)| {
        let scored = scores.get(one).map_or(0, |score| score.since());
        (taken.last.max(scored), one)
    });
    let others = scores.iter().filter(|(one, _)| taken.get(one).is_none());
    let others = others.map(|(one, score)| (score.since(), one));
    latest(of_taken.chain(others), most)
}

/// Without sorting all of them: there may be many, and mail waits meanwhile.
fn latest<'a, K>(all: impl Iterator<Item = (u64, &'a K)>, most: usize) -> Vec<(u64, &'a K)> {
    let mut all: Vec<(u64, &K)> = all.collect();
    let key = |one: &(u64, &K)| std::cmp::Reverse(one.0);
    if most < all.len() {
        all.select_nth_unstable_by_key(most, key);
        all.truncate(most);
    }
    all.sort_by_key(key);
    all
}

fn party(kind: Kind, at: u64, name: &impl ToString, taken: Option<&Taken>, score: i32) -> Row {
    Row {
        kind,
        name: name.to_string(),
        sender: None,
        recipient: None,
        at: Timestamp::from_millis(at),
        times: taken.map_or(0, |taken| taken.times),
        score,
    }
}

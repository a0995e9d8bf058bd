//! What outlasts a restart, as octets: lines of JSON, one for the version and one for each part.

use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

use admission::Recent;
use ipnet::IpNet;
use mail::Domain;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::history::{History, Taken};
use crate::reputation::Score;
use crate::triplet::{Origin, Triplet};

/// Another one is not read: everybody then waits once more.
const VERSION: u32 = 1;
/// The version and what is behind it.
const PARTS: usize = 7;

/// A part of what is to be kept. It is copied while mail waits, and written as text when it does not.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part(Kept);

#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Version(u32),
    Waiting(Vec<KeptTriplet>),
    Passed(Vec<KeptTriplet>),
    Clients(Vec<(Text<IpNet>, Taken)>),
    SenderDomains(Vec<(Text<Domain>, Taken)>),
    ClientScores(Vec<(Text<IpNet>, Score)>),
    SenderDomainScores(Vec<(Text<Domain>, Score)>),
}

/// Network (none: by SPF), sender, recipient, time.
#[derive(Debug, Serialize, Deserialize)]
struct KeptTriplet(Option<Text<IpNet>>, Box<str>, Box<str>, u64);

/// What is kept as people write it.
#[derive(Debug)]
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl Part {
    /// Adds it to what is to be kept.
    pub fn write_to(&self, octets: &mut Vec<u8>) {
        // Fails for maps without text as keys alone, and there are none.
        octets.extend(serde_json::to_vec(self).unwrap_or_default());
        octets.push(b'\n');
    }
}

impl History {
    /// A part of what is to be kept over a restart, by its number from 0; `None` behind the last. All
    /// of them in their order, as [`Part::write_to`] has them, are what [`History::read`] takes.
    pub fn part(&self, number: usize) -> Option<Part> {
        let kept = match number {
            0 => Kept::Version(VERSION),
            1 => Kept::Waiting(triplets(&self.waiting)),
            2 => Kept::Passed(triplets(&self.passed)),
            3 => Kept::Clients(copied(&self.networks)),
            4 => Kept::SenderDomains(copied(&self.domains)),
            5 => Kept::ClientScores(copied(&self.network_scores)),
            6 => Kept::SenderDomainScores(copied(&self.domain_scores)),
            _ => return None,
        };
        Some(Part(kept))
    }

    /// What was kept; `None` when it is anything else, also when it was cut off. Of more than
    /// `max_entries` of a kind some are forgotten.
    pub fn read(octets: &[u8], max_entries: u32) -> Option<Self> {
        let mut history = Self::new(max_entries);
        let lines = octets.split_inclusive(|octet| *octet == b'\n');
        let mut parts = 0;
        for (number, line) in lines.enumerate() {
            history.take_up(number, serde_json::from_slice(line).ok()?)?;
            parts = number + 1;
        }
        (parts == PARTS).then_some(history)
    }

    fn take_up(&mut self, number: usize, Part(kept): Part) -> Option<()> {
        match (number, kept) {
            (0, Kept::Version(VERSION)) => {}
            (1, Kept::Waiting(all)) => take_triplets(&mut self.waiting, all),
            (2, Kept::Passed(all)) => take_triplets(&mut self.passed, all),
            (3, Kept::Clients(all)) => take(&mut self.networks, all),
            (4, Kept::SenderDomains(all)) => take(&mut self.domains, all),
            (5, Kept::ClientScores(all)) => take(&mut self.network_scores, all),
            (6, Kept::SenderDomainScores(all)) => take(&mut self.domain_scores, all),
            _ => return None,
        }
        Some(())
    }
}

fn triplets(all: &Recent<Triplet, u64>) -> Vec<KeptTriplet> {
    let kept = all.iter().map(|(triplet, at)| {
        let network = match triplet.origin {
            Origin::Network(network) => Some(Text(network)),
            Origin::Sender => None,
        };
        let (sender, recipient) = (triplet.sender.clone(), triplet.recipient.clone());
        KeptTriplet(network, sender, recipient, *at)
    });
    kept.collect()
}

fn take_triplets(to: &mut Recent<Triplet, u64>, all: Vec<KeptTriplet>) {
    for KeptTriplet(network, sender, recipient, at) in all {
        let triplet = Triplet {
            origin: network.map_or(Origin::Sender, |Text(network)| Origin::Network(network)),
            sender,
            recipient,
        };
        *to.touch(triplet) = at;
    }
}

fn copied<K: Hash + Eq + Clone, V: Copy>(all: &Recent<K, V>) -> Vec<(Text<K>, V)> {
    let kept = all.iter().map(|(one, of)| (Text(one.clone()), *of));
    kept.collect()
}

fn take<K: Hash + Eq, V: Default>(to: &mut Recent<K, V>, all: Vec<(Text<K>, V)>) {
    for (Text(one), of) in all {
        *to.touch(one) = of;
    }
}

//! Why clients were refused in the last hour.

use std::collections::HashMap;

use mail::{Place, Reply, Timestamp};

use crate::ring::Ring;

/// Kinds that are told apart; with more of them the one that was not met for longest goes.
const KINDS_MAX: usize = 200;
/// Of words that are kept, so many characters.
const WORDS_MAX: usize = 300;
/// Minutes that count.
const MINUTES: u64 = 60;

/// What was answered, and the line that had it so; for each how often, and the last of them.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    kinds: HashMap<(Box<str>, Box<str>), Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    minutes: Ring<{ MINUTES as usize }>,
    last: Refusal,
}

/// One refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// When, on the queue's line of time.
    pub(crate) at: Timestamp,
    /// Who was refused.
    pub(crate) client: Box<str>,
    /// What was answered.
    pub(crate) reply: Box<str>,
    /// Which rule decided, and by what; empty where none did.
    pub(crate) reason: Box<str>,
    /// Its line; empty where there is none.
    pub(crate) place: Box<str>,
}

impl Refusal {
    /// Of what is long, only the beginning is kept.
    pub(crate) fn new(
        at: Timestamp,
        client: &str,
        reply: &Reply,
        reason: Option<(String, &Place)>,
    ) -> Self {
        let (reason, place) = match reason {
            Some((reason, place)) => (reason, place.to_string()),
            None => Default::default(),
        };
        Self {
            at,
            client: client.into(),
            reply: cut(&reply.to_string()),
            reason: cut(&reason),
            place: place.into(),
        }
    }
}

fn cut(text: &str) -> Box<str> {
    text.chars().take(WORDS_MAX).collect::<String>().into()
}

impl Refusals {
    /// One more, with this status: `550 5.7.1`.
    pub(crate) fn count(&mut self, status: String, refusal: Refusal) {
        let key = (status.into(), refusal.place.clone());
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&key) {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.last.at);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|oldest| self.kinds.remove(&oldest));
        }
        let kind = self.kinds.entry(key).or_default();
        kind.minutes.add(minute(refusal.at), 1);
        kind.last = refusal;
    }

    /// The most frequent ones, with status, count, and the last of each.
    pub(crate) fn most(&self, now: Timestamp, limit: usize) -> Vec<(Box<str>, u64, Refusal)> {
        let counted = self.kinds.iter().filter_map(|((status, _), kind)| {
            let count = kind.minutes.sum(minute(now), MINUTES);
            (count > 0).then(|| (status.clone(), count, kind.last.clone()))
        });
        let mut all: Vec<_> = counted.collect();
        all.sort_by(|(a, more, x), (b, less, y)| (less, a, &x.place).cmp(&(more, b, &y.place)));
        all.truncate(limit);
        all
    }
}

fn minute(at: Timestamp) -> u64 {
    at.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn refusal(seconds: u64, place: &str) -> Refusal {
        Refusal {
            at: START + Duration::from_secs(seconds),
            place: place.into(),
            ..Refusal::default()
        }
    }

    #[test]
    fn the_most_frequent_come_first_for_an_hour() {
        let mut refusals = Refusals::default();
        for (seconds, status, place) in [
            (0, "550 5.7.1", "a:1:1"),
            (1, "550 5.7.1", "a:2:1"),
            (2, "550 5.7.1", "a:2:1"),
            (3, "450 4.7.1", "a:2:1"),
        ] {
            refusals.count(status.to_owned(), refusal(seconds, place));
        }
        let told = |minutes, limit| {
            let most = refusals.most(START + Duration::from_mins(minutes), limit);
            let told = most
                .into_iter()
                .map(|(status, count, last)| format!("{count} {status} {}", last.place));
            told.collect::<Vec<_>>()
        };
        assert_eq!(
            told(1, 9),
            [
                "2 550 5.7.1 a:2:1",
                "1 450 4.7.1 a:2:1",
                "1 550 5.7.1 a:1:1"
            ]
        );
        assert_eq!(told(1, 1).len(), 1);
        assert_eq!(told(60, 9), [""; 0]);
    }

    #[test]
    fn so_many_kinds_are_told_apart() {
        let mut refusals = Refusals::default();
        for line in 0..2 * KINDS_MAX {
            refusals.count(
                "550 5.7.1".to_owned(),
                refusal(line as u64, &line.to_string()),
            );
        }
        let all = refusals.most(START + Duration::from_secs(500), usize::MAX);
        assert_eq!(all.len(), KINDS_MAX);
        let oldest = all.iter().map(|(_, _, last)| last.at).min();
        assert_eq!(oldest, Some(START + Duration::from_secs(KINDS_MAX as u64)));
    }
}

//! Links by which somebody signs in at the console once. In memory alone: a restart forgets them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

/// How long one can be used.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(5);
/// Links at one time; one more drops the oldest.
const LINKS_MAX: usize = 16;
/// Octets of randomness in one.
const TOKEN_OCTETS: usize = 32;

/// Those that nobody has used yet.
#[derive(Default)]
pub(crate) struct ConsoleLinks(Mutex<VecDeque<Link>>);

struct Link {
    /// Whoever reads the memory cannot make a link of it, and the time that a comparison takes tells
    /// nothing of the token.
    digest: [u8; 32],
    by: Box<str>,
    until: Instant,
}

impl ConsoleLinks {
    /// A new one for `by`: what stands in it.
    pub(crate) fn make(&self, by: &str, now: Instant) -> String {
        let token = mail::hex(rand::random::<[u8; TOKEN_OCTETS]>());
        let mut links = self.links(now);
        if links.len() >= LINKS_MAX {
            links.pop_front();
        }
        links.push_back(Link {
            digest: hashed(&token),
            by: by.into(),
            until: now + VALID_FOR,
        });
        token
    }

    /// Who asked for the link with this in it; it cannot be used again.
    pub(crate) fn redeem(&self, token: &str, now: Instant) -> Option<Box<str>> {
        let digest = hashed(token);
        let mut links = self.links(now);
        let at = links.iter().position(|link| link.digest == digest)?;
        links.remove(at).map(|link| link.by)
    }

    fn links(&self, now: Instant) -> MutexGuard<'_, VecDeque<Link>> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| now < link.until);
        links
    }
}

fn hashed(token: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_signs_in_once_and_for_five_minutes() {
        let (links, now) = (ConsoleLinks::default(), Instant::now());
        let [first, second] = ["root", "ann"].map(|by| links.make(by, now));
        assert_eq!((first.len(), first == second), (64, false));
        assert_eq!(links.redeem("", now), None);
        assert_eq!(links.redeem(&first[1..], now), None);
        assert_eq!(links.redeem(&first, now).as_deref(), Some("root"));
        assert_eq!(links.redeem(&first, now), None);
        assert_eq!(links.redeem(&second, now + VALID_FOR), None);
        let third = links.make("bob", now);
        let last = now + VALID_FOR - Duration::from_millis(1);
        assert_eq!(links.redeem(&third, last).as_deref(), Some("bob"));
    }

    #[test]
    fn of_too_many_the_oldest_goes() {
        let (links, now) = (ConsoleLinks::default(), Instant::now());
        let tokens: Vec<String> = (0..=LINKS_MAX).map(|_| links.make("root", now)).collect();
        assert_eq!(links.redeem(&tokens[0], now), None);
        for token in &tokens[1..] {
            assert!(links.redeem(token, now).is_some());
        }
    }
}

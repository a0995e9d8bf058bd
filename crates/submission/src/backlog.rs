use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Files that wait in all. Beyond, no new ones are to be taken.
const WAITING_MAX: usize = 10_000;
/// Files of one account that wait, beyond which no new ones of it are to be taken.
const SHARE_MAX: usize = 250;
/// The first pause. It doubles with each try.
const PAUSE: Duration = Duration::from_secs(10);
/// So often the pause doubles: to five minutes and some.
const DOUBLINGS_MAX: u32 = 5;

/// Files that were put off, each to be tried again after a pause that grows. One account has a share
/// of the room: that its files cannot be sent now keeps nobody else's from being taken.
#[derive(Debug)]
pub struct Backlog<T> {
    /// By the time of the next try, and in order of arrival.
    waiting: BTreeMap<(Duration, u64), (u32, T)>,
    by_account: HashMap<u32, usize>,
    arrived: u64,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            by_account: HashMap::new(),
            arrived: 0,
        }
    }
}

impl<T> Backlog<T> {
    /// Whether a file of account `uid` may be taken.
    pub fn has_room(&self, uid: u32) -> bool {
        let theirs = self.by_account.get(&uid).copied().unwrap_or(0);
        self.waiting.len() < WAITING_MAX && theirs < SHARE_MAX
    }

    /// Keeps a file that has had so many `tries`, room or not: it was taken.
    pub fn put_off(&mut self, file: T, uid: u32, tries: u32, now: Duration) {
        let pause = match tries.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => PAUSE * (1 << doublings.min(DOUBLINGS_MAX)),
        };
        self.arrived += 1;
        self.waiting
            .insert((now + pause, self.arrived), (uid, file));
        *self.by_account.entry(uid).or_default() += 1;
    }

    /// The next file whose time has come at `now`.
    pub fn next_due(&mut self, now: Duration) -> Option<T> {
        let first = self.waiting.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (uid, file) = first.remove();
        if let Some(theirs) = self.by_account.get_mut(&uid) {
            *theirs -= 1;
            if *theirs == 0 {
                self.by_account.remove(&uid);
            }
        }
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_pause_grows_to_its_limit() {
        for (tries, pause) in [
            (0, 0),
            (1, 10),
            (2, 20),
            (5, 160),
            (6, 320),
            (u32::MAX, 320),
        ] {
            let mut backlog = Backlog::default();
            backlog.put_off("a.eml", 7, tries, SECOND);
            let due = SECOND * (1 + pause);
            if pause > 0 {
                assert_eq!(backlog.next_due(due - SECOND), None, "{tries}");
            }
            assert_eq!(backlog.next_due(due), Some("a.eml"), "{tries}");
            assert_eq!(backlog.next_due(due), None, "{tries}");
        }
    }

    #[test]
    fn one_account_takes_not_all_the_room() {
        let mut backlog = Backlog::default();
        for n in 0..SHARE_MAX {
            assert!(backlog.has_room(7), "{n}");
            backlog.put_off(n, 7, 1, Duration::ZERO);
        }
        assert!(!backlog.has_room(7) && backlog.has_room(8));
        assert_eq!(backlog.next_due(PAUSE), Some(0));
        assert!(backlog.has_room(7));
        for uid in 100..140 {
            for n in 0..SHARE_MAX {
                backlog.put_off(n, uid, 1, Duration::ZERO);
            }
        }
        assert!(!backlog.has_room(8));
        while backlog.next_due(PAUSE).is_some() {}
        assert!(backlog.by_account.is_empty());
    }
}

//! Who is signed in, by the cookie of the browser. Held in memory: a restart signs everybody out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::settings::Lifetimes;

/// Sessions at one time; one more ends the one that was not used for longest.
const SESSIONS_MAX: usize = 500;
/// The same for those of one name: nobody pushes others out by signing in again and again.
const SESSIONS_OF_ONE_MAX: usize = 20;

/// What somebody may do, each all that the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Sees everything but secrets.
    Viewer,
    /// Acts on mail and sessions.
    Operator,
    /// Changes the configuration.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The role of this word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Its word, as the users file has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// His name in the users file; of a one-time link, who asked for it.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether the users file says so, which can change.
    pub(crate) is_user: bool,
    /// Of his password and second factor, or of the issuer that vouched for him, as they were.
    pub(crate) stamp: String,
    /// How long he stays at most, where that is less than for others.
    pub(crate) stays: Option<Duration>,
    /// Stands in each form of his pages, and in nobody else's.
    pub(crate) token: String,
}

struct Session {
    visitor: Visitor,
    begun: Duration,
    used: Duration,
}

/// All that are signed in. Times are those since the start of the process.
pub(crate) struct Sessions {
    lifetimes: Lifetimes,
    /// By the digest of the cookie: whoever reads the memory of one cannot make the other of it.
    by_digest: Mutex<BTreeMap<[u8; 32], Session>>,
}

impl Sessions {
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            by_digest: Mutex::default(),
        }
    }

    /// Signs somebody in under a cookie that nobody had before: one that a browser brought is never
    /// taken over.
    pub(crate) fn begin(&self, cookie: &str, visitor: Visitor, now: Duration) {
        self.with(now, |sessions| {
            let is_his = |session: &Session| session.visitor.name == visitor.name;
            let his = sessions.values().filter(|session| is_his(session)).count();
            if his >= SESSIONS_OF_ONE_MAX {
                end_idlest(sessions, is_his);
            } else if sessions.len() >= SESSIONS_MAX {
                end_idlest(sessions, |_| true);
            }
            let session = Session {
                visitor,
                begun: now,
                used: now,
            };
            sessions.insert(hashed(cookie), session);
        });
    }

    /// Whose cookie this is. With `uses`, the session counts as used.
    pub(crate) fn find(&self, cookie: &str, now: Duration, uses: bool) -> Option<Visitor> {
        self.with(now, |sessions| {
            let session = sessions.get_mut(&hashed(cookie))?;
            if uses {
                session.used = now;
            }
            Some(session.visitor.clone())
        })
    }

    /// Signs out.
    pub(crate) fn end(&self, cookie: &str, now: Duration) {
        self.with(now, |sessions| sessions.remove(&hashed(cookie)));
    }

    /// What is said now of who came as `before` did: another role, or none any more. Nobody stays by a
    /// password, or without a second factor, that is no longer his: where the stamp is another one,
    /// his sessions end.
    pub(crate) fn set_role(&self, before: &Visitor, still: Option<(Role, &str)>, now: Duration) {
        self.with(now, |sessions| {
            sessions.retain(|_, session| {
                let visitor = &mut session.visitor;
                let came_so = (visitor.is_user, &visitor.name, &visitor.stamp);
                if came_so != (before.is_user, &before.name, &before.stamp) {
                    return true;
                }
                visitor.role = still.map_or(visitor.role, |(role, _)| role);
                still.is_some_and(|(_, stamp)| visitor.stamp == stamp)
            });
        });
    }

    fn with<T>(&self, now: Duration, act: impl FnOnce(&mut BTreeMap<[u8; 32], Session>) -> T) -> T {
        let mut sessions = self
            .by_digest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Lifetimes { idle, absolute } = self.lifetimes;
        sessions.retain(|_, session| {
            let stays = session.visitor.stays;
            let absolute = stays.map_or(absolute, |stays| stays.min(absolute));
            now.saturating_sub(session.used) < idle && now.saturating_sub(session.begun) < absolute
        });
        act(&mut sessions)
    }
}

/// Ends the one of these that was not used for longest.
fn end_idlest(sessions: &mut BTreeMap<[u8; 32], Session>, is_one: impl Fn(&Session) -> bool) {
    let those = sessions.iter().filter(|(_, session)| is_one(session));
    let idlest = those.min_by_key(|(_, session)| session.used);
    if let Some(idlest) = idlest.map(|(digest, _)| *digest) {
        sessions.remove(&idlest);
    }
}

fn hashed(cookie: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, cookie.as_bytes()).as_ref());
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const ABSOLUTE: Duration = Duration::from_secs(600);

    fn sessions() -> Sessions {
        Sessions::new(Lifetimes {
            idle: IDLE,
            absolute: ABSOLUTE,
        })
    }

    fn visitor(name: &str) -> Visitor {
        Visitor {
            name: name.to_owned(),
            role: Role::Operator,
            is_user: true,
            stamp: "s".to_owned(),
            stays: None,
            token: "t".to_owned(),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_ends_when_it_is_not_used() {
        let all = sessions();
        all.begin("cookie", visitor("ann"), at(0));
        assert!(all.find("cookie", at(59), true).is_some());
        assert!(all.find("cookie", at(118), true).is_some());
        assert!(all.find("cookie", at(178), true).is_none());
    }

    #[test]
    fn what_merely_looks_keeps_no_session_alive() {
        let all = sessions();
        all.begin("cookie", visitor("ann"), at(0));
        assert!(all.find("cookie", at(30), false).is_some());
        assert!(all.find("cookie", at(61), false).is_none());
    }

    #[test]
    fn a_session_ends_however_much_it_is_used() {
        let all = sessions();
        all.begin("cookie", visitor("ann"), at(0));
        for second in 0..600 {
            assert!(all.find("cookie", at(second), true).is_some(), "{second}");
        }
        assert!(all.find("cookie", at(600), true).is_none());
    }

    #[test]
    fn who_signs_out_is_out_and_nobody_else() {
        let all = sessions();
        all.begin("one", visitor("ann"), at(0));
        all.begin("two", visitor("bob"), at(0));
        all.end("one", at(1));
        assert!(all.find("one", at(1), true).is_none());
        assert!(all.find("two", at(1), true).is_some());
        assert!(all.find("three", at(1), true).is_none());
    }

    #[test]
    fn another_role_counts_at_once_and_none_ends_it() {
        let all = sessions();
        all.begin("one", visitor("ann"), at(0));
        all.begin("two", visitor("ann"), at(0));
        all.set_role(&visitor("ann"), Some((Role::Viewer, "s")), at(1));
        let role = all.find("one", at(1), true).map(|visitor| visitor.role);
        assert_eq!(role, Some(Role::Viewer));
        all.set_role(&visitor("ann"), None, at(2));
        assert!(all.find("one", at(2), true).is_none());
        assert!(all.find("two", at(2), true).is_none());
    }

    #[test]
    fn nobody_stays_by_a_password_that_is_no_longer_his() {
        let all = sessions();
        all.begin("old", visitor("ann"), at(0));
        let stamp = "after".to_owned();
        let anew = Visitor {
            stamp,
            ..visitor("ann")
        };
        all.begin("new", anew, at(1));
        all.begin("other", visitor("bob"), at(1));
        all.set_role(&visitor("ann"), Some((Role::Operator, "after")), at(2));
        assert!(all.find("old", at(2), true).is_none());
        assert!(all.find("new", at(2), true).is_some());
        assert!(all.find("other", at(2), true).is_some());
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let all = sessions();
        let at = |number: usize| Duration::from_millis(number as u64);
        for number in 0..=SESSIONS_MAX {
            let cookie = number.to_string();
            all.begin(&cookie, visitor(&format!("ann{cookie}")), at(number));
        }
        let end = at(SESSIONS_MAX);
        assert!(all.find("0", end, true).is_none());
        assert!(all.find("1", end, true).is_some());
    }

    #[test]
    fn nobody_pushes_others_out() {
        let all = sessions();
        let at = |number: usize| Duration::from_millis(number as u64);
        all.begin("bob", visitor("bob"), at(0));
        for number in 0..=SESSIONS_MAX {
            all.begin(&number.to_string(), visitor("ann"), at(number));
        }
        let end = at(SESSIONS_MAX);
        assert!(all.find("bob", end, true).is_some());
        let hers =
            (0..=SESSIONS_MAX).filter(|number| all.find(&number.to_string(), end, false).is_some());
        let latest: Vec<usize> = hers.collect();
        assert_eq!(latest.len(), SESSIONS_OF_ONE_MAX);
        assert_eq!(latest.last(), Some(&SESSIONS_MAX));
    }

    #[test]
    fn whom_an_issuer_vouches_for_stays_as_long_as_that_counts() {
        let all = sessions();
        let stays = Some(Duration::from_secs(90));
        all.begin(
            "cookie",
            Visitor {
                stays,
                ..visitor("ann")
            },
            at(0),
        );
        assert!(all.find("cookie", at(50), true).is_some());
        assert!(all.find("cookie", at(90), true).is_none());
    }
}

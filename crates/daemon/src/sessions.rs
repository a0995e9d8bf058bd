//! Who is connected to us, and where we are connected: to be looked at, and to be ended, while it
//! lasts. Each connection owns its state; here is what it tells of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Deref};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::Timestamp;
use queue::AgentId;
use tokio::sync::Notify;

/// By what a connection is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionId {
    /// A client's session, by its number in the log.
    In(u64),
    /// A delivery agent.
    Out(AgentId),
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(number) => write!(f, "in-{number}"),
            Self::Out(number) => write!(f, "out-{number}"),
        }
    }
}

impl FromStr for SessionId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, number) = text.split_once('-').ok_or(())?;
        let number = number.parse().map_err(|_| ())?;
        match kind {
            "in" => Ok(Self::In(number)),
            "out" => Ok(Self::Out(number)),
            _ => Err(()),
        }
    }
}

/// Octets that came and went.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn add_received(&self, octets: usize) {
        self.received.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, octets: usize) {
        self.sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// What a connection tells of itself.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The listener that it came through, or the site that it leads to.
    pub(crate) way: Arc<str>,
    /// Since when, by the system's clock.
    pub(crate) since: Timestamp,
    pub(crate) traffic: Arc<Traffic>,
    told: Mutex<Told>,
    kill: Notify,
}

/// What changes while it lasts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Who is at the other end.
    pub(crate) peer: Box<str>,
    /// The user who signed in.
    pub(crate) user: Option<Arc<str>>,
    /// What is being done, in a word.
    pub(crate) state: &'static str,
    /// And with which message.
    pub(crate) message: Option<mail::QueueId>,
}

impl Entry {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes when an operator wants it to end.
    pub(crate) async fn killed(&self) {
        self.kill.notified().await;
    }
}

/// All connections of the relay.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Mutex<BTreeMap<SessionId, Arc<Entry>>>,
}

impl Sessions {
    /// A connection begins; it is known until what is given is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: SessionId,
        way: Arc<str>,
        since: Timestamp,
        peer: Box<str>,
    ) -> Registered {
        let told = Told {
            peer,
            ..Told::default()
        };
        let entry = Arc::new(Entry {
            way,
            since,
            traffic: Arc::default(),
            told: Mutex::new(told),
            kill: Notify::new(),
        });
        self.all().insert(id, Arc::clone(&entry));
        Registered {
            sessions: Arc::clone(self),
            id,
            entry,
        }
    }

    /// Those behind one that are wanted, in order, at most so many.
    pub(crate) fn list(
        &self,
        after: Option<SessionId>,
        limit: usize,
        is_wanted: impl Fn(SessionId) -> bool,
    ) -> Vec<(SessionId, Arc<Entry>)> {
        let all = self.all();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        all.range((from, Bound::Unbounded))
            .filter(|(id, _)| is_wanted(**id))
            .take(limit)
            .map(|(id, entry)| (*id, Arc::clone(entry)))
            .collect()
    }

    /// Ends one; `None` when it is gone already.
    pub(crate) fn kill(&self, id: SessionId) -> Option<Arc<Entry>> {
        let entry = self.all().get(&id).cloned()?;
        entry.kill.notify_one();
        Some(entry)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<SessionId, Arc<Entry>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is known as long as this lives.
#[derive(Debug)]
pub(crate) struct Registered {
    sessions: Arc<Sessions>,
    id: SessionId,
    entry: Arc<Entry>,
}

impl Registered {
    /// What it tells, to be kept beside it.
    pub(crate) fn entry(&self) -> Arc<Entry> {
        Arc::clone(&self.entry)
    }
}

impl Deref for Registered {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.all().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_its_name_until_it_ends() {
        let sessions = Arc::new(Sessions::default());
        let enter = |id| sessions.enter(id, "internet".into(), Timestamp::default(), "a".into());
        let (first, second) = (enter(SessionId::Out(7)), enter(SessionId::In(7)));
        let names = || {
            let all = sessions.list(None, usize::MAX, |_| true);
            all.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(), ["in-7", "out-7"]);
        let one_of = |after| sessions.list(after, 1, |id| id != SessionId::In(8)).len();
        assert_eq!((one_of(None), one_of(Some(SessionId::Out(7)))), (1, 0));
        assert_eq!("in-7".parse(), Ok(SessionId::In(7)));
        for text in ["7", "in-", "on-7", "in-x", "in-7-7"] {
            assert_eq!(text.parse::<SessionId>(), Err(()), "{text}");
        }
        drop(second);
        assert!(sessions.kill(SessionId::In(7)).is_none());
        assert!(sessions.kill(SessionId::Out(7)).is_some());
        drop(first);
        assert_eq!(names(), [""; 0]);
    }
}

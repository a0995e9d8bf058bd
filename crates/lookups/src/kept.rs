//! Connections kept between two questions, for whoever asks next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Idle connections by where they lead: so many in all, each for so long.
pub(super) struct Kept<K, C> {
    state: Arc<Mutex<State<K, C>>>,
    connections_max: usize,
    idle: Duration,
}

struct State<K, C> {
    /// In the order in which they were put back.
    idle: Vec<(K, C, Instant)>,
    /// A task waits to close the oldest.
    is_swept: bool,
}

impl<K, C> Kept<K, C>
where
    K: PartialEq + Send + 'static,
    C: Send + 'static,
{
    /// Keeps `connections_max` at most, each for `idle`.
    pub(super) fn new(connections_max: usize, idle: Duration) -> Self {
        let state = State {
            idle: Vec::new(),
            is_swept: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            connections_max,
            idle,
        }
    }

    /// The one put back last, to be used by the caller alone.
    pub(super) fn take(&self, key: &K) -> Option<C> {
        self.take_where(|k, _| k == key)
    }

    /// The same, of those that are meant.
    pub(super) fn take_where(&self, is_meant: impl Fn(&K, &C) -> bool) -> Option<C> {
        let mut state = lock(&self.state);
        let at = state.idle.iter().rposition(|(k, c, _)| is_meant(k, c))?;
        Some(state.idle.remove(at).1)
    }

    /// Closes all of them.
    pub(super) fn clear(&self) {
        lock(&self.state).idle.clear();
    }

    /// Puts one back that works. When there are too many, the oldest is closed.
    pub(super) fn keep(&self, key: K, connection: C) {
        let mut state = lock(&self.state);
        if state.idle.len() >= self.connections_max {
            state.idle.remove(0);
        }
        state.idle.push((key, connection, Instant::now()));
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(sweep(Arc::clone(&self.state), self.idle));
        }
    }
}

/// Closes what has been idle too long, and ends when nothing is left.
async fn sweep<K, C>(state: Arc<Mutex<State<K, C>>>, idle: Duration) {
    while let Some(next) = close_old(&state, idle) {
        sleep_until(next).await;
    }
}

/// When the next one is due.
fn close_old<K, C>(state: &Mutex<State<K, C>>, idle: Duration) -> Option<Instant> {
    let mut state = lock(state);
    let now = Instant::now();
    state.idle.retain(|(.., since)| *since + idle > now);
    let next = state.idle.first().map(|(.., since)| *since + idle);
    state.is_swept = next.is_some();
    next
}

/// A panic while it was held leaves nothing half done.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_and_no_more_and_none_for_ever() {
        let kept = Kept::new(2, Duration::from_millis(50));
        let alive = Arc::new(());
        for key in ["a", "a", "b"] {
            kept.keep(key, Arc::clone(&alive));
        }
        assert_eq!(Arc::strong_count(&alive), 3);
        assert!(kept.take(&"b").is_some());
        assert!(kept.take(&"b").is_none());
        assert_eq!(Arc::strong_count(&alive), 2);
        // The last one is closed by itself.
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
        assert!(kept.take(&"a").is_none());
        assert!(!lock(&kept.state).is_swept);
    }
}

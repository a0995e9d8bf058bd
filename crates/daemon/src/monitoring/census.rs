//! How much waits, counted in the spool. That takes as long as the queue is, so it is not done
//! anew for each who asks, and it comes to its end though nobody waits for it any longer.

use std::sync::Arc;
use std::time::Duration;

use spool::{Counts, SpoolError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// What was counted stands for so many times as long as the counting took: it takes at most this
/// part of one processor, however often somebody asks.
const REST: u32 = 20;
/// So long a page waits for a count; then it has the one before. Prometheus waits for ten seconds,
/// of which the queue manager may take five.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last count.
#[derive(Default)]
pub(super) struct Census {
    last: Arc<watch::Sender<Last>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// None before the first, and when the spool could not be read.
    counts: Option<Counts>,
    /// Nothing is counted before.
    until: Option<Instant>,
    under_way: bool,
}

impl Census {
    /// How much waits, by `count` or by the last time it was called; `None` when that failed, or
    /// has not come to an end yet.
    pub(super) async fn take(
        &self,
        count: impl FnOnce() -> Result<Counts, SpoolError> + Send + 'static,
    ) -> Option<Counts> {
        let mut last = self.last.subscribe();
        if self.last.send_if_modified(Last::begin) {
            let last = Arc::clone(&self.last);
            // Whoever asked may leave.
            tokio::spawn(async move {
                let began = Instant::now();
                let counted = spawn_blocking(count).await;
                last.send_replace(Last {
                    // A count that breaks down is one that failed.
                    counts: counted.ok().and_then(Result::ok),
                    until: Some(Instant::now() + began.elapsed() * REST),
                    under_way: false,
                });
            });
        }
        // Done, or late.
        drop(timeout(PATIENCE, last.wait_for(|last| !last.under_way)).await);
        self.last.borrow().counts
    }
}

impl Last {
    /// Whether it is to be counted anew, which begins with this.
    fn begin(&mut self) -> bool {
        let stands = self.until.is_some_and(|until| Instant::now() < until);
        let begins = !self.under_way && !stands;
        self.under_way |= begins;
        begins
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn messages(messages: u64) -> Counts {
        Counts {
            messages,
            ..Counts::default()
        }
    }

    #[tokio::test]
    async fn a_count_is_not_lost_with_whoever_asked_for_it() {
        let census = Arc::new(Census::default());
        let (begun, is_begun) = tokio::sync::oneshot::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let asker = {
            let census = Arc::clone(&census);
            tokio::spawn(async move {
                let count = move || {
                    let _ = begun.send(());
                    let _ = may_end.recv();
                    // It stands for twenty times as long.
                    std::thread::sleep(Duration::from_millis(100));
                    Ok(messages(7))
                };
                census.take(count).await
            })
        };
        is_begun.await.unwrap();
        asker.abort();
        assert!(asker.await.unwrap_err().is_cancelled());
        end.send(()).unwrap();
        let again = || panic!("counted anew");
        assert_eq!(
            census.take(again).await.map(|counts| counts.messages),
            Some(7)
        );
    }

    #[tokio::test]
    async fn a_count_that_fails_rests_too() {
        let census = Census::default();
        let fails = || {
            std::thread::sleep(Duration::from_millis(100));
            Err(SpoolError::Io("gone".into()))
        };
        assert!(census.take(fails).await.is_none());
        assert!(census.take(|| Ok(messages(1))).await.is_none());
    }

    #[tokio::test]
    async fn a_count_that_breaks_down_is_over() {
        let census = Census::default();
        assert!(census.take(|| panic!("broken")).await.is_none());
        assert!(!census.last.borrow().under_way);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_has_the_last_count_while_another_takes_long() {
        let census = Census::default();
        let last = Last {
            counts: Some(messages(3)),
            until: None,
            under_way: true,
        };
        census.last.send_replace(last);
        let counted = census.take(|| panic!("counted twice")).await;
        assert_eq!(counted.map(|counts| counts.messages), Some(3));
    }
}

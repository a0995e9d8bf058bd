//! How much waits, counted in the spool. That takes as long as the queue is, so it is not done
//! anew for each who asks.

use std::sync::Arc;

use filter::Filter;
use spool::{Counts, Spool, SpoolError};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// What was counted stands for so many times as long as the counting took: it takes at most this
/// part of one processor, however often somebody asks.
const REST: u32 = 20;

/// The last count.
#[derive(Default)]
pub(super) struct Census {
    last: Mutex<Option<(Instant, Counts)>>,
}

impl Census {
    /// How much waits; `None` when the spool cannot be read.
    pub(super) async fn take(&self, spool: &Arc<dyn Spool>) -> Option<Counts> {
        // Whoever comes while it is counted waits for that.
        let mut last = self.last.lock().await;
        if let Some((until, counts)) = *last
            && Instant::now() < until
        {
            return Some(counts);
        }
        let began = Instant::now();
        let spool = Arc::clone(spool);
        let counted = spawn_blocking(move || spool.count(&Filter::everything())).await;
        let counted = counted.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
        let until = Instant::now() + began.elapsed() * REST;
        *last = counted.ok().map(|counts| (until, counts));
        last.map(|(_, counts)| counts)
    }
}

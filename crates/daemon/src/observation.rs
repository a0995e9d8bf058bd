//! What is done now and then so that an administrator sees at a glance what goes on.

use std::sync::Arc;
use std::time::Duration;

use filter::Filter;
use tokio::time::Instant;

use crate::services::Services;

/// How often it is counted what waits.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);
/// To count takes as long as the queue is: it rests for so many times as long.
const REST: u32 = 20;
/// How often it is written down who sends.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);

/// Runs as long as the relay.
pub(crate) async fn keep(services: Arc<Services>) {
    let mut kept = Instant::now();
    loop {
        let began = Instant::now();
        count(&services).await;
        if kept.elapsed() >= KEEP_INTERVAL {
            kept = Instant::now();
            let keeper = Arc::clone(&services);
            let keep = move || keeper.journal.observed.devices.keep();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(keep).await {
                tracing::warn!(%error, "the devices that send could not be written down");
            }
        }
        let rest = (began.elapsed() * REST).max(COUNT_INTERVAL);
        tokio::time::sleep(rest).await;
    }
}

async fn count(services: &Services) {
    let spool = Arc::clone(&services.spool);
    let counted = tokio::task::spawn_blocking(move || spool.count(&Filter::everything())).await;
    // A spool that cannot be read is told of elsewhere.
    if let Ok(Ok(counts)) = counted {
        let (now, queued) = (services.clock.line(), counts.waiting + counts.held);
        services.journal.observed.rates().queued(now, queued);
    }
}

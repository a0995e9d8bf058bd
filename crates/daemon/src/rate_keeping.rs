//! Has what went out by rates that look far back written down now and then.

use std::sync::Arc;
use std::time::Duration;

use crate::inbox::{self, Input};
use crate::services::Services;

/// How often. A crash forgets what went since.
const KEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Runs as long as the relay.
pub(crate) async fn keep(services: Arc<Services>) {
    loop {
        tokio::time::sleep(KEEP_INTERVAL).await;
        let Some(counts) = inbox::ask(&services.dispatch, Input::RateCounts).await else {
            return;
        };
        let keeper = Arc::clone(&services);
        let kept = tokio::task::spawn_blocking(move || keeper.rate_counts.keep_now(&counts));
        if let Err(fault) = kept.await {
            tracing::error!(%fault, "writing down what went by rates ended by a fault");
        }
    }
}

//! Carries out the operations of operators, part by part, whoever asked for them: each part is one
//! commit, and after it the disk has as long a rest, so that new mail waits little more than usual.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spool::{Change, Commit, Operation, SpoolError};

use crate::disk::Urgency;
use crate::inbox::Input;
use crate::services::Services;

/// The longest rest after a part.
const REST_MAX: Duration = Duration::from_millis(100);
/// How long after a part failed it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often the queue manager hears of what is due by an operation that is under way.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Runs as long as the relay; goes on with what was pending before.
pub(crate) async fn carry_out(services: Arc<Services>) {
    let mut told = Instant::now();
    loop {
        let began = Instant::now();
        match part(&services).await {
            Ok(None) => services.operation_begun.notified().await,
            Ok(Some(operation)) => {
                services.operation_moved.send_replace(());
                if on_part(&services, &operation, told.elapsed()).await {
                    told = Instant::now();
                }
                tokio::time::sleep(began.elapsed().min(REST_MAX)).await;
            }
            Err(error) => {
                tracing::debug!(%error, "an operation waits for the spool");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

async fn part(services: &Services) -> Result<Option<Box<Operation>>, SpoolError> {
    let now = services.clock.line();
    let advance = Change::Advance { now };
    match services.disk.ask(advance, Urgency::Spare).await? {
        Commit::Advanced(operation) => Ok(operation),
        other => unreachable!("{other:?} answers another change"),
    }
}

/// Tells the queue manager what has changed for it; answers whether it did.
async fn on_part(services: &Arc<Services>, operation: &Operation, untold: Duration) -> bool {
    if operation.ended.is_some() {
        log_end(operation);
        tell(services, |domains| queue::Event::Changed { domains }).await;
        return true;
    }
    if operation.bulk.verb.makes_due() && untold >= TOLD_EVERY {
        tell(services, |domains| queue::Event::MoreDue { domains }).await;
        return true;
    }
    false
}

/// Has the queue manager look again at what is due.
pub(crate) async fn tell(
    services: &Arc<Services>,
    event: impl FnOnce(Vec<(String, mail::Timestamp)>) -> queue::Event,
) {
    let spool = Arc::clone(&services.spool);
    let read = tokio::task::spawn_blocking(move || spool.domains()).await;
    match read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into()))) {
        Ok(domains) => {
            let _stopping = services.dispatch.send(Input::queue(event(domains)));
        }
        // When the spool is healed all of it is read anew.
        Err(error) => tracing::error!(%error, "what is due could not be read"),
    }
}

/// The line for the log; `stopped` by an operator, or through.
pub(crate) fn log_end(operation: &Operation) {
    tracing::info!(
        operation = operation.number,
        verb = operation.bulk.verb.as_str(),
        recipients = operation.changed,
        looked_at = operation.looked_at,
        stopped = operation.ended.is_some_and(|ended| ended.stopped),
        "an operation on the queue has ended"
    );
}

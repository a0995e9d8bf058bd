//! Carries out the operations of operators, part by part, whoever asked for them: each part is one
//! commit, and after it the disk has as long a rest, so that new mail waits little more than usual.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spool::{Change, Commit, Operation, Part, SpoolError};

use crate::api::AuditRow;
use crate::disk::Urgency;
use crate::inbox::Input;
use crate::services::Services;

/// The longest rest after a part.
const REST_MAX: Duration = Duration::from_secs(1);
/// How long after a part, or a look at what is due, failed it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often the queue manager hears at most of what is due by an operation that is under way, after
/// its first part.
const TOLD_EVERY: Duration = Duration::from_millis(500);
/// It then hears nothing for so many times as long as it took to find out what is due: with many
/// domains that is a load.
const TOLD_SHARE: u32 = 10;

/// Runs as long as the relay; goes on with what was pending before.
pub(crate) async fn carry_out(services: Arc<Services>) {
    let mut told = Told::just_now(Duration::ZERO);
    loop {
        let began = Instant::now();
        match part(&services).await {
            Ok(None) => services.operation_begun.notified().await,
            Ok(Some(part)) => {
                services.journal.by_operator(&part);
                if part.operation.ended.is_some() {
                    // Before anybody hears of the end.
                    note_end(&services, &part.operation).await;
                }
                services.operation_moved.send_replace(());
                on_part(&services, &part, &mut told).await;
                tokio::time::sleep(began.elapsed().min(REST_MAX)).await;
            }
            Err(error) => {
                tracing::debug!(%error, "an operation waits for the spool");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

async fn part(services: &Services) -> Result<Option<Box<Part>>, SpoolError> {
    let now = services.clock.line();
    let advance = Change::Advance { now };
    match services.disk.ask(advance, Urgency::Spare).await? {
        Commit::Advanced(part) => Ok(part),
        other => unreachable!("{other:?} answers another change"),
    }
}

/// When the queue manager heard last of what is due, and for how long that is enough.
struct Told {
    at: Instant,
    rest: Duration,
}

impl Told {
    /// It took so long.
    fn just_now(took: Duration) -> Self {
        Self {
            at: Instant::now(),
            rest: (took * TOLD_SHARE).max(TOLD_EVERY),
        }
    }
}

/// Tells the queue manager what has changed for it.
async fn on_part(services: &Arc<Services>, part: &Part, told: &mut Told) {
    let operation = &part.operation;
    let verb = operation.bulk.verb;
    let has_ended = operation.ended.is_some();
    if has_ended {
        log_end(operation);
    }
    let began = Instant::now();
    if has_ended || part.is_first() && verb.makes_due() {
        tell(services, |domains| {
            queue::Event::of_operation(verb, domains)
        })
        .await;
    } else if verb.makes_due() && told.at.elapsed() >= told.rest {
        tell(services, |domains| queue::Event::MoreDue { domains }).await;
    } else {
        return;
    }
    *told = Told::just_now(began.elapsed());
}

/// The answer of [`spool::Spool::domains`].
type Domains = Vec<(String, mail::Timestamp)>;

/// Has the queue manager look again at what is due, as soon as that can be read: nobody tells it a
/// second time.
pub(crate) async fn tell(services: &Arc<Services>, event: impl FnOnce(Domains) -> queue::Event) {
    let spool = Arc::clone(&services.spool);
    let domains = until_read(move || spool.domains()).await;
    let _stopping = services.dispatch.send(Input::queue(event(domains)));
}

/// The answer to a question, which is asked again after each error.
async fn until_read<T: Send + 'static>(
    read: impl Fn() -> Result<T, SpoolError> + Clone + Send + 'static,
) -> T {
    loop {
        let read = tokio::task::spawn_blocking(read.clone()).await;
        match read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into()))) {
            Ok(answer) => return answer,
            Err(error) => tracing::error!(%error, "what is due could not be read"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// What came of an operator's act, for the audit log.
async fn note_end(services: &Services, operation: &Operation) {
    let moment = services.clock.moment();
    let filter = operation.bulk.filter.clone();
    let row = AuditRow {
        at: moment.wall.to_string(),
        who: operation.bulk.by.to_string(),
        way: "relay".to_owned(),
        verb: format!("queue/{}", operation.bulk.verb),
        what: Some(filter.with_moments(|at| moment.shown(at)).to_string()),
        reason: operation.bulk.reason.as_deref().map(str::to_owned),
        operation: Some(operation.number),
        count: Some(operation.changed),
        result: "done".to_owned(),
        ..AuditRow::default()
    };
    let log = Arc::clone(&services.audit);
    let _written = tokio::task::spawn_blocking(move || log.write(row)).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn finding_out_what_is_due_takes_a_small_part_of_the_time() {
        let rest = |seconds| Told::just_now(Duration::from_secs_f64(seconds)).rest;
        assert_eq!(rest(0.001), TOLD_EVERY);
        assert_eq!(rest(2.0), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_read_once_is_told_all_the_same() {
        let asked = Arc::new(AtomicU32::new(0));
        let read = {
            let asked = Arc::clone(&asked);
            move || match asked.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(SpoolError::Io("no file is left to open".into())),
                times => Ok(times),
            }
        };
        assert_eq!(until_read(read).await, 2);
    }
}

//! Keeps badmail and the quarantine within their limits: looks through badmail after there was more
//! of it, and now and then through both.
//!
//! What goes is deleted only while it is still held for that reason: what somebody releases at that
//! moment goes out instead.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine::{Kept, KeptAs, Surplus, surplus};
use filter::{Filter, State};
use spool::{Change, Page, Spool, SpoolError, Waiting};

use crate::disk::Urgency;
use crate::services::Services;

/// How often both are looked through at least.
const INTERVAL: Duration = Duration::from_secs(60);
/// Between two looks while there is ever more of it.
const PAUSE: Duration = Duration::from_secs(1);
/// And so many times as long as the look took: a large quarantine is no load.
const REST: u32 = 30;
/// Messages read at once.
const PAGE_MESSAGES: usize = 500;
/// Messages that go at once.
const GOING_MAX: usize = 5_000;

/// Runs as long as the relay, for one kind of what is held.
pub(crate) async fn keep(services: Arc<Services>, kept_as: KeptAs) {
    loop {
        let looked = trim(&services, kept_as).await.unwrap_or_else(|error| {
            tracing::warn!(?kept_as, %error, "what is held could not be looked through");
            Looked {
                next: INTERVAL,
                took: Duration::ZERO,
            }
        });
        tokio::time::sleep(PAUSE.max(looked.took * REST)).await;
        let more = async {
            match kept_as {
                KeptAs::Badmail => services.badmail.notified().await,
                KeptAs::Quarantine => std::future::pending().await,
            }
        };
        let _in_time = tokio::time::timeout(looked.next, more).await;
    }
}

/// A look at all that is kept so.
struct Looked {
    /// How long until that is to be done again.
    next: Duration,
    /// How long it took.
    took: Duration,
}

/// Drops what is beyond the limits.
async fn trim(services: &Services, kept_as: KeptAs) -> Result<Looked, SpoolError> {
    let active = services.active();
    let (limits, state) = match kept_as {
        KeptAs::Badmail => (active.setup.badmail, State::Badmail),
        KeptAs::Quarantine => (active.setup.quarantine, State::Quarantined),
    };
    let filter = Filter::state(state);
    let spool = Arc::clone(&services.spool);
    let now = services.clock.line();
    let look = move || {
        let (mut next, mut going) = (INTERVAL, Vec::new());
        // Each with the same limits, so that strangers cannot push out what is ours.
        for of_strangers in [false, true] {
            going.extend(look_through(&*spool, &filter, of_strangers, |kept| {
                let reasons = surplus(kept, &limits, now);
                let oldest = kept.get(reasons.len());
                next = oldest.map_or(next, |one| next.min((one.arrived + limits.age).since(now)));
                reasons
            })?);
        }
        Ok((going, next))
    };
    let begun = Instant::now();
    let looked = tokio::task::spawn_blocking(look).await;
    let looked = looked.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
    let (going, mut next) = looked?;
    let took = begun.elapsed();
    if going.len() >= GOING_MAX {
        next = Duration::ZERO;
    }
    // All are handed in before the first answer, so that they share their syncs.
    let handed_in: Vec<_> = going
        .iter()
        .map(|(one, _)| delete(services, one, kept_as))
        .collect();
    for ((waiting, why), answered) in going.iter().zip(handed_in) {
        if answered.await? > 0 {
            let recipients = waiting.recipients.len() as u64;
            services.dropped.fetch_add(recipients, Ordering::Relaxed);
            services.journal.kept_no_longer(waiting, kept_as, *why);
        }
    }
    Ok(Looked { next, took })
}

/// The oldest of what is held so, strangers' or what others sent, as much of it as `choose` wants
/// gone and as goes at once. Queue ids are in order of age. Two passes, so that what stays is not in memory.
fn look_through(
    spool: &dyn Spool,
    filter: &Filter,
    of_strangers: bool,
    choose: impl FnOnce(&[Kept]) -> Vec<Surplus>,
) -> Result<Vec<(Waiting, Surplus)>, SpoolError> {
    let is_meant = |waiting: &Waiting| waiting.message.from_stranger == of_strangers;
    let mut kept = Vec::new();
    each_page(spool, filter, |page| {
        let meant = page.iter().filter(|waiting| is_meant(waiting));
        kept.extend(meant.map(|waiting| Kept {
            arrived: waiting.message.arrived,
            size: waiting.message.size,
        }));
        true
    })?;
    let mut reasons = choose(&kept).into_iter().take(GOING_MAX);
    let mut going = Vec::new();
    if reasons.len() > 0 {
        each_page(spool, filter, |page| {
            going.extend(page.into_iter().filter(is_meant).zip(reasons.by_ref()));
            reasons.len() > 0
        })?;
    }
    Ok(going)
}

/// Gives page after page until `each` has enough.
fn each_page(
    spool: &dyn Spool,
    filter: &Filter,
    mut each: impl FnMut(Vec<Waiting>) -> bool,
) -> Result<(), SpoolError> {
    let mut after = None;
    loop {
        let limit = PAGE_MESSAGES;
        let page = spool.find(filter, Page { after, limit })?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.message.id);
        if !each(page) {
            return Ok(());
        }
    }
}

/// Hands in that a message goes, if it is still held so; the answer says how many recipients went.
fn delete(
    services: &Services,
    waiting: &Waiting,
    kept_as: KeptAs,
) -> impl Future<Output = Result<u64, SpoolError>> {
    let change = Change::DropHeld(waiting.message.id, kept_as.reason());
    services.disk.apply(change, Urgency::Soon)
}

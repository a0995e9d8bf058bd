//! Looks at messages that were taken first: a few at one time, as they are due, from the spool and with
//! what was stored with them, so that a start goes on where the last one ended. Nothing goes out before
//! what came of it is on stable storage.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use engine::dispatch::Stop;
use engine::rows::Caller;
use engine::{
    Late, LateEnd, LateOutcome, NotResumed, ScreenedFact, Screening, begun, stored_event, unended,
};
use mail::QueueId;
use queue::Event;
use spool::{Commit, Health, HoldReason, RecipientState, SpoolError, Unscreened, UnscreenedPage};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};

use crate::active::ActiveConfiguration;
use crate::disk::{Urgency, success};
use crate::inbox::Input;
use crate::screening::{LookedAt, Turns, beside, looked_at};
use crate::services::Services;

/// So many messages are looked at at one time, and wait for scanners.
const PARALLEL: usize = 4;
/// How long after something failed it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long nobody looks whether there is anything to do.
const REST_MAX: Duration = Duration::from_secs(60);

/// Runs as long as the relay.
pub(crate) async fn screen(services: Arc<Services>) {
    let mut stop = services.stop.subscribe();
    let mut hands = JoinSet::new();
    let mut in_hand: HashMap<Id, QueueId> = HashMap::new();
    // Of these a try has ended here, and that could not be written down.
    let mut unwritten: BTreeSet<QueueId> = BTreeSet::new();
    // One is looked at alone.
    let mut alone = false;
    while *stop.borrow_and_update() == Stop::Running {
        let mut rest = REST_MAX;
        match due(&services).await {
            Ok(page) => {
                let now = services.clock.line();
                rest = page.next.map_or(rest, |next| rest.min(next.since(now)));
                for stored in page.messages {
                    let id = stored.waiting.message.id;
                    if in_hand.values().any(|one| *one == id) {
                        continue;
                    }
                    // Whatever may have taken the relay along takes no others with it again, which
                    // would count for them.
                    let is_alone = unended(&stored) > 0 && !unwritten.contains(&id);
                    let has_to_wait = is_alone && !in_hand.is_empty();
                    if in_hand.len() == PARALLEL || alone || has_to_wait {
                        break;
                    }
                    alone = is_alone;
                    let has_ended = unwritten.remove(&id);
                    let work = one(Arc::clone(&services), stored, has_ended);
                    in_hand.insert(hands.spawn(work).id(), id);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "what is to be screened cannot be read");
                rest = TRY_AGAIN;
            }
        }
        let is_full = in_hand.len() == PARALLEL || alone;
        tokio::select! {
            biased;
            Some(ended) = hands.join_next_with_id() => match ended {
                Ok((task, is_written)) => {
                    let id = in_hand.remove(&task);
                    alone = false;
                    unwritten.extend(id.filter(|_| !is_written));
                }
                // A fault of ours: it was written down that it had begun.
                Err(fault) => {
                    in_hand.remove(&fault.id());
                    alone = false;
                    tracing::error!(%fault, "a screening broke down");
                }
            },
            () = services.unscreened.notified(), if !is_full => {}
            () = tokio::time::sleep(rest), if !is_full => {}
            _ = stop.changed() => {}
        }
    }
    // Each says that it ended before its end.
    while hands.join_next().await.is_some() {}
}

async fn due(services: &Services) -> Result<UnscreenedPage, SpoolError> {
    // Of what was written last nobody knows yet whether it is.
    if let Health::Failed(why) = services.spool.health() {
        return Err(why);
    }
    let (spool, now) = (Arc::clone(&services.spool), services.clock.line());
    // Those in hand are among the first.
    let read = move || spool.unscreened(now, 2 * PARALLEL);
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())))
}

/// Looks at one message, of which a try may have ended that could not be written down. Whether it is
/// written down what came of it.
async fn one(services: Arc<Services>, stored: Unscreened, has_ended: bool) -> bool {
    let stored = Arc::new(stored);
    let late = Late::of(&stored);
    if !has_ended {
        let Some(begins) = begun(&stored, services.clock.line()) else {
            let outcome = late.clone().never_ended();
            return write(&services, late, outcome, Seen::default()).await;
        };
        if let Err(error) = services.disk.apply(begins, Urgency::Soon).await {
            tracing::debug!(%error, "a screening waits for the spool");
            tokio::time::sleep(TRY_AGAIN).await;
            return true;
        }
    }
    let mut stop = services.stop.subscribe();
    let stops = async {
        // An error: the relay is gone, as after a stop.
        let _stops = stop.wait_for(|stop| *stop != Stop::Running).await;
    };
    let active = services.active();
    let looked = tokio::select! {
        biased;
        looked = look(&services, &active, Arc::clone(&stored)) => looked,
        () = stops => {
            let ends = late.given_back(services.clock.line());
            return services.disk.apply(ends, Urgency::Soon).await.is_ok();
        }
    };
    let now = services.clock.moment();
    match looked {
        Ok((late, looked)) => {
            let LookedAt {
                judgement,
                sighting,
                known,
            } = looked;
            if let Some(known) = &known {
                known.on_screened_late(&services, &judgement.screened);
            }
            let seen = Seen {
                facts: judgement.facts.clone(),
                sighting,
            };
            let outcome = late.clone().concluded(judgement, &active.setup, now);
            write(&services, late, outcome, seen).await
        }
        Err(NotResumed::Unknown) => {
            let outcome = late.clone().unknown();
            write(&services, late, outcome, Seen::default()).await
        }
        Err(NotResumed::Spool(error)) => {
            let why = error.to_string();
            let outcome = late.clone().postponed(&why, &active.setup, now);
            write(&services, late, outcome, Seen::default()).await
        }
    }
}

/// What there is to be told of a message that was looked at.
#[derive(Default)]
struct Seen {
    /// What rules made of it.
    facts: Vec<ScreenedFact>,
    /// What domains are told of it.
    sighting: Option<reports::Sighting>,
}

async fn look(
    services: &Arc<Services>,
    active: &Arc<ActiveConfiguration>,
    stored: Arc<Unscreened>,
) -> Result<(Late, LookedAt), NotResumed> {
    let (of_work, setup) = (Arc::clone(services), Arc::clone(active));
    let resume = move || {
        let rules = |listener: &str| setup.setup.rules_of(listener);
        let terms = &setup.setup.config.screening;
        Screening::resumed(&stored, terms, rules, &*of_work.spool)
    };
    let resumed = beside(services, Turns::None, false, resume).await;
    let broken = || Err(NotResumed::Spool(SpoolError::Io("a fault of ours".into())));
    let screening = resumed.unwrap_or_else(broken)?;
    let Some(late) = screening.late().cloned() else {
        return Err(NotResumed::Unknown);
    };
    let rules = Arc::clone(screening.rules());
    let screening = Box::new(screening);
    let looked = looked_at(Arc::clone(services), rules, screening, Turns::Late).await;
    Ok((late, looked))
}

/// Has it written down what came of a message; where that cannot be, that nobody can tell now.
async fn write(services: &Arc<Services>, late: Late, outcome: LateOutcome, seen: Seen) -> bool {
    match commit(services, &late, outcome, seen).await {
        Ok(touched) => {
            if touched == 0 {
                tokio::time::sleep(TRY_AGAIN).await;
            }
            true
        }
        // An operator did something to some of them: the rest is looked at anew.
        Err(SpoolError::Invalid(why)) => {
            tracing::debug!(%why, "a message was screened in vain");
            true
        }
        Err(error) => {
            let why = format!("what came of it could not be written down: {error}");
            let (active, now) = (services.active(), services.clock.moment());
            let outcome = late.clone().postponed(&why, &active.setup, now);
            drop(active);
            tokio::time::sleep(TRY_AGAIN).await;
            let again = commit(services, &late, outcome, Seen::default()).await;
            again.is_ok()
        }
    }
}

async fn commit(
    services: &Arc<Services>,
    late: &Late,
    outcome: LateOutcome,
    seen: Seen,
) -> Result<u64, SpoolError> {
    let (answer, answered) = oneshot::channel();
    let (teller, late) = (Arc::clone(services), late.clone());
    let change = outcome.change.clone();
    // On the disk thread, right after the sync.
    let on_commit = Box::new(move |commit: Commit| {
        if let Commit::Applied { recipients: 1.. } = commit {
            tell(&teller, &late, outcome, seen);
        }
        let _hand_gone = answer.send(commit);
    });
    services.disk.commit(change, Urgency::Soon, on_commit);
    match success(answered.await)? {
        Commit::Applied { recipients } => Ok(recipients),
        other => unreachable!("{other:?} answers another change"),
    }
}

/// Tells what was made of a message, and the queue what there is of it.
fn tell(services: &Services, late: &Late, outcome: LateOutcome, seen: Seen) {
    let Seen { facts, sighting } = seen;
    if let Some(sighting) = sighting {
        services.sightings.add(sighting);
    }
    let message = late.message();
    // What is tried again is told once, when something comes of it.
    let is_done = !matches!(outcome.end, LateEnd::Postponed(..));
    if let Some(by) = Caller::of_late(late).filter(|_| is_done) {
        let journal = &services.journal;
        journal.screened(&by, message.id, &message.reverse_path, &facts);
    }
    services.journal.screened_late(late, &outcome);
    let to_queue = |event: Event| {
        // Fails only when the queue manager has ended: then the next start finds it in the spool.
        let _ended = services.dispatch.send(Input::queue(event));
    };
    if let Some(kept) = outcome.kept {
        let bouncing = RecipientState::Held(HoldReason::Bouncing);
        let bounces = kept.recipients.iter().any(|one| one.state == bouncing);
        to_queue(Event::Stored {
            message: kept.message,
            recipients: kept.recipients,
            content: None,
        });
        if bounces {
            let domains = Vec::new();
            to_queue(Event::MoreDue { domains });
        }
    }
    for other in outcome.others {
        to_queue(stored_event(other.message));
    }
}

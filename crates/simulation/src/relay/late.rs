//! Messages that were taken first and are looked at from the spool, as the daemon does it: one after
//! the other, what was begun written down before, and nothing told before what came of it is stored.

use std::collections::{BTreeMap, BTreeSet};

use dkim::Signers;
use engine::dispatch::Event as DispatchEvent;
use engine::{Judgement, Late, LateOutcome, NotResumed, Screening, begun, stored_event};
use mail::QueueId;
use screening::Finding;
use spool::{Commit, Health, HoldReason, RecipientState, Spool, SpoolError, Unscreened};

use super::Relay;
use super::scanning::{Asked, ask_scanners, hear};
use crate::Sabotage;
use crate::world::{Asker, RelayEvent, World};

/// So many are looked at at one time.
const PARALLEL: usize = 2;
/// How long after something failed it is tried again.
const TRY_AGAIN_MILLIS: u64 = 1_000;
/// The same where there is no room.
const ROOM_MILLIS: u64 = 60_000;

/// Those that are looked at now, and what is remembered of others.
#[derive(Default)]
pub(super) struct Lates {
    in_hand: BTreeMap<QueueId, Option<Asked>>,
    /// Of these a try has ended, and that could not be written down.
    unwritten: BTreeSet<QueueId>,
    /// The next look is planned for this moment, or an earlier one.
    looks: bool,
}

impl Relay {
    /// There may be something to look at within so many milliseconds.
    pub(super) fn plan_look(&mut self, millis: u64, world: &mut World) {
        if !world.is_broken_by(Sabotage::ForgetUnscreened) {
            world.within(millis, RelayEvent::LookLate);
        }
    }

    /// Takes what is due, and plans the next look.
    pub(super) fn look_late(&mut self, world: &mut World) {
        let now = world.now();
        let health = world.spool.health();
        let page = world.spool.unscreened(now, 2 * PARALLEL);
        let page = page.ok().filter(|_| !matches!(health, Health::Failed(_)));
        let Some(page) = page else {
            return self.plan_look(TRY_AGAIN_MILLIS, world);
        };
        for stored in page.messages {
            let id = stored.waiting.message.id;
            if self.lates.in_hand.len() == PARALLEL || self.lates.in_hand.contains_key(&id) {
                continue;
            }
            self.lates.in_hand.insert(id, None);
            if self.lates.unwritten.remove(&id) {
                self.resume_late(&stored, world);
                continue;
            }
            match begun(&stored, now) {
                Some(change) => world.commit(change, Asker::LateBegins(Box::new(stored))),
                None => {
                    let late = Late::of(&stored);
                    let outcome = late.clone().never_ended();
                    write(late, outcome, world);
                }
            }
        }
        if let Some(next) = page.next
            && !std::mem::replace(&mut self.lates.looks, true)
        {
            world.clock.at(next, RelayEvent::LookLate);
        }
    }

    /// It is written down that a message is looked at, or not.
    pub(super) fn on_late_begins(
        &mut self,
        stored: &Unscreened,
        commit: &Commit,
        world: &mut World,
    ) {
        if matches!(commit, Commit::Applied { recipients: 1.. }) {
            return self.resume_late(stored, world);
        }
        self.let_go(stored.waiting.message.id, TRY_AGAIN_MILLIS, world);
    }

    fn let_go(&mut self, id: QueueId, millis: u64, world: &mut World) {
        self.lates.in_hand.remove(&id);
        self.plan_look(millis, world);
    }

    fn resume_late(&mut self, stored: &Unscreened, world: &mut World) {
        let id = stored.waiting.message.id;
        world.note(format_args!("{id} is screened after its 250"));
        let config = &self.setup.config;
        let rules = |listener: &str| self.setup.rules_of(listener);
        let resumed = Screening::resumed(stored, &config.screening, rules, &world.spool);
        let late = Late::of(stored);
        let mut screening = match resumed {
            Ok(screening) => screening,
            Err(NotResumed::Spool(error)) => {
                let now = world.moment();
                let outcome = late.clone().postponed(&error.to_string(), &self.setup, now);
                return write(late, outcome, world);
            }
            Err(NotResumed::Unknown) => {
                return world.violate(format!("what was known of {id} cannot be read"));
            }
        };
        let event = |scanner, finding| RelayEvent::LateScanned(id, scanner, finding);
        match ask_scanners(&mut screening, &config.hostname, event, world) {
            Err(trouble) => {
                let now = world.moment();
                let why = format!("{trouble:?}");
                let outcome = late.clone().postponed(&why, &self.setup, now);
                write(late, outcome, world);
            }
            Ok(asked) if asked.is_empty() => self.conclude_late(screening, world),
            Ok(asked) => {
                let asked = Asked { screening, asked };
                self.lates.in_hand.insert(id, Some(asked));
            }
        }
    }

    /// A scanner has answered about a message that was taken before.
    pub(super) fn on_late_scanned(
        &mut self,
        id: QueueId,
        scanner: &str,
        finding: Finding,
        world: &mut World,
    ) {
        let waits = self.lates.in_hand.get_mut(&id).and_then(Option::take);
        let Some(mut asked) = waits else {
            return world.count("answers of scanners that nobody waits for");
        };
        if !hear(&mut asked, id, scanner, finding, world) {
            self.lates.in_hand.insert(id, Some(asked));
            return;
        }
        let mut screening = asked.screening;
        match screening.on_scanners_done() {
            Ok(()) => self.conclude_late(screening, world),
            Err(trouble) => world.violate(format!("{id} cannot be read: {trouble:?}")),
        }
    }

    fn conclude_late(&mut self, screening: Screening, world: &mut World) {
        let Some(late) = screening.late().cloned() else {
            return world.violate("a message is screened late that is not".into());
        };
        let World {
            spool,
            random,
            clock,
            ..
        } = world;
        let judgement: Judgement = screening.run(&Signers::default(), spool, &mut || {
            random.queue_id(clock.now())
        });
        let now = world.moment();
        let outcome = late.clone().concluded(judgement, &self.setup, now);
        write(late, outcome, world);
    }

    /// What came of a message is written down, or not.
    pub(super) fn on_late_ends(
        &mut self,
        (late, outcome): (Late, LateOutcome),
        commit: Commit,
        world: &mut World,
    ) {
        let id = late.message().id;
        world.note(format_args!(
            "{id} after its 250: {:?}, {commit:?}",
            outcome.end
        ));
        match commit {
            Commit::Applied { recipients: 1.. } => {
                world.count("messages screened after their 250");
                if let Some(kept) = outcome.kept {
                    let event = queue::Event::Stored {
                        message: kept.message,
                        recipients: kept.recipients,
                        content: None,
                    };
                    self.tell(DispatchEvent::Queue(event), world);
                    let domains = Vec::new();
                    let due = queue::Event::MoreDue { domains };
                    self.tell(DispatchEvent::Queue(due), world);
                }
                for other in outcome.others {
                    let event = stored_event(other.message);
                    self.tell(DispatchEvent::Queue(event), world);
                }
            }
            Commit::Rejected(SpoolError::Invalid(_)) => {
                world.count("messages screened in vain");
            }
            _ => {
                self.lates.unwritten.insert(id);
            }
        }
        let is_full = matches!(world.spool.health(), Health::LowSpace { .. });
        let pause = if is_full {
            ROOM_MILLIS
        } else {
            TRY_AGAIN_MILLIS
        };
        self.let_go(id, pause, world);
    }

    /// A look that was planned for later is due.
    pub(super) fn on_look_late(&mut self, world: &mut World) {
        self.lates.looks = false;
        self.look_late(world);
    }
}

fn write(late: Late, outcome: LateOutcome, world: &mut World) {
    let change = outcome.change.clone();
    world.commit(change, Asker::LateEnds(Box::new((late, outcome))));
}

/// What the queue manager is told of a message that has yet to be looked at, when this is broken on
/// purpose.
pub(super) fn as_if_screened(event: &mut queue::Event, world: &World) {
    let queue::Event::Stored { recipients, .. } = event else {
        return;
    };
    let unscreened = RecipientState::Held(HoldReason::Unscreened);
    let recipients = recipients.iter_mut();
    for one in recipients.filter(|one| one.state == unscreened) {
        if world.is_broken_by(Sabotage::SendUnscreened) {
            one.state = RecipientState::Waiting;
        }
    }
}

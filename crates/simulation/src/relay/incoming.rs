//! Drives each [`engine::Incoming`] as the daemon does, with the stage's network, disk and clock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use admission::Slot;
use engine::{Action, Incoming, Setup};
use reception::{End as Ended, SessionFact};
use spool::{Spool, SpoolError};

use crate::disk::Disk;
use crate::event::{Answer, Answered, Inner};
use crate::link::{End, LinkId};
use crate::relay::arrival::{Pace, found_out};
use crate::relay::spoilt;
use crate::stage::Stage;

/// All incoming connections.
#[derive(Default)]
pub(crate) struct Callers {
    /// By the numbers of their sessions.
    by_session: BTreeMap<u64, Caller>,
    pace: Pace,
}

struct Caller {
    incoming: Incoming,
    slot: Option<Slot>,
    link: LinkId,
    /// Counts timers: only the last one set is believed.
    stamp: u64,
}

impl Callers {
    /// A client connects.
    pub(crate) fn on_connected(
        &mut self,
        (number, link): (u64, LinkId),
        address: IpAddr,
        setup: &Setup,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let Some(arrived) = self.pace.arrive(setup, number, address, stage) else {
            return stage.close(link, End::Ours);
        };
        let caller = Caller {
            incoming: Incoming::new(arrived.session, arrived.standing),
            slot: arrived.slot,
            link,
            stamp: 0,
        };
        self.by_session.insert(number, caller);
        self.go_on(number, disk, stage, |_| ());
    }

    /// Each session has one slot, whoever came and went.
    pub(crate) fn check_slots(&self, stage: &mut Stage) {
        let sessions = self.by_session.values();
        let with_slot = sessions.filter(|caller| caller.slot.is_some()).count();
        let taken = self.pace.slots_taken();
        if taken as usize != with_slot {
            let violation = format!("{taken} slots are taken by {with_slot} sessions");
            stage.ledger.violate(violation);
        }
    }

    pub(crate) fn on_octets(
        &mut self,
        session: u64,
        octets: &[u8],
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let now = stage.now();
        self.go_on(session, disk, stage, |caller| {
            caller.incoming.receive(octets, now);
        });
    }

    pub(crate) fn on_end(&mut self, session: u64, disk: &mut Disk, stage: &mut Stage) {
        self.go_on(session, disk, stage, |caller| caller.incoming.on_end());
    }

    pub(crate) fn on_timer(
        &mut self,
        session: u64,
        stamp: u64,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        self.go_on(session, disk, stage, |caller| {
            if caller.stamp == stamp {
                caller.incoming.on_timer();
            }
        });
    }

    pub(crate) fn on_answered(
        &mut self,
        session: u64,
        answer: Answered,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        self.go_on(session, disk, stage, |caller| match answer {
            Answered::Fact(answer) => caller.incoming.on_answer(answer),
            Answered::Written(written) => caller.incoming.on_written(written),
            Answered::Stored(stored) => caller.incoming.on_stored(stored),
        });
    }

    /// Something happens in a session, unless it is over; then it is served until it waits again.
    fn go_on(
        &mut self,
        session: u64,
        disk: &mut Disk,
        stage: &mut Stage,
        event: impl FnOnce(&mut Caller),
    ) {
        let Self { by_session, pace } = self;
        let Some(caller) = by_session.get_mut(&session) else {
            return;
        };
        event(caller);
        while let Some(action) = caller.incoming.next_action() {
            if caller.act(session, action, pace, disk, stage) {
                pace.leave(caller.slot.take());
                by_session.remove(&session);
                return;
            }
        }
    }
}

impl Caller {
    /// Whether that was the end.
    fn act(
        &mut self,
        session: u64,
        action: Action,
        pace: &mut Pace,
        disk: &mut Disk,
        stage: &mut Stage,
    ) -> bool {
        match action {
            Action::Log(fact) => log(session, &fact, stage),
            // The domains of this world have no lists of recipients.
            Action::Guessed => {}
            Action::Send(octets) => stage.write(self.link, End::Ours, &octets),
            Action::Timer(limit) => {
                self.stamp += 1;
                let (at, stamp) = (stage.now() + limit, self.stamp);
                stage.within_at(at, Inner::SessionTimer { session, stamp });
            }
            Action::Begin => {
                let id = stage.new_id();
                let health = stage.spool.health();
                self.incoming
                    .begin(id, &health, |standing| pace.begin(standing, stage));
            }
            Action::Ask(question) => {
                let answer = Answered::Fact(found_out(question, stage));
                let pause = stage.random.between(0, 300);
                stage.within(pause, Inner::Answered { session, answer });
            }
            // The relay of this world has neither certificate nor users, so it never offers these.
            Action::StartTls(_) | Action::SignIn(_) => self.incoming.on_handshake_failed(),
            Action::Write(write) => {
                stage.totals.count("pieces spilled to disk");
                let fails = stage.mishap(5);
                let written = if fails {
                    Err(SpoolError::Full)
                } else {
                    write.run(&stage.spool)
                };
                let (pause, answer) = (stage.random.between(0, 20), Answered::Written(written));
                stage.within(pause, Inner::Answered { session, answer });
            }
            Action::Store(storing) => {
                pace.carried(self.incoming.standing(), storing.recipients(), stage);
                let (mut change, pending) = storing.at(stage.now());
                spoilt::store(&mut change, stage);
                let session = spoilt::listener(session, &change, stage);
                let pending = Box::new(pending);
                disk.commit(change, Answer::Message { session, pending }, stage);
            }
            Action::Close { .. } => {
                stage.close(self.link, End::Ours);
                return true;
            }
        }
        false
    }
}

fn log(session: u64, fact: &SessionFact, stage: &mut Stage) {
    stage.note(format_args!("session {session}: {fact:?}"));
    if let SessionFact::Ended(summary) = fact
        && summary.end == Ended::TimedOut
    {
        stage.totals.count("sessions timed out");
    }
}

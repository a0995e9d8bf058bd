//! Drives each [`engine::Incoming`] as the daemon does, with the stage's network, disk and clock.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::Standing;
use engine::{Action, Incoming};
use mail::Client;
use reception::{End as Ended, Session, SessionFact, Settings};
use relay_policy::{Fact, Question};
use spool::{Spool, SpoolError};

use crate::disk::Disk;
use crate::event::{Answer, Answered, Inner};
use crate::geography;
use crate::link::{End, LinkId};
use crate::relay::spoilt;
use crate::stage::Stage;

/// All incoming connections, by the numbers of their sessions.
#[derive(Default)]
pub(crate) struct Callers(BTreeMap<u64, Caller>);

struct Caller {
    incoming: Incoming,
    link: LinkId,
    /// Counts timers: only the last one set is believed.
    stamp: u64,
}

impl Callers {
    pub(crate) fn on_connected(
        &mut self,
        session: Session,
        link: LinkId,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let number = session.number();
        let caller = Caller {
            incoming: Incoming::new(session, Standing::permitted()),
            link,
            stamp: 0,
        };
        self.0.insert(number, caller);
        self.go_on(number, disk, stage, |_| ());
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
        let Some(caller) = self.0.get_mut(&session) else {
            return;
        };
        event(caller);
        while let Some(action) = caller.incoming.next_action() {
            if caller.act(session, action, disk, stage) {
                self.0.remove(&session);
                return;
            }
        }
    }
}

impl Caller {
    /// Whether that was the end.
    fn act(&mut self, session: u64, action: Action, disk: &mut Disk, stage: &mut Stage) -> bool {
        match action {
            Action::Log(fact) => log(session, &fact, stage),
            // Everybody in this world goes as fast as they like.
            Action::Guessed => {}
            Action::Send(octets) => stage.write(self.link, End::Ours, &octets),
            Action::Timer(limit) => {
                self.stamp += 1;
                let (at, stamp) = (stage.now() + limit, self.stamp);
                stage.within_at(at, Inner::SessionTimer { session, stamp });
            }
            Action::Begin => {
                let id = stage.new_id();
                self.incoming.begin(id, &stage.spool.health(), |_| Ok(None));
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

/// What is found out about a client.
fn found_out(question: Question, stage: &mut Stage) -> relay_policy::Answer {
    stage.totals.count("facts asked for");
    let unknown = stage.mishap(20);
    match question {
        Question::ConfirmedName(_) if unknown => {
            relay_policy::Answer::ConfirmedName(Fact::CannotTell)
        }
        Question::ConfirmedName(address) => {
            let address = spoilt::asked_about(address, stage);
            relay_policy::Answer::ConfirmedName(geography::confirmed_name(address))
        }
        Question::Listings(_) => relay_policy::Answer::Listings(Arc::default()),
        Question::Recipient { mailbox, .. } => {
            relay_policy::Answer::Recipient(mailbox, Fact::CannotTell)
        }
    }
}

/// A session with a client at this address, as the listener sees it.
pub(super) fn session(
    number: u64,
    settings: &Arc<Settings>,
    address: IpAddr,
    listener: &Arc<str>,
) -> Session {
    let local = SocketAddr::from(([198, 18, 9, 9], 25));
    let peer = SocketAddr::new(address, 40_000);
    let client = Client::new(peer, local, Arc::clone(listener));
    Session::new(Arc::clone(settings), client, number)
}

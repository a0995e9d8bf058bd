//! Incoming connections: drives each [`reception::Session`] as the daemon does, with the stage's
//! network, disk and clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use mail::{Client, QueueId};
use reception::{Accepted, Event, Session, StoreTrouble};
use relay_policy::{Fact, Question};
use spool::{BodyWriter, Change, Content, Receipt, Spool};

use crate::disk::{Answer, Disk};
use crate::event::Inner;
use crate::geography;
use crate::network::{End, LinkId};
use crate::stage::Stage;

/// All sessions.
#[derive(Default)]
pub(crate) struct Door {
    callers: BTreeMap<u64, Caller>,
}

struct Caller {
    session: Session,
    link: LinkId,
    /// Arrived, and not yet taken by the session.
    kept: Vec<u8>,
    /// The client has closed its end.
    ended: bool,
    /// Our own side is to answer first.
    busy: bool,
    phase: Option<u32>,
    /// Counts timers: only the last one set is believed.
    stamp: u64,
    id: Option<QueueId>,
    body: Option<Box<dyn BodyWriter>>,
}

impl Door {
    /// A client is connected.
    pub(crate) fn on_connected(
        &mut self,
        number: u64,
        link: LinkId,
        client: Client,
        settings: Arc<reception::Settings>,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let caller = Caller {
            session: Session::new(settings, client, number),
            link,
            kept: Vec::new(),
            ended: false,
            busy: false,
            phase: None,
            stamp: 0,
            id: None,
            body: None,
        };
        self.callers.insert(number, caller);
        self.go_on(number, disk, stage);
    }

    pub(crate) fn on_octets(
        &mut self,
        number: u64,
        octets: &[u8],
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        if let Some(caller) = self.callers.get_mut(&number) {
            caller.kept.extend_from_slice(octets);
            self.go_on(number, disk, stage);
        }
    }

    pub(crate) fn on_end(&mut self, number: u64, disk: &mut Disk, stage: &mut Stage) {
        if let Some(caller) = self.callers.get_mut(&number) {
            caller.ended = true;
            self.go_on(number, disk, stage);
        }
    }

    pub(crate) fn on_timer(&mut self, number: u64, stamp: u64, disk: &mut Disk, stage: &mut Stage) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        if caller.stamp == stamp && !caller.busy {
            stage.totals.count("sessions timed out");
            caller.session.on_timeout();
            self.go_on(number, disk, stage);
        }
    }

    /// The answer to a question of the relay policy.
    pub(crate) fn on_fact(
        &mut self,
        number: u64,
        question: Question,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        stage.totals.count("facts asked for");
        let unknown = stage.mishap(20);
        let answer = match question {
            Question::ConfirmedName(_) if unknown => {
                relay_policy::Answer::ConfirmedName(Fact::CannotTell)
            }
            Question::ConfirmedName(address) => {
                relay_policy::Answer::ConfirmedName(geography::confirmed_name(address))
            }
            Question::Listings(_) => relay_policy::Answer::Listings(Default::default()),
            Question::Recipient { mailbox, .. } => {
                relay_policy::Answer::Recipient(mailbox, Fact::CannotTell)
            }
        };
        caller.busy = false;
        caller.session.on_fact(answer);
        self.go_on(number, disk, stage);
    }

    pub(crate) fn on_spilled(
        &mut self,
        number: u64,
        result: Result<(), StoreTrouble>,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        caller.busy = false;
        caller.session.content_taken(result);
        self.go_on(number, disk, stage);
    }

    pub(crate) fn on_stored(
        &mut self,
        number: u64,
        result: Result<Receipt, StoreTrouble>,
        disk: &mut Disk,
        stage: &mut Stage,
    ) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        caller.busy = false;
        caller.session.on_stored(result);
        self.go_on(number, disk, stage);
    }

    /// Serves a session until it waits for something.
    fn go_on(&mut self, number: u64, disk: &mut Disk, stage: &mut Stage) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        if caller.busy {
            return;
        }
        loop {
            caller.answer_events(disk, stage);
            caller.flush(stage);
            if caller.busy {
                return;
            }
            if caller.session.is_closed() {
                stage.close(caller.link, End::Ours);
                self.callers.remove(&number);
                return;
            }
            if !caller.kept.is_empty() && caller.session.wants_input() {
                let used = caller.session.receive(&caller.kept, stage.now());
                caller.kept.drain(..used);
            } else if caller.ended {
                caller.session.on_disconnected();
            } else {
                return caller.set_timer(number, stage);
            }
        }
    }
}

impl Caller {
    fn flush(&mut self, stage: &mut Stage) {
        let replies = std::mem::take(self.session.output());
        if !replies.is_empty() {
            stage.write(self.link, End::Ours, &replies);
        }
    }

    fn set_timer(&mut self, session: u64, stage: &mut Stage) {
        let time_limit = self.session.time_limit();
        if self.phase != Some(time_limit.phase) {
            self.phase = Some(time_limit.phase);
            self.stamp += 1;
            let at = stage.now() + time_limit.limit;
            stage.within_at(
                at,
                Inner::SessionTimer {
                    session,
                    stamp: self.stamp,
                },
            );
        }
    }

    fn answer_events(&mut self, disk: &mut Disk, stage: &mut Stage) {
        while !self.busy
            && let Some(event) = self.session.next_event()
        {
            let session = self.session.number();
            match event {
                Event::Log(fact) => stage.note(format_args!("session {session}: {fact:?}")),
                // The relay of this world has neither certificate nor users, so it never offers
                // these.
                Event::StartTls | Event::SignIn(_) => self.session.on_disconnected(),
                Event::Pause(_) => self.session.on_paused(),
                Event::Begin => {
                    let id = stage.new_id();
                    self.id = Some(id);
                    self.session
                        .begin_message(engine::admission(&stage.spool.health(), id));
                }
                Event::Ask(question) => {
                    self.flush(stage);
                    self.busy = true;
                    let pause = stage.random.between(0, 300);
                    stage.within(pause, Inner::Fact { session, question });
                }
                Event::Spill => {
                    let result = self.spill(stage);
                    self.busy = true;
                    let pause = stage.random.between(0, 20);
                    stage.within(pause, Inner::Spilled { session, result });
                }
                Event::Abandoned => self.body = None,
                Event::Message(accepted) => {
                    self.flush(stage);
                    self.store(*accepted, disk, stage);
                }
            }
        }
    }

    fn spill(&mut self, stage: &mut Stage) -> Result<(), StoreTrouble> {
        let piece = self.session.take_content();
        stage.totals.count("pieces spilled to disk");
        if stage.mishap(5) {
            return Err(StoreTrouble::Full);
        }
        let mut body = match (self.body.take(), self.id) {
            (Some(body), _) => body,
            (None, Some(id)) => stage.spool.open_body(id).map_err(|e| engine::trouble(&e))?,
            (None, None) => return Err(StoreTrouble::Failed),
        };
        body.write(&piece).map_err(|e| engine::trouble(&e))?;
        self.body = Some(body);
        Ok(())
    }

    fn store(&mut self, mut accepted: Accepted, disk: &mut Disk, stage: &mut Stage) {
        let session = self.session.number();
        self.busy = true;
        let rest = std::mem::take(&mut accepted.content);
        let content = match self.body.take() {
            None => Ok(Content::Inline(Bytes::from(rest))),
            Some(mut body) => body.write(&rest).and_then(|()| body.finish()),
        };
        match content {
            Ok(content) => {
                let message =
                    engine::new_message(accepted, self.session.client(), content, stage.now());
                let answer = Answer::Message {
                    session,
                    message: message.clone(),
                };
                disk.commit(Change::Store(message), answer, stage);
            }
            Err(error) => stage.within(
                0,
                Inner::Stored {
                    session,
                    result: Err(engine::trouble(&error)),
                },
            ),
        }
    }
}

/// A client at this address, as the listener sees it.
pub(crate) fn client(address: std::net::IpAddr, listener: &Arc<str>) -> Client {
    let local = SocketAddr::from(([198, 18, 9, 9], 25));
    Client::new(
        SocketAddr::new(address, 40_000),
        local,
        Arc::clone(listener),
    )
}

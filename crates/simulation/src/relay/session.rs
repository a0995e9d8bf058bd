//! Incoming connections: leads each client to its greeting and drives an [`engine::Incoming`], as
//! the daemon does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::{Rates, Slot, Subject};
use engine::dispatch::Event;
use engine::{
    Action, Agent, Arrival, ArrivalStep, Coming, Incoming, Order, Pending, Setup, SignInOutcome,
    SignInStep, Storing, TurnedAway, wrong_sign_in,
};
use mail::{Client, Place, QueueId, Timestamp, TlsFacts};
use reception::{End, SessionFact};
use relay_policy::{Answer, Consulted, Fact, Familiar, Greylisted, Question, Requested, Rights};
use sign_in::Account;
use spool::{Spool, SpoolError};

use super::scanning::Scanning;
use super::{Relay, sabotage};
use crate::Sabotage;
use crate::domains::{self, Class};
use crate::fetcher;
use crate::settings::FETCHER;
use crate::world::{Asker, RelayEvent, SocketId, World};

/// One incoming connection.
pub(super) struct Session {
    pub(super) incoming: Incoming,
    slot: Option<Slot>,
    pub(super) socket: SocketId,
    /// The configuration under which it began.
    pub(super) setup: Arc<Setup>,
    /// Its message, while scanners look at it.
    pub(super) scanning: Option<Box<Scanning>>,
    /// When it has had its time.
    deadline: Option<Timestamp>,
    /// The name of its message, where it has one already.
    id: Option<QueueId>,
    /// Who brings the client its mail, once the session is over.
    pub(super) hired: Option<Hired>,
}

/// Who brings a client its mail once its session is over, and what he has heard until then.
pub(super) struct Hired {
    pub(super) agent: Agent,
    pub(super) orders: Vec<Order>,
}

impl Relay {
    /// A client connects.
    pub(crate) fn on_connected(&mut self, socket: SocketId, address: IpAddr, world: &mut World) {
        match self.arrive(socket, address, world) {
            Some(session) => {
                self.sessions.insert(socket, session);
                self.serve(socket, world, |_| ());
            }
            None => world.close(socket),
        }
    }

    /// Leads a client to its greeting, or to what it hears in its place; none when nobody listens.
    fn arrive(&mut self, socket: SocketId, address: IpAddr, world: &mut World) -> Option<Session> {
        let config = &self.setup.config;
        let listener = config.listeners.first()?;
        let settings = Arc::clone(self.setup.sessions.get(&listener.name)?);
        let peer = SocketAddr::new(address, 40_000);
        let client = Client::new(peer, *listener.binds.first()?, Arc::clone(&listener.name));
        let (number, limits) = (socket as u64, &config.limits.admission);
        let mut arrival = Arrival::new(settings, listener.implicit_tls, client, number, limits);
        let mut slot = None;
        loop {
            match arrival.next_step() {
                ArrivalStep::TakeSlot => {
                    let (name, standing) = (&listener.name, arrival.standing());
                    let client = Subject::client(address);
                    let taken = self.slots.take(name, client, standing, &listener.slots);
                    arrival.on_slot(taken.map(|taken| slot = Some(taken)));
                }
                ArrivalStep::Ask(question) => arrival.on_fact(find_out(question, world)),
                ArrivalStep::Count => {
                    let (standing, now) = (arrival.standing(), world.clock.elapsed());
                    let counted = self.rates.connect(standing, now);
                    arrival.on_counted(counted);
                }
                ArrivalStep::Log(why) => {
                    world.note(format_args!("session {socket}: {why:?}"));
                    world.count(match why {
                        TurnedAway::Busy(..) => "clients without a slot",
                        TurnedAway::TooOften(..) => "clients turned away for their rate",
                        TurnedAway::ByRule(..) | TurnedAway::Early => "clients turned away by rule",
                    });
                }
                // Nobody in this world speaks before it is greeted.
                ArrivalStep::Listen(_) => arrival.on_listened(true),
                ArrivalStep::Serve => {
                    let (session, standing) = arrival.into_session();
                    return Some(Session {
                        incoming: Incoming::new(session, standing)
                            .screened_by(Arc::clone(&config.screening)),
                        setup: Arc::clone(&self.setup),
                        slot,
                        socket,
                        scanning: None,
                        deadline: None,
                        id: None,
                        hired: None,
                    });
                }
                // The relay of this world has no certificate.
                ArrivalStep::Encrypt | ArrivalStep::Leave => return None,
            }
        }
    }

    /// Something happens in a session, unless it is over; then it is served until it waits again.
    pub(super) fn serve(
        &mut self,
        socket: SocketId,
        world: &mut World,
        event: impl FnOnce(&mut Session),
    ) {
        let Some(session) = self.sessions.get_mut(&socket) else {
            return;
        };
        event(session);
        let mut asked = false;
        while let Some(action) = session.incoming.next_action() {
            match action {
                Action::Close { .. } => return self.end_session(socket, world),
                Action::TurnAround(requested) => {
                    let now = world.now();
                    let client = session.incoming.client().clone();
                    let agent = self.dispatch.call(now, &requested, &client);
                    session.hired = agent.map(|agent| Hired {
                        agent,
                        orders: Vec::new(),
                    });
                    session.turn_around(&requested, world);
                    asked = true;
                }
                Action::Start(wanted) => {
                    let waits = self.dispatch.ask(world.now(), &wanted);
                    let now = world.now();
                    world.checker.on_asked(waits, now);
                    session.incoming.on_started(waits);
                    asked = true;
                }
                action => session.act(action, &mut self.rates, world),
            }
        }
        if asked {
            self.plan_turn(world.now(), world);
        }
    }

    /// The connection closes, unless somebody goes on with it.
    fn end_session(&mut self, socket: SocketId, world: &mut World) {
        let Some(mut session) = self.sessions.remove(&socket) else {
            return;
        };
        if let Some(slot) = session.slot.take() {
            self.slots.give_back(slot);
        }
        let heard = session.incoming.is_heard();
        match session.hired.take() {
            Some(hired) if heard => {
                world.count("mail fetched on a connection of its own");
                return self.start_caller(hired, socket, world);
            }
            Some(hired) => {
                world.count("fetchers gone before their mail came");
                let (agent, in_order) = (hired.agent.id(), false);
                world.checker.on_never_started(agent);
                let left = Event::AgentLeft { agent, in_order };
                world.within(20, RelayEvent::Dispatch(left));
            }
            None => {}
        }
        world.close(socket);
    }

    /// Each session has one slot, whoever came and went.
    pub(super) fn check_slots(&self, world: &mut World) {
        // Those about files have none.
        let sessions = self.sessions.values();
        let with_slot = sessions.filter(|session| session.slot.is_some()).count();
        let taken = self.slots.count();
        if taken as usize != with_slot {
            world.violate(format!("{taken} slots are taken by {with_slot} sessions"));
        }
    }
}

impl Session {
    /// One about a file that was taken under this id.
    pub(super) fn of_file(
        incoming: Incoming,
        setup: Arc<Setup>,
        socket: SocketId,
        id: QueueId,
    ) -> Self {
        Self {
            incoming,
            slot: None,
            socket,
            scanning: None,
            setup,
            deadline: None,
            id: Some(id),
            hired: None,
        }
    }

    pub(super) fn on_time(&mut self, now: Timestamp) {
        if self.deadline.take_if(|deadline| *deadline == now).is_some() {
            self.incoming.on_timer();
        }
    }

    fn act(&mut self, action: Action, rates: &mut Rates, world: &mut World) {
        let socket = self.socket;
        match action {
            Action::Log(fact) => {
                world.note(format_args!("session {socket}: {fact:?}"));
                if matches!(fact, SessionFact::Ended(summary) if summary.end == End::TimedOut) {
                    world.count("sessions timed out");
                }
            }
            Action::Said(said) => world.note(format_args!("session {socket}: {said:?}")),
            // The domains of this world have no lists of recipients.
            Action::Guessed => {}
            Action::Send(octets) => world.write(socket, &octets),
            Action::Timer(limit) => {
                let deadline = world.now() + limit;
                self.deadline = Some(deadline);
                world.clock.at(deadline, RelayEvent::SessionTimer(socket));
            }
            Action::Begin => {
                let id = self.id.take().unwrap_or_else(|| world.new_id());
                let health = world.spool.health();
                // Nobody waits for it here.
                let coming = Coming::new(&Arc::default());
                self.incoming.begin(id, &health, coming, |standing| {
                    let begun = rates.begin(standing, world.clock.elapsed());
                    if begun.is_err() {
                        world.count("messages postponed for their rate");
                    }
                    begun
                });
            }
            Action::Ask(question) => {
                let found = find_out(question, world);
                world.answer(socket, 300, |incoming| incoming.on_answer(found));
            }
            Action::StartTls(_) if world.fails(10) => self.incoming.on_handshake_failed(),
            Action::StartTls(_) => self.incoming.on_encrypted(encryption()),
            Action::SignIn(step) => {
                let outcome = sign_in(&step);
                let limits = &self.setup.config.limits.admission;
                self.incoming.on_sign_in(outcome, limits);
            }
            Action::Write(write) => {
                world.count("pieces spilled to disk");
                let written = if world.fails(5) {
                    Err(SpoolError::Full)
                } else {
                    write.run(&world.spool)
                };
                world.answer(socket, 20, |incoming| incoming.on_written(written));
            }
            Action::Screen(screening) => self.screen(*screening, world),
            Action::Store(messages) => self.store(messages, rates, world),
            // The relay does these: the last of all, which ends the session, among them.
            Action::Start(_) | Action::TurnAround(_) | Action::Close { .. } => {}
        }
    }

    /// The client hears whether it gets its mail now.
    fn turn_around(&mut self, requested: &Requested, world: &mut World) {
        let (waits, now) = (self.hired.is_some(), world.now());
        world.note(format_args!("session {}: {requested}", self.socket));
        world.checker.on_asked(waits, now);
        world.answer(self.socket, 300, move |incoming| {
            incoming.on_turned_around(waits)
        });
    }

    fn store(&self, messages: Vec<Storing>, rates: &mut Rates, world: &mut World) {
        let recipients = messages.iter().map(Storing::recipients).sum();
        let bounces = messages.iter().map(Storing::bounces).sum();
        let standing = self.incoming.standing();
        rates.carried(standing, recipients, bounces, world.clock.elapsed());
        let (mut change, pending) = Pending::new(messages, world.now(), self.setup.routes());
        sabotage::store(&mut change, world);
        let listener = sabotage::listener(self.socket, &change, world);
        world.commit(change, Asker::Session(listener, Box::new(pending)));
    }
}

/// What a handshake comes to: this world has no cryptography.
fn encryption() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}

/// The one user of this world is who fetches mail.
fn sign_in(step: &SignInStep) -> SignInOutcome {
    match step {
        SignInStep::Begin {
            initial: Some(initial),
            ..
        } if fetcher::is_right(initial) => SignInOutcome::Welcome(Account {
            name: FETCHER.into(),
            rights: Arc::new(Rights {
                may_relay: false,
                senders: Box::default(),
                only_to: Box::default(),
                place: Place::Default,
            }),
            messages_per_hour: None,
            recipients_per_hour: None,
        }),
        SignInStep::Begin { .. } | SignInStep::GoOn { .. } => {
            SignInOutcome::Refused(wrong_sign_in().into())
        }
    }
}

/// What is found out about a client.
fn find_out(question: Question, world: &mut World) -> Answer {
    world.count("facts asked for");
    let unknown = world.fails(20);
    match question {
        Question::ConfirmedName(_) if unknown => Answer::ConfirmedName(Fact::CannotTell),
        Question::ConfirmedName(mut address) => {
            if world.is_broken_by(Sabotage::SwapAnswers) {
                address = Class::Friend.address(0);
            }
            Answer::ConfirmedName(domains::confirmed_name(address))
        }
        Question::Listings(_) => Answer::Listings(Arc::default()),
        Question::Recipient { mailbox, .. } => Answer::Recipient(mailbox, Fact::CannotTell),
        // No world has it switched on.
        Question::Consult(_) => Answer::Consulted(Consulted::Passes),
        Question::Greylist(_) => Answer::Greylist(Greylisted::Passes(Familiar::Triplet)),
    }
}

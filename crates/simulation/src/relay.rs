//! One life of the relay: everything that a crash forgets, joined as the daemon joins it.

mod agent;
mod late;
mod manager;
mod pickup;
mod sabotage;
mod scanning;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use admission::{Rates, Slots};
use engine::Setup;
use engine::dispatch::{Dispatch, Event as DispatchEvent};
use filter::Filter;
use mail::Timestamp;
use queue::AgentId;
use spool::{Bulk, Change, Commit, Spool};

use self::agent::AgentTask;
use self::late::{Lates, as_if_screened};
use self::pickup::Passage;
use self::session::Session;
use crate::Sabotage;
use crate::world::{Asker, Event, RelayEvent, SocketId, World};

pub(crate) struct Relay {
    setup: Arc<Setup>,
    sessions: BTreeMap<SocketId, Session>,
    slots: Slots,
    rates: Rates,
    dispatch: Dispatch,
    /// What is on its way to the queue manager.
    inbox: VecDeque<DispatchEvent>,
    /// When the manager's next turn is entered.
    next_turn: Option<Timestamp>,
    agents: BTreeMap<AgentId, AgentTask>,
    /// Files on their way to sessions, by their ends of the connections.
    passages: BTreeMap<SocketId, Passage>,
    /// A part of the administrator's operations is planned, or under way.
    advancing: bool,
    /// Messages that are looked at after their 250.
    lates: Lates,
    /// The newest agent: one with a number up to this was started before.
    newest: AgentId,
}

impl Relay {
    /// Starts it on what the spool holds.
    pub(crate) fn start(setup: Arc<Setup>, world: &mut World) -> Self {
        let mut relay = Self {
            dispatch: Dispatch::new(Arc::clone(&setup), world.random.next()),
            setup,
            sessions: BTreeMap::new(),
            slots: Slots::default(),
            rates: Rates::default(),
            inbox: VecDeque::new(),
            next_turn: None,
            agents: BTreeMap::new(),
            passages: BTreeMap::new(),
            advancing: sabotage::abandons(world),
            lates: Lates::default(),
            newest: 0,
        };
        let domains = world.spool.domains().unwrap_or_default();
        let started = queue::Event::Started { domains };
        relay.tell(DispatchEvent::Queue(started), world);
        relay.plan_advance(1_000, world);
        Self::look_into_folder(world);
        relay.plan_look(1_000, world);
        world.look_after_disk();
        relay
    }

    /// New routes; everything else goes on.
    pub(crate) fn reload(&mut self, setup: Arc<Setup>, world: &mut World) {
        self.setup = Arc::clone(&setup);
        self.tell(DispatchEvent::Reloaded(setup), world);
        self.tell_changed(world);
    }

    /// The administrator says a wish.
    pub(crate) fn on_operator(&mut self, number: usize, world: &mut World) {
        let wish = world.checker.wish_of(number);
        let now = world.now();
        world.note(format_args!("the operator: {:?} {wish}", wish.verb));
        let filter = Filter::parse(&wish.to_string(), now);
        let filter = filter.unwrap_or_else(|why| panic!("{why}"));
        let mut bulk = Bulk {
            verb: wish.verb,
            filter,
            at: now,
            by: number.to_string().into(),
            reason: None,
            route: wish.route.map(Into::into),
        };
        sabotage::begin(&mut bulk, world);
        world.commit(Change::Begin(bulk), Asker::Operator(number));
    }

    /// Octets, or the end of them, arrive on a connection.
    pub(crate) fn on_arrival(&mut self, socket: SocketId, octets: Vec<u8>, world: &mut World) {
        let now = world.now();
        self.on_octets(socket, &octets, world);
        // Where a connection is broken for both, that is heard before anybody reads.
        let session = self.sessions.get_mut(&socket);
        let breaks = octets.is_empty() && session.is_some() && world.fails(50);
        if breaks && session.is_some_and(|session| session.gives_up(None)) {
            world.count("sessions broken while scanners were asked");
            return self.serve(socket, world, |session| session.incoming.on_broken());
        }
        self.serve(socket, world, |session| {
            if octets.is_empty() {
                session.incoming.on_end();
            } else {
                session.incoming.receive(&octets, now);
            }
        });
    }

    /// Something happens within.
    pub(crate) fn on_event(&mut self, event: RelayEvent, world: &mut World) {
        match event {
            RelayEvent::Turn => self.on_turn(world),
            RelayEvent::Dispatch(event) => self.tell(event, world),
            RelayEvent::Order(agent, order) => self.on_order(agent, order, world),
            RelayEvent::Advance => {
                let now = world.now();
                world.commit(Change::Advance { now }, Asker::Operations);
            }
            RelayEvent::Write => world.on_write(),
            RelayEvent::Written(told) => {
                for (asker, commit) in told {
                    self.on_written(asker, commit, world);
                }
            }
            RelayEvent::Heal => {
                if world.on_heal() {
                    self.tell_changed(world);
                }
            }
            RelayEvent::PickUp(number) => self.pick_up(number, world),
            RelayEvent::FolderSynced => world.folder.sync(),
            RelayEvent::Session(socket, answer) => {
                self.serve(socket, world, |session| answer(&mut session.incoming));
            }
            RelayEvent::Scanned(socket, id, scanner, finding) => {
                self.on_scanned((socket, id), &scanner, finding, world);
            }
            RelayEvent::LookLate => self.on_look_late(world),
            RelayEvent::LateScanned(id, scanner, finding) => {
                self.on_late_scanned(id, &scanner, finding, world);
            }
            RelayEvent::Killed(socket, id) => self.on_killed(socket, id, world),
            RelayEvent::SessionTimer(socket) => {
                let now = world.now();
                self.serve(socket, world, |session| session.on_time(now));
            }
            RelayEvent::Agent(agent, wait, answer) => self.on_answer(agent, wait, answer, world),
            RelayEvent::AgentTimer(agent) => self.on_agent_timer(agent, world),
        }
    }

    fn on_written(&mut self, asker: Asker, commit: Commit, world: &mut World) {
        match asker {
            Asker::Session(session, pending) => {
                let (stored, acceptances) = sabotage::on_commit(*pending, commit, world);
                for acceptance in acceptances {
                    if acceptance.unscreened_by.is_some() {
                        world.count("messages taken before they were screened");
                        self.plan_look(500, world);
                    }
                    let mut event = acceptance.into_event();
                    as_if_screened(&mut event, world);
                    self.tell(DispatchEvent::Queue(event), world);
                }
                world.answer(session, 5, |incoming| incoming.on_stored(stored));
            }
            Asker::Operator(number) => self.on_said(number, &commit, world),
            Asker::Operations => {
                let commit = sabotage::on_part(commit, world);
                self.on_part(commit, world);
            }
            Asker::Filing => {
                let ok = matches!(commit, Commit::Applied { .. });
                let filed = queue::Event::Filed { ok };
                self.tell(DispatchEvent::Queue(filed), world);
            }
            Asker::LateBegins(stored) => self.on_late_begins(&stored, &commit, world),
            Asker::LateEnds(ends) => {
                let commit = sabotage::on_late_ends(&ends, commit, world);
                self.on_late_ends(*ends, commit, world);
            }
            Asker::Dispatch(number) => self.on_settled(number, commit, world),
        }
    }

    /// The administrator hears what became of his word.
    fn on_said(&mut self, number: usize, commit: &Commit, world: &mut World) {
        self.plan_advance(1_000, world);
        if !matches!(commit, Commit::Begun(_)) {
            // In doubt he says it again; nobody has told of it that it may be pending.
            return world.after(30_000, Event::Operator(number));
        }
        world.count("verbs of the operator");
        let withholds = world.checker.wish_of(number).verb.withholds();
        if withholds && !world.is_broken_by(Sabotage::SendWithheld) {
            self.tell(DispatchEvent::Queue(queue::Event::Withheld), world);
        }
    }

    /// A part of what the administrator wants, some time from now, unless one is planned.
    fn plan_advance(&mut self, millis: u64, world: &mut World) {
        if !std::mem::replace(&mut self.advancing, true) {
            world.within(millis, RelayEvent::Advance);
        }
    }

    fn on_part(&mut self, commit: Commit, world: &mut World) {
        self.advancing = false;
        match commit {
            Commit::Advanced(None) => {}
            Commit::Advanced(Some(part)) => {
                world.checker.on_part_told(&part);
                let is_first = part.is_first();
                let operation = part.operation;
                world.count("parts of operations");
                if operation.ended.is_some() || is_first && operation.bulk.verb.makes_due() {
                    let domains = world.spool.domains().unwrap_or_default();
                    let news = queue::Event::of_operation(operation.bulk.verb, domains);
                    self.tell(DispatchEvent::Queue(news), world);
                }
                self.plan_advance(60_000, world);
            }
            _ => self.plan_advance(2_000, world),
        }
    }

    /// What is in the spool is to be looked at anew.
    fn tell_changed(&mut self, world: &mut World) {
        let domains = world.spool.domains().unwrap_or_default();
        let changed = queue::Event::Changed { domains };
        self.tell(DispatchEvent::Queue(changed), world);
    }

    /// No more connections than the configuration allows, and no slot without its session.
    pub(crate) fn check_limits(&self, world: &mut World) {
        self.check_slots(world);
        let mut sites: BTreeMap<&str, u32> = BTreeMap::new();
        // Who fetches mail has come with a connection of his own.
        let ours = self.agents.values();
        let ours = ours.filter(|task| !task.site().starts_with("atrn:"));
        for task in ours.clone() {
            *sites.entry(task.site()).or_default() += 1;
        }
        let limits = &self.setup.config.queue;
        for (site, agents) in sites {
            if agents > limits.site_connections_max {
                world.violate(format!("{agents} connections to {site}"));
            }
        }
        let all = ours.count();
        if all > limits.connections_max as usize {
            world.violate(format!("{all} connections in all"));
        }
    }

    /// When all is quiet nothing is left in memory.
    pub(crate) fn check_quiet(&self, world: &mut World) {
        let counts = self.dispatch.counts();
        if counts.agents + counts.active_recipients + counts.ready + counts.settling > 0 {
            world.violate(format!("the queue is not quiet: {counts:?}"));
        }
    }
}

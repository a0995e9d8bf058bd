//! What everybody in a run has to do with: time, chance, connections, the disk, and the checker of
//! all that happens.

mod clock;
mod disk;
mod event;
mod folder;
mod network;

use std::fmt::Display;
use std::net::IpAddr;

use engine::Incoming;
use mail::{QueueId, Timestamp};
use spool::Model;

use self::clock::Clock;
use self::disk::Disk;
pub(crate) use self::event::{Asker, Event, Hearing, RelayEvent};
use self::folder::Folder;
use self::network::Socket;
pub(crate) use self::network::{Owner, SocketId, peer};
use crate::checker::Checker;
use crate::random::Random;
use crate::{Plan, Sabotage};

/// See the module's own words.
pub(crate) struct World {
    plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) spool: Model,
    pub(crate) checker: Checker,
    /// By their numbers.
    sockets: Vec<Socket>,
    disk: Disk,
    pub(crate) folder: Folder,
    /// Everything may fail. This ends at some time, and from then on nothing does.
    pub(crate) faulty: bool,
    /// So many of a hundred commits go wrong meanwhile. None in some runs: a healed disk makes the
    /// queue look at everything anew.
    disk_faults_percent: u64,
    /// Servers that do not answer meanwhile.
    pub(crate) down: Vec<IpAddr>,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        Self {
            plan,
            clock: Clock::default(),
            disk_faults_percent: *random.pick(&[0, 0, 3, 6]),
            random,
            spool: Model::new(),
            checker: Checker::default(),
            sockets: Vec::new(),
            disk: Disk::default(),
            folder: Folder::default(),
            faulty: true,
            down: Vec::new(),
        }
    }

    /// The relay's clocks agree in this world.
    pub(crate) fn moment(&self) -> queue::Moment {
        queue::Moment::of(self.now())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether this goes wrong now, as it does in so many of a hundred cases while there are
    /// faults.
    pub(crate) fn fails(&mut self, percent: u64) -> bool {
        self.faulty && self.random.chance(percent)
    }

    /// Whether this run is broken on purpose, in this way.
    pub(crate) fn is_broken_by(&self, sabotage: Sabotage) -> bool {
        self.plan.sabotage == Some(sabotage)
    }

    /// Something that happens so many milliseconds from now.
    pub(crate) fn after(&mut self, millis: u64, event: impl Into<Event>) {
        self.clock.after(millis, event.into());
    }

    /// The same, at some moment before so many milliseconds have passed.
    pub(crate) fn within(&mut self, millis: u64, event: impl Into<Event>) {
        let pause = self.random.between(0, millis);
        self.after(pause, event);
    }

    /// A session hears something within so many milliseconds.
    pub(crate) fn answer(
        &mut self,
        session: SocketId,
        millis: u64,
        answer: impl FnOnce(&mut Incoming) + 'static,
    ) {
        self.within(millis, RelayEvent::Session(session, Box::new(answer)));
    }

    pub(crate) fn new_id(&mut self) -> QueueId {
        self.random.queue_id(self.clock.now())
    }

    /// The relay dies: its ends of connections close, and the spool keeps what was committed.
    pub(crate) fn crash(&mut self) {
        self.count("crashes");
        self.note("the relay dies");
        self.close_all();
        self.clock.forget(|event| matches!(event, Event::Relay(_)));
        self.checker.on_crash();
        self.checker.pace.on_crash(self.sockets.len());
        self.folder.crash(&mut self.random);
        self.crash_disk();
    }

    /// This happened once more.
    pub(crate) fn count(&mut self, what: &'static str) {
        self.checker.totals.count(what);
    }

    /// A rule was broken.
    pub(crate) fn violate(&mut self, what: String) {
        self.checker.violate(what);
    }

    /// A line of the trace.
    pub(crate) fn note(&self, line: impl Display) {
        if self.plan.trace {
            println!("{} {line}", self.now());
        }
    }
}

//! One life of the relay: everything that a crash forgets, joined as the daemon joins it.

mod arrival;
mod incoming;
mod spoilt;

use std::net::IpAddr;
use std::sync::Arc;

use engine::Setup;
use engine::dispatch::Event;
use filter::Filter;
use spool::{Bulk, Change, Commit, Spool, Verb};

use crate::Sabotage;
use crate::disk::Disk;
use crate::dispatch::Agents;
use crate::dispatch::{self, QueueManager};
use crate::event::{Answer, Answered, Event as World, Inner};
use crate::geography::{Class, Policy};
use crate::link::LinkId;
use crate::network::{Parties, Piece};
use crate::relay::incoming::Callers;
use crate::server::Servers;
use crate::stage::Stage;

pub(crate) struct Relay {
    setup: Arc<Setup>,
    disk: Disk,
    callers: Callers,
    manager: QueueManager,
    agents: Agents,
}

impl Relay {
    /// Starts it on what the spool holds.
    pub(crate) fn start(policy: &Policy, variant: u32, stage: &mut Stage) -> Self {
        let setup = Arc::new(setup(policy, variant, stage.sabotage));
        let manager = QueueManager::new(&setup, stage);
        let mut disk = Disk::default();
        disk.look_after(stage);
        Self {
            setup,
            disk,
            callers: Callers::default(),
            manager,
            agents: Agents::default(),
        }
    }

    /// New routes; everything else goes on.
    pub(crate) fn reload(&mut self, policy: &Policy, variant: u32, stage: &mut Stage) {
        self.setup = Arc::new(setup(policy, variant, stage.sabotage));
        let domains = stage.spool.domains().unwrap_or_default();
        let changed = Event::Queue(queue::Event::Changed { domains });
        for event in [Event::Reloaded(Arc::clone(&self.setup)), changed] {
            self.manager.tell(event, stage);
        }
    }

    /// An administrator's verb for all mail to a host.
    pub(crate) fn on_operator(&mut self, host: &'static str, verb: Verb, stage: &mut Stage) {
        stage.note(format_args!("the operator: {verb:?} {host}"));
        let filter = Filter::parse(&format!("to:*@{host}"), stage.now());
        let filter = filter.unwrap_or_else(|why| panic!("{why}"));
        let due = stage.now();
        let change = Change::Bulk(Bulk { verb, filter, due });
        self.disk
            .commit(change, Answer::Operator { host, verb }, stage);
    }

    /// It dies. The spool keeps what was committed.
    pub(crate) fn crash(self, stage: &mut Stage) {
        self.disk.crash(stage);
    }

    /// A client connects.
    pub(crate) fn on_connected(
        &mut self,
        session: u64,
        link: LinkId,
        address: IpAddr,
        stage: &mut Stage,
    ) {
        let open = stage.sabotage == Some(Sabotage::OpenRelay);
        let address = if open {
            Class::Listed.address(0)
        } else {
            address
        };
        let (setup, disk) = (&self.setup, &mut self.disk);
        self.callers
            .on_connected((session, link), address, setup, disk, stage);
    }

    /// Something arrives on a connection.
    pub(crate) fn on_arrival(
        &mut self,
        link: LinkId,
        parties: Parties,
        piece: Piece,
        stage: &mut Stage,
    ) {
        let Self {
            disk,
            callers,
            manager,
            agents,
            ..
        } = self;
        match (parties, piece) {
            (Parties::Incoming { session, .. }, Piece::Octets(octets)) => {
                callers.on_octets(session, &octets, disk, stage);
            }
            (Parties::Incoming { session, .. }, Piece::End) => {
                callers.on_end(session, disk, stage);
            }
            (Parties::Outgoing { agent }, Piece::Octets(octets)) => {
                agents.on_octets((agent, link), octets, manager, stage);
            }
            (Parties::Outgoing { agent }, Piece::End) => {
                agents.on_end((agent, link), manager, stage);
            }
        }
    }

    /// Something happens within.
    pub(crate) fn on_inner(&mut self, event: Inner, servers: &mut Servers, stage: &mut Stage) {
        let Self {
            disk,
            callers,
            manager,
            agents,
            ..
        } = self;
        match event {
            Inner::Dispatch => manager.on_turn(agents, disk, stage),
            Inner::Tell(event) => manager.tell(event, stage),
            Inner::ReadDue {
                host,
                before,
                limit,
            } => dispatch::read_due(host, before, limit, stage),
            Inner::Compose {
                number,
                composition,
            } => manager.on_compose(number, &composition, stage),
            Inner::Order { agent, order } => agents.on_order(agent, order, manager, stage),
            Inner::Agent { agent, stamp } => {
                agents.on_woken(agent, stamp, servers, manager, stage);
            }
            Inner::Write => disk.on_write(stage),
            Inner::Written(answers) => {
                for (answer, commit) in answers {
                    on_written(answer, commit, manager, stage);
                }
            }
            Inner::Heal => {
                if disk.on_heal(stage) {
                    tell_changed(manager, stage);
                }
            }
            Inner::SessionTimer { session, stamp } => {
                callers.on_timer(session, stamp, disk, stage);
            }
            Inner::Answered { session, answer } => {
                callers.on_answered(session, answer, disk, stage);
            }
        }
    }

    /// The disk may look after itself: its room has changed.
    pub(crate) fn on_space(&mut self, stage: &mut Stage) {
        self.disk.look_after(stage);
    }

    /// No more connections than the configuration allows, and no slot without its session.
    pub(crate) fn check_limits(&self, policy: &Policy, stage: &mut Stage) {
        self.callers.check_slots(stage);
        let sites = self.agents.by_site();
        let all: u32 = sites.values().sum();
        for (site, agents) in sites {
            if agents > policy.site_connections_max {
                stage
                    .ledger
                    .violate(format!("{agents} connections to {site}"));
            }
        }
        if all > policy.connections_max {
            stage.ledger.violate(format!("{all} connections in all"));
        }
    }

    /// When all is quiet nothing is left in memory.
    pub(crate) fn check_quiet(&self, stage: &mut Stage) {
        let counts = self.manager.counts();
        if counts.agents + counts.active_recipients + counts.ready + counts.settling > 0 {
            stage
                .ledger
                .violate(format!("the queue is not quiet: {counts:?}"));
        }
    }
}

fn setup(policy: &Policy, variant: u32, sabotage: Option<Sabotage>) -> Setup {
    let mut setup = Setup::new(policy.config(variant));
    if policy.cramped {
        setup.queue.ready_per_site_max = 4;
        setup.queue.ready_max = 6;
        setup.queue.load_batch = 3;
        setup.queue.content_bytes_max = 2_000;
    }
    if sabotage == Some(Sabotage::IgnoreLimits) {
        setup.queue.site_connections_max = 50;
    }
    setup
}

fn on_written(answer: Answer, commit: Commit, manager: &mut QueueManager, stage: &mut Stage) {
    match answer {
        Answer::Message { session, pending } => {
            let (stored, acceptance) = spoilt::on_commit(*pending, commit, stage);
            if let Some(acceptance) = acceptance {
                manager.tell(Event::Queue(acceptance.into_event()), stage);
            }
            let pause = stage.random.between(0, 5);
            let answer = Answered::Stored(stored);
            stage.within(pause, Inner::Answered { session, answer });
        }
        Answer::Operator { host, verb } => match commit {
            Commit::Applied { more: false, .. } => {
                stage.totals.count("verbs of the operator");
                tell_changed(manager, stage);
            }
            Commit::Applied { more: true, .. }
            | Commit::Stored(_)
            | Commit::Rejected(_)
            | Commit::Unknown(_) => {
                let again = World::Operator { host, verb };
                stage.clock.after_millis(30_000, again);
            }
        },
        Answer::Settlement { number } => manager.on_committed(number, commit, stage),
    }
}

/// What is in the spool is to be looked at anew.
fn tell_changed(manager: &mut QueueManager, stage: &mut Stage) {
    let domains = stage.spool.domains().unwrap_or_default();
    let changed = Event::Queue(queue::Event::Changed { domains });
    manager.tell(changed, stage);
}

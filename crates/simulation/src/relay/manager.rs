//! The queue manager: drives an [`engine::dispatch::Dispatch`], which hears of everything late and
//! in turns.

use std::sync::Arc;
use std::time::Duration;

use engine::dispatch::{Action, Event, Fact};
use engine::{Agent, Order};
use filter::Filter;
use mail::Timestamp;
use queue::{AgentId, Job, Moment};
use route::Hours;
use spool::{Change, Commit, Page, Recipient, Settlement, Spool, SpoolError, Wanted};

use super::Relay;
use crate::Sabotage;
use crate::domains::HOSTED;
use crate::settings::ROUTES_WITH_HOURS;
use crate::world::{Asker, RelayEvent, World};

/// Events taken in one turn.
const EVENTS_AT_ONCE: usize = 8;

impl Relay {
    /// Something for the queue manager to know, in order.
    pub(super) fn tell(&mut self, event: Event, world: &mut World) {
        let overtakes = world.is_broken_by(Sabotage::OvertakeReports);
        if overtakes && matches!(event, Event::AgentLeft { .. }) {
            self.inbox.push_front(event);
        } else {
            self.inbox.push_back(event);
        }
        let (is_late, late) = (world.random.chance(20), world.random.between(1, 50));
        let pause = if is_late { late } else { 0 };
        self.plan_turn(world.now() + Duration::from_millis(pause), world);
    }

    pub(super) fn plan_turn(&mut self, at: Timestamp, world: &mut World) {
        if self.next_turn.is_none_or(|planned| planned > at) {
            self.next_turn = Some(at);
            world.clock.at(at, RelayEvent::Turn);
        }
    }

    /// The manager's turn: takes some of what has come, and does what follows.
    pub(super) fn on_turn(&mut self, world: &mut World) {
        let now = world.now();
        // One that was entered for a later time than the one that came first finds its work done.
        if self.next_turn.is_none_or(|planned| planned > now) {
            return;
        }
        self.next_turn = None;
        let count = EVENTS_AT_ONCE.min(self.inbox.len());
        for event in self.inbox.drain(..count) {
            self.dispatch.handle(now, event);
        }
        self.dispatch.on_time(now);
        for action in self.dispatch.take_actions() {
            self.act(action, world);
        }
        if !self.inbox.is_empty() {
            self.plan_turn(now, world);
        } else if let Some(deadline) = self.dispatch.deadline() {
            self.plan_turn(deadline, world);
        }
    }

    /// Does what the manager wants.
    fn act(&mut self, action: Action, world: &mut World) {
        match action {
            Action::Load { host, wanted } => load(host, &wanted, world),
            Action::LoadBouncing(page) => load_bouncing(page, world),
            Action::LoadFiled(page) => load_filed(page, world),
            Action::File(filed) => {
                world.count("recipients filed anew");
                world.commit(Change::File(filed), Asker::Filing);
            }
            Action::Compose {
                number,
                composition,
            } => {
                let (now, random) = (world.now(), &mut world.random);
                let (moment, mut next_id) = (Moment::of(now), || random.queue_id(now));
                let result = Some(composition.compose(moment, &mut next_id, &world.spool));
                let composed = Event::Composed { number, result };
                world.within(40, RelayEvent::Dispatch(composed));
            }
            Action::Start(agent) => self.hire(*agent, world),
            Action::Tell { agent, order } => {
                if let Order::Give(job) = &order {
                    note_job(agent, job, world);
                }
                world.after(0, RelayEvent::Order(agent, order));
            }
            Action::Commit { number, settlement } => self.settle(number, settlement, world),
            Action::Log(Fact::NotSettled(..)) => {
                world.count("settlements that must be written again");
            }
            // No configuration of this world lets badmail go, and it never stops in order.
            Action::Log(_) | Action::TrimBadmail | Action::EndAgents => {}
        }
    }

    fn hire(&mut self, agent: Agent, world: &mut World) {
        let id = agent.id();
        let is_anew = id <= self.newest;
        self.newest = id.max(self.newest);
        match agent.job() {
            Some(_) if is_anew => world.count("jobs for agents that were leaving"),
            Some(job) => note_job(id, job, world),
            None => {}
        }
        if !is_anew || !world.is_broken_by(Sabotage::ForgetLateJobs) {
            self.start_agent(agent, world);
        }
    }

    fn settle(&mut self, number: u64, mut settlement: Settlement, world: &mut World) {
        if world.is_broken_by(Sabotage::DropNotices) {
            settlement.notices.clear();
        }
        world.checker.on_settling(&settlement);
        if world.is_broken_by(Sabotage::ReleaseEarly) {
            self.on_settled(number, APPLIED, world);
        }
        world.commit(Change::Settle(settlement), Asker::Dispatch(number));
    }

    /// The disk answers for a settlement.
    pub(super) fn on_settled(&mut self, number: u64, mut commit: Commit, world: &mut World) {
        let announces = world.is_broken_by(Sabotage::AnnounceAnyway);
        if announces && matches!(commit, Commit::Applied { .. }) {
            commit = APPLIED;
        }
        // Nobody hears of them either.
        let drops = world.is_broken_by(Sabotage::DropNotices);
        if drops && matches!(commit, Commit::Applied { .. }) {
            commit = Commit::Applied { recipients: 0 };
        }
        self.tell(Event::Committed { number, commit }, world);
    }
}

/// What those hear who are told that a settlement is written, whatever is so.
const APPLIED: Commit = Commit::Applied { recipients: 1 };

/// Reads a page; it arrives later, and may be old by then.
fn load(host: Arc<str>, wanted: &Wanted, world: &mut World) {
    let result = if world.fails(2) {
        world.count("pages that could not be read");
        Err(SpoolError::Io("unreadable today".into()))
    } else {
        world.spool.due(&host, wanted)
    };
    world.count("pages read");
    let loaded = Event::Queue(queue::Event::Loaded { host, result });
    world.within(50, RelayEvent::Dispatch(loaded));
}

/// The same of what bounces.
fn load_bouncing(page: Page, world: &mut World) {
    let result = world.spool.bouncing(page);
    let loaded = Event::Queue(queue::Event::BouncingLoaded { result });
    world.within(50, RelayEvent::Dispatch(loaded));
}

/// The same of everything.
fn load_filed(page: Page, world: &mut World) {
    let result = world.spool.find(&Filter::everything(), page);
    let loaded = Event::Queue(queue::Event::FiledLoaded { result });
    world.within(50, RelayEvent::Dispatch(loaded));
}

fn note_job(agent: AgentId, job: &Job, world: &mut World) {
    check_route(job, world);
    check_hours(job, world);
    let now = world.now();
    for recipient in &job.recipients {
        let (id, address) = (job.message.id, recipient.admitted.recipient().as_str());
        world.note(format_args!("agent {agent} gets {id} for {address}"));
        world.checker.on_job(agent, id, recipient, now);
        if world.is_broken_by(Sabotage::JobsTwice) {
            world.checker.on_job(agent + 1_000_000, id, recipient, now);
        }
    }
}

/// Nothing is begun while its route is closed, or closed for messages of its size.
fn check_hours(job: &Job, world: &mut World) {
    let (id, site, now) = (job.message.id, &*job.site.name, world.now());
    if !ROUTES_WITH_HOURS.contains(&site) {
        return;
    }
    let is_open = |hours: &Hours| hours.state(now).open;
    match world.checker.hours.as_ref().map(is_open) {
        Some(true) => world.count("jobs within the hours of their route"),
        Some(false) => world.violate(format!("{id} goes to {site} while that is closed")),
        None => {}
    }
    let large = world.checker.large_hours.as_ref();
    let large = large.filter(|large| job.message.size > large.over);
    match large.map(|large| is_open(&large.hours)) {
        Some(true) => world.count("jobs within the hours of large messages"),
        Some(false) => world.violate(format!("{id} is too large for {site} at this time")),
        None => {}
    }
}

/// Only mail of ours goes by its sender's route, and none of it to domains of ours.
fn check_route(job: &Job, world: &mut World) {
    if &*job.site.name != "route:brand" {
        return;
    }
    world.count("jobs by the route of their sender");
    let is_wrong = |recipient: &Recipient| {
        let host = recipient.admitted.recipient().host().to_string();
        let is_ours = HOSTED.contains(&host.as_str());
        let sender = recipient.admitted.own_sender(&job.message.reverse_path);
        is_ours || sender.is_none()
    };
    if job.recipients.iter().any(is_wrong) {
        world.violate(format!("{} goes by its sender's route", job.message.id));
    }
}

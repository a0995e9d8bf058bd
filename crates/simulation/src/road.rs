//! Couriers on their way: drives each [`engine::Courier`] as the daemon does, with the stage's network, DNS, disk and clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::{Courier, Report, Setup, Step};
use mail::Timestamp;
use queue::{CourierId, Event, Job};
use route::{Hop, Question};
use spool::Spool;

use crate::Sabotage;
use crate::event::Inner;
use crate::geography;
use crate::ledger::read_body;
use crate::network::{End, LinkId, Parties};
use crate::office::Office;
use crate::server::Servers;
use crate::stage::Stage;

/// What the queue manager tells a courier.
pub(crate) enum Order {
    /// The next message.
    Give(Box<Job>),
    /// QUIT, and go.
    Dismiss,
}

/// All couriers.
#[derive(Default)]
pub(crate) struct Road {
    travellers: BTreeMap<CourierId, Traveller>,
}

struct Traveller {
    courier: Courier,
    orders: VecDeque<Order>,
    link: Option<LinkId>,
    /// Arrived, and not yet given to the conversation.
    arrived: VecDeque<Vec<u8>>,
    /// The server has closed its end.
    ended: bool,
    waits: Option<Wait>,
    /// Content on its way into the conversation, and how much of it was fed.
    feed: Option<(Vec<u8>, usize)>,
    phase: Option<u32>,
    deadline: Timestamp,
}

/// What a courier waits for, before it can do the next step.
enum Wait {
    Dns,
    Connect(Hop),
    Content,
    /// Part of the output is being written; what arrives meanwhile is read.
    Sending,
}

/// Octets of content fed at once.
const PIECE_BYTES: usize = 64 << 10;

impl Road {
    pub(crate) fn hire(&mut self, id: CourierId, job: Job, setup: &Arc<Setup>, stage: &mut Stage) {
        stage.totals.count("couriers hired");
        let (routes, settings) = (Arc::clone(setup.routes()), setup.delivery(&job));
        let courier = Courier::new(id, job, routes, settings, stage.random.next());
        let traveller = Traveller {
            courier,
            orders: VecDeque::new(),
            link: None,
            arrived: VecDeque::new(),
            ended: false,
            waits: Some(Wait::Dns),
            feed: None,
            phase: None,
            deadline: Timestamp::default(),
        };
        self.travellers.insert(id, traveller);
        // It begins on its own time: an empty look-up is its start.
        stage.within(
            0,
            Inner::LookUp {
                courier: id,
                questions: Vec::new(),
            },
        );
    }

    /// How many couriers go to each site.
    pub(crate) fn by_site(&self) -> BTreeMap<Arc<str>, u32> {
        let mut sites = BTreeMap::new();
        for traveller in self.travellers.values() {
            *sites
                .entry(Arc::clone(&traveller.courier.site().name))
                .or_default() += 1;
        }
        sites
    }

    /// An order for a courier; a job comes back when it has left.
    pub(crate) fn order(
        &mut self,
        id: CourierId,
        order: Order,
        stage: &mut Stage,
    ) -> Result<(), Box<Job>> {
        match (self.travellers.get_mut(&id), order) {
            (Some(traveller), order) => {
                traveller.orders.push_back(order);
                // It is looked at when the courier next waits for something.
                stage.within(0, Inner::CourierTimer { courier: id });
                Ok(())
            }
            (None, Order::Give(job)) => Err(job),
            (None, Order::Dismiss) => Ok(()),
        }
    }

    pub(crate) fn on_octets(
        &mut self,
        id: CourierId,
        link: LinkId,
        octets: Vec<u8>,
        office: &mut Office,
        stage: &mut Stage,
    ) {
        let Some(traveller) = self
            .travellers
            .get_mut(&id)
            .filter(|t| t.link == Some(link))
        else {
            return;
        };
        traveller.arrived.push_back(octets);
        if matches!(traveller.waits, Some(Wait::Sending)) {
            traveller.take_arrived();
        }
        self.go_on(id, office, stage);
    }

    pub(crate) fn on_end(
        &mut self,
        id: CourierId,
        link: LinkId,
        office: &mut Office,
        stage: &mut Stage,
    ) {
        if let Some(traveller) = self
            .travellers
            .get_mut(&id)
            .filter(|t| t.link == Some(link))
        {
            traveller.ended = true;
            if matches!(traveller.waits, Some(Wait::Sending)) {
                traveller.waits = None;
            }
            self.go_on(id, office, stage);
        }
    }

    /// The time is up for a step, or an order has come.
    pub(crate) fn on_timer(&mut self, id: CourierId, office: &mut Office, stage: &mut Stage) {
        self.go_on(id, office, stage);
    }

    /// DNS answers.
    pub(crate) fn on_looked_up(
        &mut self,
        id: CourierId,
        questions: Vec<Question>,
        office: &mut Office,
        stage: &mut Stage,
    ) {
        let Some(traveller) = self.travellers.get_mut(&id) else {
            return;
        };
        traveller.waits = None;
        let mut found = Vec::new();
        for question in questions {
            let failed = stage.mishap(15);
            let answer = if failed {
                stage.totals.count("DNS questions without an answer");
                route::Answer::Failed("SERVFAIL".into())
            } else {
                geography::answer(&question)
            };
            found.push((question, answer));
        }
        if !found.is_empty() {
            traveller.courier.on_answers(found);
        }
        self.go_on(id, office, stage);
    }

    /// A connection comes about, or does not.
    pub(crate) fn on_connect(
        &mut self,
        id: CourierId,
        servers: &mut Servers,
        office: &mut Office,
        stage: &mut Stage,
    ) {
        let Some(traveller) = self.travellers.get_mut(&id) else {
            return;
        };
        let Some(Wait::Connect(hop)) = traveller.waits.take() else {
            return;
        };
        if Servers::answers(hop.address.ip(), stage) {
            let link = stage.connect(Parties::Outgoing { courier: id });
            stage.note(format_args!("courier {id}: link {link} to {hop}"));
            traveller.link = Some(link);
            servers.on_connected(link, stage);
            traveller.courier.on_connected();
        } else {
            stage.totals.count("connections that failed");
            traveller.courier.on_connect_failed("connection refused");
        }
        self.go_on(id, office, stage);
    }

    /// The content of a job is read.
    pub(crate) fn on_content(&mut self, id: CourierId, office: &mut Office, stage: &mut Stage) {
        let Some(traveller) = self.travellers.get_mut(&id) else {
            return;
        };
        traveller.waits = None;
        traveller.open_content(stage);
        self.go_on(id, office, stage);
    }

    /// Part of the output has been written.
    pub(crate) fn on_sent(
        &mut self,
        id: CourierId,
        octets: usize,
        office: &mut Office,
        stage: &mut Stage,
    ) {
        let Some(traveller) = self.travellers.get_mut(&id) else {
            return;
        };
        if matches!(traveller.waits, Some(Wait::Sending)) {
            traveller.waits = None;
            traveller.write(octets, stage);
        }
        self.go_on(id, office, stage);
    }

    fn go_on(&mut self, id: CourierId, office: &mut Office, stage: &mut Stage) {
        while let Some(traveller) = self.travellers.get_mut(&id) {
            if traveller.waits.is_some() {
                return;
            }
            let Some(step) = traveller.courier.next_step() else {
                return;
            };
            match step {
                Step::Ask(questions) => {
                    traveller.waits = Some(Wait::Dns);
                    let pause = stage.random.between(0, 500);
                    stage.within(
                        pause,
                        Inner::LookUp {
                            courier: id,
                            questions,
                        },
                    );
                }
                Step::Connect(hop) => traveller.connect(hop, stage),
                Step::Content => traveller.want_content(stage),
                Step::Talk => {
                    if !traveller.talk(stage) {
                        return;
                    }
                }
                Step::File(_) => traveller.courier.on_filed(Ok(())),
                Step::Report(report) => on_report(report, office, stage),
                Step::Leave => {
                    traveller.hang_up(stage);
                    if !traveller.take_last_order() {
                        self.travellers.remove(&id);
                        let pause = stage.random.between(0, 20);
                        stage.within(pause, Inner::CourierLeft(id));
                    }
                }
            }
        }
    }
}

impl Traveller {
    fn connect(&mut self, hop: Hop, stage: &mut Stage) {
        self.hang_up(stage);
        self.waits = Some(Wait::Connect(hop));
        let slow = stage.mishap(10);
        let pause = stage.random.between(0, if slow { 30_000 } else { 100 });
        stage.within(
            pause,
            Inner::Connect {
                courier: self.courier.id(),
            },
        );
    }

    fn hang_up(&mut self, stage: &mut Stage) {
        if let Some(link) = self.link.take() {
            self.write(usize::MAX, stage);
            stage.close(link, End::Ours);
        }
        self.arrived.clear();
        self.ended = false;
        self.phase = None;
        self.feed = None;
    }

    /// A job may have been given while the connection broke.
    fn take_last_order(&mut self) -> bool {
        while let Some(order) = self.orders.pop_front() {
            if let Order::Give(job) = order {
                self.courier.give(*job);
                return true;
            }
        }
        false
    }

    fn want_content(&mut self, stage: &mut Stage) {
        let in_memory = self.courier.job().is_some_and(|job| job.content.is_some());
        if in_memory {
            self.open_content(stage);
        } else {
            self.waits = Some(Wait::Content);
            let pause = stage.random.between(0, 20);
            stage.within(
                pause,
                Inner::Content {
                    courier: self.courier.id(),
                },
            );
        }
    }

    fn open_content(&mut self, stage: &mut Stage) {
        let Some(job) = self.courier.job() else {
            return;
        };
        let id = job.message.id;
        let content = match &job.content {
            Some(content) => Some(content.to_vec()),
            None => {
                stage.totals.count("contents read back from the spool");
                match stage.spool.body(id) {
                    Ok(Some(body)) if !stage.mishap(2) => Some(read_body(body)),
                    Ok(_) | Err(_) => None,
                }
            }
        };
        match content {
            Some(mut content) => {
                if stage.sabotage == Some(Sabotage::SpoilContent)
                    && let Some(octet) = content.last_mut()
                {
                    *octet ^= 1;
                }
                self.feed = Some((content, 0));
            }
            None => {
                stage.totals.count("contents that could not be read");
                if let Some(conversation) = self.courier.conversation() {
                    conversation.content_failed("unreadable today");
                }
            }
        }
    }

    /// One move on the connection. False when there is nothing to do but wait.
    fn talk(&mut self, stage: &mut Stage) -> bool {
        if self.feed() {
            return true;
        }
        let id = self.courier.id();
        let has_job = self.courier.job().is_some();
        let Some(conversation) = self.courier.conversation() else {
            return false;
        };
        let waiting = conversation.output().len();
        if waiting > 0 {
            let octets = if stage.random.chance(90) {
                waiting
            } else {
                stage.random.size(1, waiting)
            };
            if stage.random.chance(85) {
                self.write(octets, stage);
            } else {
                self.waits = Some(Wait::Sending);
                let pause = stage.random.between(0, 50);
                stage.within(
                    pause,
                    Inner::Sent {
                        courier: id,
                        octets,
                    },
                );
            }
            return true;
        }
        if self.take_arrived() {
            return true;
        }
        if self.ended {
            if let Some(conversation) = self.courier.conversation() {
                conversation.on_disconnected();
            }
            return true;
        }
        if !has_job && let Some(order) = self.orders.pop_front() {
            match order {
                Order::Give(job) => self.courier.give(*job),
                Order::Dismiss => self.courier.dismiss(),
            }
            return true;
        }
        self.keep_time(stage)
    }

    /// Whether time ran out; sets the timer otherwise.
    fn keep_time(&mut self, stage: &mut Stage) -> bool {
        let id = self.courier.id();
        let Some(conversation) = self.courier.conversation() else {
            return false;
        };
        let patience = conversation.patience();
        if self.phase != Some(patience.phase) {
            self.phase = Some(patience.phase);
            self.deadline = stage.now() + patience.limit;
            stage.within_at(self.deadline, Inner::CourierTimer { courier: id });
        } else if self.deadline <= stage.now() {
            stage.totals.count("couriers lost patience");
            conversation.on_timeout();
            return true;
        }
        false
    }

    fn take_arrived(&mut self) -> bool {
        let Some(octets) = self.arrived.pop_front() else {
            return false;
        };
        if let Some(conversation) = self.courier.conversation() {
            conversation.receive(&octets);
        }
        true
    }

    /// Hands over the next piece of content, if it is wanted.
    fn feed(&mut self) -> bool {
        let Some(conversation) = self.courier.conversation() else {
            return false;
        };
        if !conversation.wants_content() || !conversation.output().is_empty() {
            return false;
        }
        let Some((content, fed)) = &mut self.feed else {
            return false;
        };
        let end = (*fed + PIECE_BYTES).min(content.len());
        conversation.content(&content[*fed..end]);
        *fed = end;
        if end == content.len() {
            conversation.content_end();
            self.feed = None;
        }
        true
    }

    /// Writes so much of the output.
    fn write(&mut self, octets: usize, stage: &mut Stage) {
        let Some(link) = self.link else { return };
        let Some(conversation) = self.courier.conversation() else {
            return;
        };
        let output = conversation.output();
        let written: Vec<u8> = output.drain(..octets.min(output.len())).collect();
        stage.write(link, End::Ours, &written);
    }
}

fn on_report(report: Report, office: &mut Office, stage: &mut Stage) {
    let Report {
        courier,
        job,
        results,
        reusable,
        dsn_passed,
        unknown,
    } = report;
    if unknown {
        stage
            .totals
            .count("answers to the final dot that were lost");
    }
    if reusable {
        stage.totals.count("connections used again");
    }
    if let Some(job) = &job {
        for recipient in &job.recipients {
            let outcome = results
                .iter()
                .find(|(n, _)| *n == recipient.number)
                .map(|(_, o)| o);
            let address = recipient.admitted.recipient().as_str();
            stage.note(format_args!(
                "courier {courier}: {} {address}: {outcome:?}",
                job.message.id
            ));
            stage.ledger.on_result(job.message.id, address, outcome);
        }
    }
    office.tell(
        Event::JobEnded {
            courier,
            results,
            reusable,
            dsn_passed,
        },
        stage,
    );
}

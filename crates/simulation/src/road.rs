//! Agents on their way: drives each [`engine::Agent`] as the daemon does, with the stage's network,
//! DNS, disk and clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Agent, Report, Setup, Step};
use queue::{AgentId, Event, Job};
use route::Question;

use crate::event::Inner;
use crate::geography;
use crate::network::{LinkId, Parties};
use crate::office::Office;
use crate::server::Servers;
use crate::stage::Stage;
use crate::traveller::{Traveller, Wait};

/// What the queue manager tells an agent.
pub(crate) enum Order {
    /// The next message.
    Give(Box<Job>),
    /// Others need its connection.
    Hurry,
    /// QUIT, and go.
    Dismiss,
}

/// All agents.
#[derive(Default)]
pub(crate) struct Road {
    travellers: BTreeMap<AgentId, Traveller>,
}

impl Road {
    pub(crate) fn hire(&mut self, id: AgentId, job: Job, setup: &Arc<Setup>, stage: &mut Stage) {
        stage.totals.count("agents hired");
        let (routes, settings) = (Arc::clone(setup.routes()), setup.delivery(&job));
        let agent = Agent::new(id, job, routes, settings, stage.random.next());
        let traveller = Traveller::new(agent);
        self.travellers.insert(id, traveller);
        // It begins on its own time: an empty look-up is its start.
        stage.within(
            0,
            Inner::LookUp {
                agent: id,
                questions: Vec::new(),
            },
        );
    }

    /// How many agents go to each site.
    pub(crate) fn by_site(&self) -> BTreeMap<Arc<str>, u32> {
        let mut sites = BTreeMap::new();
        for traveller in self.travellers.values() {
            *sites
                .entry(Arc::clone(&traveller.agent.site().name))
                .or_default() += 1;
        }
        sites
    }

    /// An order for an agent; a job comes back when it has left.
    pub(crate) fn order(
        &mut self,
        id: AgentId,
        order: Order,
        stage: &mut Stage,
    ) -> Result<(), Box<Job>> {
        match (self.travellers.get_mut(&id), order) {
            (Some(traveller), order) => {
                traveller.orders.push_back(order);
                // It is looked at when the agent next waits for something.
                stage.within(0, Inner::AgentTimer { agent: id });
                Ok(())
            }
            (None, Order::Give(job)) => Err(job),
            (None, Order::Hurry | Order::Dismiss) => Ok(()),
        }
    }

    pub(crate) fn on_octets(
        &mut self,
        id: AgentId,
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
        id: AgentId,
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
    pub(crate) fn on_timer(&mut self, id: AgentId, office: &mut Office, stage: &mut Stage) {
        self.go_on(id, office, stage);
    }

    /// DNS answers.
    pub(crate) fn on_looked_up(
        &mut self,
        id: AgentId,
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
            traveller.agent.on_answers(found);
        }
        self.go_on(id, office, stage);
    }

    /// A connection comes about, or does not.
    pub(crate) fn on_connect(
        &mut self,
        id: AgentId,
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
        if servers.answers(hop.address.ip(), stage) {
            let link = stage.connect(Parties::Outgoing { agent: id });
            stage.note(format_args!("agent {id}: link {link} to {hop}"));
            traveller.link = Some(link);
            servers.on_connected(link, stage);
            traveller.agent.on_connected();
        } else {
            stage.totals.count("connections that failed");
            traveller.agent.on_connect_failed("connection refused");
        }
        self.go_on(id, office, stage);
    }

    /// The content of a job is read.
    pub(crate) fn on_content(&mut self, id: AgentId, office: &mut Office, stage: &mut Stage) {
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
        id: AgentId,
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

    fn go_on(&mut self, id: AgentId, office: &mut Office, stage: &mut Stage) {
        while let Some(traveller) = self.travellers.get_mut(&id) {
            if traveller.waits.is_some() {
                return;
            }
            let Some(step) = traveller.agent.next_step() else {
                return;
            };
            match step {
                Step::Ask(questions) => {
                    traveller.waits = Some(Wait::Dns);
                    let pause = stage.random.between(0, 500);
                    stage.within(
                        pause,
                        Inner::LookUp {
                            agent: id,
                            questions,
                        },
                    );
                }
                Step::Connect { hop, .. } => traveller.connect(hop, stage),
                Step::StartTls(_) => traveller.shake_hands(stage),
                Step::Content => traveller.want_content(stage),
                Step::Talk => {
                    if !traveller.talk(stage) {
                        return;
                    }
                }
                Step::Begun => office.tell(Event::Begun { agent: id }, stage),
                Step::File(_) => traveller.agent.on_filed(Ok(())),
                Step::HostFailed { .. } => stage.totals.count("hosts passed over for the next"),
                Step::Report(report) => on_report(report, office, stage),
                Step::Leave => {
                    traveller.hang_up(stage);
                    if !traveller.take_last_order() {
                        self.travellers.remove(&id);
                        let pause = stage.random.between(0, 20);
                        stage.within(pause, Inner::AgentLeft(id));
                    }
                }
            }
        }
    }
}

fn on_report(report: Report, office: &mut Office, stage: &mut Stage) {
    let Report {
        agent,
        job,
        results,
        reach,
        reusable,
        dsn_passed,
        unknown,
        tls,
        assurance: _,
    } = report;
    if tls.is_some() {
        stage.totals.count("jobs over an encrypted connection");
    }
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
                "agent {agent}: {} {address}: {outcome:?}",
                job.message.id
            ));
            stage.ledger.on_result(job.message.id, address, outcome);
        }
    }
    office.tell(
        Event::JobEnded {
            agent,
            results,
            reach,
            reusable,
            dsn_passed,
        },
        stage,
    );
}

//! Outgoing connections: drives each [`engine::Agent`] with this world's network, DNS and spool.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use delivery::HandshakeFault;
use engine::dispatch::Event;
use engine::{Agent, Order, Piece, Report, Step, StoredContent};
use mail::{QueueId, Timestamp, TlsFacts};
use queue::AgentId;
use route::{Hop, Question};

use super::QueueManager;
use crate::Sabotage;
use crate::event::Inner;
use crate::geography;
use crate::link::{End, LinkId};
use crate::network::Parties;
use crate::server::Servers;
use crate::stage::Stage;

/// All delivery agents that run, by their numbers.
#[derive(Default)]
pub(crate) struct Agents {
    running: BTreeMap<AgentId, Running>,
}

/// One agent, and its end of the connection.
struct Running {
    agent: Agent,
    link: Option<LinkId>,
    /// Arrived, and not yet given to the agent.
    arrived: VecDeque<Vec<u8>>,
    /// The server has closed its end.
    ended: bool,
    waits: Option<Wait>,
    /// Counts waits: only the end of the last one is believed.
    stamp: u64,
    content: StoredContent,
    timer: Option<Timestamp>,
}

/// What an agent waits for, before it can do the next step.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Its first moment.
    Start,
    Answers(Vec<Question>),
    Connection(Hop),
    Content {
        id: QueueId,
        from_start: bool,
    },
    /// Part of the output is being written; what arrives meanwhile is read.
    Writing,
}

impl Agents {
    pub(crate) fn start(&mut self, agent: Agent, stage: &mut Stage) {
        stage.totals.count("agents hired");
        let id = agent.id();
        let mut running = Running {
            agent,
            link: None,
            arrived: VecDeque::new(),
            ended: false,
            waits: None,
            stamp: 0,
            content: StoredContent::default(),
            timer: None,
        };
        running.wait(Wait::Start, 0, stage);
        self.running.insert(id, running);
    }

    /// How many agents go to each site.
    pub(crate) fn by_site(&self) -> BTreeMap<Arc<str>, u32> {
        let mut sites = BTreeMap::new();
        for running in self.running.values() {
            let site = Arc::clone(&running.agent.site().name);
            *sites.entry(site).or_default() += 1;
        }
        sites
    }

    pub(crate) fn on_order(
        &mut self,
        id: AgentId,
        order: Order,
        manager: &mut QueueManager,
        stage: &mut Stage,
    ) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        if running.agent.on_order(order, stage.now()) {
            stage.totals.count("agents hurried");
            running.waits = None;
        }
        self.go_on(id, manager, stage);
    }

    pub(crate) fn on_octets(
        &mut self,
        (id, link): (AgentId, LinkId),
        octets: Vec<u8>,
        manager: &mut QueueManager,
        stage: &mut Stage,
    ) {
        if let Some(running) = self.on_link(id, link) {
            match running.waits {
                Some(Wait::Writing) => running.agent.receive(&octets),
                Some(_) | None => running.arrived.push_back(octets),
            }
            self.go_on(id, manager, stage);
        }
    }

    pub(crate) fn on_end(
        &mut self,
        (id, link): (AgentId, LinkId),
        manager: &mut QueueManager,
        stage: &mut Stage,
    ) {
        if let Some(running) = self.on_link(id, link) {
            running.ended = true;
            if matches!(running.waits, Some(Wait::Writing)) {
                running.waits = None;
            }
            self.go_on(id, manager, stage);
        }
    }

    fn on_link(&mut self, id: AgentId, link: LinkId) -> Option<&mut Running> {
        let running = self.running.get_mut(&id)?;
        (running.link == Some(link)).then_some(running)
    }

    /// A wait is over; or the time may be.
    pub(crate) fn on_woken(
        &mut self,
        id: AgentId,
        stamp: Option<u64>,
        servers: &mut Servers,
        manager: &mut QueueManager,
        stage: &mut Stage,
    ) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        match stamp {
            None => {
                if running.agent.deadline() == Some(stage.now()) {
                    stage.totals.count("agents timed out");
                }
                running.agent.on_time(stage.now());
            }
            Some(stamp) if stamp == running.stamp => {
                if let Some(wait) = running.waits.take() {
                    running.on_waited(wait, servers, stage);
                }
            }
            // A wait that another one has replaced since: its end means nothing.
            Some(_) => return,
        }
        self.go_on(id, manager, stage);
    }

    fn go_on(&mut self, id: AgentId, manager: &mut QueueManager, stage: &mut Stage) {
        while let Some(running) = self.running.get_mut(&id) {
            if running.waits.is_some() {
                return;
            }
            match running.agent.next_step(stage.now()) {
                Step::Ask(questions) => {
                    let pause = stage.random.between(0, 500);
                    running.wait(Wait::Answers(questions), pause, stage);
                }
                Step::Connect { hop, .. } => {
                    running.hang_up(stage);
                    let slow = stage.mishap(10);
                    let pause = stage.random.between(0, if slow { 30_000 } else { 100 });
                    running.wait(Wait::Connection(hop), pause, stage);
                }
                Step::Read { id, from_start } => {
                    let pause = stage.random.between(0, 20);
                    running.wait(Wait::Content { id, from_start }, pause, stage);
                }
                Step::StartTls { .. } => running.shake_hands(stage),
                Step::Talk => {
                    if !running.talk(stage) {
                        return;
                    }
                }
                Step::Begun => {
                    let begun = queue::Event::Begun { agent: id };
                    manager.tell(Event::Queue(begun), stage);
                }
                Step::HostFailed { .. } => stage.totals.count("hosts passed over for the next"),
                Step::Unreadable { .. } => stage.totals.count("contents that could not be read"),
                // Nobody signs in here, and no domain is local.
                Step::Identify => running.agent.on_identity(Ok(None)),
                Step::File(_) => running.agent.on_filed(Ok(())),
                Step::SignInRefused => {}
                Step::Report(report) => on_report(*report, manager, stage),
                Step::Leave => {
                    running.hang_up(stage);
                    self.running.remove(&id);
                    let left = Event::AgentLeft {
                        agent: id,
                        in_order: true,
                    };
                    let pause = stage.random.between(0, 20);
                    stage.within(pause, Inner::Tell(left));
                }
            }
        }
    }
}

impl Running {
    fn wait(&mut self, wait: Wait, millis: u64, stage: &mut Stage) {
        self.stamp += 1;
        self.waits = Some(wait);
        let (agent, stamp) = (self.agent.id(), Some(self.stamp));
        stage.within(millis, Inner::Agent { agent, stamp });
    }

    fn on_waited(&mut self, wait: Wait, servers: &mut Servers, stage: &mut Stage) {
        match wait {
            Wait::Start | Wait::Writing => {}
            Wait::Answers(questions) => self.agent.on_answers(answers(questions, stage)),
            Wait::Connection(hop) => self.connect(&hop, servers, stage),
            Wait::Content { id, from_start } => {
                let read = self.read(id, from_start, stage);
                self.agent.on_read(read);
            }
        }
    }

    /// A connection comes about, or does not.
    fn connect(&mut self, hop: &Hop, servers: &mut Servers, stage: &mut Stage) {
        if !servers.answers(hop.address.ip(), stage) {
            stage.totals.count("connections that failed");
            return self.agent.on_connect_failed("connection refused");
        }
        let agent = self.agent.id();
        let link = stage.connect(Parties::Outgoing { agent });
        stage.note(format_args!("agent {agent}: link {link} to {hop}"));
        self.link = Some(link);
        servers.on_connected(link, stage);
        self.agent.on_connected();
    }

    /// The handshake succeeds, or it does not.
    fn shake_hands(&mut self, stage: &mut Stage) {
        if stage.mishap(20) {
            stage.totals.count("handshakes that failed");
            let fault = HandshakeFault::Broken("handshake failure".into());
            return self.agent.on_handshake_failed(&fault);
        }
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            certificate: None,
        };
        self.agent.on_encrypted(facts, None);
    }

    fn read(&mut self, id: QueueId, from_start: bool, stage: &mut Stage) -> Result<Piece, String> {
        if from_start {
            stage.totals.count("contents read back from the spool");
        }
        if stage.mishap(2) {
            return Err("unreadable today".to_owned());
        }
        let mut piece = self.content.read(&stage.spool, id, from_start)?;
        if stage.sabotage == Some(Sabotage::SpoilContent) {
            piece = spoilt(piece);
        }
        Ok(piece)
    }

    fn hang_up(&mut self, stage: &mut Stage) {
        if let Some(link) = self.link.take() {
            stage.close(link, End::Ours);
        }
        self.arrived.clear();
        self.ended = false;
    }

    /// One move on the connection. False when there is nothing to do but wait.
    fn talk(&mut self, stage: &mut Stage) -> bool {
        let unwritten = self.agent.output().len();
        if unwritten > 0 {
            let whole = stage.random.chance(85);
            let octets = if whole {
                unwritten
            } else {
                stage.random.size(1, unwritten)
            };
            if let Some(link) = self.link {
                stage.write(link, End::Ours, &self.agent.output()[..octets]);
            }
            self.agent.on_written(octets);
            if !whole {
                let pause = stage.random.between(0, 50);
                self.wait(Wait::Writing, pause, stage);
            }
        } else if let Some(octets) = self.arrived.pop_front() {
            self.agent.receive(&octets);
        } else if self.ended {
            self.agent.on_disconnected();
        } else {
            self.keep_time(stage);
            return false;
        }
        true
    }

    fn keep_time(&mut self, stage: &mut Stage) {
        if self.timer != self.agent.deadline()
            && let Some(deadline) = self.agent.deadline()
        {
            self.timer = Some(deadline);
            let agent = self.agent.id();
            stage.within_at(deadline, Inner::Agent { agent, stamp: None });
        }
    }
}

fn answers(questions: Vec<Question>, stage: &mut Stage) -> Vec<(Question, route::Answer)> {
    let answer = |question: Question| {
        let answer = if stage.mishap(15) {
            stage.totals.count("DNS questions without an answer");
            route::Answer::Failed("SERVFAIL".into())
        } else {
            geography::answer(&question)
        };
        (question, answer)
    };
    questions.into_iter().map(answer).collect()
}

/// Content that is not what was stored: its last octet is another.
fn spoilt(piece: Piece) -> Piece {
    let spoil = |mut octets: Vec<u8>| {
        if let Some(octet) = octets.last_mut() {
            *octet ^= 1;
        }
        octets
    };
    match piece {
        Piece::Whole(content) => Piece::Whole(spoil(content.to_vec()).into()),
        Piece::Next(octets) => Piece::Next(spoil(octets)),
    }
}

fn on_report(mut report: Report, manager: &mut QueueManager, stage: &mut Stage) {
    let (agent, id) = (report.agent, report.job.message.id);
    let ended = &mut report.ended;
    for (happened, what) in [
        (report.tls.is_some(), "jobs over an encrypted connection"),
        (report.unknown, "answers to the final dot that were lost"),
        (ended.reusable, "connections used again"),
    ] {
        if happened {
            stage.totals.count(what);
        }
    }
    for recipient in &report.job.recipients {
        let result = ended.results.iter().find(|(n, _)| *n == recipient.number);
        let outcome = result.map(|(_, outcome)| outcome);
        let address = recipient.admitted.recipient().as_str();
        stage.note(format_args!("agent {agent}: {id} {address}: {outcome:?}"));
        stage.ledger.on_result(id, address, outcome);
    }
    if stage.sabotage == Some(Sabotage::MixUpOutcomes) {
        let mut numbers: Vec<u32> = ended.results.iter().map(|(n, _)| *n).collect();
        numbers.rotate_left(1);
        for ((number, _), other) in ended.results.iter_mut().zip(numbers) {
            *number = other;
        }
    }
    let report = report.ended;
    let ended = queue::Event::JobEnded { agent, report };
    manager.tell(Event::Queue(ended), stage);
}

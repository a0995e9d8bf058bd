//! Outgoing connections: drives each [`engine::Agent`] with this world's network, DNS and spool.

use std::collections::VecDeque;

use delivery::HandshakeFault;
use engine::dispatch::Event;
use engine::{Agent, Order, Piece, Report, Step, StoredContent};
use mail::{QueueId, Timestamp, TlsFacts};
use queue::{AgentId, Moment};
use route::{Answer, Hop, Question};

use super::Relay;
use crate::Sabotage;
use crate::domains;
use crate::server::Servers;
use crate::world::{End, LinkId, Parties, RelayEvent, World};

/// One agent, and its end of the connection.
pub(super) struct AgentTask {
    agent: Agent,
    link: Option<LinkId>,
    /// Arrived, and not yet given to the agent. A piece without octets is the end.
    arrived: VecDeque<Vec<u8>>,
    waits: Option<Wait>,
    /// Counts waits: only the end of the last one is believed.
    wait: u64,
    content: StoredContent,
    timer: Option<Timestamp>,
}

/// What an agent waits for, before it can do the next step.
#[derive(Debug)]
enum Wait {
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

impl Relay {
    pub(super) fn on_order(&mut self, id: AgentId, order: Order, world: &mut World) {
        let Some(task) = self.agents.get_mut(&id) else {
            return;
        };
        if task.agent.on_order(order, world.now()) {
            world.count("agents hurried");
            task.waits = None;
        }
        self.go_on(id, world);
    }

    /// Octets, or the end of them, arrive.
    pub(super) fn on_octets(
        &mut self,
        id: AgentId,
        link: LinkId,
        octets: Vec<u8>,
        world: &mut World,
    ) {
        let Some(task) = self
            .agents
            .get_mut(&id)
            .filter(|task| task.link == Some(link))
        else {
            return;
        };
        match task.waits {
            Some(Wait::Writing) if !octets.is_empty() => task.agent.receive(&octets),
            Some(Wait::Writing) => {
                task.waits = None;
                task.arrived.push_back(octets);
            }
            Some(_) | None => task.arrived.push_back(octets),
        }
        self.go_on(id, world);
    }

    /// A wait is over; or the time may be.
    pub(super) fn on_woken(
        &mut self,
        id: AgentId,
        wait: Option<u64>,
        servers: &mut Servers,
        world: &mut World,
    ) {
        let Some(task) = self.agents.get_mut(&id) else {
            return;
        };
        match wait {
            None => {
                if task.agent.deadline() == Some(world.now()) {
                    world.count("agents timed out");
                }
                task.agent.on_time(world.now());
            }
            Some(wait) if wait == task.wait => {
                if let Some(wait) = task.waits.take() {
                    task.on_waited(wait, servers, world);
                }
            }
            // A wait that another one has replaced since: its end means nothing.
            Some(_) => return,
        }
        self.go_on(id, world);
    }

    fn go_on(&mut self, id: AgentId, world: &mut World) {
        while let Some(task) = self.agents.get_mut(&id) {
            if task.waits.is_some() {
                return;
            }
            match task.agent.next_step(Moment::of(world.now())) {
                Step::Ask(questions) => task.wait(Wait::Answers(questions), 500, world),
                Step::Connect { hop, .. } => {
                    task.hang_up(world);
                    let slow = world.fails(10);
                    let millis_max = if slow { 30_000 } else { 100 };
                    task.wait(Wait::Connection(hop), millis_max, world);
                }
                Step::Read { id, from_start } => {
                    task.wait(Wait::Content { id, from_start }, 20, world);
                }
                Step::StartTls { .. } => task.shake_hands(world),
                Step::Talk => {
                    if !task.talk(world) {
                        return;
                    }
                }
                Step::Begun => {
                    let begun = queue::Event::Begun { agent: id };
                    self.manager.tell(Event::Queue(begun), world);
                }
                Step::HostFailed { .. } => world.count("hosts passed over for the next"),
                Step::Unreadable { .. } => world.count("contents that could not be read"),
                // Nobody signs in here, and no domain is local.
                Step::Identify => task.agent.on_identity(Ok(None)),
                Step::File(_) => task.agent.on_filed(Ok(())),
                Step::SignInRefused => {}
                Step::Report(report) => self.on_report(*report, world),
                Step::Leave => {
                    task.hang_up(world);
                    self.agents.remove(&id);
                    let left = Event::AgentLeft {
                        agent: id,
                        in_order: true,
                    };
                    let pause = world.random.between(0, 20);
                    world.relay_after(pause, RelayEvent::Dispatch(left));
                }
            }
        }
    }

    fn on_report(&mut self, report: Report, world: &mut World) {
        let (agent, id, mut ended) = (report.agent, report.job.message.id, report.ended);
        for (happened, what) in [
            (report.tls.is_some(), "jobs over an encrypted connection"),
            (report.unknown, "answers to the final dot that were lost"),
            (ended.reusable, "connections used again"),
        ] {
            if happened {
                world.count(what);
            }
        }
        for recipient in &report.job.recipients {
            let result = ended.results.iter().find(|(n, _)| *n == recipient.number);
            let outcome = result.map(|(_, outcome)| outcome);
            let address = recipient.admitted.recipient().as_str();
            world.note(format_args!("agent {agent}: {id} {address}: {outcome:?}"));
            world.checker.on_result(id, address, outcome);
        }
        if world.is_broken_by(Sabotage::MixUpOutcomes) {
            let mut numbers: Vec<u32> = ended.results.iter().map(|(n, _)| *n).collect();
            numbers.rotate_left(1);
            for ((number, _), other) in ended.results.iter_mut().zip(numbers) {
                *number = other;
            }
        }
        let report = ended;
        let ended = queue::Event::JobEnded { agent, report };
        self.manager.tell(Event::Queue(ended), world);
    }
}

impl AgentTask {
    pub(super) fn new(agent: Agent, world: &mut World) -> Self {
        world.count("agents hired");
        let mut task = Self {
            agent,
            link: None,
            arrived: VecDeque::new(),
            waits: None,
            wait: 0,
            content: StoredContent::default(),
            timer: None,
        };
        task.wait_for(Wait::Start, 0, world);
        task
    }

    /// The name of the site that it goes to.
    pub(super) fn site(&self) -> &str {
        &self.agent.site().name
    }

    /// Waits for up to so many milliseconds.
    fn wait(&mut self, wait: Wait, millis_max: u64, world: &mut World) {
        let millis = world.random.between(0, millis_max);
        self.wait_for(wait, millis, world);
    }

    fn wait_for(&mut self, wait: Wait, millis: u64, world: &mut World) {
        self.wait += 1;
        self.waits = Some(wait);
        let (agent, wait) = (self.agent.id(), Some(self.wait));
        world.relay_after(millis, RelayEvent::Agent { agent, wait });
    }

    fn on_waited(&mut self, wait: Wait, servers: &mut Servers, world: &mut World) {
        match wait {
            Wait::Start | Wait::Writing => {}
            Wait::Answers(questions) => self.agent.on_answers(answers(questions, world)),
            Wait::Connection(hop) => self.connect(&hop, servers, world),
            Wait::Content { id, from_start } => {
                let read = self.read(id, from_start, world);
                self.agent.on_read(read);
            }
        }
    }

    /// A connection comes about, or does not.
    fn connect(&mut self, hop: &Hop, servers: &mut Servers, world: &mut World) {
        if !servers.answers(hop.address.ip(), world) {
            world.count("connections that failed");
            return self.agent.on_connect_failed("connection refused");
        }
        let agent = self.agent.id();
        let link = world.connect(Parties::Outgoing { agent });
        world.note(format_args!("agent {agent}: link {link} to {hop}"));
        self.link = Some(link);
        servers.on_connected(link, world);
        self.agent.on_connected();
    }

    /// The handshake succeeds, or it does not.
    fn shake_hands(&mut self, world: &mut World) {
        if world.fails(20) {
            world.count("handshakes that failed");
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

    fn read(&mut self, id: QueueId, from_start: bool, world: &mut World) -> Result<Piece, String> {
        if from_start {
            world.count("contents read back from the spool");
        }
        if world.fails(2) {
            return Err("unreadable today".to_owned());
        }
        let piece = self.content.read(&world.spool, id, from_start)?;
        if !world.is_broken_by(Sabotage::SpoilContent) {
            return Ok(piece);
        }
        let spoil = |mut octets: Vec<u8>| {
            if let Some(octet) = octets.last_mut() {
                *octet ^= 1;
            }
            octets
        };
        Ok(match piece {
            Piece::Whole(content) => Piece::Whole(spoil(content.to_vec()).into()),
            Piece::Next(octets) => Piece::Next(spoil(octets)),
        })
    }

    fn hang_up(&mut self, world: &mut World) {
        if let Some(link) = self.link.take() {
            world.close(link, End::Ours);
        }
        self.arrived.clear();
    }

    /// One move on the connection. False when there is nothing to do but wait.
    fn talk(&mut self, world: &mut World) -> bool {
        let unwritten = self.agent.output().len();
        if unwritten > 0 {
            let whole = world.random.chance(85);
            let octets = if whole {
                unwritten
            } else {
                world.random.size(1, unwritten)
            };
            if let Some(link) = self.link {
                world.write(link, End::Ours, &self.agent.output()[..octets]);
            }
            self.agent.on_written(octets);
            if !whole {
                self.wait(Wait::Writing, 50, world);
            }
            return true;
        }
        match self.arrived.pop_front() {
            Some(octets) if octets.is_empty() => self.agent.on_disconnected(),
            Some(octets) => self.agent.receive(&octets),
            None => {
                self.keep_time(world);
                return false;
            }
        }
        true
    }

    fn keep_time(&mut self, world: &mut World) {
        let deadline = self.agent.deadline();
        if let Some(at) = deadline.filter(|_| self.timer != deadline) {
            self.timer = deadline;
            let agent = self.agent.id();
            world.relay_at(at, RelayEvent::Agent { agent, wait: None });
        }
    }
}

fn answers(questions: Vec<Question>, world: &mut World) -> Vec<(Question, Answer)> {
    let answer = |question: Question| {
        let answer = if world.fails(15) {
            world.count("DNS questions without an answer");
            Answer::Failed("SERVFAIL".into())
        } else {
            domains::answer(&question)
        };
        (question, answer)
    };
    questions.into_iter().map(answer).collect()
}

//! Outgoing connections: drives each [`engine::Agent`] with this world's network, DNS and spool.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use delivery::HandshakeFault;
use engine::dispatch::Event;
use engine::{Agent, Order, Piece, Report, Step, StoredContent};
use mail::{QueueId, Timestamp, TlsFacts};
use queue::{AgentId, Moment};
use route::{Answer, Hop, Question};

use super::session::Hired;
use super::{Relay, sabotage};
use crate::world::{Hearing, Owner, RelayEvent, SocketId, World};
use crate::{Sabotage, domains};

/// One agent, and its end of the connection.
pub(super) struct AgentTask {
    agent: Agent,
    socket: Option<SocketId>,
    /// Arrived, and not yet given to the agent. A piece without octets is the end.
    arrived: VecDeque<Vec<u8>>,
    /// It waits for something before it can do the next step.
    waits: bool,
    /// It waits because part of its output is being written: what arrives meanwhile is read, and
    /// the end of the stream ends it.
    writes: bool,
    /// Counts waits: only the end of the last one is believed.
    wait: u64,
    content: StoredContent,
    timer: Option<Timestamp>,
    /// Where it was to connect for the job under way.
    tried: Vec<IpAddr>,
}

impl Relay {
    pub(super) fn start_agent(&mut self, agent: Agent, world: &mut World) {
        world.count("agents hired");
        self.drive(agent, None, world);
    }

    /// One for whoever fetches mail, who is the server on his connection from now on.
    pub(super) fn start_caller(&mut self, hired: Hired, socket: SocketId, world: &mut World) {
        let Hired { agent, orders } = hired;
        world.turn_around(socket);
        let id = agent.id();
        for order in orders {
            world.after(0, RelayEvent::Order(id, order));
        }
        self.newest = id.max(self.newest);
        world.note(format_args!("agent {id}: socket {socket} to a caller"));
        self.drive(agent, Some(socket), world);
    }

    fn drive(&mut self, agent: Agent, socket: Option<SocketId>, world: &mut World) {
        let id = agent.id();
        let mut task = AgentTask {
            agent,
            socket,
            arrived: VecDeque::new(),
            waits: false,
            writes: false,
            wait: 0,
            content: StoredContent::default(),
            timer: None,
            tried: Vec::new(),
        };
        task.wait(0, world, |_| ());
        self.agents.insert(id, task);
    }

    pub(super) fn on_order(&mut self, id: AgentId, order: Order, world: &mut World) {
        if let Some(task) = self.agents.get_mut(&id) {
            if task.agent.on_order(order, world.now()) {
                world.count("agents hurried");
                task.waits = false;
            }
            return self.go_on(id, world);
        }
        // It hears that when it begins.
        let mut hired = (self.sessions.values_mut()).filter_map(|session| session.hired.as_mut());
        if let Some(hired) = hired.find(|hired| hired.agent.id() == id) {
            hired.orders.push(order);
        }
    }

    /// Octets, or the end of them, arrive for an agent.
    pub(super) fn on_octets(&mut self, socket: SocketId, octets: &[u8], world: &mut World) {
        let mut tasks = self.agents.values_mut();
        if let Some(task) = tasks.find(|task| task.socket == Some(socket)) {
            task.arrived.push_back(octets.to_vec());
            if task.waits && task.writes {
                while let Some(octets) = task.arrived.pop_front_if(|octets| !octets.is_empty()) {
                    task.agent.receive(&octets);
                }
                task.waits = task.arrived.is_empty();
            }
            let id = task.agent.id();
            self.go_on(id, world);
        }
    }

    /// What an agent waited for has come, unless it waits for something else by now.
    pub(super) fn on_answer(
        &mut self,
        id: AgentId,
        wait: u64,
        answer: Hearing<Agent>,
        world: &mut World,
    ) {
        let task = self.agents.get_mut(&id);
        if let Some(task) = task.filter(|task| task.wait == wait) {
            if std::mem::take(&mut task.waits) {
                answer(&mut task.agent);
            }
            self.go_on(id, world);
        }
    }

    pub(super) fn on_agent_timer(&mut self, id: AgentId, world: &mut World) {
        if let Some(task) = self.agents.get_mut(&id) {
            if task.agent.deadline() == Some(world.now()) {
                world.count("agents timed out");
            }
            task.agent.on_time(world.now());
            self.go_on(id, world);
        }
    }

    fn go_on(&mut self, id: AgentId, world: &mut World) {
        while let Some(task) = self.agents.get_mut(&id).filter(|task| !task.waits) {
            match task.agent.next_step(Moment::of(world.now())) {
                Step::Ask(questions) => {
                    let answers = answers(questions, world);
                    task.wait(500, world, |agent| agent.on_answers(answers));
                }
                Step::Connect { hop, .. } => task.connect(&hop, world),
                Step::Read { id, from_start } => {
                    let content = task.read_content(id, from_start, world);
                    task.wait(20, world, |agent| agent.on_read(content));
                }
                Step::StartTls { .. } => task.shake_hands(world),
                Step::Talk => {
                    if !task.talk(world) {
                        return;
                    }
                }
                Step::Begun(host) => {
                    let begun = queue::Event::Begun { agent: id, host };
                    self.tell(Event::Queue(begun), world);
                }
                Step::HostDown { host, failure } => {
                    world.count("hosts that rest");
                    let down = queue::Event::HostDown {
                        agent: id,
                        host,
                        failure,
                    };
                    self.tell(Event::Queue(down), world);
                }
                Step::HostFailed { .. } => world.count("hosts passed over for the next"),
                Step::Unreadable { .. } => world.count("contents that could not be read"),
                // Nobody signs in here, and no domain is local.
                Step::Identify => task.agent.on_identity(Ok(None)),
                Step::File(_) => task.agent.on_filed(Ok(())),
                Step::SignInRefused | Step::Encryption(_) => {}
                Step::Said { peer, said } => world.note(format_args!("{peer}: {said:?}")),
                Step::Report(report) => {
                    // The next job begins where the connection is.
                    let connected = task.tried.pop().filter(|_| task.socket.is_some());
                    task.tried = connected.into_iter().collect();
                    self.on_report(*report, world);
                }
                Step::Leave => {
                    task.hang_up(world);
                    self.agents.remove(&id);
                    let (agent, in_order) = (id, true);
                    let left = Event::AgentLeft { agent, in_order };
                    world.within(20, RelayEvent::Dispatch(left));
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
        self.tell(Event::Queue(ended), world);
    }
}

impl AgentTask {
    /// The name of the site that it goes to.
    pub(super) fn site(&self) -> &str {
        &self.agent.site().name
    }

    /// Waits for an answer, for up to so many milliseconds.
    fn wait(&mut self, millis: u64, world: &mut World, answer: impl FnOnce(&mut Agent) + 'static) {
        self.wait += 1;
        (self.waits, self.writes) = (true, false);
        let id = self.agent.id();
        world.within(millis, RelayEvent::Agent(id, self.wait, Box::new(answer)));
    }

    /// A connection comes about, or does not.
    fn connect(&mut self, hop: &Hop, world: &mut World) {
        self.hang_up(world);
        self.check_rest(hop, world);
        let millis = if world.fails(10) { 30_000 } else { 100 };
        let address = hop.address.on_network().ip();
        let is_down = world.faulty && world.down.contains(&address);
        if is_down || !domains::is_server(address) || world.fails(12) {
            world.count("connections that failed");
            let why = "connection refused";
            return self.wait(millis, world, |agent| agent.on_connect_failed(why));
        }
        let agent = self.agent.id();
        let socket = world.connect(Owner::Agent, Owner::Server);
        world.note(format_args!("agent {agent}: socket {socket} to {hop}"));
        self.socket = Some(socket);
        self.wait(millis, world, Agent::on_connected);
    }

    /// A smart host that rests is tried after the other one of its site.
    fn check_rest(&mut self, hop: &Hop, world: &mut World) {
        let resting = self.agent.job().map(|job| &job.resting[..]);
        let rests = |host| {
            let address = SocketAddr::new(host, 25).into();
            resting.unwrap_or_default().contains(&address)
        };
        let address = hop.address.on_network().ip();
        if let Some(other) = domains::other_smart_host(address).filter(|_| rests(address)) {
            world.count("hosts tried although they rest");
            if !rests(other) && !self.tried.contains(&other) {
                world.violate(format!("{address} rests, and is tried before {other}"));
            }
        }
        self.tried.push(address);
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
            handshake: mail::Handshake::Full,
            certificate: None,
        };
        self.agent.on_encrypted(facts, None);
    }

    fn read_content(
        &mut self,
        id: QueueId,
        from_start: bool,
        world: &mut World,
    ) -> Result<Piece, String> {
        if from_start {
            world.count("contents read back from the spool");
        }
        if world.fails(2) {
            return Err("unreadable today".to_owned());
        }
        let piece = self.content.read(&world.spool, id, from_start)?;
        Ok(sabotage::read(piece, world))
    }

    fn hang_up(&mut self, world: &mut World) {
        if let Some(socket) = self.socket.take() {
            world.close(socket);
        }
        self.arrived.clear();
    }

    /// One move on the connection. False when there is nothing to do but wait.
    fn talk(&mut self, world: &mut World) -> bool {
        let unwritten = self.agent.output().len();
        if unwritten > 0 {
            let (is_slow, part) = (world.random.chance(15), world.random.size(1, unwritten));
            let octets = if is_slow { part } else { unwritten };
            if let Some(socket) = self.socket {
                world.write(socket, &self.agent.output()[..octets]);
            }
            self.agent.on_written(octets);
            if is_slow {
                self.wait(50, world, |_| ());
                self.writes = true;
            }
            return true;
        }
        match self.arrived.pop_front() {
            Some(octets) if octets.is_empty() => self.agent.on_disconnected(),
            Some(octets) => self.agent.receive(&octets),
            None => {
                let deadline = self.agent.deadline();
                if let Some(at) = deadline.filter(|_| self.timer != deadline) {
                    self.timer = deadline;
                    let timer = RelayEvent::AgentTimer(self.agent.id());
                    world.clock.at(at, timer);
                }
                return false;
            }
        }
        true
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

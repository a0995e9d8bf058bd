//! One outgoing connection at a time: does what an [`engine::Agent`] asks for, with sockets, DNS
//! and the disk.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use config::Filing;
use engine::{Agent, NotFiled, Order, Piece, Step, StoredContent};
use lookups::connect;
use mail::QueueId;
use queue::{Event, Job};
use reports::TlsSighting;
use route::Hop;
use tls::Stream;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::active::ActiveConfiguration;
use crate::drop_directory;
use crate::inbox::{Hired, Input};
use crate::outbound;
use crate::protocol_logs::AgentRows;
use crate::services::Services;
use crate::sessions::{Registered, SessionId};
use crate::socket::{Moved, Socket};

/// Runs one agent until it leaves; over this connection, if it is one that brings mail to a client
/// which fetches it.
pub(crate) async fn run(services: Arc<Services>, hired: Hired, stream: Option<Stream>) {
    let Hired {
        mut agent,
        orders,
        leaving,
    } = hired;
    let rows = services.journal.protocol_logs.of_agent();
    if rows.is_some() || services.journal.keeps_dialogues() {
        agent.record();
    }
    let (since, way) = (services.clock.moment().wall, &agent.site().name);
    let id = SessionId::Out(agent.id());
    let entry = services
        .sessions
        .enter(id, Arc::clone(way), since, agent.peer().into());
    let mut task = Task {
        socket: Socket::new(Arc::clone(&entry.traffic)),
        entry,
        services,
        agent,
        orders,
        content: StoredContent::default(),
        source: None,
        rows,
    };
    if let Some(stream) = stream {
        task.socket.open(stream);
    }
    task.run().await;
    // Its connection is closed before its place is given to another.
    drop(task);
    leaving.in_order();
}

struct Task {
    entry: Registered,
    services: Arc<Services>,
    agent: Agent,
    orders: mpsc::UnboundedReceiver<Order>,
    socket: Socket,
    content: StoredContent,
    /// The address from which it is connected.
    source: Option<IpAddr>,
    /// Its rows in protocol logs.
    rows: Option<AgentRows>,
}

impl Task {
    /// Until it leaves. When an operator ends its connection it tells what it knows of its job first.
    async fn run(&mut self) {
        let entry = self.entry.entry();
        loop {
            let step = self.agent.next_step(self.services.clock.moment());
            if matches!(step, Step::Leave) {
                return;
            }
            self.say(&step);
            // A file is written whole or not at all.
            let is_on_network = !matches!(step, Step::File(_));
            tokio::select! {
                biased;
                () = self.take(step) => {}
                () = entry.killed(), if is_on_network => self.agent.on_killed(),
            }
        }
    }

    /// Says what it does next to those who look.
    fn say(&self, step: &Step) {
        let message = self.agent.job().map(|job| job.message.id);
        let mut told = self.entry.told();
        told.message = message;
        told.state = match (step, message) {
            (Step::Connect { .. }, _) => "connecting",
            (Step::StartTls { .. }, _) => "shaking hands",
            (_, Some(_)) => "delivering",
            (_, None) => "idle",
        };
        if let Step::Connect { hop, .. } = step {
            told.peer = hop.to_string().into();
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            // What is large and soon over has its own memory: a thousand agents wait for servers.
            Step::Ask(questions) => {
                let answers = Box::pin(self.services.active().route_answers(questions));
                if let Some(answers) = self.unless_left_off(answers).await {
                    self.agent.on_answers(answers);
                }
            }
            Step::Identify => {
                let (active, site) = self.site();
                let identity = Box::pin(async move { active.sign_ins.identity(&site).await });
                if let Some(identity) = self.unless_left_off(identity).await {
                    self.agent.on_identity(identity);
                }
            }
            Step::Connect {
                hop,
                source,
                within,
            } => self.connect(connect(&hop.address, source, within)).await,
            Step::StartTls { hop, within } => match self.socket.take() {
                Some(socket) => self.encrypt(socket, &hop, within).await,
                None => self.agent.on_disconnected(),
            },
            Step::Read { id, from_start } => {
                let read = self.read(id, from_start).await;
                self.agent.on_read(read);
            }
            Step::Talk => self.talk().await,
            Step::File(directory) => {
                let filed = self.file(directory).await;
                self.agent.on_filed(filed);
            }
            Step::Begun(host) => self.tell(Event::Begun {
                agent: self.agent.id(),
                host,
            }),
            Step::HostDown { host, failure } => self.tell(Event::HostDown {
                agent: self.agent.id(),
                host,
                failure,
            }),
            Step::HostFailed { site, hop, failure } => {
                let job = self.agent.job();
                self.services
                    .journal
                    .host_failed(job, &site, &hop, &failure);
            }
            Step::SignInRefused => {
                let (active, site) = self.site();
                Box::pin(active.sign_ins.refused(&site)).await;
            }
            Step::Encryption(sighting) => self.count(*sighting),
            Step::Unreadable { id, why } => {
                tracing::error!(%id, why, "content could not be read");
            }
            Step::Said { peer, said } => {
                if let Some(rows) = &mut self.rows {
                    rows.said(peer, &said);
                }
            }
            Step::Report(report) => {
                self.services.journal.attempt(&report);
                outbound::attempted(&self.services, &report);
                let (agent, report) = (report.agent, report.ended);
                self.tell(Event::JobEnded { agent, report });
            }
            // The end of the task.
            Step::Leave => {}
        }
    }

    /// Counts a connection for the report that its domain may want.
    fn count(&self, mut sighting: TlsSighting) {
        for failure in &mut sighting.failures {
            failure.source = self.source;
        }
        self.services.sightings.add_connection(sighting);
    }

    async fn connect(&mut self, opened: impl Future<Output = Result<Stream, String>>) {
        self.socket.close();
        match self.unless_left_off(opened).await {
            Some(Ok(stream)) => {
                let local = stream.socket().and_then(|socket| socket.local_addr().ok());
                self.source = local.map(|local| local.ip().to_canonical());
                self.socket.open(stream);
                self.agent.on_connected();
            }
            Some(Err(why)) => self.agent.on_connect_failed(&why),
            None => {}
        }
    }

    async fn encrypt(&mut self, socket: TcpStream, hop: &Hop, within: Duration) {
        let (active, site) = self.site();
        let config = &active.setup.config;
        let secured = Box::pin(active.connector.secure(socket, config, &site, hop, within));
        match self.unless_left_off(secured).await {
            Some(Ok((stream, facts))) => {
                let exporter = stream.exporter();
                self.socket.open(stream);
                self.agent.on_encrypted(facts, exporter);
            }
            Some(Err(error)) => self.agent.on_handshake_failed(&error.into()),
            None => {}
        }
    }

    /// What is in force, and the name of the site.
    fn site(&self) -> (Arc<ActiveConfiguration>, Arc<str>) {
        (self.services.active(), Arc::clone(&self.agent.site().name))
    }

    /// Waits for `work`, and meanwhile hears what the queue manager says, by which it may become
    /// void.
    async fn unless_left_off<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                Some(order) = self.orders.recv() => {
                    if self.hear(order) {
                        return None;
                    }
                }
            }
        }
    }

    async fn read(&mut self, id: QueueId, from_start: bool) -> Result<Piece, String> {
        let spool = Arc::clone(&self.services.spool);
        let mut content = std::mem::take(&mut self.content);
        let work = move || {
            let read = content.read(&*spool, id, from_start);
            (read, content)
        };
        let (read, content) = spawn_blocking(work).await.map_err(|e| e.to_string())?;
        self.content = content;
        read
    }

    async fn file(&mut self, directory: PathBuf) -> Result<(), NotFiled> {
        let Some(job) = self.agent.job().cloned() else {
            return Ok(());
        };
        let services = Arc::clone(&self.services);
        let filing = self.filing(&job);
        let work = move || {
            let (spool, rooms) = (&*services.spool, &services.rooms);
            drop_directory::write(&directory, filing, &job, spool, rooms)
        };
        let written = spawn_blocking(work).await;
        written.unwrap_or_else(|fault| Err(NotFiled::Unwritable(fault.to_string())))
    }

    /// How the mail of this site becomes files: all recipients are at domains of one name in the
    /// configuration.
    fn filing(&self, job: &Job) -> Filing {
        let recipient = job.recipients.first();
        let domain = recipient.and_then(|recipient| recipient.admitted.recipient().host().domain());
        let active = self.services.active();
        let settings = domain.and_then(|domain| active.setup.config.domains.find(domain));
        settings.map(|settings| settings.filing).unwrap_or_default()
    }

    /// One move on the connection, or an order.
    async fn talk(&mut self) {
        let waits = self.agent.output().is_empty();
        let now = self.services.clock.line();
        let order = tokio::select! {
            biased;
            moved = self.socket.serve(&mut self.agent, now) => match moved {
                Moved::On => return,
                Moved::Lost => return self.agent.on_disconnected(),
                Moved::TimeIsUp => return self.agent.on_time(self.services.clock.line()),
            },
            Some(order) = self.orders.recv(), if waits => order,
        };
        // Whatever it was, the next step follows.
        let _left_off = self.hear(order);
    }

    /// What the queue manager says; whether what is under way is void by that.
    fn hear(&mut self, order: Order) -> bool {
        // Since the connection began somebody may have asked for dialogues.
        if self.services.journal.keeps_dialogues() {
            self.agent.record();
        }
        self.agent.on_order(order, self.services.clock.line())
    }

    /// Fails only when the queue manager has ended; the spool still has the message.
    fn tell(&self, event: Event) {
        let _ended = self.services.dispatch.send(Input::queue(event));
    }
}

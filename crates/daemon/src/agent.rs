//! One outgoing connection at a time: does what an [`engine::Agent`] asks for, with sockets, DNS
//! and the disk.

use std::future::poll_fn;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use delivery::{Conversation, HandshakeFault};
use engine::{Agent, Report, Step};
use mail::{Failure, Outcome, QueueId, Scope};
use queue::{AgentId, Event, Job};
use route::{Answer, DemandedBy, Hop, Question};
use spool::{Body, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::active::ActiveConfiguration;
use crate::inbox::Input;
use crate::journal::Way;
use crate::services::Services;
use crate::{drop_directory, journal};
use drop_directory::NotFiled;
use tls::Stream;
use tls::{How, TlsError};

/// Octets of content handed to the conversation at once.
const PIECE_BYTES: usize = 64 << 10;
/// Octets read at once: replies are short.
const READ_BYTES: usize = 4 << 10;
/// The subject and detail of a refused sign-in (RFC 4954 section 6).
const SIGN_IN_REFUSED: (u16, u16) = (7, 8);

/// What the queue manager tells an agent.
pub(crate) enum Order {
    /// The next message.
    Give(Box<Job>),
    /// QUIT, and go.
    Dismiss,
}

/// Runs one agent until it leaves; gives its number back. `hurry` tells it that others need its
/// connection.
pub(crate) async fn run(
    services: Arc<Services>,
    agent: Agent,
    orders: mpsc::UnboundedReceiver<Order>,
    hurry: Arc<Notify>,
) -> AgentId {
    let id = agent.id();
    let started = Instant::now();
    let mut task = Task {
        services,
        agent,
        orders,
        hurry,
        stream: None,
        timer: Box::pin(sleep_until(started)),
        phase: None,
        content: Feed::None,
        host: String::new(),
        started,
    };
    let unknown = task.agent.job().and_then(Agent::is_to_be_looked_into);
    task.look_into(unknown).await;
    task.run().await;
    id
}

struct Task {
    services: Arc<Services>,
    agent: Agent,
    orders: mpsc::UnboundedReceiver<Order>,
    hurry: Arc<Notify>,
    stream: Option<Stream>,
    /// Runs out when the server has taken too long over this phase.
    timer: Pin<Box<Sleep>>,
    phase: Option<u32>,
    content: Feed,
    /// Where the last connection went, for the log.
    host: String,
    started: Instant,
}

/// Content on its way into the conversation.
enum Feed {
    None,
    Memory(Bytes),
    Stream(Box<dyn io::Read + Send>),
}

impl Task {
    async fn run(&mut self) {
        while let Some(step) = self.agent.next_step() {
            match step {
                Step::Ask(_) | Step::Connect { .. } | Step::StartTls(_) => {
                    let hurry = Arc::clone(&self.hurry);
                    tokio::select! {
                        biased;
                        () = self.approach(step) => {}
                        () = hurry.notified() => self.agent.hurry(),
                    }
                }
                Step::Content => self.open_content().await,
                Step::Talk => self.talk().await,
                Step::Begun => self.tell(Event::Begun {
                    agent: self.agent.id(),
                }),
                Step::File(directory) => self.file(directory).await,
                Step::HostFailed { hop, failure } => {
                    journal::host_failed(self.agent.job(), &hop, &failure);
                    self.forget_token(&failure).await;
                }
                Step::Report(report) => {
                    // The last host of a site fails in the report.
                    if let Some((_, Outcome::Deferred(failure))) = report.results.first() {
                        self.forget_token(failure).await;
                    }
                    self.report(report);
                }
                Step::Leave => {
                    if !self.take_last_order().await {
                        return;
                    }
                }
            }
        }
    }

    /// A step on the way to a server's greeting. It may be broken off.
    async fn approach(&mut self, step: Step) {
        match step {
            Step::Ask(questions) => {
                let answers = look_up(&self.services.active(), questions).await;
                self.agent.on_answers(answers);
            }
            Step::Connect { hop, source } => self.connect(&hop, source).await,
            Step::StartTls(hop) => self.encrypt(&hop).await,
            Step::Content
            | Step::Talk
            | Step::Begun
            | Step::File(_)
            | Step::HostFailed { .. }
            | Step::Report(_)
            | Step::Leave => {}
        }
    }

    /// A job may have been given while the connection broke; it is done before leaving.
    async fn take_last_order(&mut self) -> bool {
        self.orders.close();
        self.stream = None;
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Give(job) = order {
                self.give(*job).await;
                return true;
            }
        }
        false
    }

    async fn give(&mut self, job: Job) {
        self.started = Instant::now();
        self.look_into(Agent::is_to_be_looked_into(&job)).await;
        self.agent.give(job);
    }

    /// Reads the header of a stored message for the agent. What cannot be read shows when it is
    /// sent.
    async fn look_into(&mut self, message: Option<Arc<Message>>) {
        let Some(message) = message else {
            return;
        };
        let header_max = self.services.active().setup.config.limits.header_size;
        let mut stream = match stored(&self.services, message.id).await {
            Ok(Feed::Stream(stream)) => stream,
            Ok(Feed::Memory(content)) => {
                self.agent.on_content_start(&message, &content);
                return;
            }
            Ok(Feed::None) | Err(_) => return,
        };
        let mut start = Vec::new();
        while let Ok((piece, rest)) = read_piece(stream).await {
            start.extend_from_slice(&piece);
            let known = self.agent.on_content_start(&message, &start);
            if known || piece.is_empty() || start.len() as u64 > header_max {
                return;
            }
            stream = rest;
        }
    }

    async fn connect(&mut self, hop: &Hop, source: Option<IpAddr>) {
        let active = self.services.active();
        let site = Arc::clone(&self.agent.site().name);
        let options = active.setup.routes().options(&site);
        let limit = options
            .and_then(|options| options.timeout)
            .unwrap_or(active.setup.config.outbound.connect_timeout);
        self.stream = None;
        self.phase = None;
        self.host = hop.to_string();
        match active.sign_ins.identity(&site).await {
            Ok(Some(identity)) => self.agent.sign_in_as(identity),
            Ok(None) => {}
            Err(why) => return self.agent.on_connect_failed(&why),
        }
        match timeout(limit, open(hop.address, source)).await {
            Ok(Ok(stream)) => {
                // Without it the last small segment of each message waits for the other side's
                // delayed acknowledgement.
                let _slower_at_worst = stream.set_nodelay(true);
                self.stream = Some(Stream::Plain(stream));
                self.agent.on_connected();
            }
            Ok(Err(error)) => self.agent.on_connect_failed(&plain(&error)),
            Err(_) => self.agent.on_connect_failed("no answer in time"),
        }
    }

    /// Shakes hands, and holds the host to what is demanded of it.
    async fn encrypt(&mut self, hop: &Hop) {
        let active = self.services.active();
        let delivery = active.setup.config.deliveries.get(&self.agent.site().name);
        let everybody = active.setup.config.outbound.ca.as_deref();
        let how = How {
            security: &hop.security,
            host: &hop.name,
            ca: delivery
                .and_then(|delivery| delivery.ca.as_deref())
                .or(everybody),
            certificate: delivery.and_then(|delivery| delivery.certificate.as_ref()),
        };
        let Some(conversation) = self.agent.conversation() else {
            return;
        };
        let limit = conversation.time_limit().limit;
        let Some(socket) = self.stream.as_mut().and_then(Stream::take_plain) else {
            return conversation.on_disconnected();
        };
        let connector = &active.connector;
        let connected = match hop.demanded_by {
            DemandedBy::MtaStsTesting { .. } => connector.try_out(socket, &how, limit).await,
            DemandedBy::Configuration | DemandedBy::Dane | DemandedBy::MtaSts => {
                connector.connect(socket, &how, limit).await
            }
        };
        match connected {
            Ok((stream, facts, _)) => {
                let exporter = stream.exporter();
                self.stream = Some(stream);
                self.agent.on_encrypted(facts, exporter);
            }
            Err(error) => {
                self.stream = None;
                self.agent.on_handshake_failed(&fault(&error));
            }
        }
    }

    /// A token that a host did not take is not tried again.
    async fn forget_token(&mut self, failure: &Failure) {
        let status = failure.reply.status();
        let of_host = failure.scope >= Scope::Host;
        if of_host && (status.subject, status.detail) == SIGN_IN_REFUSED {
            let site = Arc::clone(&self.agent.site().name);
            self.services.active().sign_ins.refused(&site).await;
        }
    }

    /// Opens the content of the job from its start.
    async fn open_content(&mut self) {
        let Some(job) = self.agent.job() else {
            return;
        };
        if let Some(content) = &job.content {
            self.content = Feed::Memory(content.clone());
            return;
        }
        let id = job.message.id;
        match stored(&self.services, id).await {
            Ok(content) => self.content = content,
            Err(why) => self.content_failed(&why),
        }
    }

    fn content_failed(&mut self, why: &str) {
        self.content = Feed::None;
        tracing::error!(id = ?self.agent.job().map(|job| job.message.id.to_string()), why, "content could not be read");
        self.agent.on_content_failed(why);
    }

    /// One move on the connection: hand over content, or write, or wait for the server.
    async fn talk(&mut self) {
        if self.feed().await {
            return;
        }
        let has_job = self.agent.job().is_some();
        let Some(conversation) = self.agent.conversation() else {
            return;
        };
        let Some(stream) = &mut self.stream else {
            return;
        };
        let time_limit = conversation.time_limit();
        if self.phase != Some(time_limit.phase) {
            self.phase = Some(time_limit.phase);
            self.timer.as_mut().reset(Instant::now() + time_limit.limit);
        }
        let woken = if conversation.output().is_empty() {
            wait(
                stream,
                conversation,
                &mut self.orders,
                !has_job,
                &self.hurry,
                self.timer.as_mut(),
            )
            .await
        } else {
            write(stream, conversation, self.timer.as_mut()).await
        };
        match woken {
            Woken::Progress => {}
            Woken::Order(order) => self.on_order(order).await,
            Woken::Hurried => self.agent.hurry(),
            Woken::Lost => conversation.on_disconnected(),
            Woken::TimedOut => conversation.on_timeout(),
        }
    }

    async fn on_order(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Give(job)) => self.give(*job).await,
            // The queue manager has ended with everybody else.
            Some(Order::Dismiss) | None => self.agent.dismiss(),
        }
    }

    /// Hands the next piece of content over, if the conversation wants one. True when it did.
    async fn feed(&mut self) -> bool {
        let Some(conversation) = self.agent.conversation() else {
            return false;
        };
        // What is still to be written goes along: a write of its own for the head, or for the final
        // dot, can make the server wait for the rest until its acknowledgement, which it delays,
        // has come to us.
        if !conversation.wants_content() || conversation.output().len() >= PIECE_BYTES {
            return false;
        }
        match std::mem::replace(&mut self.content, Feed::None) {
            Feed::None => return false,
            Feed::Memory(mut content) => {
                let piece = content.split_to(content.len().min(PIECE_BYTES));
                conversation.content(&piece);
                if content.is_empty() {
                    conversation.content_end();
                } else {
                    self.content = Feed::Memory(content);
                }
            }
            Feed::Stream(stream) => match read_piece(stream).await {
                Err(why) => self.content_failed(&why),
                Ok((piece, _)) if piece.is_empty() => conversation.content_end(),
                Ok((piece, stream)) => {
                    conversation.content(&piece);
                    self.content = Feed::Stream(stream);
                }
            },
        }
        true
    }

    async fn file(&mut self, directory: std::path::PathBuf) {
        let Some(job) = self.agent.job() else {
            return;
        };
        let (job, spool) = (job.clone(), Arc::clone(&self.services.spool));
        self.host = directory.display().to_string();
        let written =
            tokio::task::spawn_blocking(move || drop_directory::write(&directory, &job, &*spool));
        match written.await {
            Ok(Ok(())) => self.agent.on_filed(Ok(())),
            Ok(Err(NotFiled::Unwritable(why))) => self.agent.on_filed(Err(why)),
            Ok(Err(NotFiled::Unreadable(why))) => self.content_failed(&why),
            Err(fault) => self.agent.on_filed(Err(fault.to_string())),
        }
    }

    /// Fails only when the queue manager has ended; the spool still has the message.
    fn tell(&self, event: Event) {
        let _ended = self.services.dispatch.send(Input::Event(event));
    }

    fn report(&mut self, report: Report) {
        let Report {
            agent,
            job,
            results,
            reach,
            reusable,
            dsn_passed,
            unknown,
            tls,
            assurance,
        } = report;
        if let Some(job) = &job {
            let way = Way {
                host: &self.host,
                took: self.started.elapsed(),
                tls: tls.as_deref(),
                assurance,
            };
            journal::attempt(job, &results, &way);
            if unknown {
                tracing::warn!(id = %job.message.id, host = self.host, "the answer to the final dot was lost: the message may arrive twice");
            }
        }
        self.tell(Event::JobEnded {
            agent,
            results,
            reach,
            reusable,
            dsn_passed,
        });
    }
}

/// Connects from `source`, or from the address that the system chooses.
async fn open(host: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(host).await;
    };
    let socket = if host.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(host).await
}

/// What the failure means for the message: without encryption it may go out in clear where nobody
/// minds; to the wrong host never.
fn fault(error: &TlsError) -> HandshakeFault {
    let why = error.to_string().into();
    match error {
        TlsError::NotTrusted(_) | TlsError::Local(_) => HandshakeFault::Certificate(why),
        TlsError::TimedOut | TlsError::Lost(_) | TlsError::Handshake(_) => {
            HandshakeFault::Broken(why)
        }
    }
}

/// Asks all side by side.
async fn look_up(
    active: &Arc<ActiveConfiguration>,
    questions: Vec<Question>,
) -> Vec<(Question, Answer)> {
    let mut asked = JoinSet::new();
    for question in questions {
        let active = Arc::clone(active);
        asked.spawn(async move {
            let answer = active.route_answer(&question).await;
            (question, answer)
        });
    }
    asked.join_all().await
}

/// What a wait ended with.
enum Woken {
    Progress,
    Order(Option<Order>),
    Hurried,
    Lost,
    TimedOut,
}

async fn wait(
    stream: &mut Stream,
    conversation: &mut Conversation,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    idle: bool,
    hurry: &Notify,
    timer: Pin<&mut Sleep>,
) -> Woken {
    tokio::select! {
        biased;
        read = poll_fn(|cx| poll_read(cx, stream, conversation)) => match read {
            Ok(1..) => Woken::Progress,
            Ok(0) | Err(_) => Woken::Lost,
        },
        order = orders.recv(), if idle => Woken::Order(order),
        () = hurry.notified() => Woken::Hurried,
        () = timer => Woken::TimedOut,
    }
}

/// Writes what is ready, while listening: a server may answer, or hang up, before it has read
/// everything.
async fn write(
    stream: &mut Stream,
    conversation: &mut Conversation,
    timer: Pin<&mut Sleep>,
) -> Woken {
    let all_written = poll_fn(|cx| {
        // What is not written yet stays in `output`: by it the conversation knows a reply that came
        // too early.
        while !conversation.output().is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, conversation.output()) {
                Poll::Ready(written) => drop(conversation.output().drain(..written?)),
                Poll::Pending => {
                    let read = ready!(poll_read(cx, stream, conversation));
                    return Poll::Ready(read.map(|octets| octets > 0));
                }
            }
        }
        Poll::Ready(io::Result::Ok(true))
    });
    tokio::select! {
        biased;
        going_on = all_written => match going_on {
            Ok(true) => Woken::Progress,
            Ok(false) | Err(_) => Woken::Lost,
        },
        () = timer => Woken::TimedOut,
    }
}

/// Reads once, straight into the conversation; gives the number of octets, 0 at the end.
fn poll_read(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    conversation: &mut Conversation,
) -> Poll<io::Result<usize>> {
    let mut buffer = [0; READ_BYTES];
    let mut read = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    conversation.receive(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// The content of a message as the spool has it, from its start; or why it cannot be read.
async fn stored(services: &Services, id: QueueId) -> Result<Feed, String> {
    let spool = Arc::clone(&services.spool);
    match tokio::task::spawn_blocking(move || spool.body(id)).await {
        Ok(Ok(Some(Body::Memory(content)))) => Ok(Feed::Memory(content)),
        Ok(Ok(Some(Body::Stream(stream)))) => Ok(Feed::Stream(stream)),
        Ok(Ok(None)) => Err("the message is no longer in the spool".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(fault) => Err(fault.to_string()),
    }
}

type Piece = (Vec<u8>, Box<dyn io::Read + Send>);

async fn read_piece(mut stream: Box<dyn io::Read + Send>) -> Result<Piece, String> {
    let work = move || {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        stream
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        Ok((piece, stream))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(read) => read.map_err(|error: io::Error| error.to_string()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// `Connection refused`, without the number that the system puts behind.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

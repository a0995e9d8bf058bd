//! One incoming connection: carries octets between a socket and a [`reception::Session`], and does
//! what the session asks for.
//!
//! An idle connection holds no buffer: reading goes through one buffer per thread. The timer is put
//! back only when the session says that a step is done, so a client that trickles gains nothing. A
//! client that leaves while its message is being stored changes nothing about the storing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use admission::Standing;
use bytes::Bytes;
use mail::{Client, QueueId, Timestamp};
use reception::{Accepted, Admission, Event, Session, SessionFact, SignIn, SignedIn, StoreTrouble};
use relay_policy::{Reason, Why};
use spool::{BodyWriter, Change, Content, SpoolError};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use crate::disk::{Coming, Urgency};
use crate::inbox::Input;
use crate::services::{Services, Stop};
use crate::sign_in::Exchanging;
use crate::{clock, journal};
use tls::Acceptor;
use tls::Stream;

/// Octets read at once; one buffer per thread.
const READ_BYTES: usize = 64 << 10;

/// How long a client may take to make room for our farewell.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a client that is cut off may go on sending before it is left without having heard why.
const LINGER_WAIT: Duration = Duration::from_millis(500);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Serves a session until it is over.
pub(crate) async fn serve(services: Arc<Services>, terms: Terms, session: Session, ending: Ending) {
    let Terms {
        stream,
        acceptor,
        standing,
        is_proxy,
    } = terms;
    let mut connection = Connection {
        services,
        stream,
        acceptor,
        exchanging: None,
        standing,
        is_proxy,
        session,
        kept: Vec::new(),
        ending,
        id: None,
        coming: None,
        body: None,
    };
    connection.run().await;
}

/// How a connection comes, and what it may ask for.
pub(crate) struct Terms {
    pub(crate) stream: Stream,
    /// Answers its handshake, where TLS is offered.
    pub(crate) acceptor: Option<Acceptor>,
    /// How fast it may go.
    pub(crate) standing: Standing,
    /// It comes from a proxy of ours on its own account.
    pub(crate) is_proxy: bool,
}

/// Tells a session that it is to end at the next moment between two messages: the relay stops, or
/// it was reloaded and the rules by which this session decides are no longer in force. The client
/// hears 421, and comes back to the new ones. When a stop has no more time, it tells the session to
/// end where it is.
pub(crate) struct Ending {
    stop: watch::Receiver<Stop>,
    new_rules: watch::Receiver<()>,
    new_users: watch::Receiver<()>,
    /// How far a stop must have come to be told next; nothing once all was told.
    next: Option<Stop>,
}

/// What a session is told.
enum Call {
    /// End after the message under way.
    Finish,
    /// End now.
    Leave,
}

impl Ending {
    /// To be made before the session's rules are looked up, so that no reload is missed.
    pub(crate) fn new(services: &Services) -> Self {
        Self {
            stop: services.stop.subscribe(),
            new_rules: services.new_rules.subscribe(),
            new_users: services.new_users.subscribe(),
            next: Some(Stop::Draining),
        }
    }

    /// Somebody is about to sign in by the users of now: only a later change concerns that.
    fn knows_users(&mut self) {
        self.new_users.mark_unchanged();
    }

    /// Ends when there is something to tell, each thing once. Other users concern only the session
    /// of one.
    async fn wait(&mut self, signed_in: bool) -> Call {
        let Some(next) = self.next else {
            return std::future::pending().await;
        };
        let untold = next == Stop::Draining;
        let reached = tokio::select! {
            stop = self.stop.wait_for(|stop| *stop >= next) => stop.map_or(Stop::Now, |stop| *stop),
            _ = self.new_rules.changed(), if untold => Stop::Draining,
            _ = self.new_users.changed(), if untold && signed_in => Stop::Draining,
        };
        if reached == Stop::Now {
            self.next = None;
            return Call::Leave;
        }
        self.next = Some(Stop::Now);
        Call::Finish
    }
}

struct Connection {
    services: Arc<Services>,
    stream: Stream,
    acceptor: Option<Acceptor>,
    /// The sign-in under way.
    exchanging: Option<Box<Exchanging>>,
    standing: Standing,
    is_proxy: bool,
    session: Session,
    /// Read, but not yet taken by the session: it waits for an answer.
    kept: Vec<u8>,
    ending: Ending,
    /// The message begun last.
    id: Option<QueueId>,
    /// Tells the disk thread that it is on its way.
    coming: Option<Coming>,
    /// What was spilled of it.
    body: Option<Box<dyn BodyWriter>>,
}

/// A fault in our own code ends this session alone: the client hears 421 and tries again, the spool
/// has what it was promised.
impl Drop for Connection {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The connection ends in any case.
            let _unheard = self
                .stream
                .try_write(b"421 4.3.0 Internal fault, closing connection\r\n");
        }
    }
}

/// What the wait for the client ended with.
enum Woken {
    Read(io::Result<usize>),
    TimedOut,
    Ending(Call),
}

impl Connection {
    async fn run(&mut self) {
        let time_limit = self.session.time_limit();
        let mut timer = Box::pin(sleep_until(Instant::now() + time_limit.limit));
        let mut phase = time_limit.phase;
        loop {
            self.answer_events(timer.as_mut()).await;
            if self.flush(timer.as_mut()).await.is_err() {
                self.session.on_disconnected();
            }
            if self.session.is_closed() {
                break;
            }
            if self.offer_kept() {
                continue;
            }
            let time_limit = self.session.time_limit();
            if time_limit.phase != phase {
                phase = time_limit.phase;
                timer.as_mut().reset(Instant::now() + time_limit.limit);
            }
            match self.wait(timer.as_mut()).await {
                Woken::Read(Ok(1..)) => {}
                Woken::Read(Ok(0)) => self.session.on_disconnected(),
                Woken::Read(Err(error)) => {
                    if let Some(why) = tls::alert(&error) {
                        journal::broken_off(self.session.client(), self.session.number(), &why);
                    }
                    self.session.on_disconnected();
                }
                Woken::TimedOut => self.session.on_timeout(),
                Woken::Ending(call) => self.end(&call),
            }
        }
        self.answer_events(timer.as_mut()).await;
        // The client may be gone already; it has been told what there was to tell.
        let _gone = self.flush(timer.as_mut()).await;
        self.stream.close(CLOSE_WAIT).await;
        if self.ending.next.is_none() {
            self.linger().await;
        }
    }

    fn end(&mut self, call: &Call) {
        match call {
            Call::Finish => self.session.on_shutdown(),
            Call::Leave => self.session.on_cut_off(),
        }
    }

    /// Reads on for a while and keeps nothing: a client in the middle of a message would get a
    /// reset in place of our last words.
    async fn linger(&mut self) {
        let until_it_goes = async {
            while let Ok(1..) = read(&mut self.stream, &mut self.session, &mut self.kept).await {
                self.kept.clear();
            }
        };
        // It may send for ever; whoever waits for us does not.
        let _sends_on = timeout(LINGER_WAIT, until_it_goes).await;
    }

    /// Gives the session what it left before; true when it took some.
    fn offer_kept(&mut self) -> bool {
        if self.kept.is_empty() || !self.session.wants_input() {
            return false;
        }
        let used = self.session.receive(&self.kept, clock::now());
        self.kept.drain(..used);
        if self.kept.is_empty() {
            self.kept = Vec::new();
        }
        used > 0
    }

    async fn wait(&mut self, timer: Pin<&mut Sleep>) -> Woken {
        let signed_in = self.session.client().user.is_some();
        tokio::select! {
            biased;
            call = self.ending.wait(signed_in) => Woken::Ending(call),
            read = read(&mut self.stream, &mut self.session, &mut self.kept) => Woken::Read(read),
            () = timer => Woken::TimedOut,
        }
    }

    async fn flush(&mut self, timer: Pin<&mut Sleep>) -> io::Result<()> {
        if self.session.output().is_empty() {
            return Ok(());
        }
        let replies = std::mem::take(self.session.output());
        tokio::select! {
            biased;
            written = self.stream.write_all(&replies) => written,
            () = timer => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn answer_events(&mut self, mut timer: Pin<&mut Sleep>) {
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Log(fact) => {
                    self.note(&fact);
                    self.write_down(&fact);
                }
                Event::Begin => {
                    let id = self.services.new_id();
                    self.id = Some(id);
                    self.coming = Some(self.services.disk.expect());
                    let health = self.services.spool.health();
                    let admission = self.paced(engine::admission(&health, id));
                    self.session.begin_message(admission);
                }
                Event::Ask(question) => {
                    let _gone_shows_later = self.flush(timer.as_mut()).await;
                    let rules = Arc::clone(self.session.rules());
                    let active = self.services.active();
                    // In a box, as all that is rare and large: what a future may once wait in takes
                    // room in it for as long as it lives.
                    let answer = Box::pin(active.find_out(&rules, question)).await;
                    self.session.on_fact(answer);
                }
                Event::StartTls => {
                    let _gone_shows_later = self.flush(timer.as_mut()).await;
                    Box::pin(self.encrypt()).await;
                }
                Event::SignIn(step) => Box::pin(self.sign_in(step)).await,
                Event::Pause(pause) => {
                    let _gone_shows_later = self.flush(timer.as_mut()).await;
                    self.pause(pause).await;
                }
                Event::Spill => {
                    let taken = self.spill().await;
                    self.session.content_taken(taken);
                }
                Event::Abandoned => self.body = None,
                Event::Message(accepted) => {
                    let _gone_shows_later = self.flush(timer.as_mut()).await;
                    let stored = self.store(*accepted).await;
                    self.session.on_stored(stored);
                }
            }
        }
    }

    fn write_down(&self, fact: &SessionFact) {
        let (client, number) = (self.session.client(), self.session.number());
        match fact {
            SessionFact::Ended(summary) if self.is_proxy && summary.messages == 0 => {
                journal::proxy_looked(client, number);
            }
            _ => journal::session(client, number, fact),
        }
    }

    /// A recipient that does not exist is held against the client.
    fn note(&self, fact: &SessionFact) {
        if let SessionFact::RefusedRecipient(refused) = fact
            && refused
                .reason
                .as_ref()
                .is_some_and(|reason| reason.why == Why::UnknownRecipient)
        {
            self.services.pace.guessed(&self.standing);
        }
    }

    /// The admission, if the client does not send too fast.
    fn paced(&self, admission: Admission) -> Admission {
        let Admission::Open { id, .. } = admission else {
            return admission;
        };
        match self.services.pace.begin(&self.standing) {
            Ok(recipients) => Admission::Open { id, recipients },
            Err(why) => Admission::TooFast(why.reply(self.session.hostname())),
        }
    }

    /// Shakes hands. What was read before belongs to nobody (RFC 3207 section 4.2).
    async fn encrypt(&mut self) {
        self.kept = Vec::new();
        let limit = self.session.time_limit().limit;
        let (Some(acceptor), Some(socket)) = (&self.acceptor, self.stream.take_plain()) else {
            return self.session.on_disconnected();
        };
        match tls::accept(socket, acceptor, limit).await {
            Ok((stream, facts)) => {
                self.stream = stream;
                self.session.on_encrypted(facts);
                let (rules, client) = (self.session.rules(), self.session.client());
                self.standing = engine::standing_encrypted(self.standing.clone(), rules, client);
            }
            Err(error) => {
                journal::handshake_failed(self.session.client(), self.session.number(), &error);
                self.session.on_disconnected();
            }
        }
    }

    async fn sign_in(&mut self, step: SignIn) {
        let exporter = self.stream.exporter();
        let client = self.session.client().address();
        let mut exchanging = match self.exchanging.take() {
            Some(exchanging) => exchanging,
            None => self.begin_sign_in(),
        };
        let Some(outcome) = exchanging
            .step(&self.services.sign_ins, client, exporter, step)
            .await
        else {
            return;
        };
        if matches!(outcome.answer, SignedIn::Challenge(_)) {
            self.exchanging = Some(exchanging);
        }
        if let Some(account) = outcome.account {
            let active = self.services.active();
            let limits = &active.setup.config.limits.admission;
            self.standing = engine::standing_of_user(&account, limits);
        }
        self.session.on_sign_in(outcome.answer);
    }

    /// By the users of now: one may have been removed since the session began.
    fn begin_sign_in(&mut self) -> Box<Exchanging> {
        self.ending.knows_users();
        Box::new(Exchanging::new(self.services.active().sign_in_settings()))
    }

    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => self.session.on_paused(),
            call = self.ending.wait(false) => self.end(&call),
        }
    }

    /// Appends what the session has of a large body to its file.
    async fn spill(&mut self) -> Result<(), StoreTrouble> {
        let piece = self.session.take_content();
        let id = self.id;
        let body = self.body.take();
        let spool = Arc::clone(&self.services.spool);
        let written = blocking(move || {
            let mut body = match (body, id) {
                (Some(body), _) => body,
                (None, Some(id)) => spool.open_body(id)?,
                (None, None) => return Err(SpoolError::Invalid("no message was begun".into())),
            };
            body.write(&piece)?;
            Ok(body)
        })
        .await;
        self.body = Some(written.map_err(|e| trouble(&e))?);
        Ok(())
    }

    async fn store(&mut self, mut accepted: Accepted) -> Result<spool::Receipt, StoreTrouble> {
        let rest = std::mem::take(&mut accepted.content);
        let content = match self.body.take() {
            None => Content::Inline(Bytes::from(rest)),
            Some(mut body) => blocking(move || {
                body.write(&rest)?;
                body.finish()
            })
            .await
            .map_err(|e| trouble(&e))?,
        };
        let hello = std::mem::take(&mut accepted.hello);
        let why = accepted
            .envelope
            .recipients
            .first()
            .map(|first| first.why.clone());
        let recipients = u32::try_from(accepted.envelope.recipients.len()).unwrap_or(u32::MAX);
        self.services.pace.carried(&self.standing, recipients);
        let client = self.session.client();
        let now = self.services.clock.line();
        let message = engine::new_message(accepted, client, content, now);
        let (client, number) = (client.clone(), self.session.number());
        let dispatch = self.services.dispatch.clone();
        let (answer, answered) = oneshot::channel();
        let change = Change::Store(message.clone());
        let on_commit = Box::new(move |commit| {
            let stored = engine::stored(commit);
            if stored.is_ok() {
                log_and_announce(&client, number, &hello, message, why.as_ref(), &dispatch);
            }
            let _session_gone = answer.send(stored);
        });
        self.coming = None;
        self.services.disk.commit(change, Urgency::Now, on_commit);
        answered.await.unwrap_or(Err(StoreTrouble::Failed))
    }
}

/// On the disk thread, right after the sync: the queue manager learns of the message even if its
/// session has ended.
fn log_and_announce(
    client: &Client,
    number: u64,
    hello: &str,
    message: spool::NewMessage,
    why: Option<&Reason>,
    dispatch: &tokio::sync::mpsc::UnboundedSender<Input>,
) {
    journal::accepted(client, number, hello, &message, why);
    let stored = engine::stored_event(message);
    // Fails only when the queue manager has ended: then the next start finds the message in the
    // spool.
    let _ended = dispatch.send(Input::Event(stored));
}

fn trouble(error: &SpoolError) -> StoreTrouble {
    tracing::error!(%error, "a message body could not be written");
    engine::trouble(error)
}

/// Runs disk work beside the network threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let ended = || SpoolError::Io("the disk work did not finish".into());
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ended()))
}

/// Reads through the thread's buffer straight into the session; gives the number of octets read, 0
/// at the end.
async fn read(stream: &mut Stream, session: &mut Session, kept: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        READ.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            let now: Timestamp = clock::now();
            let arrived = read.filled();
            if kept.is_empty() {
                let used = session.receive(arrived, now);
                kept.extend_from_slice(&arrived[used..]);
            } else {
                kept.extend_from_slice(arrived);
            }
            // A reply acknowledges too.
            if session.wants_content() && session.output().is_empty() {
                acknowledge(stream);
            }
            Poll::Ready(Ok(arrived.len()))
        })
    })
    .await
}

/// Has what came acknowledged at once. Many clients write the last dot, or the first line, by
/// itself, and Nagle's algorithm holds such a piece back until the one before is acknowledged: by
/// default some 40 ms later. The system forgets this with time, so it is said each time.
fn acknowledge(stream: &Stream) {
    if let Some(socket) = stream.socket() {
        let _slower_at_worst = socket.set_quickack(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival;

    fn size_of_future<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A relay may have thousands of idle connections: none keeps room for what it does only once.
    #[test]
    fn a_connection_that_waits_is_small() {
        let (greeting, serving) = (size_of_future(arrival::greet), size_of_future(serve));
        assert!(greeting <= 2 << 10, "{greeting} octets");
        assert!(serving <= 4 << 10, "{serving} octets");
    }
}

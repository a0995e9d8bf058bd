//! One incoming connection: carries octets between a socket and a [`reception::Session`], and does what the session asks for.
//!
//! An idle connection holds no buffer: reading goes through one buffer per thread. The timer is put back only when the session says that a step is
//! done, so a client that trickles gains nothing. A client that leaves while its message is being stored changes nothing about the storing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use mail::{Client, QueueId, Timestamp};
use reception::{Accepted, Event, Session, StoreTrouble};
use relay_policy::{Fact, Question};
use spool::{BodyWriter, Change, Content, SpoolError};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::disk::{Coming, Urgency};
use crate::dispatch::Input;
use crate::world::{Force, Stop, World, new_id};
use crate::{clock, journal};

/// Octets read at once; one buffer per thread.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Serves a session until it is over.
pub(crate) async fn serve(world: Arc<World>, stream: TcpStream, session: Session, ending: Ending) {
    let mut connection = Connection {
        world,
        stream,
        session,
        kept: Vec::new(),
        ending,
        id: None,
        coming: None,
        body: None,
    };
    connection.run().await;
}

/// Tells a session that it is to end at the next moment between two messages: the relay stops, or it was reloaded and the rules by which this
/// session decides are no longer in force. The client hears 421, and comes back to the new ones.
pub(crate) struct Ending {
    stop: watch::Receiver<Stop>,
    force: watch::Receiver<Arc<Force>>,
    told: bool,
}

impl Ending {
    /// To be made before the session's rules are looked up, so that no reload is missed.
    pub(crate) fn new(world: &World) -> Self {
        Self {
            stop: world.stop.subscribe(),
            force: world.force.subscribe(),
            told: false,
        }
    }

    /// Ends once, when it is time.
    async fn wait(&mut self) {
        if self.told {
            return std::future::pending().await;
        }
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop > Stop::Running) => {}
            _ = self.force.changed() => {}
        }
        self.told = true;
    }
}

struct Connection {
    world: Arc<World>,
    stream: TcpStream,
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

/// A fault in our own code ends this session alone: the client hears 421 and tries again, the spool has what it was promised.
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
    Ending,
}

impl Connection {
    async fn run(&mut self) {
        let patience = self.session.patience();
        let mut timer = Box::pin(sleep_until(Instant::now() + patience.limit));
        let mut phase = patience.phase;
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
            let patience = self.session.patience();
            if patience.phase != phase {
                phase = patience.phase;
                timer.as_mut().reset(Instant::now() + patience.limit);
            }
            match self.wait(timer.as_mut()).await {
                Woken::Read(Ok(1..)) => {}
                Woken::Read(Ok(0) | Err(_)) => self.session.on_disconnected(),
                Woken::TimedOut => self.session.on_timeout(),
                Woken::Ending => self.session.on_shutdown(),
            }
        }
        self.answer_events(timer.as_mut()).await;
        // The client may be gone already; it has been told what there was to tell.
        let _gone = self.flush(timer.as_mut()).await;
        let _gone = self.stream.shutdown().await;
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
        tokio::select! {
            biased;
            () = self.ending.wait() => Woken::Ending,
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
                    journal::session(self.session.client(), self.session.number(), &fact);
                }
                Event::Begin => {
                    let id = new_id();
                    self.id = Some(id);
                    self.coming = Some(self.world.disk.expect());
                    let health = self.world.spool.health();
                    self.session.begin_message(engine::admission(&health, id));
                }
                Event::Ask(question) => {
                    let _gone_shows_later = self.flush(timer.as_mut()).await;
                    let fact = find_out(&self.world, question).await;
                    self.session.on_fact(question, fact);
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

    /// Appends what the session has of a large body to its file.
    async fn spill(&mut self) -> Result<(), StoreTrouble> {
        let piece = self.session.take_content();
        let id = self.id;
        let body = self.body.take();
        let spool = Arc::clone(&self.world.spool);
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
        let client = self.session.client();
        let message = engine::new_message(accepted, client, content);
        let (client, number) = (client.clone(), self.session.number());
        let dispatch = self.world.dispatch.clone();
        let (answer, answered) = oneshot::channel();
        let change = Change::Store(message.clone());
        let on_commit = Box::new(move |commit| {
            let stored = engine::stored(commit);
            if stored.is_ok() {
                log_and_announce(&client, number, &hello, message, &dispatch);
            }
            let _session_gone = answer.send(stored);
        });
        self.coming = None;
        self.world.disk.commit(change, Urgency::Now, on_commit);
        answered.await.unwrap_or(Err(StoreTrouble::Failed))
    }
}

/// Finds out what the relay policy asks.
pub(crate) async fn find_out(world: &World, question: Question) -> Fact<mail::Domain> {
    let Question::ConfirmedName(address) = question;
    let resolver = Arc::clone(&world.force().resolver);
    match resolver.confirmed_name(address).await {
        Ok(Some(name)) => Fact::Yes(name),
        Ok(None) => Fact::No,
        Err(_) => Fact::CannotTell,
    }
}

/// On the disk thread, right after the sync: the queue manager learns of the message even if its session has ended.
fn log_and_announce(
    client: &Client,
    number: u64,
    hello: &str,
    message: spool::NewMessage,
    dispatch: &tokio::sync::mpsc::UnboundedSender<Input>,
) {
    journal::accepted(client, number, hello, &message);
    let spool::NewMessage {
        message,
        recipients,
        content,
    } = message;
    let content = match content {
        Content::Inline(content) => Some(content),
        Content::Large(_) => None,
    };
    let stored = queue::Event::Stored {
        message,
        recipients,
        content,
    };
    // Fails only when the queue manager has ended: then the next start finds the message in the spool.
    let _ended = dispatch.send(Input::Event(stored));
}

fn trouble(error: &SpoolError) -> StoreTrouble {
    tracing::error!(%error, "a message body could not be written");
    match error {
        SpoolError::Full => StoreTrouble::Full,
        SpoolError::Io(_) | SpoolError::Corrupt(_) | SpoolError::Invalid(_) => StoreTrouble::Failed,
    }
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

/// Reads through the thread's buffer straight into the session; gives the number of octets read, 0 at the end.
async fn read(
    stream: &mut TcpStream,
    session: &mut Session,
    kept: &mut Vec<u8>,
) -> io::Result<usize> {
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
            Poll::Ready(Ok(arrived.len()))
        })
    })
    .await
}

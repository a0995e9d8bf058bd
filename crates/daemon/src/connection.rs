//! One incoming connection: owns the socket, the timer and the ways to the disk and to whoever
//! answers questions, and does what [`engine::Incoming`] says, in its order.
//!
//! An idle connection holds no buffer: reading goes through one buffer per thread.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use admission::Standing;
use engine::{Acceptance, Action, BodyWrite, BodyWritten, Incoming, Storing};
use reception::{Session, SessionFact, SignIn, SignedIn, StoreTrouble};
use spool::SpoolError;
use tls::{Acceptor, Stream};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::disk::{Coming, Urgency};
use crate::ending::Ending;
use crate::inbox::Input;
use crate::services::Services;
use crate::sign_in::Exchanging;
use crate::{clock, journal};

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
        is_proxy,
        incoming: Incoming::new(session, standing),
        ending,
        exchanging: None,
        coming: None,
    };
    connection.run().await;
}

/// How a connection comes, and what it may ask for.
pub(crate) struct Terms {
    pub(crate) stream: Stream,
    /// Answers its handshake, where TLS is offered.
    pub(crate) acceptor: Option<Acceptor>,
    /// To which limits it is held.
    pub(crate) standing: Standing,
    /// It comes from a proxy of ours on its own account.
    pub(crate) is_proxy: bool,
}

struct Connection {
    services: Arc<Services>,
    stream: Stream,
    acceptor: Option<Acceptor>,
    is_proxy: bool,
    incoming: Incoming,
    ending: Ending,
    /// The sign-in under way.
    exchanging: Option<Box<Exchanging>>,
    /// Tells the disk thread that a message is on its way.
    coming: Option<Coming>,
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

impl Connection {
    async fn run(&mut self) {
        let mut timer = Box::pin(sleep(Duration::MAX));
        loop {
            match self.incoming.next_action() {
                None => self.wait(timer.as_mut()).await,
                Some(Action::Log(fact)) => self.log(&fact),
                Some(Action::Guessed) => self.services.pace.guessed(self.incoming.standing()),
                Some(Action::Send(octets)) => self.send(&octets, timer.as_mut()).await,
                Some(Action::Timer(limit)) => timer.as_mut().reset(Instant::now() + limit),
                Some(Action::Begin) => self.begin(),
                // In boxes, as all that is rare and large: what a future may once wait in takes
                // room in it for as long as it lives.
                Some(Action::Ask(question)) => {
                    let (rules, active) = (self.incoming.rules(), self.services.active());
                    let answer = Box::pin(active.find_out(rules, question)).await;
                    self.incoming.on_answer(answer);
                }
                Some(Action::SignIn(step)) => Box::pin(self.sign_in(step)).await,
                Some(Action::StartTls(limit)) => Box::pin(self.encrypt(limit)).await,
                Some(Action::Write(write)) => self.write(write).await,
                Some(Action::Store(storing)) => self.store(storing).await,
                Some(Action::Close { lingers }) => return self.close(lingers).await,
            }
        }
    }

    async fn wait(&mut self, timer: Pin<&mut Sleep>) {
        let reads = self.incoming.reads();
        tokio::select! {
            biased;
            news = self.ending.next() => news.tell(&mut self.incoming),
            read = read(&mut self.stream, &mut self.incoming), if reads => match read {
                Ok(1..) => {}
                Ok(0) => self.incoming.on_end(),
                Err(error) => self.broken(&error),
            },
            () = timer => self.incoming.on_timer(),
        }
    }

    fn broken(&mut self, error: &io::Error) {
        if let Some(why) = tls::alert(error) {
            journal::broken_off(self.incoming.client(), self.incoming.number(), &why);
        }
        self.incoming.on_end();
    }

    async fn send(&mut self, octets: &[u8], timer: Pin<&mut Sleep>) {
        let sent = tokio::select! {
            biased;
            sent = self.stream.write_all(octets) => sent.is_ok(),
            () = timer => false,
        };
        if !sent {
            self.incoming.on_send_failed();
        }
    }

    /// Says farewell; what a client in the middle of a message still sends is read and forgotten.
    async fn close(&mut self, lingers: bool) {
        self.stream.close(CLOSE_WAIT).await;
        if lingers {
            let stream = &mut self.stream;
            let until_it_goes =
                async { while let Ok(1..) = read(stream, &mut self.incoming).await {} };
            // It may send for ever; whoever waits for us does not.
            let _sends_on = timeout(LINGER_WAIT, until_it_goes).await;
        }
    }

    fn log(&self, fact: &SessionFact) {
        let (client, number) = (self.incoming.client(), self.incoming.number());
        match fact {
            SessionFact::Ended(summary) if self.is_proxy && summary.messages == 0 => {
                journal::proxy_looked(client, number);
            }
            _ => journal::session(client, number, fact),
        }
    }

    fn begin(&mut self) {
        self.coming = Some(self.services.disk.expect());
        let (id, health) = (self.services.new_id(), self.services.spool.health());
        let pace = &self.services.pace;
        self.incoming
            .begin(id, &health, |standing| pace.begin(standing));
    }

    async fn encrypt(&mut self, limit: Duration) {
        let socket = self.stream.take_plain();
        let (Some(acceptor), Some(socket)) = (&self.acceptor, socket) else {
            return self.incoming.on_handshake_failed();
        };
        match tls::accept(socket, acceptor, limit).await {
            Ok((stream, facts)) => {
                self.stream = stream;
                self.incoming.on_encrypted(facts);
            }
            Err(error) => {
                journal::handshake_failed(self.incoming.client(), self.incoming.number(), &error);
                self.incoming.on_handshake_failed();
            }
        }
    }

    async fn sign_in(&mut self, step: SignIn) {
        if matches!(step, SignIn::Start { .. }) {
            // By the users of now: one may have been removed since the session began.
            self.ending.knows_users();
            let settings = self.services.active().sign_in_settings();
            self.exchanging = Some(Box::new(Exchanging::new(settings)));
        }
        let (client, exporter) = (self.incoming.client().address(), self.stream.exporter());
        let Some(mut exchanging) = self.exchanging.take() else {
            return;
        };
        let sign_ins = &self.services.sign_ins;
        let Some(outcome) = exchanging.step(sign_ins, client, exporter, step).await else {
            return;
        };
        if matches!(outcome.answer, SignedIn::Challenge(_)) {
            self.exchanging = Some(exchanging);
        }
        let active = self.services.active();
        let limits = &active.setup.config.limits.admission;
        let user = outcome.account;
        let user = user.map(|account| engine::standing_of_user(&account, limits));
        self.incoming.on_sign_in(outcome.answer, user);
    }

    async fn write(&mut self, write: BodyWrite) {
        let spool = Arc::clone(&self.services.spool);
        let written = tokio::task::spawn_blocking(move || write.run(&*spool)).await;
        let ended = |_| Err(SpoolError::Io("the disk work did not finish".into()));
        let written: Result<BodyWritten, SpoolError> = written.unwrap_or_else(ended);
        if let Err(error) = &written {
            tracing::error!(%error, "a message body could not be written");
        }
        self.incoming.on_written(written);
    }

    async fn store(&mut self, storing: Box<Storing>) {
        let services = &self.services;
        let recipients = storing.recipients();
        services.pace.carried(self.incoming.standing(), recipients);
        let (change, pending) = storing.at(services.clock.line());
        let dispatch = services.dispatch.clone();
        let (answer, answered) = oneshot::channel();
        // On the disk thread, right after the sync.
        let on_commit = Box::new(move |commit| {
            let (stored, acceptance) = pending.on_commit(commit);
            if let Some(acceptance) = acceptance {
                log_and_announce(acceptance, &dispatch);
            }
            let _session_gone = answer.send(stored);
        });
        self.coming = None;
        services.disk.commit(change, Urgency::Now, on_commit);
        let stored = answered.await.unwrap_or(Err(StoreTrouble::Failed));
        self.incoming.on_stored(stored);
    }
}

fn log_and_announce(acceptance: Acceptance, dispatch: &mpsc::UnboundedSender<Input>) {
    journal::accepted(&acceptance);
    // Fails only when the queue manager has ended: then the next start finds the message in the
    // spool.
    let _ended = dispatch.send(Input::queue(acceptance.into_event()));
}

/// Reads through the thread's buffer straight into the connection's session; gives the number of
/// octets read, 0 at the end.
async fn read(stream: &mut Stream, incoming: &mut Incoming) -> io::Result<usize> {
    poll_fn(|cx| {
        READ.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
            incoming.receive(read.filled(), clock::now());
            if incoming.is_amid_content() {
                acknowledge(stream);
            }
            Poll::Ready(Ok(read.filled().len()))
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

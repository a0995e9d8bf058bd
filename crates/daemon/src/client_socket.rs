//! The socket of a client: how it is read and written, encrypted and closed.
//!
//! An idle connection holds no buffer: reading goes through one buffer per thread.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use engine::Incoming;
use mail::TlsFacts;
use tls::{Acceptor, Stream, TlsError};
use tokio::io::{AsyncRead, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::time::{Sleep, timeout};

use crate::clock;

/// Octets read at once; one buffer per thread.
const READ_BYTES: usize = 64 << 10;

/// How long a client may take to make room for our farewell.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a client that is cut off may go on sending before it is left without having heard why.
const LINGER_WAIT: Duration = Duration::from_millis(500);

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The connection to a client.
pub(crate) struct ClientSocket {
    stream: Stream,
    /// Answers its handshake, where TLS is offered.
    acceptor: Option<Acceptor>,
}

/// A fault in our own code ends this session alone: the client hears 421 and tries again, the spool
/// has what it was promised.
impl Drop for ClientSocket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The connection ends in any case.
            let _unheard = self
                .stream
                .try_write(b"421 4.3.0 Internal fault, closing connection\r\n");
        }
    }
}

impl ClientSocket {
    /// The connection as it has come about, and what answers its handshake, where TLS is offered.
    pub(crate) fn new(stream: Stream, acceptor: Option<Acceptor>) -> Self {
        Self { stream, acceptor }
    }

    /// Reads through the thread's buffer straight into the connection's session; gives the number
    /// of octets read, 0 at the end.
    pub(crate) async fn read(&mut self, incoming: &mut Incoming) -> io::Result<usize> {
        poll_fn(|cx| {
            READ.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
                incoming.receive(read.filled(), clock::now());
                if incoming.is_amid_content() {
                    self.acknowledge();
                }
                Poll::Ready(Ok(read.filled().len()))
            })
        })
        .await
    }

    /// Has what came acknowledged at once. Many clients write the last dot, or the first line, by
    /// itself, and Nagle's algorithm holds such a piece back until the one before is acknowledged:
    /// by default some 40 ms later. The system forgets this with time, so it is said each time.
    fn acknowledge(&self) {
        if let Some(socket) = self.stream.socket() {
            let _slower_at_worst = socket.set_quickack(true);
        }
    }

    /// Comes when the connection is broken: no answer gets there any more. Who has only ended its
    /// sending side still listens, and nothing tells it from one that has closed both.
    pub(crate) async fn broken(&self) {
        let Some(socket) = self.stream.socket() else {
            return pending().await;
        };
        while let Ok(ready) = socket.ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
        }
    }

    /// Writes all of it; false when that failed, or the timer ran out before.
    pub(crate) async fn send(&mut self, octets: &[u8], timer: Pin<&mut Sleep>) -> bool {
        tokio::select! {
            biased;
            sent = self.stream.write_all(octets) => sent.is_ok(),
            () = timer => false,
        }
    }

    /// Shakes hands as a server, within that time.
    ///
    /// # Errors
    /// Why there is no encryption; the connection is of no use any more.
    pub(crate) async fn encrypt(&mut self, limit: Duration) -> Result<TlsFacts, TlsError> {
        let Some(acceptor) = &self.acceptor else {
            return Err(TlsError::Local("TLS is not offered".into()));
        };
        let Some(socket) = self.stream.take_plain() else {
            return Err(TlsError::Local("the connection is not in clear".into()));
        };
        let (stream, facts) = tls::accept(socket, acceptor, limit).await?;
        self.stream = stream;
        Ok(facts)
    }

    /// The connection, for whoever goes on with it.
    pub(crate) fn take(&mut self) -> Stream {
        std::mem::replace(&mut self.stream, Stream::Gone)
    }

    /// The channel binding (RFC 9266), where there is one.
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        self.stream.exporter()
    }

    /// Says farewell; what a client in the middle of a message still sends is read and forgotten.
    pub(crate) async fn close(&mut self, lingers: bool, incoming: &mut Incoming) {
        self.stream.close(CLOSE_WAIT).await;
        if lingers {
            let until_it_goes = async { while let Ok(1..) = self.read(incoming).await {} };
            // It may send for ever; whoever waits for us does not.
            let _sends_on = timeout(LINGER_WAIT, until_it_goes).await;
        }
    }
}

//! The socket of an outgoing connection: how it is written and read, and for how long.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use engine::Agent;
use mail::Timestamp;
use tls::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::sessions::Traffic;

/// Octets read at once: replies are short.
const READ_BYTES: usize = 4 << 10;

/// The connection that an agent has, if it has one, and the time that the server has.
pub(crate) struct Socket {
    stream: Option<Stream>,
    timer: Option<(Timestamp, Pin<Box<Sleep>>)>,
    traffic: Arc<Traffic>,
}

/// What came of a move.
pub(crate) enum Moved {
    /// Something was written or read.
    On,
    /// The connection was closed by the server, or it broke.
    Lost,
    /// The agent's deadline has come.
    TimeIsUp,
}

impl Socket {
    /// Not connected; what goes over it is counted.
    pub(crate) fn new(traffic: Arc<Traffic>) -> Self {
        Self {
            stream: None,
            timer: None,
            traffic,
        }
    }

    pub(crate) fn open(&mut self, stream: Stream) {
        self.stream = Some(stream);
    }

    pub(crate) fn close(&mut self) {
        self.stream = None;
    }

    /// The socket in clear, for a handshake.
    pub(crate) fn take(&mut self) -> Option<TcpStream> {
        self.stream.take()?.take_plain()
    }

    /// One move of `agent` on its connection: writes what there is, or waits for the server.
    pub(crate) async fn serve(&mut self, agent: &mut Agent, now: Timestamp) -> Moved {
        let (Some(stream), Some(deadline)) = (&mut self.stream, agent.deadline()) else {
            return Moved::Lost;
        };
        let until = Instant::now() + deadline.since(now);
        let (at, timer) = self
            .timer
            .get_or_insert_with(|| (deadline, Box::pin(sleep_until(until))));
        if std::mem::replace(at, deadline) != deadline || timer.is_elapsed() {
            timer.as_mut().reset(until);
        }
        let traffic = &*self.traffic;
        tokio::select! {
            biased;
            moved = poll_fn(|cx| poll_move(cx, stream, agent, traffic)) => match moved {
                Ok(true) => Moved::On,
                Ok(false) | Err(_) => Moved::Lost,
            },
            () = timer.as_mut() => Moved::TimeIsUp,
        }
    }
}

/// Writes what is ready, or else reads, straight into the conversation; false at the end.
///
/// What cannot be written at once waits while the server is listened to: it may answer, or hang up,
/// before it has read everything.
fn poll_move(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    agent: &mut Agent,
    traffic: &Traffic,
) -> Poll<io::Result<bool>> {
    let mut wrote = false;
    while !agent.output().is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, agent.output()) {
            Poll::Ready(written) => {
                let written = written?;
                traffic.add_sent(written);
                agent.on_written(written);
            }
            Poll::Pending => return poll_read(cx, stream, agent, traffic),
        }
        wrote = true;
    }
    if wrote {
        return Poll::Ready(Ok(true));
    }
    poll_read(cx, stream, agent, traffic)
}

fn poll_read(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    agent: &mut Agent,
    traffic: &Traffic,
) -> Poll<io::Result<bool>> {
    let mut buffer = [0; READ_BYTES];
    let mut read = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    traffic.add_received(read.filled().len());
    agent.receive(read.filled());
    Poll::Ready(Ok(!read.filled().is_empty()))
}

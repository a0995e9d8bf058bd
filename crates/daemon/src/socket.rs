//! The socket of an outgoing connection: how it is made and encrypted, written and read.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use delivery::HandshakeFault;
use engine::Agent;
use mail::{Timestamp, TlsFacts};
use route::{DemandedBy, Hop};
use tls::{How, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::active::ActiveConfiguration;

/// Octets read at once: replies are short.
const READ_BYTES: usize = 4 << 10;

/// The connection that an agent has, if it has one, and the time that the server has.
#[derive(Default)]
pub(crate) struct Socket {
    stream: Option<Stream>,
    timer: Option<(Timestamp, Pin<Box<Sleep>>)>,
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
        tokio::select! {
            biased;
            moved = poll_fn(|cx| poll_move(cx, stream, agent)) => match moved {
                Ok(true) => Moved::On,
                Ok(false) | Err(_) => Moved::Lost,
            },
            () = timer.as_mut() => Moved::TimeIsUp,
        }
    }
}

/// Connects within that time from `source`, or from the address that the system chooses.
pub(crate) async fn connect(
    host: SocketAddr,
    source: Option<IpAddr>,
    within: Duration,
) -> Result<Stream, String> {
    let opened = async {
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
    };
    let stream = match timeout(within, opened).await {
        Ok(opened) => opened.map_err(|error| plain(&error))?,
        Err(_) => return Err("no answer in time".to_owned()),
    };
    // Without it the last small segment of each message waits for the other side's delayed
    // acknowledgement.
    let _slower_at_worst = stream.set_nodelay(true);
    Ok(Stream::Plain(stream))
}

/// A handshake by which the host gives what the hop demands.
pub(crate) async fn shake_hands(
    active: Arc<ActiveConfiguration>,
    site: Arc<str>,
    hop: Hop,
    within: Duration,
    socket: Option<TcpStream>,
) -> Result<(Stream, TlsFacts), HandshakeFault> {
    let Some(socket) = socket else {
        return Err(HandshakeFault::Broken("the connection was lost".into()));
    };
    let delivery = active.setup.config.deliveries.get(&site);
    let everybody = active.setup.config.outbound.ca.as_deref();
    let how = How {
        security: &hop.security,
        host: &hop.name,
        ca: delivery
            .and_then(|delivery| delivery.ca.as_deref())
            .or(everybody),
        certificate: delivery.and_then(|delivery| delivery.certificate.as_ref()),
    };
    let connector = &active.connector;
    let shaken = match hop.demanded_by {
        DemandedBy::MtaStsTesting { .. } => connector.try_out(socket, &how, within).await,
        DemandedBy::Configuration | DemandedBy::Dane | DemandedBy::MtaSts => {
            connector.connect(socket, &how, within).await
        }
    };
    match shaken {
        Ok((stream, facts, _)) => Ok((stream, facts)),
        Err(error) => Err(error.into()),
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
) -> Poll<io::Result<bool>> {
    let mut wrote = false;
    while !agent.output().is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, agent.output()) {
            Poll::Ready(written) => agent.on_written(written?),
            Poll::Pending => return poll_read(cx, stream, agent),
        }
        wrote = true;
    }
    if wrote {
        return Poll::Ready(Ok(true));
    }
    poll_read(cx, stream, agent)
}

fn poll_read(
    cx: &mut Context<'_>,
    stream: &mut Stream,
    agent: &mut Agent,
) -> Poll<io::Result<bool>> {
    let mut buffer = [0; READ_BYTES];
    let mut read = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    agent.receive(read.filled());
    Poll::Ready(Ok(!read.filled().is_empty()))
}

/// `Connection refused`, without the number that the system puts behind.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

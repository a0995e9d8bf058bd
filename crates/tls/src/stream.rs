//! One connection's octets, in clear or through TLS, in either direction.
//!
//! In clear it costs one comparison more than the bare socket.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::{ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

/// What RFC 9266 section 3 calls the channel's name for itself.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// A connection, before or after its TLS handshake, as client or as server.
#[derive(Debug)]
pub enum Stream {
    /// The connection is in clear.
    Plain(TcpStream),
    /// The other end is a program of this machine, by a socket of the file system or a pair of them.
    Local(UnixStream),
    /// The connection is encrypted: its handshake is done.
    Tls(Box<TlsStream<TcpStream>>),
    /// Its socket was taken for a handshake and has not come back: reads end, writes fail.
    Gone,
}

impl Stream {
    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The network's socket below, unless it is gone.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Local(_) | Self::Gone => None,
        }
    }

    /// Whether the socket is open and has nothing to read. What is read to find out is lost.
    pub fn is_quiet(&self) -> bool {
        let mut octet = [0];
        let read = match self {
            Self::Plain(socket) => socket.try_read(&mut octet),
            Self::Local(socket) => socket.try_read(&mut octet),
            Self::Tls(tls) => tls.get_ref().0.try_read(&mut octet),
            Self::Gone => return false,
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Takes the socket out for a handshake and leaves [`Stream::Gone`]; `None`, and nothing
    /// changed, when it is not in clear.
    pub fn take_plain(&mut self) -> Option<TcpStream> {
        match std::mem::replace(self, Self::Gone) {
            Self::Plain(socket) => Some(socket),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Writes what the socket takes at once, without waiting: for the last words of a session that
    /// ends by a fault.
    ///
    /// # Errors
    /// As for a write to a socket; `WouldBlock` when it takes nothing now.
    pub fn try_write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(octets),
            Self::Local(socket) => socket.try_write(octets),
            Self::Tls(tls) => try_write_tls(tls, octets),
            Self::Gone => Err(gone()),
        }
    }

    /// Says farewell where TLS has one, and closes. Not for longer than `limit`: a peer that reads
    /// nothing leaves no room even for that.
    pub async fn close(&mut self, limit: Duration) {
        // Gone or silent, it is left in any case.
        let _gone = timeout(limit, self.shutdown()).await;
    }

    /// The `tls-exporter` channel binding (RFC 9266), for SCRAM-SHA-256-PLUS; `None` where it must
    /// not be used.
    ///
    /// RFC 9266 section 4.2 allows it under TLS 1.2 only with the extended master secret, of which
    /// rustls tells nothing: so only TLS 1.3 has it.
    pub fn exporter(&self) -> Option<[u8; 32]> {
        let Self::Tls(tls) = self else { return None };
        if tls.get_ref().1.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
            return None;
        }
        let secret = [0; 32];
        match &**tls {
            TlsStream::Client(tls) => {
                let connection = tls.get_ref().1;
                connection.export_keying_material(secret, EXPORTER_LABEL, None)
            }
            TlsStream::Server(tls) => {
                let connection = tls.get_ref().1;
                connection.export_keying_material(secret, EXPORTER_LABEL, None)
            }
        }
        .ok()
    }
}

/// rustls turns the octets into records; a socket that is not ready stops them, and nobody comes
/// back for them.
fn try_write_tls(tls: &mut TlsStream<TcpStream>, octets: &[u8]) -> io::Result<usize> {
    match tls {
        TlsStream::Client(tls) => {
            let (socket, connection) = tls.get_mut();
            write_records(socket, connection, octets)
        }
        TlsStream::Server(tls) => {
            let (socket, connection) = tls.get_mut();
            write_records(socket, connection, octets)
        }
    }
}

fn write_records<Side>(
    socket: &TcpStream,
    connection: &mut ConnectionCommon<Side>,
    octets: &[u8],
) -> io::Result<usize>
where
    Side: SideData,
{
    let written = connection.writer().write(octets)?;
    while connection.wants_write() {
        connection.write_tls(&mut AtOnce(socket))?;
    }
    Ok(written)
}

/// A socket as rustls wants it, that never waits.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Stream {
    /// Also sends what TLS still holds back: a full socket leaves encrypted records behind after a
    /// write, and whoever then waits for the answer to them would wait for ever.
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Local(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(tls) => {
                if tls.get_ref().1.wants_write()
                    && let Poll::Ready(Err(error)) = Pin::new(&mut **tls).poll_flush(cx)
                {
                    return Poll::Ready(Err(error));
                }
                Pin::new(&mut **tls).poll_read(cx, buffer)
            }
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, octets),
            Self::Local(socket) => Pin::new(socket).poll_write(cx, octets),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, octets),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Self::Local(socket) => Pin::new(socket).poll_write_vectored(cx, pieces),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, pieces),
            Self::Gone => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Local(socket) => socket.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Gone => false,
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Local(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Local(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

//! The socket of one syslog server.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use config::Syslog;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use syslog::Destination;

/// How long a server may take to let us in, and to take a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to a server.
pub(crate) enum Connection {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Opens it, reading what certificates there are to be read. Blocks.
    pub(crate) fn open(syslog: &Syslog) -> io::Result<Self> {
        match &syslog.to {
            Destination::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
            Destination::Udp(host, port) => at_any(host, *port, udp).map(Self::Udp),
            Destination::Tcp(host, port) => at_any(host, *port, tcp).map(Self::Tcp),
            Destination::Tls(host, port) => {
                let (ca, certificate) = (syslog.ca.as_deref(), syslog.certificate.as_ref());
                let config = tls::client_config(ca, certificate).map_err(io::Error::other)?;
                let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
                let client = ClientConnection::new(Arc::new(config), name);
                let client = client.map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(client, at_any(host, *port, tcp)?);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).map_err(told)?;
                }
                Ok(Self::Tls(Box::new(stream)))
            }
        }
    }

    /// Hands over one message. Blocks, but not for ever.
    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(frame).map(drop),
            Self::Udp(socket) => socket.send(frame).map(drop),
            Self::Tcp(stream) => stream.write_all(frame),
            Self::Tls(stream) => stream.write_all(frame).and_then(|()| stream.flush()),
        }
    }

    /// Whether what was sent can be relied upon from the moment when it was taken.
    pub(crate) fn is_sure(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Looks whether the server is still there, as far as it has said so. A server that likes
    /// nothing of what it gets says so by closing alone. Does not wait.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) => Ok(()),
            Self::Udp(socket) => socket.take_error()?.map_or(Ok(()), Err),
            Self::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let looked = read_to_now(|buffer| stream.read(buffer));
                stream.set_nonblocking(false)?;
                looked
            }
            Self::Tls(stream) => {
                stream.sock.set_nonblocking(true)?;
                let looked = read_to_now(|buffer| stream.read(buffer));
                stream.sock.set_nonblocking(false)?;
                looked.map_err(told)
            }
        }
    }

    /// Says goodbye: a server of RFC 5425 wants to hear close_notify, and none need answer it.
    pub(crate) fn close(self) {
        if let Self::Tls(mut stream) = self {
            stream.conn.send_close_notify();
            let _closed_all_the_same = stream.flush();
        }
    }
}

/// What a server says is nothing to us, only whether it is there.
fn read_to_now(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match read(&mut buffer) {
            Ok(0) => return Err(closed()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(closed()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(
        ErrorKind::ConnectionAborted,
        "the server closed the connection",
    )
}

/// The words of TLS that say what is wrong, where there are some.
fn told(error: io::Error) -> io::Error {
    let said = tls::plain(&error);
    io::Error::new(error.kind(), format!("TLS: {said}"))
}

/// The first of the host's addresses at which it works, else why it did not at the last.
fn at_any<T>(host: &str, port: u16, open: fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in lookups::host_addresses(host)? {
        match open((address, port).into()) {
            Ok(opened) => return Ok(opened),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

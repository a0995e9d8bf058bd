#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a client of its own that tries a server from outside"
)]

#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mail::Reply;
use relay_audit::prove::{Login, Lost, Peer};
use smtp::ReplyReader;

use super::report::shortened;
use crate::output::say;

/// How long the server may take for a connection, and for each reply as a whole; some keep
/// strangers waiting on purpose.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections made at most: some servers hang up after each refusal, and the battery has fewer
/// probes than that.
const CONNECTIONS_MAX: u32 = 100;

/// What we call ourselves (RFC 2606).
const OUR_NAME: &str = "relay-test.example.org";

/// A server over a socket, in clear. Never says DATA.
pub(super) struct Live {
    server: String,
    address: IpAddr,
    name: Option<String>,
    stream: TcpStream,
    reader: ReplyReader,
    kept: Vec<u8>,
    connections: u32,
    /// Whether the dialogue is printed.
    shows: bool,
    wants_sign_in: bool,
}

impl Live {
    /// Connects and says EHLO.
    ///
    /// # Errors
    /// Nobody is there, or nobody who wants to talk to us.
    pub(super) fn connect(server: &str, shows: bool) -> Result<Self, Lost> {
        let stream = open(server)?;
        let address = stream.peer_addr().map_err(lost)?.ip();
        let mut live = Self {
            server: server.to_owned(),
            address,
            name: None,
            stream,
            reader: ReplyReader::new(),
            kept: Vec::new(),
            connections: 1,
            shows,
            wants_sign_in: false,
        };
        let hello = live.greet()?;
        if !hello.is_positive() {
            return Err(Lost(format!("the server turns us away: {hello}")));
        }
        Ok(live)
    }

    /// The server's address.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// What the server calls itself in its answer to EHLO.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it answered 530.
    pub(super) fn wants_sign_in(&self) -> bool {
        self.wants_sign_in
    }

    /// The greeting when it is no 220, otherwise the answer to EHLO, or to HELO where nobody knows
    /// that.
    fn greet(&mut self) -> Result<Reply, Lost> {
        let greeting = self.reply()?;
        if greeting.code() != 220 {
            return Ok(greeting);
        }
        let mut hello = self.command(&format!("EHLO {OUR_NAME}"))?;
        if !hello.is_positive() {
            hello = self.command(&format!("HELO {OUR_NAME}"))?;
        }
        if hello.is_positive() {
            self.name = hello.text().split_whitespace().next().map(str::to_owned);
        }
        Ok(hello)
    }

    fn reply(&mut self) -> Result<Reply, Lost> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut rest = self.kept.as_slice();
            let read = self.reader.read(&mut rest);
            let read = read.map_err(|fault| Lost(fault.to_string()))?;
            self.kept = rest.to_vec();
            if let Some(reply) = read {
                for line in reply.lines().filter(|_| self.shows) {
                    say!("  S: {} {}", reply.reply().code(), mail::escaped(line));
                }
                let reply = reply.into_reply();
                self.wants_sign_in |= reply.code() == 530;
                return Ok(reply);
            }
            self.receive(until)?;
        }
    }

    /// Waits for more octets of the server's, not beyond `until`: one octet a minute is no reply
    /// either.
    fn receive(&mut self, until: Instant) -> Result<(), Lost> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lost("no reply in time".to_owned()));
        }
        self.stream.set_read_timeout(Some(left)).map_err(lost)?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).map_err(lost)? {
            0 => Err(Lost("the server closed the connection".to_owned())),
            octets => {
                self.kept.extend_from_slice(&buffer[..octets]);
                Ok(())
            }
        }
    }
}

impl Peer for Live {
    fn begin(&mut self) -> Result<Reply, Lost> {
        if self.connections >= CONNECTIONS_MAX {
            return Err(Lost("the server hangs up again and again".to_owned()));
        }
        self.connections += 1;
        self.stream = open(&self.server)?;
        self.reader = ReplyReader::new();
        self.kept.clear();
        self.greet()
    }

    fn command(&mut self, line: &str) -> Result<Reply, Lost> {
        if self.shows {
            say!("  C: {}", mail::escaped(&shortened(line)));
        }
        self.stream
            .write_all(format!("{line}\r\n").as_bytes())
            .map_err(lost)?;
        self.reply()
    }

    fn sign_in(&mut self, _login: Login) -> Result<Option<Reply>, Lost> {
        Ok(None)
    }
}

fn open(server: &str) -> Result<TcpStream, Lost> {
    let addresses = addresses(server)?;
    let mut last = Lost("the name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_write_timeout(Some(PATIENCE)).map_err(lost)?;
                return Ok(stream);
            }
            Err(error) => last = lost(error),
        }
    }
    Err(last)
}

/// Where HOST:PORT may be; the host is a name or an address.
fn addresses(server: &str) -> Result<Vec<SocketAddr>, Lost> {
    if let Ok(address) = server.parse() {
        return Ok(vec![address]);
    }
    let parted = server.rsplit_once(':');
    let parted = parted.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parted.ok_or_else(|| Lost("say HOST:PORT".to_owned()))?;
    let found = lookups::host_addresses(host).map_err(lost)?;
    Ok(found.into_iter().map(|ip| (ip, port).into()).collect())
}

fn lost(error: io::Error) -> Lost {
    match error.kind() {
        // What a time-out of a socket is called.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost("no reply in time".to_owned()),
        _ => Lost(error.to_string()),
    }
}

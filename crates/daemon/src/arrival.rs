//! A connection from its acceptance to its greeting: reads who it really is where a proxy speaks
//! for it, then does what [`engine::Arrival`] says.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::Listener;
use engine::{Arrival, ArrivalStep};
use mail::Client;
use reception::Session;
use smtp::{PROXY_LEN_MAX, ProxyHeader, ProxyNotes};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::active::ActiveConfiguration;
use crate::client_socket::ClientSocket;
use crate::connection::{self, Terms};
use crate::ending::Ending;
use crate::pace::Slot;
use crate::services::Services;
use tls::Stream;

/// How long a proxy may take for its header.
const PROXY_WAIT: Duration = Duration::from_secs(10);

/// Serves one connection, from its acceptance to its end.
pub(crate) async fn greet(
    services: Arc<Services>,
    name: Arc<str>,
    socket: TcpStream,
    peer: SocketAddr,
) {
    // Before the rules are looked up, so that no reload is missed.
    let ending = Ending::new(&services);
    let active = services.active();
    // In boxes: a task that only waits should be small, and not keep room for what it did before.
    let arrived = Box::pin(arrive(&services, &active, name, socket, peer));
    let Some((terms, session, slot)) = arrived.await else {
        return;
    };
    drop(active);
    Box::pin(connection::serve(services, terms, session, ending)).await;
    drop(slot);
}

/// `None` when there is nobody to talk to.
async fn arrive(
    services: &Arc<Services>,
    active: &Arc<ActiveConfiguration>,
    name: Arc<str>,
    mut socket: TcpStream,
    peer: SocketAddr,
) -> Option<(Terms, Session, Option<Slot>)> {
    let config = &active.setup.config;
    let mut listeners = config.listeners.iter();
    let listener = listeners.find(|listener| listener.name == name)?;
    let settings = Arc::clone(active.setup.sessions.get(&name)?);
    let Caller {
        client,
        is_proxy,
        notes,
    } = caller(listener, &mut socket, peer).await?;
    let number = services.next_session();
    services.journal.connected(&client);
    if !notes.is_empty() {
        services.journal.proxied(&client, number, peer, &notes);
    }
    let limits = &config.limits.admission;
    let arrival = Arrival::new(settings, listener.implicit_tls, client, number, limits);
    let visit = Visit {
        services,
        active,
        listener,
        number,
        stream: Stream::Plain(socket),
        slot: None,
    };
    let arrival = if is_proxy {
        arrival.of_proxy()
    } else {
        arrival
    };
    let (arrival, Visit { stream, slot, .. }) = visit.lead_in(arrival).await?;
    let (session, standing) = arrival.into_session();
    let terms = Terms {
        socket: ClientSocket::new(stream, active.acceptor(&name)),
        standing,
        is_proxy,
        id: None,
    };
    Some((terms, session, slot))
}

/// Who has connected: the other end of the socket, or the client that a proxy of ours speaks for.
struct Caller {
    client: Client,
    /// A proxy of ours on its own account, to see how we are: no rule about connections is about
    /// it.
    is_proxy: bool,
    notes: ProxyNotes,
}

/// The other end of the socket, or the client that a proxy of ours speaks for.
async fn caller(listener: &Listener, socket: &mut TcpStream, peer: SocketAddr) -> Option<Caller> {
    let local = socket.local_addr().ok()?;
    // Without it a reply waits for the client's delayed acknowledgement of the one before.
    let _slower_at_worst = socket.set_nodelay(true);
    let client = Client::new(peer, local, Arc::clone(&listener.name));
    if listener.proxies.holds(client.address()) {
        return proxied(listener, socket, client).await;
    }
    Some(Caller {
        client,
        is_proxy: false,
        notes: ProxyNotes::default(),
    })
}

/// What an arrival needs of the world.
struct Visit<'a> {
    services: &'a Services,
    active: &'a ActiveConfiguration,
    listener: &'a Listener,
    number: u64,
    stream: Stream,
    slot: Option<Slot>,
}

impl Visit<'_> {
    /// Does what the arrival says; none when it comes to nothing.
    async fn lead_in(mut self, mut arrival: Arrival) -> Option<(Arrival, Self)> {
        loop {
            match arrival.next_step() {
                ArrivalStep::TakeSlot => {
                    let slots = &self.listener.slots;
                    let pace = &self.services.pace;
                    let slot = pace.enter(arrival.client(), arrival.standing(), slots);
                    arrival.on_slot(slot.map(|slot| self.slot = Some(slot)));
                }
                ArrivalStep::Ask(question) => {
                    let rules = &self.listener.rules;
                    arrival.on_fact(self.active.find_out(rules, question).await);
                }
                ArrivalStep::Count => {
                    arrival.on_counted(self.services.pace.connect(arrival.standing()));
                }
                ArrivalStep::Log(why) => {
                    let slots = &self.listener.slots;
                    let (journal, client) = (&self.services.journal, arrival.client());
                    journal.turned_away(client, self.number, slots, &why);
                }
                ArrivalStep::Encrypt => self.encrypt(&mut arrival).await?,
                ArrivalStep::Listen(delay) => {
                    let silent = match &self.stream {
                        Stream::Plain(socket) => keeps_silent(socket, delay).await,
                        Stream::Local(_) | Stream::Tls(_) | Stream::Gone => true,
                    };
                    arrival.on_listened(silent);
                }
                ArrivalStep::Serve => return Some((arrival, self)),
                ArrivalStep::Leave => return None,
            }
        }
    }

    /// TLS from the first octet on (RFC 8314).
    async fn encrypt(&mut self, arrival: &mut Arrival) -> Option<()> {
        let acceptor = self.active.acceptor(&self.listener.name)?;
        let limit = arrival.handshake_limit();
        match tls::accept(self.stream.take_plain()?, &acceptor, limit).await {
            Ok((stream, facts)) => {
                self.stream = stream;
                arrival.on_encrypted(facts);
                Some(())
            }
            Err(error) => {
                let journal = &self.services.journal;
                journal.handshake_failed(arrival.client(), self.number, &error);
                None
            }
        }
    }
}

/// The client behind a proxy, by the header that the proxy must send first; without one nobody
/// knows who it is, and nobody is served.
async fn proxied(listener: &Listener, socket: &mut TcpStream, proxy: Client) -> Option<Caller> {
    let (peer, name) = (proxy.peer, &listener.name);
    let header = match timeout(PROXY_WAIT, read_header(socket)).await {
        Ok(Ok(Some(header))) => header,
        Ok(Ok(None)) => {
            tracing::debug!(proxy = %peer, listener = %name, "a proxy came and went without a word");
            return None;
        }
        Ok(Err(error)) => {
            tracing::warn!(proxy = %peer, listener = %name, %error, "no client: its proxy sends no PROXY header");
            return None;
        }
        Err(_) => {
            tracing::warn!(proxy = %peer, listener = %name, "no client: its proxy sends no PROXY header in time");
            return None;
        }
    };
    Some(match header {
        ProxyHeader::Proxied {
            source,
            destination,
            notes,
        } => {
            let client = Client::new(source, destination, Arc::clone(name));
            Caller {
                // HAProxy's checks by version 1 come with its own address. Not with that of any
                // proxy: where a whole network is listed, clients in it are clients.
                is_proxy: client.address() == proxy.address(),
                client,
                notes,
            }
        }
        ProxyHeader::Local => Caller {
            client: proxy,
            is_proxy: true,
            notes: ProxyNotes::default(),
        },
    })
}

/// Reads octet by octet, so that nothing behind the header is taken: what follows belongs to TLS or
/// to the session. `None` when the proxy leaves without a word, as those do that only look whether
/// a port is open.
async fn read_header(socket: &mut TcpStream) -> io::Result<Option<ProxyHeader>> {
    let mut header = Vec::with_capacity(64);
    while header.len() < PROXY_LEN_MAX {
        match socket.read_u8().await {
            Ok(octet) => header.push(octet),
            Err(error) if header.is_empty() && has_left(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let parsed = ProxyHeader::parse(&header).map_err(io::Error::other)?;
        if let Some((parsed, _)) = parsed {
            return Ok(Some(parsed));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

/// Whether the client says nothing for so long; with no delay, whether it has said nothing yet.
async fn keeps_silent(socket: &TcpStream, delay: Duration) -> bool {
    let mut octet = [0];
    let peeked = if delay.is_zero() {
        tokio::select! {
            biased;
            peeked = socket.peek(&mut octet) => Some(peeked),
            () = ready(()) => None,
        }
    } else {
        timeout(delay, socket.peek(&mut octet)).await.ok()
    };
    !matches!(peeked, Some(Ok(1..)))
}

#[cfg(test)]
mod tests {
    use smtp::ProxyHeader::{Local, Proxied};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Two ends of a connection.
    async fn both_ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap());
        let (other, accepted) = tokio::join!(other, listener.accept());
        (accepted.unwrap().0, other.unwrap())
    }

    /// What is made of these octets and the end behind them, and what is left for the session.
    async fn read(octets: &[u8]) -> (io::Result<Option<ProxyHeader>>, Vec<u8>) {
        let (mut ours, mut proxy) = both_ends().await;
        proxy.write_all(octets).await.unwrap();
        drop(proxy);
        let header = read_header(&mut ours).await;
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        (header, rest)
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        let length = u16::try_from(addresses.len()).unwrap();
        header.extend([0x20 | command, family]);
        header.extend(length.to_be_bytes());
        header.extend(addresses);
        header
    }

    #[tokio::test]
    async fn what_stands_behind_a_proxy_header_is_left_for_the_session() {
        let proxied = Proxied {
            source: "203.0.113.9:4711".parse().unwrap(),
            destination: "192.0.2.25:25".parse().unwrap(),
            notes: ProxyNotes::default(),
        };
        let text = b"PROXY TCP4 203.0.113.9 192.0.2.25 4711 25\r\n".to_vec();
        let addresses = [203, 0, 113, 9, 192, 0, 2, 25, 0x12, 0x67, 0, 25];
        for (header, expected) in [
            (text, proxied.clone()),
            (version_2(1, 0x11, &addresses), proxied),
            (version_2(0, 0, &[]), Local),
        ] {
            let behind = b"\x16\x03\x01EHLO\r\nPROXY";
            let (read, rest) = read(&[&header[..], behind].concat()).await;
            assert_eq!(read.unwrap(), Some(expected));
            assert_eq!(rest, behind);
        }
    }

    #[tokio::test]
    async fn a_client_with_an_address_among_those_of_proxies_is_a_client() {
        let text = "hostname = \"relay.test\"\n[listener.in]\nbind = \"127.0.0.1:25\"\n\
                    proxy_protocol_from = [\"127.0.0.0/8\"]\n";
        let config = config::parse("gatepost.toml", text, &config::Environment::default());
        let config = config.map_err(|wrong| wrong.to_string()).unwrap().config;
        for (header, is_proxy) in [
            ("PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\n", false),
            ("PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n", true),
            ("PROXY UNKNOWN\r\n", true),
        ] {
            let (mut ours, mut proxy) = both_ends().await;
            proxy.write_all(header.as_bytes()).await.unwrap();
            let peer = ours.peer_addr().unwrap();
            let caller = caller(&config.listeners[0], &mut ours, peer).await.unwrap();
            assert_eq!(caller.is_proxy, is_proxy, "{header}");
        }
    }

    #[tokio::test]
    async fn who_sends_no_header_is_nobody() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; PROXY_LEN_MAX]].concat();
        for octets in [
            &b"EHLO client.example\r\n"[..],
            b"PROXY TCP4 203.0.113.9",
            &endless,
        ] {
            assert!(read(octets).await.0.is_err());
        }
        assert_eq!(read(b"").await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn early_talkers_are_told_from_those_who_wait() {
        let long = Duration::from_secs(600);
        let (ours, mut client) = both_ends().await;
        assert!(keeps_silent(&ours, Duration::ZERO).await);
        assert!(keeps_silent(&ours, Duration::from_millis(1)).await);
        client.write_all(b"EHLO").await.unwrap();
        assert!(!keeps_silent(&ours, long).await);
        // It has come by now.
        assert!(!keeps_silent(&ours, Duration::ZERO).await);
        // Who goes has said nothing.
        let (ours, client) = both_ends().await;
        drop(client);
        assert!(keeps_silent(&ours, long).await);
    }
}

//! Listening sockets: bound once, kept over reloads as long as the configuration names them, each served by one accepting task.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use mail::Client;
use reception::Session;
use relay_policy::{Connect, Facts};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connection;
use crate::sessions::Places;
use crate::world::{Stop, World};

/// Connections that the system may hold until they are accepted.
const BACKLOG: i32 = 1024;
/// After an error of `accept` (usually: no file descriptors left), the listener waits this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// One bound socket and whom it serves.
pub struct Bound {
    /// The listener's name in the configuration.
    pub name: Arc<str>,
    /// What was asked for; port 0 takes a free one.
    pub asked: SocketAddr,
    /// What it is.
    pub address: SocketAddr,
    socket: StdListener,
}

/// Binds every listener of `config` that may be opened, but for those that `open` holds already.
///
/// # Errors
/// Says which address could not be bound, and what to look at. Nothing stays bound then.
pub fn bind(config: &Config, open: &[(Arc<str>, SocketAddr)]) -> Result<Vec<Bound>, String> {
    let mut bound = Vec::new();
    for listener in config
        .listeners
        .iter()
        .filter(|listener| listener.closed.is_none())
    {
        for asked in &listener.binds {
            if open
                .iter()
                .any(|(name, at)| *name == listener.name && at == asked)
            {
                continue;
            }
            let socket = bind_one(*asked).map_err(|error| {
                let place = &listener.place;
                format!(
                    "listener `{}` ({place}) cannot bind {asked}: {}",
                    listener.name,
                    advice(&error, *asked)
                )
            })?;
            let address = socket.local_addr().unwrap_or(*asked);
            bound.push(Bound {
                name: Arc::clone(&listener.name),
                asked: *asked,
                address,
                socket,
            });
        }
    }
    Ok(bound)
}

fn bind_one(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn advice(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program listens there already (see: ss -ltnp sport = :{})",
                address.port()
            )
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    }
}

/// The accepting tasks of one relay, by listener and address.
#[derive(Default)]
pub(crate) struct Listeners {
    open: HashMap<(Arc<str>, SocketAddr), Open>,
}

struct Open {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Listeners {
    /// Which sockets are open: name, and the address asked for.
    pub(crate) fn asked(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.open.keys().cloned().collect()
    }

    /// Which sockets are open: name, and the address bound.
    pub(crate) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let mut addresses: Vec<_> = self
            .open
            .iter()
            .map(|((name, _), open)| (Arc::clone(name), open.address))
            .collect();
        addresses.sort();
        addresses
    }

    /// Starts accepting on `bound`.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(crate) fn serve(&mut self, world: &Arc<World>, bound: Vec<Bound>) -> io::Result<()> {
        for Bound {
            name,
            asked,
            address,
            socket,
        } in bound
        {
            let socket = TcpListener::from_std(socket)?;
            tracing::info!(listener = %name, %address, "listening");
            let task = tokio::spawn(accept(Arc::clone(world), Arc::clone(&name), socket));
            self.open.insert((name, asked), Open { address, task });
        }
        Ok(())
    }

    /// Closes the sockets that `config` no longer names. Sessions that came through them go on.
    pub(crate) fn keep_only(&mut self, config: &Config) {
        self.open.retain(|(name, asked), open| {
            let named = config.listeners.iter().any(|listener| {
                listener.name == *name
                    && listener.closed.is_none()
                    && listener.binds.contains(asked)
            });
            if !named {
                tracing::info!(listener = %name, address = %open.address, "no longer listening");
                open.task.abort();
            }
            named
        });
    }

    /// Waits for the accepting tasks to end: they end by themselves when the relay stops and their sessions are over.
    pub(crate) async fn finished(&mut self) {
        for (_, open) in self.open.drain() {
            // A fault in it was logged by its own panic; there is nothing left to wait for.
            let _ended = open.task.await;
        }
    }
}

/// Accepts until the relay stops, then waits for its sessions; those still there at [`Stop::Now`] are cut.
async fn accept(world: Arc<World>, name: Arc<str>, socket: TcpListener) {
    let mut stop = world.stop.subscribe();
    let mut sessions = JoinSet::new();
    while *stop.borrow() == Stop::Running {
        tokio::select! {
            _ = stop.changed() => {}
            Some(ended) = sessions.join_next() => report_fault(ended),
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    sessions.spawn(greet(Arc::clone(&world), Arc::clone(&name), stream, peer));
                }
                Err(error) => {
                    tracing::error!(listener = %name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(socket);
    let everybody_left = async {
        while let Some(ended) = sessions.join_next().await {
            report_fault(ended);
        }
    };
    tokio::select! {
        () = everybody_left => {}
        _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
    }
}

fn report_fault(ended: Result<(), tokio::task::JoinError>) {
    if let Err(fault) = ended
        && fault.is_panic()
    {
        tracing::error!(%fault, "a session ended by a fault");
    }
}

/// Decides whether the client may connect and has a place, and serves it.
async fn greet(world: Arc<World>, name: Arc<str>, stream: TcpStream, peer: SocketAddr) {
    let force = world.force();
    let Some(settings) = force.setup.sessions.get(&name).cloned() else {
        return;
    };
    let Some(listener) = force.setup.config.listeners.iter().find(|l| l.name == name) else {
        return;
    };
    let places = Places {
        in_all: listener.sessions_max,
        per_client: listener.sessions_per_client_max,
    };
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Without it a reply waits for the client's delayed acknowledgement of the one before.
    let _slower_at_worst = stream.set_nodelay(true);
    let client = Client::new(peer, local, Arc::clone(&name));
    let number = world.next_session();
    let permitted = engine::is_permitted(&settings, &client);
    let place = world
        .sessions
        .enter(&name, client.address(), permitted, places);
    drop(force);
    let session = if place.is_none() {
        Session::busy(settings, client, number)
    } else {
        match may_connect(&world, &settings.rules, &client).await {
            None => Session::new(settings, client, number),
            Some(reply) => Session::turned_away(settings, client, number, reply),
        }
    };
    // In a box: a task that only waits should be small.
    Box::pin(connection::serve(world, stream, session)).await;
    drop(place);
}

/// The reply with which connection control turns the client away; none when it may connect.
async fn may_connect(
    world: &Arc<World>,
    rules: &relay_policy::Rules,
    client: &Client,
) -> Option<mail::Reply> {
    let mut facts = Facts::default();
    loop {
        match relay_policy::may_connect(rules, client, &facts) {
            Connect::Yes(_) => return None,
            Connect::Refuse { reply, .. } | Connect::Postpone { reply, .. } => return Some(reply),
            Connect::Ask(question) => {
                let fact = connection::find_out(world, question).await;
                facts.answer(question, fact);
            }
        }
    }
}

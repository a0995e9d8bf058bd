//! Listening sockets: bound once, kept over reloads as long as the configuration names them, each
//! served by one accepting task.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use socket2::{SockRef, Socket};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::arrival;
use crate::doors::Doors;
use crate::services::{Services, Stop};

/// After an error of `accept` (usually: no file descriptors left), the listener waits this long
/// instead of spinning.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long sessions that are cut off have for their last words.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);

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

/// Opens a socket for every listener of `config`, but for those in `open`, which are open already.
///
/// # Errors
/// Says which address could not be bound, and what to look at. Nothing stays bound then.
pub fn bind(
    config: &Config,
    open: &[(Arc<str>, SocketAddr)],
    doors: &Doors,
) -> Result<Vec<Bound>, String> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        for asked in &listener.binds {
            if open
                .iter()
                .any(|(name, at)| *name == listener.name && at == asked)
            {
                continue;
            }
            let socket = doors.listener(*asked).map_err(|error| {
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

pub(crate) fn advice(error: &io::Error, address: SocketAddr) -> String {
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

/// The accepting tasks of one relay.
#[derive(Default)]
pub(crate) struct Listeners {
    open: Vec<Open>,
    /// No longer accepting; their last sessions go on.
    closing: Vec<JoinHandle<()>>,
}

struct Open {
    asked: SocketAddr,
    address: SocketAddr,
    /// Open as long as this is, whether or not somebody accepts.
    socket: Arc<TcpListener>,
    /// Under which listener's name it accepts; a reload may give it another.
    name: watch::Sender<Arc<str>>,
    task: JoinHandle<()>,
}

/// A socket that the runtime watches already: opening it can no longer fail.
pub(crate) struct Ready {
    name: Arc<str>,
    asked: SocketAddr,
    address: SocketAddr,
    socket: TcpListener,
}

/// Hands bound sockets to the runtime.
///
/// # Errors
/// It cannot watch one of them.
pub(crate) fn ready(bound: Vec<Bound>) -> io::Result<Vec<Ready>> {
    let ready = |bound: Bound| {
        Ok(Ready {
            name: bound.name,
            asked: bound.asked,
            address: bound.address,
            socket: TcpListener::from_std(bound.socket)?,
        })
    };
    bound.into_iter().map(ready).collect()
}

/// What `config` wants open: listener and address.
fn wanted(config: &Config) -> Vec<(Arc<str>, SocketAddr)> {
    let open = config.listeners.iter();
    open.flat_map(|l| l.binds.iter().map(|bind| (Arc::clone(&l.name), *bind)))
        .collect()
}

impl Listeners {
    /// Which of the sockets that `config` wants are open already: under their own name, or under
    /// one that `config` no longer has there.
    pub(crate) fn kept(&self, config: &Config) -> Vec<(Arc<str>, SocketAddr)> {
        let wanted = wanted(config);
        wanted
            .iter()
            .filter(|(name, asked)| self.heir(name, *asked, &wanted).is_some())
            .cloned()
            .collect()
    }

    /// The open socket that serves `name` at `asked` from now on.
    fn heir(
        &self,
        name: &Arc<str>,
        asked: SocketAddr,
        wanted: &[(Arc<str>, SocketAddr)],
    ) -> Option<usize> {
        let here = |open: &Open| open.asked == asked;
        let own = |open: &Open| *open.name.borrow() == *name;
        let free = |open: &Open| !wanted.contains(&(Arc::clone(&open.name.borrow()), asked));
        let renamed = |open: &Open| asked.port() != 0 && free(open);
        let find = |of: &dyn Fn(&Open) -> bool| self.open.iter().position(|o| here(o) && of(o));
        find(&own).or_else(|| find(&renamed))
    }

    /// Which sockets are open: name, and the address bound.
    pub(crate) fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let open = self.open.iter();
        let mut addresses: Vec<_> = open
            .map(|open| (Arc::clone(&open.name.borrow()), open.address))
            .collect();
        addresses.sort();
        addresses
    }

    /// Copies of the sockets that are open.
    ///
    /// # Errors
    /// The system lets us have no more descriptors.
    pub(crate) fn sockets(&self) -> io::Result<Vec<Socket>> {
        let open = self.open.iter();
        open.map(|open| SockRef::from(&*open.socket).try_clone())
            .collect()
    }

    /// Starts to accept clients on these sockets, each socket in a task of its own.
    pub(crate) fn serve(&mut self, services: &Arc<Services>, ready: Vec<Ready>) {
        for Ready {
            name,
            asked,
            address,
            socket,
        } in ready
        {
            tracing::info!(listener = %name, %address, "listening");
            let (name, names) = watch::channel(name);
            let socket = Arc::new(socket);
            let task = tokio::spawn(accept(Arc::clone(services), names, Arc::clone(&socket)));
            self.open.push(Open {
                asked,
                address,
                socket,
                name,
                task,
            });
        }
    }

    /// Gives sockets the names that `config` has for them, and closes those that it no longer
    /// names. Sessions that came through them go on.
    pub(crate) fn keep_only(&mut self, config: &Config) {
        let wanted = wanted(config);
        let mut keep = HashMap::new();
        for (name, asked) in &wanted {
            if let Some(heir) = self.heir(name, *asked, &wanted) {
                keep.insert(heir, Arc::clone(name));
            }
        }
        for (index, open) in std::mem::take(&mut self.open).into_iter().enumerate() {
            match keep.remove(&index) {
                Some(name) => {
                    open.name.send_replace(name);
                    self.open.push(open);
                }
                None => {
                    let name = Arc::clone(&open.name.borrow());
                    tracing::info!(listener = %name, address = %open.address, "no longer listening");
                    // Its task hears that the name is gone, and stops accepting.
                    self.closing.push(open.task);
                }
            }
        }
        self.closing.retain(|task| !task.is_finished());
    }

    /// Waits for the accepting tasks to end: they end by themselves when the relay stops and their
    /// sessions are over.
    pub(crate) async fn finished(&mut self) {
        let open = std::mem::take(&mut self.open);
        let closing = std::mem::take(&mut self.closing);
        // All are closed before one is waited for.
        let open: Vec<_> = open.into_iter().map(|open| open.task).collect();
        for task in open.into_iter().chain(closing) {
            // A fault in it was logged by its own panic; there is nothing left to wait for.
            let _ended = task.await;
        }
    }
}

/// Accepts until the relay stops or the listener is gone, then waits for its sessions.
async fn accept(
    services: Arc<Services>,
    mut names: watch::Receiver<Arc<str>>,
    socket: Arc<TcpListener>,
) {
    let mut stop = services.stop.subscribe();
    let mut sessions = JoinSet::new();
    while *stop.borrow() == Stop::Running {
        tokio::select! {
            _ = stop.changed() => {}
            renamed = names.changed() => if renamed.is_err() { break },
            Some(ended) = sessions.join_next() => report_fault(ended),
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    let name = Arc::clone(&names.borrow());
                    sessions.spawn(arrival::greet(Arc::clone(&services), name, stream, peer));
                }
                Err(error) => {
                    let name = Arc::clone(&names.borrow());
                    tracing::error!(listener = %name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(socket);
    see_out(sessions, stop).await;
}

/// Waits for sessions to end; those still there at [`Stop::Now`] say farewell and are cut.
pub(crate) async fn see_out(mut sessions: JoinSet<()>, mut stop: watch::Receiver<Stop>) {
    let everybody_left = async {
        while let Some(ended) = sessions.join_next().await {
            report_fault(ended);
        }
    };
    let time_limit_ends = async {
        // An error says that the relay is gone altogether.
        drop(stop.wait_for(|stop| *stop == Stop::Now).await);
        tokio::time::sleep(FAREWELL_WAIT).await;
    };
    tokio::select! {
        () = everybody_left => {}
        () = time_limit_ends => {}
    }
}

/// Writes down a session that ended by a fault of ours.
pub(crate) fn report_fault(ended: Result<(), tokio::task::JoinError>) {
    if let Err(fault) = ended
        && fault.is_panic()
    {
        tracing::error!(%fault, "a session ended by a fault");
    }
}

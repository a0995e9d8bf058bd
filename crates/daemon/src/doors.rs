//! Listening sockets that are older or live longer than this program: those that it was started
//! with, by systemd or by the program that ran before an upgrade, and those that it hands on.
//!
//! All go the way of systemd (sd_listen_fds(3)), which listens, starts us with what it has open, and
//! goes on listening while we are away, so that a restart turns no client away.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use config::Config;
use listenfd::ListenFd;
use socket2::{SockAddr, Socket};

use crate::{tcp_socket, unix_socket};

/// The name of a socket that the program before us opened, and that is its to close.
const OURS: &str = "gatepost-opened";
/// The name of one that the program before us has from systemd.
const LENT: &str = "gatepost-given";
/// The name of a descriptor between them that is none.
pub(crate) const NONE: &str = "gatepost-none";

/// Where clients find a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug)]
struct Door {
    place: Place,
    socket: Socket,
    /// The one who gave it listens there in any case: closed here, it would be closed for us alone.
    is_lent: bool,
}

/// A socket for the program after this one.
#[derive(Debug)]
pub(crate) struct HandedOn {
    /// What is known of it there.
    pub(crate) name: &'static str,
    pub(crate) socket: Socket,
}

/// The listening sockets of a process.
#[derive(Debug, Default)]
pub struct Doors {
    /// What it was started with.
    given: Mutex<Vec<Door>>,
    /// Copies of those that stay open from the start to the end.
    kept: Mutex<Vec<Socket>>,
}

impl Doors {
    /// Those that this process was started with, if any. To be called once, before threads and other
    /// sockets are there.
    ///
    /// # Errors
    /// One of them is nothing that we can listen on; says what to change.
    pub(crate) fn take() -> Result<Self, String> {
        // Without it the sockets are not for this process: its parent has them from systemd.
        if env::var_os("LISTEN_PID").is_none() {
            return Ok(Self::default());
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut given = Vec::new();
        for number in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            if name == NONE {
                continue;
            }
            let failed = |why: String| format!("socket {} of systemd: {why}", number + 1);
            let socket = taken(&mut descriptors, number).map_err(|e| failed(e.to_string()))?;
            given.push(Door {
                place: prepared(&socket).map_err(failed)?,
                socket,
                is_lent: name != OURS,
            });
        }
        Ok(Self {
            given: Mutex::new(given),
            kept: Mutex::default(),
        })
    }

    /// A socket at this address, given or bound. Whoever asks closes it.
    pub(crate) fn listener(&self, address: SocketAddr) -> io::Result<StdListener> {
        match self.given(&Place::Tcp(address))? {
            Some(socket) => Ok(socket.into()),
            None => tcp_socket::open(address),
        }
    }

    /// The same for one that is open as long as the process lives.
    pub(crate) fn lasting(&self, address: SocketAddr) -> io::Result<StdListener> {
        let socket = self.listener(address)?;
        self.keep(socket.try_clone()?.into());
        Ok(socket)
    }

    /// A socket in the file system that is open as long as the process lives: given, with whatever
    /// mode it has, or opened with this one; and whether it was given.
    ///
    /// # Errors
    /// As of [`unix_socket::open`].
    pub(crate) fn lasting_at(&self, path: &Path, mode: u32) -> io::Result<(UnixListener, bool)> {
        // Nobody finds one whose file is gone.
        let given = match path.exists() {
            true => self.given(&Place::Unix(path.to_owned()))?,
            false => None,
        };
        let is_given = given.is_some();
        let socket = match given {
            Some(socket) => socket.into(),
            None => unix_socket::open(path, mode)?,
        };
        self.keep(socket.try_clone()?.into());
        Ok((socket, is_given))
    }

    /// Whatever name it was given says nothing of its place: systemd gives the same one to several.
    fn given(&self, place: &Place) -> io::Result<Option<Socket>> {
        let mut given = self.all_given();
        let Some(index) = given.iter().position(|door| door.place == *place) else {
            return Ok(None);
        };
        // Lent ones stay: a reload may close its listener and another open it again.
        match given.get(index) {
            Some(door) if door.is_lent => door.socket.try_clone().map(Some),
            _ => Ok(Some(given.swap_remove(index).socket)),
        }
    }

    fn keep(&self, socket: Socket) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(socket);
    }

    fn all_given(&self) -> MutexGuard<'_, Vec<Door>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the start: what the program before us had open and nobody took is closed.
    pub(crate) fn close_untaken(&self) {
        self.all_given().retain(|door| door.is_lent);
    }

    /// Where somebody else listens for us, and nobody answers by this configuration.
    pub(crate) fn unanswered(&self, config: &Config) -> Vec<String> {
        let listeners = config.listeners.iter().flat_map(|l| l.binds.iter());
        let pages = config.console.binds.iter().chain(&config.console.links);
        let addresses = listeners
            .chain(pages.map(|bind| &bind.address))
            .chain(&config.metrics);
        let mut places: Vec<Place> = addresses.map(|at| Place::Tcp(*at)).collect();
        let submit = config.local.submit.iter().map(|submit| &submit.socket);
        let paths = submit.chain([&config.control.socket]);
        places.extend(paths.map(|path| Place::Unix(path.clone())));
        let given = self.all_given();
        let unanswered = given
            .iter()
            .filter(|door| door.is_lent && !places.contains(&door.place));
        unanswered.map(|door| door.place.to_string()).collect()
    }

    /// A stop begins: nobody comes after us, and whoever serves a socket closes it.
    pub(crate) fn close(&self) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Copies of all, and of those in `more`, for the program after this one: they go on listening
    /// while nobody accepts.
    ///
    /// # Errors
    /// The system lets us have no more descriptors.
    pub(crate) fn handed_on(&self, more: Vec<Socket>) -> io::Result<Vec<HandedOn>> {
        let given = self.all_given();
        let copy = |name, socket: &Socket| {
            let socket = socket.try_clone()?;
            Ok(HandedOn { name, socket })
        };
        let lent = given.iter().filter(|door| door.is_lent);
        let mut all: Vec<HandedOn> = lent
            .map(|door| copy(LENT, &door.socket))
            .collect::<io::Result<_>>()?;
        let is_lent = |socket: &Socket| {
            let place = socket.local_addr().ok().and_then(|at| place_of(&at));
            given
                .iter()
                .any(|door| door.is_lent && Some(&door.place) == place.as_ref())
        };
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in kept.iter().chain(&more).filter(|socket| !is_lent(socket)) {
            all.push(copy(OURS, socket)?);
        }
        Ok(all)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn taken(descriptors: &mut ListenFd, number: usize) -> io::Result<Socket> {
    let is_gone = || io::Error::other("it is gone");
    match descriptors.take_tcp_listener(number) {
        Ok(socket) => socket.map(Socket::from).ok_or_else(is_gone),
        Err(why) => match descriptors.take_unix_listener(number) {
            Ok(socket) => socket.map(Socket::from).ok_or_else(is_gone),
            Err(_) => Err(why),
        },
    }
}

fn place_of(address: &SockAddr) -> Option<Place> {
    let unix = || {
        address
            .as_pathname()
            .map(|path| Place::Unix(path.to_owned()))
    };
    address.as_socket().map(Place::Tcp).or_else(unix)
}

/// Makes it one of ours; gives its place.
fn prepared(socket: &Socket) -> Result<Place, String> {
    let said = |error: io::Error| error.to_string();
    let place = place_of(&socket.local_addr().map_err(said)?);
    let place = place.ok_or("it has neither an address nor a path")?;
    if !socket.is_listener().map_err(said)? {
        return Err(format!(
            "{place} is a connection and no listener: Accept=no in the socket unit"
        ));
    }
    // It would let in clients of a family for which no listener was asked, by addresses that no list
    // names so.
    if let Place::Tcp(address) = place
        && address.ip().is_unspecified()
        && address.is_ipv6()
        && !socket.only_v6().map_err(said)?
    {
        return Err(format!(
            "{address} takes IPv4 too: BindIPv6Only=ipv6-only in the socket unit, and ListenStream=0.0.0.0:{} beside it",
            address.port()
        ));
    }
    socket.set_nonblocking(true).map_err(said)?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use config::Environment;
    use socket2::{Domain, Type};

    use super::*;

    fn socket(address: &str, only_v6: Option<bool>) -> Socket {
        let address: SocketAddr = address.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("a socket");
        if let Some(only) = only_v6 {
            socket.set_only_v6(only).expect("an option");
        }
        socket.bind(&address.into()).expect("an address");
        socket
    }

    fn listening() -> (Socket, SocketAddr) {
        let socket = socket("127.0.0.1:0", None);
        socket.listen(1).expect("it listens");
        let Ok(Place::Tcp(address)) = prepared(&socket) else {
            panic!("none of ours");
        };
        (socket, address)
    }

    fn given(socket: Socket, address: SocketAddr, is_lent: bool) -> Doors {
        let place = Place::Tcp(address);
        let door = Door {
            place,
            socket,
            is_lent,
        };
        Doors {
            given: Mutex::new(vec![door]),
            kept: Mutex::default(),
        }
    }

    fn config(bind: SocketAddr) -> Config {
        let text = format!("hostname = \"relay.example\"\n[listener.door]\nbind = \"{bind}\"\n");
        let read = config::parse("gatepost.toml", &text, &Environment::default());
        read.map_err(|wrong| wrong.to_string())
            .expect("sound")
            .config
    }

    #[test]
    fn a_socket_of_systemd_may_be_closed_and_opened_again() {
        let (socket, address) = listening();
        let doors = given(socket, address, true);
        let other = SocketAddr::new([127, 0, 0, 2].into(), address.port());
        assert_eq!(doors.unanswered(&config(other)), [address.to_string()]);
        assert_eq!(doors.unanswered(&config(address)), [] as [String; 0]);
        for _ in 0..2 {
            // To bind the address would fail: somebody listens there.
            let again = doors.listener(address).expect("the one that is open");
            assert_eq!(again.local_addr().expect("an address"), address);
        }
        doors.close_untaken();
        let handed = doors.handed_on(vec![doors.listener(address).expect("open").into()]);
        let names: Vec<_> = handed
            .expect("descriptors")
            .iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, [LENT], "once, though a listener has it too");
    }

    #[test]
    fn a_socket_of_the_program_before_goes_to_who_asks_for_it_or_is_closed() {
        let (socket, address) = listening();
        let doors = given(socket, address, false);
        assert!(doors.lasting(address).is_ok());
        assert_eq!(doors.handed_on(Vec::new()).expect("descriptors").len(), 1);
        doors.close();
        assert!(doors.handed_on(Vec::new()).expect("descriptors").is_empty());

        let (socket, address) = listening();
        let doors = given(socket, address, false);
        assert_eq!(doors.unanswered(&config(address)), [] as [String; 0]);
        doors.close_untaken();
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn what_is_no_listener_of_one_family_is_refused() {
        let idle = socket("127.0.0.1:0", None);
        assert!(prepared(&idle).unwrap_err().contains("Accept=no"));
        for (only, fits) in [(true, true), (false, false)] {
            let six = socket("[::]:0", Some(only));
            six.listen(1).expect("it listens");
            assert_eq!(prepared(&six).is_ok(), fits, "{only}");
        }
    }
}

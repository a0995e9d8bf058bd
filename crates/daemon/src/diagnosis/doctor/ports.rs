//! Whether the listeners can be opened, and there are file descriptors for all who come.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use config::Config;

use super::super::dns::Mark;
use super::Examined;

/// How long whoever has our port may take to say who it is.
const GREETING_WAIT: Duration = Duration::from_secs(2);
/// So much of its greeting is shown.
const GREETING_BYTES: usize = 200;
/// Files that are open beside connections: the spool, logs, sockets of our own.
const DESCRIPTORS_BESIDE: u64 = 200;

/// Tries to bind each address of each listener, and lets it go again.
pub(super) fn look(config: &Config, running: Option<u32>) -> Vec<Examined> {
    let listeners = config.listeners.iter();
    let binds = listeners.flat_map(|listener| {
        let host = listener.hostname.as_str();
        listener.binds.iter().map(move |address| (*address, host))
    });
    // A free one is always found.
    let binds = binds.filter(|(address, _)| address.port() != 0);
    binds
        .map(|(address, host)| bind(address, host, running))
        .collect()
}

/// `host` is what a listener greets with.
fn bind(address: SocketAddr, host: &str, running: Option<u32>) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, address, "bind", text);
    let error = match TcpListener::bind(address) {
        Ok(_) => return examined(Mark::Ok, "free, and may be bound".to_owned()),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let greeting = greeting(address);
            // One with another configuration may run, and another program have the port of this one.
            let is_other = |greeting: &String| {
                greeting.starts_with("220") && !greeting.to_ascii_lowercase().contains(host)
            };
            if running.is_some() && !greeting.as_ref().is_some_and(is_other) {
                return examined(Mark::Ok, "the relay that runs has it".to_owned());
            }
            let text = match greeting {
                Some(greeting) => format!("another program has it, which greets with: {greeting}"),
                None => "another program has it".to_owned(),
            };
            examined(Mark::Fail, text).cure(format!(
                "see who it is by `ss -ltnp sport = :{}`, and stop it for good (systemctl disable --now NAME), \
                 or have the listener bind another address",
                address.port()
            ))
        }
        ErrorKind::PermissionDenied => examined(Mark::Fail, "this account may not bind it".to_owned())
            .cure(
                "start as root, by the systemd unit, or with CAP_NET_BIND_SERVICE; as root the relay gives up \
                 its rights after binding",
            ),
        ErrorKind::AddrNotAvailable => {
            examined(Mark::Fail, "no address of this machine".to_owned())
                .cure("have the listener bind an address that `ip address` shows, or 0.0.0.0")
        }
        _ => examined(Mark::Fail, error.to_string()),
    }
}

/// The first line of whoever listens there.
fn greeting(address: SocketAddr) -> Option<String> {
    let mut to = address;
    if to.ip().is_unspecified() {
        to.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let line = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, GREETING_WAIT)?;
        stream.set_read_timeout(Some(GREETING_WAIT))?;
        let mut octets = [0; GREETING_BYTES];
        let read = stream.read(&mut octets)?;
        Ok(String::from_utf8_lossy(octets.get(..read).unwrap_or_default()).into_owned())
    };
    let line = line().ok()?;
    let first = line.lines().next().unwrap_or_default().trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// Each connection takes one.
pub(super) fn descriptors(config: &Config, running: Option<u32>) -> Option<Examined> {
    let sessions = config
        .listeners
        .iter()
        .map(|listener| u64::from(listener.slots.in_all.value));
    let sessions: u64 = sessions.sum();
    let outgoing = u64::from(config.queue.connections_max);
    let wanted = sessions + outgoing + DESCRIPTORS_BESIDE;
    // The limit of the relay itself where it runs: a unit may have another than this shell.
    let process = running.map_or("self".to_owned(), |process| process.to_string());
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    let most = line.split_whitespace().nth(4)?;
    // The relay raises the soft limit itself.
    let most: u64 = most.parse().unwrap_or(u64::MAX);
    let examined = |mark, text| Examined::new(mark, "this machine", "open files", text);
    Some(if most >= wanted {
        examined(Mark::Ok, format!("{most}, of which {wanted} may be needed"))
    } else {
        let text = format!("{most} at most, and {wanted} may be needed");
        examined(Mark::Warning, text).cure(format!(
            "LimitNOFILE={wanted} in the systemd unit or `ulimit -Hn {wanted}` before a start, or lower \
             max_sessions of listeners and outbound.max_connections"
        ))
    })
}

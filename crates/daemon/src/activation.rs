//! Listening sockets that somebody else opened: systemd listens, starts us with what it has open
//! (sd_listen_fds(3)), and goes on listening while we are away, so that a restart turns no client
//! away.

use std::env;
use std::net::{SocketAddr, TcpListener as StdListener};

use listenfd::ListenFd;
use socket2::SockRef;

/// Sockets that are open already, until a listener takes them.
#[derive(Debug, Default)]
pub struct Given(Vec<(SocketAddr, StdListener)>);

impl Given {
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
        let mut descriptors = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..descriptors.len() {
            let failed = |why: String| format!("socket {} of systemd: {why}", number + 1);
            let taken = descriptors.take_tcp_listener(number);
            if let Some(socket) = taken.map_err(|error| failed(error.to_string()))? {
                let address = prepared(&socket).map_err(failed)?;
                sockets.push((address, socket));
            }
        }
        Ok(Self(sockets))
    }

    /// The socket at exactly this address. Whatever name it was given says nothing: systemd gives the
    /// same one to several.
    pub(crate) fn at(&mut self, address: SocketAddr) -> Option<StdListener> {
        let index = self.0.iter().position(|(at, _)| *at == address)?;
        Some(self.0.swap_remove(index).1)
    }

    /// The addresses of those that nobody took.
    pub(crate) fn left(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(address, _)| *address).collect()
    }
}

/// Makes it one of ours; gives its address.
fn prepared(socket: &StdListener) -> Result<SocketAddr, String> {
    let said = |error: std::io::Error| error.to_string();
    let address = socket.local_addr().map_err(said)?;
    let about = SockRef::from(socket);
    if !about.is_listener().map_err(said)? {
        return Err(format!(
            "{address} is a connection and no listener: Accept=no in the socket unit"
        ));
    }
    // It would let in clients of a family for which no listener was asked, by addresses that no list
    // names so.
    let both = address.ip().is_unspecified() && address.is_ipv6();
    if both && !about.only_v6().map_err(said)? {
        return Err(format!(
            "{address} takes IPv4 too: BindIPv6Only=ipv6-only in the socket unit, and ListenStream=0.0.0.0:{} beside it",
            address.port()
        ));
    }
    socket.set_nonblocking(true).map_err(said)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    fn socket(address: &str, only_v6: Option<bool>) -> StdListener {
        let address: SocketAddr = address.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("a socket");
        if let Some(only) = only_v6 {
            socket.set_only_v6(only).expect("an option");
        }
        socket.bind(&address.into()).expect("an address");
        socket.into()
    }

    #[test]
    fn a_socket_goes_to_who_asks_for_its_address_once() {
        let socket = socket("127.0.0.1:0", None);
        SockRef::from(&socket).listen(1).expect("it listens");
        let address = prepared(&socket).expect("one of ours");
        let mut given = Given(vec![(address, socket)]);
        let other = SocketAddr::new([127, 0, 0, 2].into(), address.port());
        assert!(given.at(other).is_none());
        assert_eq!(given.left(), [address]);
        assert!(given.at(address).is_some());
        assert!(given.at(address).is_none());
        assert_eq!(given.left(), []);
    }

    #[test]
    fn what_is_no_listener_of_one_family_is_refused() {
        let idle = socket("127.0.0.1:0", None);
        assert!(prepared(&idle).unwrap_err().contains("Accept=no"));
        for (only, fits) in [(true, true), (false, false)] {
            let six = socket("[::]:0", Some(only));
            SockRef::from(&six).listen(1).expect("it listens");
            assert_eq!(prepared(&six).is_ok(), fits, "{only}");
        }
    }
}

//! Opens connections: to an address or a socket of this machine, and to hosts by name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mail::Domain;
use route::HopAddress;
use tls::{Stream, plain};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use crate::resolver::{Lookup, Resolver};

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Which addresses may be connected to.
pub(crate) type Allowed<'a> = dyn Fn(IpAddr) -> bool + Sync + 'a;

/// A connection to `address` within that time, in clear as yet, from `source` or from the address
/// that the system chooses. A source of the other family is of no use for this address.
///
/// # Errors
/// Why there is none, for people.
pub async fn connect(
    address: &HopAddress,
    source: Option<IpAddr>,
    within: Duration,
) -> Result<Stream, String> {
    let opened = async {
        match address {
            HopAddress::Tcp(address) => {
                let source = source.filter(|source| source.is_ipv4() == address.is_ipv4());
                open(*address, source).await.map(Stream::Plain)
            }
            HopAddress::Unix(path) => UnixStream::connect(&**path).await.map(Stream::Local),
        }
    };
    match timeout(within, opened).await {
        Ok(opened) => opened.map_err(|error| plain(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn open(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Without it the last small segment of each message waits for the other side's delayed
    // acknowledgement.
    let _slower_at_worst = stream.set_nodelay(true);
    Ok(stream)
}

/// A connection to the first address of `host` that takes one. `host` is a name, or an address with
/// or without brackets. Without a time limit of its own: the caller has one.
pub(crate) async fn dial(resolver: &Resolver, host: &str, port: u16) -> Result<TcpStream, String> {
    dial_where(resolver, host, port, &|_| true).await
}

/// The same, to an address that is `allowed`: for a host that a stranger named. What was looked up
/// is what is connected to, so a second answer of a name server cannot lead elsewhere.
pub(crate) async fn dial_where(
    resolver: &Resolver,
    host: &str,
    port: u16,
    allowed: &Allowed<'_>,
) -> Result<TcpStream, String> {
    let mut trouble = format!("{host} has no address");
    for address in addresses(resolver, host).await? {
        if !allowed(address) {
            trouble = format!(
                "{host} leads to {address}, which is private or our own; see outbound.private_mx"
            );
            continue;
        }
        match open(SocketAddr::new(address, port), None).await {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = format!("{host} port {port}: {}", plain(&error)),
        }
    }
    Err(trouble)
}

async fn addresses(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    // RFC 6761 section 6.3: "Name resolution APIs and libraries SHOULD recognize localhost names as
    // special".
    if bare.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let name = Domain::parse(bare).map_err(|_| format!("{bare} is no host name"))?;
    match resolver.addresses(&name).await.found {
        Lookup::Found(mut found) => {
            found.truncate(ADDRESSES_MAX);
            Ok(found)
        }
        Lookup::NoData | Lookup::NoSuchName => Err(format!("{bare} has no address")),
        Lookup::Failed(why) => Err(format!("{bare} could not be looked up: {why}")),
    }
}

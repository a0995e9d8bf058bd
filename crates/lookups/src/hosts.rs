//! Where a host is, as this machine knows it: its own file of hosts, then DNS.
//!
//! The C library would ask whatever nsswitch.conf(5) names, by loading libraries that have to be of
//! its own version. A program that is linked statically brings its own one, and runs elsewhere.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::resolv::stub::conf::ResolvConf;
use mail::Domain;
use route::{Answer, Question};
use tokio::net::TcpStream;

use crate::resolver::Resolver;

const HOSTS: &str = "/etc/hosts";
/// What is read of it.
const HOSTS_MAX: u64 = 4 << 20;
/// How long DNS may take for one name.
const PATIENCE: Duration = Duration::from_secs(5);
/// Domains of resolv.conf(5) that a name without a dot is looked for in, as many as others heed.
const SEARCHED_MAX: usize = 6;

/// The addresses of `host`, which is a name or an address. A name without a dot is looked for in the
/// domains that resolv.conf(5) says, then as it is. Blocks; not to be called within the runtime.
///
/// # Errors
/// Nobody knows the name, or nobody could be asked.
pub fn host_addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let wanted = host.trim_end_matches('.');
    let mut known = in_file(wanted, &hosts_file());
    if known.is_empty() && wanted.eq_ignore_ascii_case("localhost") {
        // RFC 6761 section 6.3: whatever DNS says.
        known = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    if known.is_empty() {
        return in_dns(host);
    }
    Ok(known)
}

/// Connects to the first of its addresses that lets us in.
///
/// # Errors
/// Why the host has none, or why the last of them did not.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let name = host.to_owned();
    let asked = tokio::task::spawn_blocking(move || host_addresses(&name));
    let addresses = asked.await.map_err(io::Error::other)??;
    let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| (*ip, port).into()).collect();
    // Of addresses alone nobody is asked.
    TcpStream::connect(&addresses[..]).await
}

fn hosts_file() -> String {
    let mut octets = Vec::new();
    // One that is not there knows nobody.
    let _short = File::open(HOSTS).and_then(|file| file.take(HOSTS_MAX).read_to_end(&mut octets));
    String::from_utf8_lossy(&octets).into_owned()
}

/// hosts(5): an address, and the names that it has.
fn in_file(wanted: &str, hosts: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().filter_map(|line| {
        let told = line.split('#').next().unwrap_or_default();
        let mut words = told.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let is_wanted = words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(wanted));
        is_wanted.then_some(address)
    });
    lines.collect()
}

fn in_dns(host: &str) -> io::Result<Vec<IpAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let resolver = Resolver::new(&Resolver::system_servers(), PATIENCE);
        let mut last = io::Error::new(ErrorKind::NotFound, "there is no such host name");
        for name in names(host, &searched()) {
            match resolver.answer(&Question::Addresses(name)).await {
                Answer::Addresses { list, .. } if !list.is_empty() => return Ok(list),
                Answer::Failed(why) => last = io::Error::other(why.into_string()),
                _ => {}
            }
        }
        Err(last)
    })
}

/// The domains that this machine looks for names in.
fn searched() -> Vec<String> {
    let mut conf = ResolvConf::new();
    let _absent_means_none = conf.parse_file("/etc/resolv.conf");
    let suffixes = conf.options.search.as_slice().iter();
    suffixes
        .map(ToString::to_string)
        .take(SEARCHED_MAX)
        .collect()
}

/// What `host` may stand for, in the order in which it is tried.
fn names(host: &str, searched: &[String]) -> Vec<Domain> {
    let whole = host.trim_end_matches('.');
    let mut names = Vec::new();
    if !host.contains('.') {
        let within = searched.iter().map(|suffix| suffix.trim_matches('.'));
        let within = within.filter(|suffix| !suffix.is_empty());
        names.extend(within.map(|suffix| format!("{whole}.{suffix}")));
    }
    names.push(whole.to_owned());
    names
        .iter()
        .filter_map(|name| Domain::parse(name).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_itself() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let found = host_addresses(address).expect("an address");
            assert_eq!(found, [address.parse::<IpAddr>().expect("an address")]);
        }
    }

    #[test]
    fn the_file_knows_names_in_any_case_and_with_comments() {
        let hosts = "# local\n127.0.0.1 localhost\n192.0.2.5\tloghost.example LOGHOST # loghost2\n\
                     2001:db8::5 loghost\nnonsense loghost\n";
        let found = in_file("loghost", hosts);
        let expected = ["192.0.2.5", "2001:db8::5"].map(|a| a.parse::<IpAddr>().expect("one"));
        assert_eq!(found, expected);
        assert_eq!(in_file("loghost2", hosts), [] as [IpAddr; 0]);
    }

    #[test]
    fn this_machine_knows_itself() {
        let found = host_addresses("localhost").expect("addresses");
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[test]
    fn a_name_without_a_dot_is_looked_for_in_the_domains_of_the_machine() {
        let searched = ["example.com.".to_owned(), ".".to_owned()];
        let texts = |host: &str| -> Vec<String> {
            let names = names(host, &searched);
            names.iter().map(|name| name.as_str().to_owned()).collect()
        };
        assert_eq!(texts("loghost"), ["loghost.example.com", "loghost"]);
        assert_eq!(texts("log.example.net"), ["log.example.net"]);
        assert_eq!(texts("loghost."), ["loghost"]);
        assert_eq!(texts("no such name"), [] as [String; 0]);
    }
}

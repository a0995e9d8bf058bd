//! A real resolver for the relay: unbound on loopback, serving the zone `test.` from a file and
//! nothing else. It never asks a server outside this machine. Answers over 512 octets are truncated
//! on UDP, so that the relay has to come back over TCP for them.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::path_of;
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 20;

/// Type numbers of RFC 1035 section 3.2.2.
pub const MX: u16 = 15;
const SOA: u16 = 6;

pub struct NameServer {
    pub address: SocketAddr,
    child: Child,
    /// Holds the zone and the configuration while the server runs.
    _folder: TempDir,
}

impl NameServer {
    /// Serves `records`, lines of a zone file relative to `test.`.
    pub fn start(address: SocketAddr, records: &str) -> NameServer {
        NameServer::start_with(address, records, &[])
    }

    /// The same, with names of addresses (PTR).
    pub fn start_with(
        address: SocketAddr,
        records: &str,
        reverse: &[(IpAddr, &str)],
    ) -> NameServer {
        let folder = TempDir::new().expect("a temporary folder");
        let zone = folder.path().join("test.zone");
        fs::write(&zone, zone_text(records)).expect("the zone is written");
        let config = folder.path().join("unbound.conf");
        fs::write(
            &config,
            config_text(address, &zone.display().to_string(), reverse),
        )
        .expect("unbound's configuration is written");
        let mut command = Command::new(path_of("unbound"));
        command
            .arg("-d")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("unbound starts");
        let mut server = NameServer {
            address,
            child,
            _folder: folder,
        };
        until_true("unbound to answer", seconds(START_SECONDS_MAX), || {
            let ended = server.child.try_wait().expect("the state of a child");
            assert!(
                ended.is_none(),
                "unbound ended instead of starting: {ended:?}"
            );
            ask_over_udp(address, "test", SOA).is_some_and(|answer| answer.code == 0)
        });
        server
    }

    pub fn config(&self) -> String {
        config_for(self.address)
    }
}

/// The `[dns]` section that names a server, also one that is not up.
pub fn config_for(address: SocketAddr) -> String {
    format!("[dns]\nservers = [\"{address}\"]\n")
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn zone_text(records: &str) -> String {
    let mut text = String::from(
        "$ORIGIN test.\n$TTL 1\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 1\n@ NS ns.test.\n",
    );
    for line in records.lines() {
        text += &format!("{}\n", line.trim());
    }
    text
}

fn config_text(address: SocketAddr, zone: &str, reverse: &[(IpAddr, &str)]) -> String {
    let (host, port) = (address.ip(), address.port());
    let pointer =
        |(address, name): &(IpAddr, &str)| format!(" local-data-ptr: \"{address} {name}\"\n");
    let reverse: String = reverse.iter().map(pointer).collect();
    format!(
        "server:\n interface: {host}\n port: {port}\n access-control: 127.0.0.0/8 allow\n do-ip6: no\n\
         \x20num-threads: 1\n use-syslog: no\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n\
         \x20module-config: \"iterator\"\n max-udp-size: 512\n outgoing-range: 64\n msg-cache-size: 1m\n rrset-cache-size: 1m\n\
         \x20local-zone: \".\" static\n local-zone: \"test.\" transparent\n{reverse}\
         remote-control:\n control-enable: no\n\
         auth-zone:\n name: \"test.\"\n zonefile: \"{zone}\"\n for-upstream: yes\n for-downstream: no\n fallback-enabled: no\n"
    )
}

/// What the tests look at in an answer.
pub struct Answer {
    pub truncated: bool,
    /// RCODE: 0 is success, 3 is NXDOMAIN.
    pub code: u8,
}

/// Asks one question without EDNS; `None` when no answer comes.
pub fn ask_over_udp(server: SocketAddr, name: &str, kind: u16) -> Option<Answer> {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a UDP socket");
    socket
        .set_read_timeout(Some(seconds(1)))
        .expect("a time limit");
    socket.connect(server).ok()?;
    socket.send(&question(name, kind)).ok()?;
    let mut answer = [0; 512];
    let size = socket.recv(&mut answer).ok()?;
    // RFC 1035 section 4.1.1: TC is bit 1 of the third octet, RCODE the low half of the fourth.
    (size >= 12).then(|| Answer {
        truncated: answer[2] & 0b10 != 0,
        code: answer[3] & 0x0f,
    })
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        octets.push(u8::try_from(label.len()).expect("a label under 64 octets"));
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    octets.extend_from_slice(&kind.to_be_bytes());
    octets.extend_from_slice(&1_u16.to_be_bytes());
    octets
}

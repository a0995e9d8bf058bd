//! DNS that is signed from the root down: a root zone of the tests' own, signed by ldns-signzone
//! and served by nsd, and below it the unsigned zone `unsigned.test`; before them unbound, which
//! validates with the root's key or does not. Both are on loopback and ask nobody outside this
//! machine.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::dns::{ask_over_udp, config_for};
use crate::network::Network;
use crate::program::{path_of, run};
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 20;
const SOA: u16 = 6;

pub struct SignedZone {
    /// Where the resolver answers that validates; the servers behind it are asked by nobody else.
    pub address: SocketAddr,
    servers: [Child; 2],
    /// Holds zones and configurations while the servers run.
    _folder: TempDir,
}

/// Whether the resolver looks at signatures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    On,
    Off,
}

impl SignedZone {
    /// Serves `records`, lines of a zone file with full names, signed, and `unsigned` below
    /// `unsigned.test`. After signing each text of `forged` is replaced by the other one.
    pub fn start(
        network: Network,
        records: &str,
        unsigned: &str,
        forged: &[(&str, &str)],
        validation: Validation,
    ) -> SignedZone {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path();
        let (zones, address) = (network.name_server(), network.name_server());
        let key = sign(path, records);
        forge(&path.join("root.signed"), forged);
        fs::write(
            path.join("unsigned.zone"),
            zone_text("unsigned.test.", unsigned),
        )
        .expect("a zone");
        fs::write(path.join("nsd.conf"), nsd_conf(path, zones)).expect("nsd.conf");
        let config = unbound_conf(path, zones, address, &key, validation);
        fs::write(path.join("unbound.conf"), config).expect("unbound.conf");
        let nsd = spawn("nsd", path);
        answers(zones, "test");
        let unbound = spawn("unbound", path);
        answers(address, "unsigned.test");
        SignedZone {
            address,
            servers: [nsd, unbound],
            _folder: folder,
        }
    }

    pub fn config(&self) -> String {
        config_for(self.address)
    }
}

impl Drop for SignedZone {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // nsd has children, which end when it is asked to end.
            crate::program::signal("TERM", server.id());
            let _reaped = server.wait();
        }
    }
}

/// Writes `root.signed` and gives the base name of the key's files.
fn sign(folder: &Path, records: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("root.zone"), root_text(records)).expect("the root zone");
    let mut make_key = Command::new(path_of("ldns-keygen"));
    make_key
        .args(["-a", "ECDSAP256SHA256", "-k", "."])
        .current_dir(folder);
    let made = make_key.output().expect("ldns-keygen runs");
    let key = path(String::from_utf8_lossy(&made.stdout).trim());
    let (zone, signed) = (path("root.zone"), path("root.signed"));
    run("ldns-signzone", &["-f", &signed, &zone, &key]).expect_code(0);
    key
}

fn forge(zone: &Path, forged: &[(&str, &str)]) {
    let mut text = fs::read_to_string(zone).expect("a signed zone");
    for (old, new) in forged {
        assert!(text.contains(old), "{old} is in the signed zone");
        text = text.replace(old, new);
    }
    fs::write(zone, text).expect("a forged zone");
}

fn root_text(records: &str) -> String {
    zone_text(".", records) + "ns.test. A 127.0.0.1\nunsigned.test. NS ns.test.\n"
}

fn zone_text(origin: &str, records: &str) -> String {
    let mut text = format!(
        "$ORIGIN {origin}\n$TTL 60\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 1\n@ NS ns.test.\n"
    );
    for line in records.lines() {
        text += &format!("{}\n", line.trim());
    }
    text
}

fn nsd_conf(folder: &Path, address: SocketAddr) -> String {
    let (folder, host, port) = (folder.display(), address.ip(), address.port());
    format!(
        "server:\n ip-address: {host}@{port}\n port: {port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{folder}\"\n\
         \x20database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n logfile: \"{folder}/nsd.log\"\n\
         \x20zonelistfile: \"{folder}/zone.list\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n\
         \x20server-count: 1\n do-ip6: no\n\
         remote-control:\n control-enable: no\n\
         zone:\n name: \".\"\n zonefile: \"root.signed\"\n\
         zone:\n name: \"unsigned.test\"\n zonefile: \"unsigned.zone\"\n"
    )
}

fn unbound_conf(
    folder: &Path,
    zones: SocketAddr,
    address: SocketAddr,
    key: &str,
    validation: Validation,
) -> String {
    let modules = match validation {
        Validation::On => format!("\"validator iterator\"\n trust-anchor-file: \"{key}.key\""),
        Validation::Off => "\"iterator\"".to_owned(),
    };
    let (host, port, log) = (address.ip(), address.port(), folder.join("unbound.log"));
    format!(
        "server:\n interface: {host}\n port: {port}\n access-control: 127.0.0.0/8 allow\n do-ip6: no\n num-threads: 1\n\
         \x20use-syslog: no\n logfile: \"{log}\"\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n\
         \x20do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n local-zone: \"127.in-addr.arpa.\" nodefault\n\
         \x20msg-cache-size: 1m\n rrset-cache-size: 1m\n module-config: {modules}\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \".\"\n stub-addr: {zones_host}@{zones_port}\n stub-prime: no\n\
         stub-zone:\n name: \"unsigned.test.\"\n stub-addr: {zones_host}@{zones_port}\n",
        log = log.display(),
        zones_host = zones.ip(),
        zones_port = zones.port(),
    )
}

fn spawn(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(path_of(name));
    command
        .arg("-d")
        .arg("-c")
        .arg(folder.join(format!("{name}.conf")));
    let null = || Stdio::null();
    command.stdin(null()).stdout(null()).stderr(null());
    command
        .spawn()
        .unwrap_or_else(|why| panic!("{name} does not start: {why}"))
}

fn answers(server: SocketAddr, name: &str) {
    until_true("DNS to answer", seconds(START_SECONDS_MAX), || {
        ask_over_udp(server, name, SOA).is_some_and(|answer| answer.code == 0 || answer.code == 3)
    });
}

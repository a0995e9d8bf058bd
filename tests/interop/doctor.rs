//! `gatepost doctor`: what is well on a machine whose DNS, mail servers, time server and lists are all
//! there, and each trouble with its cure where they are not.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::program::{self, Ran, need_root, path_of};
use crate::relay::{Relay, binary};
use crate::server::RecordingServer;
use crate::signed_zone::{SignedZone, Validation};
use crate::wait::{seconds, until_true};

/// chronyd, which tells the time and sets no clock.
struct TimeServer {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl TimeServer {
    fn start(address: SocketAddr) -> TimeServer {
        need_root("chronyd starts as root only");
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("chrony.conf");
        let text = format!(
            "port {}\nbindaddress {}\nlocal stratum 10\nallow 127.0.0.0/8\ncmdport 0\n\
             bindcmdaddress /\npidfile {}\n",
            address.port(),
            address.ip(),
            folder.path().join("pid").display()
        );
        fs::write(&config, text).expect("chrony.conf");
        let mut command = Command::new(path_of("chronyd"));
        command.args(["-d", "-x", "-u", "root", "-f"]).arg(&config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = TimeServer {
            address,
            child: command.spawn().expect("chronyd starts"),
            _folder: folder,
        };
        until_true("chronyd to answer", seconds(20), || {
            let ended = server.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "chronyd ended: {ended:?}");
            let socket = UdpSocket::bind((address.ip(), 0)).expect("a socket");
            socket
                .set_read_timeout(Some(seconds(1)))
                .expect("a time limit");
            let mut question = [0; 48];
            question[0] = 0x23;
            let sent = socket.send_to(&question, address);
            sent.is_ok() && socket.recv(&mut question).is_ok()
        });
        server
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What the doctor says, run by `before`, words in front of the binary.
fn asked(relay: &Relay, before: &[&str], arguments: &[&str]) -> Ran {
    let config = relay.config().display().to_string();
    let ours = [binary(), "--config", &config, "doctor", "--json"];
    let words = [before, &ours[..], arguments].concat();
    let (first, rest) = words.split_first().expect("a program");
    let mut command = program::limited(&if before.is_empty() {
        first.into()
    } else {
        path_of(first)
    });
    command.args(rest);
    program::finish(command, b"")
}

fn findings(ran: &Ran) -> Vec<Value> {
    let told: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|why| panic!("{why}: {}", ran.text()));
    told["findings"].as_array().expect("findings").clone()
}

/// Whether there is such a finding, with words of its text; what is wrong has a cure.
fn has(findings: &[Value], what: &str, result: &str, words: &str) {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let found = findings.iter().find(|finding| {
        text(finding, "what") == what
            && text(finding, "result") == result
            && text(finding, "text").contains(words)
    });
    let found = found.unwrap_or_else(|| panic!("no {result} {what} {words}: {findings:#?}"));
    if result == "FAIL" || result == "warning" {
        assert!(!text(found, "cure").is_empty(), "no cure for {found}");
    }
}

#[test]
fn what_is_well_is_told_so() {
    let network = Network::new();
    let ours = network.relay();
    let mail = RecordingServer::start(network.mail_server());
    let zone = format!(
        "relay A {ours}\ngood MX 10 mail\nmail A {}\n2.0.0.127.list A 127.0.0.2\n",
        network.mail_server().ip()
    );
    let names = NameServer::start_with(network.name_server(), &zone, &[(ours, "relay.test")]);
    let time = TimeServer::start(network.free_port(network.host(123)));
    let bind = network.free_port(ours);
    let port = mail
        .route()
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut relay = Relay::prepare(network, "");
    relay.write_bare_config(
        "",
        &format!(
            "[listener.internet]\nbind = \"{bind}\"\n[outbound]\nport = {port}\n\
             private_mx = [\"127.0.0.0/8\"]\n{}",
            names.config()
        ),
    );
    fs::create_dir_all(relay.data_dir()).expect("the data folder");
    let time_server = time.address.to_string();
    let address = ours.to_string();
    let whom = [
        "--address",
        &address,
        "--probe",
        "good.test",
        "--time-server",
        &time_server,
        "--block-list",
        "list.test",
    ];
    let ran = asked(&relay, &[], &whom).expect_code(0);
    let found = findings(&ran);
    has(&found, "bind", "ok", "free, and may be bound");
    has(&found, "open files", "ok", "may be needed");
    has(&found, "greeting", "ok", &address);
    has(&found, "PTR", "ok", "relay.test, and back");
    has(&found, "DNS over UDP", "ok", "answers");
    has(&found, "DNS over TCP", "ok", "answers");
    has(&found, "DNSSEC", "note", "does not validate");
    has(&found, "way out", "ok", "mail.test: 220 ");
    has(&found, "block lists", "ok", "on none of 1 lists");
    has(&found, "clock", "ok", "right");
    has(&found, "certificate", "note", "self-signed");
    let of_disk = found.iter().filter(|finding| finding["what"] == "disk");
    assert_eq!(of_disk.count(), 1);
    assert!(mail.received().is_empty(), "no mail is sent");

    relay.run();
    let ran = asked(&relay, &[], &whom).expect_code(0);
    has(&findings(&ran), "bind", "ok", "the relay that runs has it");
    // A listener that it does not have yet, at a port that somebody else has.
    let taken_at = network.free_port(network.host(40));
    let _taken = RecordingServer::start(taken_at);
    let config = fs::read_to_string(relay.config()).expect("the configuration");
    let more = format!("[listener.more]\nbind = \"{taken_at}\"\n");
    relay.write_whole_config(&format!("{config}{more}"));
    let ran = asked(&relay, &[], &whom).expect_code(1);
    has(&findings(&ran), "bind", "ok", "the relay that runs has it");
    has(&findings(&ran), "bind", "FAIL", "which greets with: 220 ");
    relay.write_whole_config(&config);
    relay.stop();

    let other = RecordingServer::start(bind);
    let ran = asked(&relay, &[], &whom).expect_code(1);
    has(&findings(&ran), "bind", "FAIL", "which greets with: 220 ");
    drop(other);

    // One that lists everybody has no answers for us.
    let before = names.config();
    let names = NameServer::start_with(
        network.free_port(network.host(41)),
        &format!("{zone}1.0.0.127.list A 127.255.255.254\n"),
        &[(ours, "relay.test")],
    );
    let config = config.replace(&before, &names.config());
    relay.write_whole_config(&config);
    let found = findings(&asked(&relay, &[], &whom));
    has(&found, "block lists", "note", "does not tell us");
    let well = |one: &Value| one["what"] == "block lists" && one["result"] == "ok";
    assert!(!found.iter().any(well), "{found:#?}");
}

#[test]
fn each_trouble_has_its_cure() {
    let network = Network::new();
    let ours = network.relay();
    let [a, b, c, d] = match ours {
        std::net::IpAddr::V4(ours) => ours.octets(),
        std::net::IpAddr::V6(_) => unreachable!("loopback of version 4"),
    };
    let closed = network.mail_server();
    let zone = format!(
        "good MX 10 mail\nmail A {}\n2.0.0.127.list A 127.0.0.2\n{d}.{c}.{b}.{a}.list A 127.0.0.4\n",
        closed.ip()
    );
    let names = NameServer::start(network.name_server(), &zone);
    let time = TimeServer::start(network.free_port(network.host(123)));
    let memory = TempDir::new_in("/dev/shm").expect("a folder in memory");
    let authority = Authority::new();
    let pair = authority.issue("other.test");
    let relay = Relay::prepare(network, "");
    let secret = relay.folder().join("secret");
    fs::write(&secret, "secret").expect("a secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("its mode");
    relay.write_whole_config(&format!(
        "hostname = \"relay.test\"\n{}data_dir = {:?}\nconsole.bind = \"off\"\n\
         [listener.internet]\nbind = [\"{ours}:0\", \"192.0.2.77:2525\"]\n\
         [outbound]\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\n[tls]\n{}\
         [route.cloud]\nhosts = [\"[smtp.office365.com]:587\"]\nauth = {{ user = \"a\", secret = \"file:{}\" }}\n{}",
        crate::relay::account(),
        memory.path().display().to_string(),
        closed.port(),
        pair.settings(),
        secret.display(),
        names.config(),
    ));
    let (time_server, address) = (time.address.to_string(), ours.to_string());
    let whom = [
        "--address",
        &address,
        "--probe",
        "good.test",
        "--time-server",
        &time_server,
        "--block-list",
        "list.test",
    ];
    let script = "ulimit -n 300; exec \"$@\"";
    let ran = asked(&relay, &["sh", "-c", script, "sh"], &whom).expect_code(1);
    let found = findings(&ran);
    has(&found, "bind", "FAIL", "no address of this machine");
    has(&found, "open files", "warning", "300 at most");
    has(&found, "disk", "FAIL", "in memory");
    has(
        &found,
        "certificate",
        "warning",
        "not from a trusted authority",
    );
    has(&found, "greeting", "FAIL", "no address");
    has(&found, "PTR", "FAIL", "no name that leads back");
    has(&found, "way out", "FAIL", "Connection refused");
    has(&found, "block lists", "FAIL", "on list.test (127.0.0.4)");
    has(&found, "sign-in", "warning", "Microsoft 365 by password");
    has(&found, "clock", "ok", "right");

    let later = ["faketime", "-f", "+200d"];
    let found = findings(&asked(&relay, &later, &whom).expect_code(1));
    has(&found, "clock", "FAIL", "ahead");
    has(&found, "certificate", "FAIL", "ended at");
    let off = [
        "--probe",
        "off",
        "--time-server",
        "off",
        "--block-list",
        "off",
    ];
    let found = findings(&asked(&relay, &[], &off).expect_code(1));
    for what in ["clock", "way out", "block lists"] {
        assert!(
            found.iter().all(|finding| finding["what"] != what),
            "{what}"
        );
    }
}

#[test]
fn a_low_port_takes_a_right() {
    need_root("namespaces are root's");
    let relay = Relay::prepare(Network::new(), "");
    let config = "hostname = \"relay.test\"\nconsole.bind = \"off\"\n\
                  [listener.internet]\nbind = \"127.0.0.1:25\"\n[dns]\nservers = [\"127.0.0.1:5353\"]\ntimeout = \"1s\"\n";
    relay.write_whole_config(config);
    fs::set_permissions(relay.folder(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let binary = relay.folder().join("gatepost");
    fs::copy(crate::relay::binary(), &binary).expect("the binary where everybody finds it");
    // In a network of its own, where ports below 1024 are root's as they were from the beginning.
    let script = format!(
        "ip link set lo up; exec setpriv --reuid 65534 --regid 65534 --clear-groups {} --config {} doctor --json \
         --probe off --time-server off --block-list off",
        binary.display(),
        relay.config().display()
    );
    let ran = program::run("unshare", &["--net", "sh", "-c", &script]).expect_code(1);
    let found = findings(&ran);
    has(&found, "bind", "FAIL", "may not bind");
    has(&found, "DNS over UDP", "FAIL", "");
}

#[test]
fn a_resolver_that_cannot_prove_or_has_no_tcp_is_told() {
    let network = Network::new();
    let off = [
        "--probe",
        "off",
        "--time-server",
        "off",
        "--block-list",
        "off",
    ];
    // What lies between the first two is denied by a record of its own, whose signature has a length
    // that no other has.
    let zone = "a.a.a. A 192.0.2.1\nh. A 192.0.2.1\n";
    // Without signatures on what denies a name nobody can tell that it is not there.
    let undenied = [("RRSIG\tNSEC 13 3 ", "RRSIG\tTXT 13 3 ")];
    for (validation, forged, result, words) in [
        (Validation::On, &[][..], "ok", "and what there is not"),
        (Validation::On, &undenied[..], "FAIL", "so mail would wait"),
        (Validation::Off, &[][..], "note", "does not validate"),
    ] {
        let signed = SignedZone::start(network, zone, "", forged, validation);
        let relay = Relay::prepare(Network::new(), &signed.config());
        has(
            &findings(&asked(&relay, &[], &off)),
            "DNSSEC",
            result,
            words,
        );
    }

    let address = network.name_server();
    let socket = UdpSocket::bind(address).expect("a name server without TCP");
    std::thread::spawn(move || {
        let mut octets = [0; 512];
        while let Ok((read, from)) = socket.recv_from(&mut octets) {
            // An answer (QR), and no records.
            octets[2] |= 0x80;
            let _sent = socket.send_to(&octets[..read], from);
        }
    });
    let relay = Relay::prepare(Network::new(), &dns::config_for(address));
    let found = findings(&asked(&relay, &[], &off).expect_code(1));
    has(&found, "DNS over UDP", "ok", "answers");
    has(&found, "DNS over TCP", "FAIL", "");
}

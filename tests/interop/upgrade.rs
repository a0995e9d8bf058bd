//! Another program takes the place of the one that runs: nobody is turned away, nothing is lost,
//! nothing is sent twice, and one that would not start is not let in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program;
use crate::relay::{Relay, binary};
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// Calls the program that stands in the folder in place of the one that is called.
const CALL_OTHER: &str = r#"shift; exec "$0" "$@""#;

/// A relay whose program stands in its own folder, where another can be put.
struct Upgradable {
    relay: Relay,
    server: RecordingServer,
    door: SocketAddr,
    program: PathBuf,
}

impl Upgradable {
    fn start(more: impl FnOnce(&Network, &Path) -> String) -> Self {
        let mut prepared = Self::prepare(more);
        prepared.relay.run();
        prepared
    }

    fn prepare(more: impl FnOnce(&Network, &Path) -> String) -> Self {
        let network = Network::new();
        let server = RecordingServer::start(network.mail_server());
        let mut relay = Relay::prepare(network, "");
        let door = relay.network.free_port(relay.network.relay());
        let program = relay.folder().join("gatepost");
        install(Path::new(binary()), &program, b"");
        let listener = listener(door, &server);
        let more = more(&relay.network, relay.folder());
        relay.write_bare_config("", &format!("{more}{listener}"));
        let path = program.display().to_string();
        relay.wrap(&["sh", "-c", CALL_OTHER, &path]);
        Self {
            relay,
            server,
            door,
            program,
        }
    }

    /// As a package does it: under another name first.
    fn put_there(&self, make: impl FnOnce(&Path)) {
        let next = self.program.with_extension("new");
        make(&next);
        fs::rename(next, &self.program).expect("another program");
    }

    fn put_script(&self, text: &str) {
        self.put_there(|path| {
            let script = format!("#!/bin/sh\n{text}\n");
            install(Path::new("/dev/stdin"), path, script.as_bytes());
        });
    }

    fn put_real(&self) {
        self.put_there(|path| symlink(binary(), path).expect("the real program"));
    }

    fn send(&self, subject: &str) {
        let mut client = Dialogue::ready(self.relay.network.stranger(), self.door);
        let sent = client.submit("ann@client.test", &["bob@hosted.test"], &message(subject));
        assert_eq!(sent.code, 250, "{}", sent.text());
        self.server.wait_for(subject);
    }

    fn attention(&self) -> String {
        self.relay.status().expect("a status")["attention"].to_string()
    }
}

/// Not by this process: what it forks meanwhile would have the file open too, and a program that
/// somebody may write to cannot be executed.
fn install(from: &Path, to: &Path, input: &[u8]) {
    let [from, to] = [from, to].map(|path| path.display().to_string());
    program::feed("install", &["-m", "755", &from, &to], input).expect_code(0);
}

fn listener(door: SocketAddr, server: &RecordingServer) -> String {
    let route = server.route();
    format!(
        "[listener.internet]\nbind = \"{door}\"\n[domain.\"hosted.test\"]\nroute = \"{route}\"\n"
    )
}

/// Sends over a connection of its own, until it is told farewell, which may only be between two
/// commands. `true`: it had its 250.
fn send(from: IpAddr, to: SocketAddr, subject: &str) -> bool {
    let commands = [
        ("EHLO client.test", 250),
        ("MAIL FROM:<ann@client.test>", 250),
        ("RCPT TO:<bob@hosted.test>", 250),
        ("DATA", 354),
    ];
    let mut client = Dialogue::connect(from, to);
    let mut reply = client.reply().expect("a greeting");
    let mut code = 220;
    for (command, next) in commands {
        if reply.code == 421 {
            return false;
        }
        assert_eq!(reply.code, code, "{}", reply.text());
        (reply, code) = (client.say(command), next);
    }
    if reply.code == 421 {
        return false;
    }
    assert_eq!(reply.code, code, "{}", reply.text());
    client.send(message(subject).as_bytes());
    client.ask(".", 250);
    true
}

#[test]
fn twenty_upgrades_under_load_turn_nobody_away_and_lose_nothing() {
    const SENDERS: usize = 3;
    let mut pages = None;
    let under_test = Upgradable::start(|network, folder| {
        let more = [
            network.free_port(network.relay()),
            network.free_port(network.relay()),
        ];
        pages = Some(more);
        let [console, metrics] = more;
        format!(
            "console.bind = \"{console}\"\nmetrics.bind = \"{metrics}\"\nsubmit.socket = {:?}\n",
            folder.join("submit.sock")
        )
    });
    let pages = pages.expect("two addresses");
    let relay = &under_test.relay;
    let (stranger, door) = (relay.network.stranger(), under_test.door);
    let sockets = [
        relay.folder().join("submit.sock"),
        relay.data_dir().join("control.sock"),
    ];
    let over = AtomicBool::new(false);
    let farewells = AtomicUsize::new(0);
    let until_over = |work: &dyn Fn(usize)| {
        (0..)
            .take_while(|_| !over.load(Ordering::Relaxed))
            .for_each(work);
    };
    let sent: Vec<String> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (over, farewells) = (&over, &farewells);
                scope.spawn(move || {
                    let subjects = (0..).map(|number| format!("by-{sender}-{number}"));
                    let going_on = subjects.take_while(|_| !over.load(Ordering::Relaxed));
                    let taken = going_on.filter(|subject| {
                        let taken = send(stranger, door, subject);
                        if !taken {
                            farewells.fetch_add(1, Ordering::Relaxed);
                        }
                        taken
                    });
                    taken.collect::<Vec<_>>()
                })
            })
            .collect();
        scope.spawn(|| {
            until_over(&|_| {
                for address in pages {
                    drop(TcpStream::connect(address).expect("pages all the time"));
                }
                for path in &sockets {
                    drop(UnixStream::connect(path).expect("a socket all the time"));
                }
            });
        });
        let pid = relay.pid();
        for round in 0..20 {
            if round == 0 {
                under_test.put_real();
            }
            let ran = relay.command(&["upgrade"]).expect_code(0);
            assert!(ran.text().contains(" became gatepost "), "{}", ran.text());
        }
        assert_eq!(relay.pid(), pid, "the process stays");
        over.store(true, Ordering::Relaxed);
        let taken = senders
            .into_iter()
            .flat_map(|sender| sender.join().expect("a sender"));
        taken.collect()
    });
    println!(
        "{} sent, {} farewells",
        sent.len(),
        farewells.load(Ordering::Relaxed)
    );
    assert!(sent.len() > 20, "there was a load: {sent:?}");
    relay.wait_until_empty();
    let mut arrived = BTreeMap::new();
    for received in under_test.server.received() {
        *arrived.entry(received.subject()).or_insert(0) += 1;
    }
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let sent: BTreeSet<String> = sent.into_iter().collect();
    assert_eq!(arrived.into_keys().collect::<BTreeSet<_>>(), sent);
}

#[test]
fn a_program_that_would_not_start_is_refused_and_the_old_one_goes_on() {
    let mut under_test = Upgradable::prepare(|_, _| String::new());
    let notify = under_test.relay.folder().join("notify");
    let systemd = UnixDatagram::bind(&notify).expect("a socket");
    systemd.set_nonblocking(true).expect("an option");
    let told = format!("NOTIFY_SOCKET={}", notify.display());
    let path = under_test.program.display().to_string();
    let words = ["env", &told, "sh", "-c", CALL_OTHER, &path];
    under_test.relay.wrap(&words);
    under_test.relay.run();
    under_test.put_script("echo no such option >&2; exit 1");
    let ran = under_test.relay.command(&["upgrade"]).expect_code(1);
    assert!(
        ran.text().contains("ended with 1: no such option"),
        "{}",
        ran.text()
    );
    under_test.send("after-refusal");
    assert!(
        under_test
            .attention()
            .contains("the last upgrade did not begin")
    );

    program::signal("USR2", under_test.relay.pid());
    until_true("the reason in the log", seconds(20), || {
        under_test
            .relay
            .log()
            .matches("no upgrade, everything goes on")
            .count()
            == 2
    });

    // It is there when it is asked, and gone when it is to take over.
    under_test.put_script(r#"rm "$0""#);
    let mut idle = Dialogue::ready(under_test.relay.network.stranger(), under_test.door);
    under_test.relay.command(&["upgrade"]).expect_code(0);
    let farewell = idle.reply().expect("a word before the connection closes");
    assert_eq!(farewell.code, 421, "{}", farewell.text());
    under_test.send("after-failure");
    assert!(under_test.relay.log().contains("cannot be executed"));

    // The next one finds its way: the place is still known, though nothing stood there.
    under_test.put_real();
    under_test.relay.command(&["upgrade"]).expect_code(0);
    under_test.send("after-upgrade");
    assert_eq!(under_test.attention(), "[]");

    // systemd knows of those that began, and only of those.
    let mut heard = Vec::new();
    let mut word = [0; 64];
    while let Ok(length) = systemd.recv(&mut word) {
        heard.push(String::from_utf8_lossy(&word[..length]).trim().to_owned());
    }
    let expected = [
        "READY=1",
        "RELOADING=1",
        "READY=1",
        "RELOADING=1",
        "READY=1",
    ];
    assert_eq!(heard, expected);

    // Told to stop meanwhile, it stops.
    let pid = under_test.relay.pid();
    program::signal("USR2", pid);
    program::signal("TERM", pid);
    assert!(under_test.relay.wait_for_end().success(), "a graceful stop");
}

#[test]
fn who_gave_up_root_may_bind_low_ports_after_an_upgrade_too() {
    program::need_root("only root has something to give up");
    let mut under_test = Upgradable::prepare(|_, _| String::new());
    let relay = &mut under_test.relay;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(relay.folder(), open).expect("a folder others may enter");
    let write = |relay: &Relay, more: &str| {
        relay.write_whole_config(&format!(
            "hostname = \"relay.test\"\nuser = \"nobody\"\ngroup = \"nogroup\"\ndata_dir = {:?}\n\
             console.bind = \"off\"\nspool.min_free = \"0MB\"\ndns.servers = [\"{}\"]\n{}{more}",
            relay.data_dir(),
            relay.network.name_server(),
            listener(under_test.door, &under_test.server),
        ));
    };
    write(relay, "");
    relay.run();
    relay.command(&["upgrade"]).expect_code(0);
    let state = fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("a process");
    assert!(
        state.contains("\nUid:\t65534\t65534\t65534\t65534\n"),
        "{state}"
    );
    let low = relay.network.free_low_port();
    write(relay, &format!("[listener.low]\nbind = \"{low}\"\n"));
    relay.command(&["reload"]).expect_code(0);
    Dialogue::open(relay.network.stranger(), low);
    assert!(relay.stop().success(), "a graceful stop");
}

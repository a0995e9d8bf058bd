//! Milters beside the relay, real ones, and the same before a real Postfix: what comes out is the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::{path_of, signal};
use crate::relay::Relay;
use crate::server::{Received, RecordingServer};
use crate::wait::{seconds, until_true};

/// A milter that runs in a folder of its own until this is dropped.
struct Milter {
    folder: TempDir,
    process: Child,
}

impl Milter {
    /// The one that makes every call there is, as the field X-Case of a message says.
    fn all_calls() -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../milter/tests/milters/all_calls.py"
        );
        Self::start("/usr/bin/python3", |folder| {
            let file = |name: &str| folder.join(name).display().to_string();
            vec![script.to_owned(), file("socket"), file("told")]
        })
    }

    fn start(program: &str, arguments: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("rights");
        let output = fs::File::create(folder.path().join("output")).expect("a file");
        let process = Command::new(path_of(program))
            .args(arguments(folder.path()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("a milter");
        let milter = Self { folder, process };
        until_true("the milter to listen", seconds(30), || {
            UnixStream::connect(milter.socket()).is_ok()
        });
        // Postfix asks as an account of its own.
        let everybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(milter.socket(), everybody).expect("rights");
        milter
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for Milter {
    fn drop(&mut self) {
        signal("KILL", self.process.id());
        let _ended = self.process.wait();
    }
}

fn relay(milter: &Milter, more: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [scanner.calls]\nkind = \"milter\"\naddress = \"{}\"\n{more}",
        server.route(),
        milter.socket().display()
    ));
    relay.run();
    (relay, server)
}

fn stranger(relay: &Relay) -> Dialogue {
    Dialogue::ready(relay.network.stranger(), relay.address())
}

/// What comes of a message to bob on which the milter does this.
fn sent(relay: &Relay, case: &str) -> String {
    let content = format!("X-Case: {case}\r\n{}", message(&case.replace(' ', "-")));
    let reply = stranger(relay).submit("ann@client.test", &["bob@hosted.test"], &content);
    reply.text().to_owned()
}

const ALL: &str = "X-Twice: one\r\nSubject: all\r\nX-Twice:\ttwo\r\n and more\r\n\
                   From: ann@client.test\r\nMessage-ID: <all@client.test>\r\n\
                   Date: Mon, 06 Jul 2026 10:00:00 +0000\r\n\
                   Content-Type: text/plain\r\nX-Case: all\r\n\r\nBody.\r\n";

/// What was received, but for what each server says of itself.
fn without_trace(received: &Received) -> String {
    let text = received.text();
    let (mut kept, mut is_trace) = (String::new(), false);
    for line in text.split_inclusive("\r\n") {
        if !line.starts_with([' ', '\t']) {
            is_trace = line.starts_with("Received:") || line.starts_with("X-Gatepost-Scan:");
        }
        if is_trace && line.starts_with("Received:") {
            kept.push_str("Received: somewhere\r\n");
        }
        if !is_trace {
            kept.push_str(line);
        }
    }
    kept
}

#[test]
fn a_message_comes_out_as_it_does_of_postfix_with_the_same_milter() {
    let milter = Milter::all_calls();
    let (relay, server) = relay(
        &milter,
        "may_add_recipients = \"anybody\"\n[outbound]\nroute = \"SERVER\"\n"
            .replace("SERVER", "mx")
            .as_str(),
    );
    let behind = RecordingServer::start(relay.network.free_port(relay.network.host(7)));
    let settings = format!(
        "smtpd_milters = unix:{}\nmilter_default_action = tempfail\nmilter_protocol = 6\n\
         relay_domains = hosted.test\nrelayhost = [{}]:{}\n",
        milter.socket().display(),
        behind.address.ip(),
        behind.address.port()
    );
    let postfix = Postfix::start(relay.network.free_port(relay.network.host(8)), &settings);
    let to = ["bob@hosted.test", "second@mail.example"];
    submit(
        relay.network.permitted(),
        postfix.address,
        "ann@client.test",
        &to,
        ALL,
    );
    let by_postfix = behind.wait_for("all");
    let taken = stranger(&relay).submit("ann@client.test", &to[..1], ALL);
    assert_eq!(taken.code, 250, "{}", taken.text());
    let by_us = server.wait_for("all");
    assert_eq!(without_trace(&by_us), without_trace(&by_postfix));
    assert_eq!(by_us.from, by_postfix.from);
    assert_eq!(by_us.from, "changed@other.example");
}

#[test]
fn what_a_milter_says_becomes_of_the_message() {
    let milter = Milter::all_calls();
    let (relay, server) = relay(&milter, "");
    let place = relay.place_of("[scanner.calls]");
    assert_eq!(
        sent(&relay, "refuse"),
        "554 5.7.9 not like this 5.7.9 nor like that",
        "in two lines, as the milter has it"
    );
    relay.wait_for_log(&["message refused", "not like this", &place]);
    assert!(sent(&relay, "later").starts_with("451 4.7.1"));
    assert!(sent(&relay, "discard").starts_with("250 "));
    assert!(sent(&relay, "hold").starts_with("250 "));
    let held = &relay.wait_until_held(1)[0];
    let why = held["last_reply"].as_str().unwrap_or_default();
    assert!(why.contains("one reason") && why.contains(&place), "{held}");
    // One after the other on one connection, and a milter that breaks down.
    assert!(sent(&relay, "nothing").starts_with("250 "));
    assert!(sent(&relay, "skip").starts_with("250 "));
    server.wait_for("nothing");
    server.wait_for("skip");
    assert!(sent(&relay, "die").starts_with("451 4.3.0"));
    // One message is no reason to leave it alone; so the next one finds that nobody is there.
    relay.wait_for_log(&["screened", "scanner calls", "error ("]);
    assert!(sent(&relay, "gone").starts_with("451 4.3.0"));
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("attention the scanner calls does not answer"),
        "{status}"
    );
}

#[test]
fn a_milter_that_hangs_holds_up_its_own_mail_for_its_time_and_no_other() {
    let milter = Milter::all_calls();
    let (relay, server) = relay(&milter, "timeout = \"1s\"\nto = \"bob@hosted.test\"\n");
    signal("STOP", milter.process.id());
    assert!(sent(&relay, "nothing").starts_with("451 4.3.0"));
    let beside =
        stranger(&relay).submit("ann@client.test", &["eve@hosted.test"], &message("beside"));
    assert_eq!(beside.code, 250);
    server.wait_for("beside");
    signal("CONT", milter.process.id());
    until_true("the milter to be asked again", seconds(30), || {
        sent(&relay, "nothing").starts_with("250 ")
    });
    server.wait_for("nothing");
}

#[test]
fn recipients_are_a_milters_to_take_out_and_to_add_within_its_bounds() {
    let milter = Milter::all_calls();
    let (relay, server) = relay(&milter, "");
    let to = [
        "refused@hosted.test",
        "bob@hosted.test",
        "second@mail.example",
    ];
    let taken = stranger(&relay).submit("ann@client.test", &to[..2], ALL);
    assert_eq!(taken.code, 250, "{}", taken.text());
    let received = server.wait_for("all");
    assert_eq!(received.to, ["bob@hosted.test"], "{:?}", received.to);
    // Nobody but those at domains of ours.
    relay.wait_for_log(&["added@other.example", "may_add_recipients"]);
    relay.wait_until_held(1);
}

//! The process itself: how it starts, what it gives up, how it stops, who may talk to it, what it
//! writes to its log.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::exim::{Exim, sending_from};
use crate::network::Network;
use crate::program::{self, need_root, run};
use crate::relay::{Relay, address_of};
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until, until_true};

fn hosted(route: &str) -> String {
    format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n")
}

#[test]
fn a_stop_lets_a_session_finish_its_message_or_tells_it_to_come_back() {
    let network = Network::new();
    let address = network.mail_server();
    let mut relay = Relay::start(network, &hosted(&route_to(address)));
    let mut idle = Dialogue::ready(network.stranger(), relay.address());
    let mut busy = Dialogue::ready(network.stranger(), relay.address());
    busy.ask("MAIL FROM:<ann@client.test>", 250);
    busy.ask("RCPT TO:<bob@hosted.test>", 250);
    busy.ask("DATA", 354);
    program::signal("TERM", relay.pid());
    let farewell = idle.reply().expect("a word before the connection closes");
    assert_eq!(farewell.code, 421, "{}", farewell.text());
    busy.send(message("at-the-last-moment").as_bytes());
    busy.send(b".\r\n");
    let reply = busy.reply();
    assert!(relay.wait_for_end().success(), "a graceful stop");
    // Whatever the client was told holds after the next start.
    let expected = u64::from(reply.as_ref().is_some_and(|reply| reply.code == 250));
    relay.run();
    assert_eq!(relay.queued(), expected, "the client was told {reply:?}");
}

/// A request on the control socket of which half has come keeps nobody.
#[test]
fn a_stop_does_not_wait_for_half_a_request() {
    let network = Network::new();
    let mut relay = Relay::start(network, &hosted(&route_to(network.mail_server())));
    let mut control = UnixStream::connect(relay.data_dir().join("control.sock")).expect("a socket");
    control
        .write_all(b"POST /v1/reload HTTP/1.1\r\nhost: x\r\n")
        .expect("half a request");
    assert!(relay.status().is_some());
    program::signal("TERM", relay.pid());
    assert!(relay.wait_for_end().success(), "a graceful stop");
}

#[test]
fn what_stands_at_the_place_of_the_socket_is_not_removed() {
    let network = Network::new();
    let relay = Relay::prepare(network, &hosted(&route_to(network.mail_server())));
    let place = relay.data_dir().join("control.sock");
    fs::create_dir_all(relay.data_dir()).expect("a folder");
    fs::write(&place, "precious").expect("a file");
    let ran = relay.command(&["run"]);
    assert_eq!(ran.code, 75, "{}", ran.text());
    assert_eq!(fs::read_to_string(&place).ok().as_deref(), Some("precious"));
}

#[test]
fn the_status_tells_what_runs() {
    let network = Network::new();
    let relay = Relay::start(network, &hosted(&route_to(network.mail_server())));
    let status = relay.status().expect("a status");
    assert_eq!(status["hostname"], "relay.test");
    assert_eq!(status["spool"]["state"], "accepting");
    assert_eq!(address_of(&status, "internet"), Some(relay.address()));
    let _session = Dialogue::ready(network.stranger(), relay.address());
    until_true("the session in the status", seconds(10), || {
        relay.status().is_some_and(|now| now["sessions"] == 1)
    });
    relay.command(&["status"]).expect_code(0);
}

#[test]
fn a_relay_that_does_not_run_is_unreachable() {
    let relay = Relay::prepare(Network::new(), "");
    relay.command(&["status"]).expect_code(69);
    relay.command(&["queue", "list"]).expect_code(69);
}

#[test]
fn root_is_given_up_after_a_low_port_is_bound() {
    need_root("only root has something to give up");
    let network = Network::new();
    let mut relay = Relay::prepare(network, "");
    let low = network.free_low_port();
    // The unprivileged account has to reach its data through the folders above it.
    fs::set_permissions(relay.folder(), fs::Permissions::from_mode(0o755))
        .expect("a folder others may enter");
    fs::create_dir(relay.data_dir()).expect("a data folder");
    run(
        "chown",
        &["nobody:nogroup", &relay.data_dir().display().to_string()],
    )
    .expect_code(0);
    let server = RecordingServer::start(network.mail_server());
    relay.write_whole_config(&format!(
        "hostname = \"relay.test\"\nuser = \"nobody\"\ngroup = \"nogroup\"\ndata_dir = {:?}\n\
         [listener.internet]\nbind = \"{low}\"\n[spool]\nmin_free = \"0MB\"\n{}",
        relay.data_dir(),
        hosted(&server.route()),
    ));
    relay.run();
    let status = fs::read_to_string(format!("/proc/{}/status", relay.pid()))
        .expect("the state of the process");
    for field in ["Uid:", "Gid:"] {
        let ids = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .expect("the field");
        assert!(
            ids.split_whitespace().all(|id| id == "65534"),
            "{field}{ids}"
        );
    }
    let threads = fs::read_dir(format!("/proc/{}/task", relay.pid())).expect("threads");
    for thread in threads {
        let path = thread.expect("a thread").path().join("status");
        let status = fs::read_to_string(path).unwrap_or_default();
        assert!(
            !status.contains("\nUid:\t0"),
            "no thread keeps root: {status}"
        );
    }
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("unprivileged"),
    );
    server.wait_for("unprivileged");
    relay.command(&["reload"]).expect_code(0);
    assert!(relay.stop().success(), "a graceful stop");
}

#[test]
fn the_control_socket_is_its_owners() {
    let relay = Relay::start(Network::new(), "");
    let sockets = sockets_below(&relay.data_dir());
    assert!(!sockets.is_empty(), "a control socket in the data folder");
    for socket in sockets {
        let mode = fs::metadata(&socket)
            .expect("the socket")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", socket.display());
    }
}

fn sockets_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for path in entries {
        let kind = fs::symlink_metadata(&path).expect("an entry").file_type();
        if kind.is_dir() {
            found.extend(sockets_below(&path));
        } else if kind.is_socket() {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_second_relay_does_not_share_the_data_folder() {
    let mut relay = Relay::start(Network::new(), "");
    let ran = relay.command(&["run"]);
    assert_ne!(ran.code, 0, "{}", ran.text());
    assert_eq!(
        relay.status().expect("the first one still runs")["spool"]["state"],
        "accepting"
    );
    assert!(relay.stop().success(), "a graceful stop");
}

#[test]
fn the_log_ties_a_message_together_and_passes_no_control_characters_on() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |path| {
            path.starts_with("evil")
                .then_some("550 5.1.1 \u{1b}[31mred\u{7}")
        },
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let relay = Relay::start(network, &hosted(&server.route()));
    let mut dialogue = Dialogue::open(network.stranger(), relay.address());
    dialogue.say("EHLO \u{1b}[2Jcleared");
    dialogue.ask("EHLO client.test", 250);
    let reply = dialogue.submit(
        "ann@hosted.test",
        &["bob@hosted.test", "evil@hosted.test"],
        &message("logged"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@elsewhere.test>", 550);
    dialogue.ask("QUIT", 221);
    server.wait_for("logged");
    relay.wait_until_empty();
    let log = relay.log();
    assert!(
        !log.contains(['\u{1b}', '\u{7}', '\r']),
        "a peer's control characters are in the log: {log:?}"
    );
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    assert!(
        lines.len() >= 4,
        "a session, a refusal, an accepted message, attempts: {log}"
    );
    assert!(
        log.contains("Unable to relay for bob@elsewhere.test"),
        "{log}"
    );
    // The id that the client was told is in the line about the arrival and in those about the
    // attempts.
    let of_message = reply
        .text()
        .split_whitespace()
        .map(|word| {
            log.matches(word.trim_matches(['<', '>', '(', ')', '.']))
                .count()
        })
        .max();
    assert!(
        of_message >= Some(2),
        "the queue id of {:?} ties lines together: {log}",
        reply.text()
    );
}

#[test]
fn limits_on_strangers_leave_room_for_permitted_clients() {
    let network = Network::new();
    let mut relay = Relay::prepare(network, "");
    let account = if program::is_root() {
        "user = \"root\"\ngroup = \"root\"\n"
    } else {
        ""
    };
    relay.write_whole_config(&format!(
        "hostname = \"relay.test\"\n{account}data_dir = {:?}\n[listener.internet]\nbind = \"{}:0\"\nmax_per_client = 3\n\
         [relay]\nallow = [\"{}\"]\n[spool]\nmin_free = \"0MB\"\n",
        relay.data_dir(), network.relay(), network.permitted(),
    ));
    relay.run();
    let _held: Vec<Dialogue> = (0..3)
        .map(|_| Dialogue::ready(network.stranger(), relay.address()))
        .collect();
    let mut fourth = Dialogue::connect(network.stranger(), relay.address());
    assert_eq!(fourth.reply().expect("a word to the fourth").code, 421);
    let _others: Vec<Dialogue> = (0..6)
        .map(|_| Dialogue::ready(network.permitted(), relay.address()))
        .collect();
    let _another = Dialogue::ready(network.host(8), relay.address());
}

#[test]
fn sizes_are_limited_as_configured() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(
        network,
        &format!(
            "{}[limits]\nmessage_size = \"100KB\"\nrecipients = 100\n",
            hosted(&server.route())
        ),
    );
    let mut dialogue = Dialogue::open(network.stranger(), relay.address());
    let hello = dialogue.ask("EHLO client.test", 250);
    assert!(
        hello.lines.iter().any(|line| line.starts_with("SIZE 10")),
        "{:?}",
        hello.lines
    );
    dialogue.ask("MAIL FROM:<ann@client.test> SIZE=900000", 552);
    // A size that was not announced is counted.
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("DATA", 354);
    dialogue.send(
        format!(
            "Subject: big\r\n\r\n{}.\r\n",
            "0123456789abcdef\r\n".repeat(8_500)
        )
        .as_bytes(),
    );
    dialogue.expect(552);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    for number in 0..100 {
        dialogue.ask(&format!("RCPT TO:<user{number}@hosted.test>"), 250);
    }
    dialogue.ask("RCPT TO:<user100@hosted.test>", 452);
}

#[test]
fn a_message_without_end_is_cut_off() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let limits = "[limits]\nmessage_size = \"100KB\"\n";
    let relay = Relay::start(network, &format!("{}{limits}", hosted(&server.route())));
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("DATA", 354);
    // A hundred times the limit, if the relay listens that long.
    let block = "0123456789abcdef\r\n".repeat(5_600);
    for _ in 0..100 {
        dialogue.send(block.as_bytes());
    }
    let replies = dialogue.replies_until_closed();
    assert!(replies.iter().all(|reply| reply.code == 552), "{replies:?}");
    assert_eq!(relay.queued(), 0);
}

#[test]
fn a_mail_loop_is_stopped() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &hosted(&server.route()));
    let traces = "Received: from a by b; Mon, 06 Jul 2026 10:00:00 +0000\r\n".repeat(31);
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    let reply = dialogue.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &format!("{traces}{}", message("looping")),
    );
    assert!(reply.text().starts_with("554 5.4.6"), "{}", reply.text());
}

/// Row 37 of the known faults: when the room on the disk is under the floor, mail is put off and
/// nothing else breaks.
#[test]
fn without_room_on_the_disk_mail_is_put_off() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let account = if program::is_root() {
        "user = \"root\"\ngroup = \"root\"\n"
    } else {
        ""
    };
    // No disk has this much room.
    relay.write_whole_config(&format!(
        "hostname = \"relay.test\"\n{account}data_dir = {:?}\n[listener.internet]\nbind = \"{}:0\"\n\
         [limits]\ntarpit = \"1m\"\n[log]\nformat = \"json\"\n[spool]\nmin_free = \"8000000GB\"\n{}",
        relay.data_dir(), network.relay(), hosted(&server.route()),
    ));
    relay.run();
    let stopped = until("the spool to stop", seconds(20), || {
        relay
            .status()
            .map(|status| status["spool"].clone())
            .filter(|spool| spool["state"] == "stopped")
    });
    assert!(
        stopped["why"].as_str().is_some_and(|why| !why.is_empty()),
        "{stopped}"
    );
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    let reply = dialogue.say("MAIL FROM:<ann@client.test>");
    assert!(reply.text().starts_with("452 4.3.1"), "{}", reply.text());
    drop(dialogue);

    // Exim sends MAIL, 30 RCPT and DATA in one write. It hears at once that it has to come again,
    // and is not taken for a stranger who guesses.
    let exim = Exim::prepare(&sending_from(network.stranger(), relay.address()));
    let recipients: Vec<String> = (1..=30).map(|n| format!("r{n}@hosted.test")).collect();
    let log = exim.send("ann@client.test", &recipients, "Subject: ahead\n\nhello\n");
    let deferred = log.lines().filter(|line| line.contains("452 4.3.1"));
    assert!(deferred.count() >= 30 && !log.contains("421"), "{log}");
    let ended = relay.wait_for_log(&["session ended", "exim.test"]);
    for told in ["\"end\":\"Quit\"", "\"errors\":0"] {
        assert!(ended.contains(told), "{ended}");
    }
}

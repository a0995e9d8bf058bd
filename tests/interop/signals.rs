//! Signals: what they ask for is done whenever they come.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::server::route_to;
use crate::wait::{seconds, until_true};

/// A relay whose configuration begins with `top`, on a port that is known before it listens.
fn prepared(top: &str, more: &str) -> (Relay, SocketAddr) {
    let network = Network::new();
    let relay = Relay::prepare(network, "");
    let door = network.free_port(network.relay());
    let route = route_to(network.mail_server());
    let more = format!(
        "[listener.internet]\nbind = \"{door}\"\n[domain.\"hosted.test\"]\nroute = \"{route}\"\n{more}"
    );
    relay.write_bare_config(top, &more);
    (relay, door)
}

/// Not a moment later: whoever sees the port open may send a signal.
fn wait_for_open_port(door: SocketAddr) {
    let begin = Instant::now();
    while let Err(why) = TcpStream::connect(door) {
        assert_eq!(why.kind(), ErrorKind::ConnectionRefused);
        assert!(begin.elapsed() < seconds(30), "nobody listens at {door}");
        std::thread::yield_now();
    }
}

#[test]
fn a_hangup_during_the_start_reloads_after_it() {
    let (mut relay, door) = prepared("", "");
    relay.spawn();
    wait_for_open_port(door);
    program::signal("HUP", relay.child());
    relay.wait_for_log(&["the configuration was reloaded"]);
    assert!(relay.status().is_some(), "it runs");
}

#[test]
fn a_stop_during_the_start_is_a_graceful_one() {
    for signal in ["TERM", "INT"] {
        let (mut relay, door) = prepared("", "[log]\nformat = \"json\"\n");
        relay.spawn();
        wait_for_open_port(door);
        program::signal(signal, relay.child());
        assert!(relay.wait_for_end().success(), "after SIG{signal}");
        assert!(relay.log().contains("\"stopped\""), "{}", relay.log());
    }
}

/// Half a message is nothing that anybody was promised: the client keeps it and hears so, before a
/// supervisor kills us.
#[test]
fn a_client_in_the_middle_of_a_message_hears_421_when_a_stop_has_no_more_patience() {
    let (mut relay, _) = prepared("stop_timeout = \"1s\"\n", "");
    relay.run();
    let begun = || {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.ask("RCPT TO:<bob@hosted.test>", 250);
        client.ask("DATA", 354);
        client.send(message("half").as_bytes());
        client
    };
    let (mut silent, mut busy) = (begun(), begun());
    let mut chunk = Dialogue::ready(relay.network.stranger(), relay.address());
    chunk.ask("MAIL FROM:<ann@client.test>", 250);
    chunk.ask("RCPT TO:<bob@hosted.test>", 250);
    chunk.send(b"BDAT 1000\r\nhalf a chunk");
    program::signal("TERM", relay.pid());
    let begin = Instant::now();
    let sender = std::thread::spawn(move || {
        while begin.elapsed() < seconds(1) {
            busy.send(b"one more line\r\n");
        }
        busy.expect(421)
    });
    for client in [&mut silent, &mut chunk] {
        let farewell = client.expect(421);
        assert!(
            farewell.text().starts_with("421 4.3.2"),
            "{}",
            farewell.text()
        );
        assert!(client.reply().is_none(), "closed after it");
    }
    sender.join().expect("a word to the one that sends on");
    assert!(relay.wait_for_end().success(), "a graceful stop");
    assert!(begin.elapsed() < seconds(10), "before `docker stop` kills");
    relay.run();
    assert_eq!(relay.queued(), 0);
}

fn lines_with(file: &Path, word: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| line.contains(word)).count()
}

/// As logrotate does it: the file is moved away, then we are told.
#[test]
fn a_log_file_that_is_moved_away_gets_a_successor() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = |name: &str| -> PathBuf { folder.path().join(name) };
    let log = named("gatepost.log");
    let more = format!("[log]\nfile = {log:?}\n");
    let (mut relay, _) = prepared("stop_delay = \"1h\"\n", &more);
    relay.run();
    let refused = |name: &str| {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.ask(&format!("RCPT TO:<{name}@elsewhere.test>"), 550);
    };
    refused("first");
    until_true("the first line", seconds(20), || {
        lines_with(&log, "first@") == 1
    });

    fs::rename(&log, named("by-signal")).expect("a move");
    refused("second");
    program::signal("USR1", relay.pid());
    until_true("a new file after the signal", seconds(20), || log.exists());
    refused("third");
    until_true("its line", seconds(20), || lines_with(&log, "third@") == 1);
    assert_eq!(lines_with(&named("by-signal"), "second@"), 1);

    fs::rename(&log, named("by-reload")).expect("a move");
    relay.command(&["reload"]).expect_code(0);
    refused("fourth");
    until_true("the line after the reload", seconds(20), || {
        lines_with(&log, "fourth@") == 1
    });

    // Where no new one can be had, the old one is written on, and says why.
    fs::rename(&log, named("last")).expect("a move");
    fs::create_dir(&log).expect("a folder in its place");
    program::signal("USR1", relay.pid());
    until_true("the reason", seconds(20), || {
        lines_with(&named("last"), "cannot be opened anew") == 1
    });
    let ran = relay.command(&["reload"]).expect_code(0);
    assert!(
        ran.text().contains("cannot be opened anew"),
        "{}",
        ran.text()
    );

    // While it goes on for `stop_delay` too.
    let pid = relay.pid();
    program::signal("TERM", pid);
    fs::remove_dir(&log).expect("an empty folder");
    program::signal("USR1", pid);
    until_true("a new file during the stop", seconds(20), || log.exists());
    program::signal("TERM", pid);
    assert!(relay.wait_for_end().success(), "a graceful stop");
}

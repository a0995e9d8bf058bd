//! Logs on a disk that is nearly full, and the room that all of them have together: no mail stops,
//! and what is not written is counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::client::{Dialogue, message, submit};
use crate::full_disk::SmallDisk;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

const FLOOR: u64 = 8_000_000;
const TOTAL: u64 = 3_000_000;
const MESSAGES: usize = 60;
const RECIPIENTS: usize = 100;

/// A relay whose log goes to a file on a small disk.
fn logging(network: Network, server: &RecordingServer, more: &str) -> (SmallDisk, Relay) {
    let route = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::prepare(network, &format!("{route}{more}"));
    let disk = SmallDisk::mount_sized(log_folder(&relay), "40m");
    (disk, relay)
}

fn log_folder(relay: &Relay) -> PathBuf {
    relay.folder().join("logs")
}

fn log_file(relay: &Relay) -> PathBuf {
    log_folder(relay).join("gatepost.log")
}

/// With these settings of `[log]` besides.
fn set_log(relay: &Relay, settings: &str) {
    let config = fs::read_to_string(relay.config()).expect("a configuration");
    let file = log_file(relay).display().to_string();
    let log = format!("[log]\nfile = \"{file}\"\n{settings}");
    relay.write_whole_config(&config.replace("[log]\n", &log));
}

fn send(relay: &Relay, name: &str) {
    let (from, to) = (relay.network.permitted(), relay.address());
    submit(
        from,
        to,
        "ann@client.test",
        &["bob@hosted.test"],
        &message(name),
    );
}

fn logged(relay: &Relay) -> String {
    fs::read_to_string(log_file(relay)).expect("the log")
}

#[test]
fn the_log_leaves_the_last_of_its_disk_and_goes_on_when_there_is_more() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (disk, mut relay) = logging(network, &server, "");
    set_log(&relay, &format!("min_free = \"{}MB\"\n", FLOOR / 1_000_000));
    relay.run();
    send(&relay, "before");
    server.wait_for("before");
    until_true("the line of the delivery", seconds(20), || {
        logged(&relay).contains("\"delivered\"")
    });
    disk.fill_up_to(FLOOR / 2);
    until_true("the last line", seconds(20), || {
        send(&relay, "last");
        logged(&relay).contains("no room: the log's file is not written")
    });
    let last = logged(&relay);
    let line = last.lines().last().expect("a line");
    assert!(
        line.contains("no room: the log's file is not written"),
        "{line}"
    );
    for number in 0..50 {
        let name = format!("unwritten {number}");
        send(&relay, &name);
        server.wait_for(&name);
    }
    assert_eq!(logged(&relay), last);
    let status = relay.command(&["status"]).expect_code(0).out;
    assert!(status.contains("lines of the log are lost"), "{status}");
    disk.empty();
    until_true("lines again", seconds(20), || {
        send(&relay, "after");
        let log = logged(&relay);
        log.contains("the log's file is written again") && log.contains("log lines were lost")
    });
    assert!(relay.stop().success());
}

/// Octets of all files below, however deep.
fn octets(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => octets(&entry.path()),
        // It may have gone meanwhile.
        facts => facts.map_or(0, |facts| facts.len()),
    };
    entries.filter_map(Result::ok).map(of).sum()
}

#[test]
fn all_logs_together_have_no_more_than_their_room() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let logs = "[log.one]\nfields = \"all\"\nmin_free = \"0MB\"\n\
                [log.two]\nformat = \"json\"\nmin_free = \"0MB\"\n";
    let (_disk, mut relay) = logging(network, &server, logs);
    for log in ["one", "two"] {
        let config = fs::read_to_string(relay.config()).expect("a configuration");
        let directory = log_folder(&relay).join(log).display().to_string();
        let section = format!("[log.{log}]\n");
        let within = format!("{section}directory = \"{directory}\"\n");
        relay.write_whole_config(&config.replace(&section, &within));
    }
    set_log(
        &relay,
        &format!("total_size = \"{}MB\"\n", TOTAL / 1_000_000),
    );
    relay.run();
    let long = "x".repeat(50);
    let recipients: Vec<String> = (0..RECIPIENTS)
        .map(|number| format!("{long}{number}@hosted.test"))
        .collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    let folder = log_folder(&relay);
    let most = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..MESSAGES {
                let text = message(&format!("m{number}"));
                let reply = client.submit("ann@client.test", &recipients, &text);
                assert_eq!(reply.code, 250, "{}", reply.text());
            }
        });
        let mut most = 0;
        while !sender.is_finished() {
            most = octets(&folder).max(most);
        }
        most
    });
    relay.wait_until_empty();
    let most = octets(&folder).max(most);
    assert_eq!(server.count(), MESSAGES);
    assert!(most <= TOTAL, "{most} octets of logs");
    assert!(most > TOTAL / 2, "{most} octets of logs");
    // Each is still written.
    send(&relay, "after");
    for log in ["one", "two", ""] {
        let folder = folder.join(log);
        until_true("the last lines", seconds(20), || {
            let files = fs::read_dir(&folder).expect("a folder");
            let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
            let mut texts = texts;
            texts.any(|text| text.contains("bob@hosted.test"))
        });
    }
    assert!(relay.stop().success());
}

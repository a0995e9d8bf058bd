//! Rows of what is tracked that a crash took, or a disk that was full: what the spool still knows of
//! them comes back, marked so, once, and nothing that is not so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::full_disk::SmallDisk;
use crate::load::killed_under_load;
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer};
use crate::wait::{seconds, until, until_true};

const MESSAGES: usize = 20;
const RECIPIENTS: usize = 100;

fn track(relay: &Relay, arguments: &[&str]) -> Vec<Value> {
    let ran = relay.command(&[&["--json", "track", "--limit", "0"], arguments].concat());
    serde_json::from_str(&ran.expect_code(0).out).expect("JSON")
}

/// What happened to a recipient, newest first.
fn results(relay: &Relay, to: &str) -> Vec<String> {
    let rows = track(relay, &[&format!("to:{to}@*"), "--events"]);
    let results = rows.iter().filter_map(|row| row["result"].as_str());
    results.map(str::to_owned).collect()
}

/// As if the rows with these results (by their numbers) had not been written before the crash.
fn forget(relay: &Relay, results: &str) {
    let file = relay.data_dir().join("tracking/tracking.db");
    let script = format!(
        "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
         n = c.execute('DELETE FROM row WHERE result IN ({results})').rowcount\n\
         c.commit()\nassert n > 0, n"
    );
    run("python3", &["-c", &script, &file.display().to_string()]).expect_code(0);
}

const DEFERRED_AND_HELD: &str = "4, 9";
const DELIVERED: &str = "3";

/// A relay that does not send yet, with a small disk for its rows, and more mail than that takes.
fn lacking_rows(network: Network, server: &RecordingServer) -> (SmallDisk, Relay) {
    let more = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::prepare(network, &more);
    fs::create_dir(relay.data_dir()).expect("a folder");
    let disk = SmallDisk::mount_sized(relay.data_dir().join("tracking"), "400k");
    relay.run();
    relay.command(&["queue", "pause"]).expect_code(0);
    let recipients: Vec<String> = (0..RECIPIENTS)
        .map(|number| format!("b{number}@hosted.test"))
        .collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    for number in 0..MESSAGES {
        let text = message(&format!("m{number}"));
        let reply = client.submit("ann@client.test", &recipients, &text);
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    until_true("rows to be lost", seconds(20), || {
        let status = relay.status().expect("it runs");
        status["tracking"]["lost"].as_u64() > Some(0)
    });
    assert!(track(&relay, &["--events"]).len() < MESSAGES * RECIPIENTS);
    assert!(says_rows_are_lost(&relay));
    (disk, relay)
}

/// Whether that needs anybody's attention.
fn says_rows_are_lost(relay: &Relay) -> bool {
    let status = relay.status().expect("it runs");
    let attention = status["attention"].as_array().expect("lines");
    let mut lines = attention.iter().filter_map(Value::as_str);
    lines.any(|line| line.ends_with("tracking rows are lost"))
}

/// Each recipient has its arrival, once; some of them made again, with what the spool knows.
fn assert_all_came_back(relay: &Relay) {
    let rows = until("every row", seconds(60), || {
        let rows = track(relay, &["--events"]);
        (rows.len() >= MESSAGES * RECIPIENTS).then_some(rows)
    });
    let of = |row: &Value| (row["id"].to_string(), row["to"].to_string());
    let whom: BTreeSet<_> = rows.iter().map(of).collect();
    assert_eq!(rows.len(), MESSAGES * RECIPIENTS);
    assert_eq!(whom.len(), rows.len());
    let again = |row: &&Value| row["recovered"] == true;
    let again: Vec<&Value> = rows.iter().filter(again).collect();
    assert!(!again.is_empty() && again.len() < rows.len());
    for row in again {
        let message_id = row["message_id"].as_str().unwrap_or_default();
        assert!(message_id.ends_with("@client.test"), "{row}");
        assert_eq!(row["result"], "received", "{row}");
    }
}

#[test]
fn rows_that_a_full_disk_took_come_back_when_it_has_room() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (disk, mut relay) = lacking_rows(network, &server);
    disk.grow("40m");
    assert_all_came_back(&relay);
    until_true("no word of lost rows", seconds(20), || {
        !says_rows_are_lost(&relay)
    });
    relay.command(&["queue", "resume"]).expect_code(0);
    relay.wait_until_empty();
    assert_eq!(server.count(), MESSAGES);
    let rows = track(&relay, &[]);
    assert_eq!(rows.len(), MESSAGES * RECIPIENTS);
    let delivered = rows.iter().filter(|row| row["result"] == "delivered");
    assert_eq!(delivered.count(), rows.len());
    // Nothing is missing any more, so a start looks for nothing.
    assert!(relay.stop().success());
    relay.run();
    assert_eq!(track(&relay, &["--events"]).len(), 2 * rows.len());
}

#[test]
fn rows_that_a_full_disk_took_come_back_at_the_next_start() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let (disk, mut relay) = lacking_rows(network, &server);
    assert!(relay.stop().success());
    disk.grow("40m");
    relay.run();
    assert_all_came_back(&relay);
    assert!(relay.stop().success());
}

#[test]
fn what_the_spool_knows_of_deferrals_and_holds_comes_back_after_a_crash() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |line| line.contains("bob@").then_some("451 4.2.1 come later"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let more = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1h\"]\n",
        server.route()
    );
    let mut relay = Relay::start(network, &more);
    let send = |relay: &Relay, to: &str| {
        let (from, at) = (relay.network.permitted(), relay.address());
        submit(from, at, "ann@client.test", &[to], &message(to));
    };
    send(&relay, "bob@hosted.test");
    relay.wait_for_deferral("bob@hosted.test");
    relay.command(&["queue", "pause"]).expect_code(0);
    send(&relay, "carl@hosted.test");
    relay
        .command(&["queue", "hold", "to:carl@hosted.test"])
        .expect_code(0);
    until_true("the hold", seconds(20), || {
        results(&relay, "carl") == ["held", "received"]
    });
    assert_eq!(results(&relay, "bob"), ["deferred", "received"]);
    relay.kill();
    forget(&relay, DEFERRED_AND_HELD);
    relay.run();
    until_true("the deferral and the hold", seconds(20), || {
        results(&relay, "bob").len() == 2 && results(&relay, "carl").len() == 2
    });
    let rows = track(&relay, &["to:bob@*"]);
    let deferred = &rows[0];
    assert_eq!(deferred["result"], "deferred");
    assert_eq!(deferred["recovered"], true);
    assert_eq!(deferred["tries"], 1);
    let said = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    assert!(
        said(deferred, "reply").contains("451 4.2.1 come later"),
        "{deferred}"
    );
    assert!(
        said(deferred, "note").starts_with("the next try is at 2"),
        "{deferred}"
    );
    let rows = track(&relay, &["to:carl@*"]);
    assert_eq!(
        (&rows[0]["result"], &rows[0]["recovered"]),
        (&"held".into(), &true.into())
    );
    assert_eq!(rows[0]["stage"], "operator");

    // What is known is not made again, and goes on from there.
    relay.kill();
    relay.run();
    relay
        .command(&["queue", "release", "to:carl@hosted.test"])
        .expect_code(0);
    relay.command(&["queue", "resume"]).expect_code(0);
    server.wait_for("carl@hosted.test");
    until_true("the delivery", seconds(20), || {
        results(&relay, "carl") == ["delivered", "released", "held", "received"]
    });
    assert_eq!(results(&relay, "bob"), ["deferred", "received"]);
}

#[test]
fn whoever_left_the_queue_in_a_crash_without_a_row_is_known_to_have_left_it() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &more);
    let send = |relay: &Relay, to: &str| {
        let (from, at) = (relay.network.permitted(), relay.address());
        submit(from, at, "ann@client.test", &[to], &message(to));
    };
    send(&relay, "bob@hosted.test");
    server.wait_for("bob@hosted.test");
    relay.wait_until_empty();
    relay.command(&["queue", "pause"]).expect_code(0);
    send(&relay, "carl@hosted.test");
    assert_eq!(results(&relay, "bob"), ["delivered", "received"]);
    assert_eq!(results(&relay, "carl"), ["received"]);
    relay.kill();
    forget(&relay, DELIVERED);
    for _ in 0..2 {
        relay.run();
        until_true("the end", seconds(20), || {
            results(&relay, "bob") == ["unknown", "received"]
        });
        assert_eq!(results(&relay, "carl"), ["received"]);
        relay.kill();
    }
    relay.run();
    let rows = track(&relay, &["state:unknown"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["to"], "bob@hosted.test");
    assert_eq!(rows[0]["recovered"], true);
    relay.command(&["queue", "resume"]).expect_code(0);
    server.wait_for("carl@hosted.test");
}

/// Whenever it is killed while mail comes and goes: what is in the spool has its row, once, what is
/// not has an end, and nothing is said to be delivered that was not.
#[test]
fn after_kills_under_load_no_row_is_wrong_and_none_is_without_its_end() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &more);
    let acknowledged = killed_under_load(&mut relay, 100);
    relay.wait_until_empty();
    until_true("an end of everything", seconds(60), || {
        track(&relay, &["state:received"]).is_empty()
    });
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rows = track(&relay, &["--events"]);
    for row in &rows {
        let id = row["id"].as_str().expect("an id").to_owned();
        let result = row["result"].as_str().expect("a result").to_owned();
        events.entry(id).or_default().push(result);
    }
    for (id, of) in &events {
        let arrivals = of.iter().filter(|result| *result == "received");
        assert!(arrivals.count() <= 1, "{id}: {of:?}");
        assert!(["delivered", "unknown"].contains(&&*of[0]), "{id}: {of:?}");
    }
    // A crash may have a message delivered twice, and then it is told twice at most.
    let mut sent: Vec<String> = server.received().iter().map(id_in_trace).collect();
    for row in rows.iter().filter(|row| row["result"] == "delivered") {
        let at = sent.iter().position(|sent| row["id"] == **sent);
        sent.swap_remove(at.unwrap_or_else(|| panic!("never came: {row}")));
    }
    let there = server.subjects();
    for row in rows.iter().filter(|row| row["result"] == "received") {
        let subject = row["message_id"].as_str().unwrap_or_default();
        let subject = subject.trim_end_matches("@client.test");
        assert!(there.contains(subject), "{row}");
    }
    assert!(acknowledged.iter().all(|subject| there.contains(subject)));
}

/// Under which queue id a message came.
fn id_in_trace(received: &Received) -> String {
    let trace = received.header("Received").expect("a trace");
    let words: Vec<&str> = trace.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "id");
    words[at.expect("an id") + 1]
        .trim_end_matches(';')
        .to_owned()
}

//! What became of mail: each recipient is found, with who decided and what was answered, and nothing
//! that the tracking store meets holds up any mail.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::full_disk::SmallDisk;
use crate::load::killed_under_load;
use crate::network::Network;
use crate::relay::{Relay, binary};
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until_true};

fn hosted(server: &RecordingServer) -> String {
    format!(
        "[domain.\"hosted.test\"]\nroute = \"{route}\"\n[domain.\"client.test\"]\nroute = \"{route}\"\n\
         [tracking]\nsubject = true\n",
        route = server.route()
    )
}

fn track(relay: &Relay, arguments: &[&str]) -> Vec<Value> {
    let ran = relay.command(&[&["--json", "track"], arguments].concat());
    serde_json::from_str(&ran.expect_code(0).out).expect("JSON")
}

fn results(rows: &[Value]) -> Vec<&str> {
    let result = |row: &'_ Value| row["result"].as_str().map(|_| ());
    assert!(rows.iter().all(|row| result(row).is_some()), "{rows:?}");
    rows.iter()
        .filter_map(|row| row["result"].as_str())
        .collect()
}

/// Brings a message for Bob with this subject.
fn send(relay: &Relay, subject: &str) {
    let (from, to) = (relay.network.permitted(), relay.address());
    submit(
        from,
        to,
        "ann@client.test",
        &["bob@hosted.test"],
        &message(subject),
    );
}

#[test]
fn everybody_is_found_with_what_became_of_him_and_the_line_that_decided() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |line| line.contains("nobody@").then_some("550 5.1.1 no such user"),
        ..Conduct::default()
    };
    let address = network.mail_server();
    let server = RecordingServer::start_with(address, conduct);
    let relay = Relay::start(network, &hosted(&server));
    let mut stranger = Dialogue::ready(relay.network.stranger(), relay.address());
    stranger.ask("MAIL FROM:<eve@client.test>", 250);
    stranger.ask("RCPT TO:<victim@elsewhere.test>", 550);
    stranger.ask("RCPT TO:<bob@hosted.test>", 250);
    stranger.ask("RCPT TO:<nobody@hosted.test>", 250);
    stranger.ask("DATA", 354);
    stranger.send(b"Subject: =?utf-8?q?the_=C3=A9_invoice?=\r\nMessage-ID: <one@client.test>\r\n\r\nhello\r\n.\r\n");
    let taken = stranger.expect(250);
    let id = taken
        .text()
        .rsplit(' ')
        .next()
        .expect("an id")
        .trim()
        .to_owned();
    relay.wait_until_empty();

    let refused = track(&relay, &["to:*@elsewhere.test"]);
    assert_eq!(results(&refused), ["refused"]);
    assert_eq!(
        refused[0]["reply"],
        "550 5.7.1 Unable to relay for victim@elsewhere.test"
    );
    assert_eq!(refused[0]["stage"], "rcpt");
    assert_eq!(refused[0]["client"], relay.network.stranger().to_string());
    let place = refused[0]["place"].as_str().expect("the line that decided");
    assert!(place.contains(".toml:") || place == "default", "{place}");

    let delivered = track(&relay, &["to:bob@*", &format!("id:{id}")]);
    assert_eq!(results(&delivered), ["delivered"]);
    let host = delivered[0]["host"].as_str().expect("the server");
    assert!(host.ends_with(&format!(":{}", address.port())), "{host}");
    assert_eq!(delivered[0]["place"], relay.place_of("route = "));
    let all = track(&relay, &["to:bob@*", "--events"]);
    assert_eq!(results(&all), ["delivered", "received"]);
    let received = &all[1];
    assert_eq!(received["reply"], format!("250 2.0.0 Ok: queued as {id}"));
    assert_eq!(received["subject"], "the \u{e9} invoice");
    assert_eq!(received["message_id"], "one@client.test");
    assert_eq!(
        received["place"],
        relay.place_of("[domain.\"hosted.test\"]")
    );
    assert_eq!(results(&track(&relay, &["state:failed"])), ["failed"]);

    // What only the arrival tells leads to what became of it.
    for asked in [
        "message-id:<one@client.test>",
        "subject:INVOICE",
        "listener:internet state:delivered",
    ] {
        let found = track(&relay, &[asked, "to:bob@*"]);
        assert_eq!(results(&found), ["delivered"], "{asked}");
        assert_eq!(found[0]["subject"], "the \u{e9} invoice", "{asked}");
    }
    let still = track(&relay, &["subject:invoice state:received"]);
    assert_eq!(results(&still), [""; 0]);

    // The bounce is a message of its own, and the trace leads to it.
    let ran = relay
        .command(&["trace", "<one@client.test>"])
        .expect_code(0);
    for words in [
        "message-id  <one@client.test>",
        "received   bob@hosted.test",
        "delivered  bob@hosted.test",
        "failed     nobody@hosted.test",
        "notified   eve@client.test",
        &format!("notice of   {id}"),
        "from        <>",
    ] {
        assert!(ran.out.contains(words), "no `{words}` in {}", ran.out);
    }
    let none = relay.command(&["trace", "01knbfey7k0000000000000001"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("nothing is known of"), "{}", none.err);

    let csv = relay
        .command(&["track", "--csv", "state:refused"])
        .expect_code(0)
        .out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(
        lines[0].contains("\"reply\"") && lines[1].contains("\"550 5.7.1 Unable"),
        "{csv}"
    );
    let none = relay
        .command(&["track", "--csv", "to:none-such@nowhere.test"])
        .expect_code(0);
    assert_eq!(none.out.lines().collect::<Vec<_>>(), lines[..1]);
    let wrong = relay.command(&["track", "state:waiting"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("is no state"), "{}", wrong.err);
}

/// Who was let in and then had no mail, because the message was refused at its end, has a row.
#[test]
fn whoever_a_refused_message_was_for_has_a_row() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &hosted(&server));
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    let hops = "Received: from a by b; x\r\n".repeat(100);
    let looping = format!("{hops}Subject: round\r\n\r\nand round\r\n");
    let reply = client.submit(
        "eve@client.test",
        &["bob@hosted.test", "carl@hosted.test"],
        &looping,
    );
    assert_eq!(reply.code, 554, "{}", reply.text());
    for to in ["bob", "carl"] {
        let rows = track(&relay, &[&format!("to:{to}@*")]);
        assert_eq!(results(&rows), ["refused"], "{rows:?}");
        assert_eq!(rows[0]["stage"], "data");
        assert_eq!(rows[0]["reply"], reply.text());
    }
}

/// What waits after a crash is known of, though its rows were never written.
#[test]
fn rows_that_a_crash_took_are_made_again_from_the_spool() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::start(network, &hosted(&server));
    relay.command(&["queue", "pause"]).expect_code(0);
    for name in ["first", "second"] {
        send(&relay, name);
    }
    assert_eq!(results(&track(&relay, &[])), ["received", "received"]);
    relay.kill();
    fs::remove_dir_all(relay.data_dir().join("tracking")).expect("it was there");
    relay.run();
    let rows = track(&relay, &[]);
    assert_eq!(results(&rows), ["received", "received"]);
    assert!(rows.iter().all(|row| row["recovered"] == true), "{rows:?}");
    let mut found = track(&relay, &["message-id:<first@client.test>"]);
    let first = found.pop().expect("the first");
    assert_eq!(first["hello"], "client.test");
    assert_eq!(first["subject"], "first");
    assert_eq!(first["client"], relay.network.permitted().to_string());

    // What is known is not made again.
    relay.kill();
    relay.run();
    assert_eq!(track(&relay, &["--events"]).len(), 2);

    // What is done by hand is told of with who did it, and why.
    let id = rows[0]["id"].as_str().expect("an id");
    relay.command(&["queue", "hold", id]).expect_code(0);
    relay.command(&["queue", "release", id]).expect_code(0);
    let traced = relay.command(&["trace", id]).expect_code(0).out;
    for words in [
        "held       bob@hosted.test",
        "released   bob@hosted.test",
        "by ",
    ] {
        assert!(traced.contains(words), "no `{words}` in {traced}");
    }
    assert!(
        traced.contains("now: bob@hosted.test is waiting"),
        "{traced}"
    );
    relay.command(&["queue", "resume"]).expect_code(0);
    relay.wait_until_empty();
    let rows = track(&relay, &[]);
    assert_eq!(results(&rows), ["delivered", "delivered"]);
    assert_eq!(server.count(), 2);
}

/// Whenever it is killed: each message that waits has one row for its arrival, not none and not two.
#[test]
fn after_a_kill_under_load_each_message_has_its_row_once() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::start(network, &hosted(&server));
    relay.command(&["queue", "pause"]).expect_code(0);
    let acknowledged = killed_under_load(&mut relay, 150);
    let queue = relay
        .command(&["--json", "queue", "list", "--limit", "0"])
        .expect_code(0);
    let queue: Vec<Value> = serde_json::from_str(&queue.out).expect("JSON");
    let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
    let waiting = sorted(queue.iter().map(id));
    let rows = track(&relay, &["state:received", "--events", "--limit", "0"]);
    assert!(waiting.len() >= acknowledged.len());
    assert_eq!(sorted(rows.iter().map(id)), waiting);
}

/// A disk of the tracking folder's own, which is soon full.
#[test]
fn a_full_disk_costs_rows_and_no_mail() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, &hosted(&server));
    fs::create_dir(relay.data_dir()).expect("a folder");
    let _disk = SmallDisk::mount_sized(relay.data_dir().join("tracking"), "400k");
    relay.run();
    let recipients: Vec<String> = (0..100).map(|n| format!("b{n}@hosted.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    for number in 0..20 {
        let reply = client.submit(
            "ann@client.test",
            &recipients,
            &message(&format!("m{number}")),
        );
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    relay.wait_until_empty();
    assert_eq!(server.count(), 20);
    let status = relay.status().expect("it runs");
    assert!(status["tracking"]["lost"].as_u64() > Some(0), "{status}");
    relay.wait_for_log(&["tracking rows are lost, mail goes on", "the disk is full"]);
    let metrics = relay.command(&["status", "--metrics"]).expect_code(0).out;
    assert!(!metrics.contains("gatepost_records_lost_total{record=\"tracking\"} 0"));
    // What was written before can be read.
    assert!(!track(&relay, &["--limit", "5"]).is_empty());
    relay.stop();
}

/// Of a disk that they share, the last is left to mail.
#[test]
fn rows_stop_before_mail_does() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, &hosted(&server));
    let config = fs::read_to_string(relay.config()).expect("a configuration");
    relay.write_whole_config(&config.replace("min_free = \"0MB\"", "min_free = \"80MB\""));
    // 32 MB of it are the spool's reserve.
    let _disk = SmallDisk::mount_sized(relay.data_dir(), "150m");
    relay.run();
    send(&relay, "taken");
    server.wait_for("taken");
    relay.wait_until_empty();
    assert_eq!(results(&track(&relay, &["--events"])), [""; 0]);
    assert_eq!(relay.status().expect("it runs")["tracking"]["lost"], 2);
    relay.stop();
}

/// Who follows sees what happens from then on, and nothing else.
#[test]
fn what_happens_is_printed_as_it_happens() {
    for words in [&["tail"][..], &["track", "--follow"]] {
        it_is_printed_by(words);
    }
}

fn it_is_printed_by(words: &[&str]) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &hosted(&server));
    let config = relay.config().display().to_string();
    let mut follower = Command::new(binary())
        .args([&["--config", &config][..], words, &["state:delivered"]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(follower.stdout.take().expect("its output"));
    let (found, first) = mpsc::channel();
    thread::spawn(move || found.send(output.lines().next()));
    let mut line = None;
    // It says nothing of its beginning, so there has to be mail behind it.
    until_true("a line of what happens", seconds(30), || {
        send(&relay, "followed");
        line = first.recv_timeout(seconds(1)).ok();
        line.is_some()
    });
    follower.kill().expect("it ends");
    follower.wait().expect("it has ended");
    let line = line.flatten().expect("a line").expect("text");
    assert!(
        line.contains("delivered") && line.contains("bob@hosted.test"),
        "{line}"
    );
}

/// Somebody has the file for himself: mail goes on, and nobody waits.
#[test]
fn a_store_that_somebody_keeps_locked_holds_up_no_mail() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &hosted(&server));
    send(&relay, "before");
    server.wait_for("before");
    let file = relay.data_dir().join("tracking/tracking.db");
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  c.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.read()";
    let mut locker = Command::new("python3")
        .args(["-c", script, &file.display().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut said = [0; 6];
    locker
        .stdout
        .as_mut()
        .expect("its output")
        .read_exact(&mut said)
        .expect("it locks");
    for number in 0..50 {
        let name = format!("locked {number}");
        send(&relay, &name);
        server.wait_for(&name);
    }
    relay.wait_until_empty();
    drop(locker.stdin.take());
    locker.wait().expect("it ends");
    until_true("rows to be written again", seconds(60), || {
        send(&relay, "after");
        !track(&relay, &["subject:after"]).is_empty()
    });
}

#[test]
fn a_damaged_store_is_set_aside_and_mail_goes_on() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::start(network, &hosted(&server));
    relay.kill();
    let folder = relay.data_dir().join("tracking");
    for file in fs::read_dir(&folder).expect("the folder") {
        fs::remove_file(file.expect("an entry").path()).expect("it goes");
    }
    fs::write(
        folder.join("tracking.db"),
        "this is no database".repeat(1000),
    )
    .expect("written");
    relay.run();
    send(&relay, "after");
    server.wait_for("after");
    relay.wait_until_empty();
    assert_eq!(
        results(&track(&relay, &["--events"])),
        ["delivered", "received"]
    );
    assert!(folder.join("tracking.db.damaged").exists());
    let status = relay.status().expect("it runs");
    assert_eq!(status["tracking"]["lost"], 0);
    assert_eq!(status["tracking"]["trouble"], Value::Null);

    // It is named until somebody has taken it away, through restarts too.
    let named = |relay: &Relay| {
        let status = relay.command(&["status"]).expect_code(0).out;
        status.contains("a damaged tracking store was set aside: look at its disk")
    };
    assert!(named(&relay));
    assert!(relay.stop().success());
    relay.run();
    assert!(named(&relay));
    let away = relay.folder().join("damaged.db");
    fs::rename(folder.join("tracking.db.damaged"), away).expect("it is there");
    assert!(!named(&relay));
}

/// A folder that cannot be had costs rows, which are counted, and nothing else.
#[test]
fn without_a_place_to_write_rows_are_lost_and_counted_and_mail_goes_on() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, &hosted(&server));
    fs::create_dir(relay.data_dir()).expect("a folder");
    fs::write(
        relay.data_dir().join("tracking"),
        "a file where a folder should be",
    )
    .expect("written");
    relay.run();
    send(&relay, "untold");
    server.wait_for("untold");
    relay.wait_until_empty();
    let ran = relay.command(&["track"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let status = relay.status().expect("it runs");
    assert_eq!(status["tracking"]["lost"], 2, "{status}");
    let said = relay.command(&["status"]).expect_code(0).out;
    assert!(
        said.contains("tracking ") && said.contains("2 lost since the start"),
        "{said}"
    );
}

/// Every refusal that a client heard is one line of the log and one row, with the same words, and
/// the counters have counted it; and so it is with every message that was taken.
#[test]
fn what_a_client_heard_is_in_the_log_in_a_row_and_counted() {
    const DIALOGUES: usize = 200;
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(
        network,
        &format!("{}{}", hosted(&server), narrow_door(network)),
    );
    let mut heard = Heard::default();
    // Whoever is in already takes all the room that there is for one client.
    let inside = Dialogue::ready(network.stranger(), relay.listener("door"));
    for number in 0..DIALOGUES {
        match number % 5 {
            4 => heard.turned_away(&relay, number),
            _ => heard.play(&relay, number),
        }
    }
    drop(inside);
    relay.wait_until_empty();

    let counts = [
        heard.refused.len(),
        heard.refused_messages.len(),
        heard.taken.len(),
        heard.turned_away.len(),
    ];
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    every_refusal_has_a_row_in_protocol_logs(&relay, &heard);
    let log = relay.log();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let logged = |message: &str, field: &str| {
        let of = lines.iter().filter(|line| line["message"] == message);
        sorted(of.map(|line| line[field].as_str().unwrap_or_default().to_owned()))
    };
    let rows = track(&relay, &["--events", "--limit", "0"]);
    let tracked = |stage: &str, field: &str| {
        let of = rows.iter().filter(|row| row["stage"] == stage);
        sorted(of.map(|row| row[field].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(
        logged("recipient refused", "reply"),
        sorted(heard.refused.clone())
    );
    assert_eq!(tracked("rcpt", "reply"), sorted(heard.refused.clone()));
    assert_eq!(
        tracked("rcpt", "place"),
        logged("recipient refused", "place")
    );
    assert_eq!(tracked("rcpt", "note"), logged("recipient refused", "why"));
    assert_eq!(
        logged("message refused", "reply"),
        sorted(heard.refused_messages.clone())
    );
    assert_eq!(
        sorted(
            tracked("mail", "reply").into_iter().chain(
                tracked("data", "reply")
                    .into_iter()
                    .filter(|reply| !reply.starts_with('2'))
            )
        ),
        sorted(heard.refused_messages.clone())
    );
    assert_eq!(
        logged("message accepted", "id"),
        sorted(heard.taken.clone())
    );
    let taken = tracked("data", "reply")
        .into_iter()
        .filter(|reply| reply.starts_with('2'));
    let taken: Vec<String> = taken.map(|reply| id_in(&reply)).collect();
    assert_eq!(sorted(taken), sorted(heard.taken.clone()));
    assert_eq!(tracked("delivery", "id"), logged("delivered", "id"));
    assert_eq!(tracked("delivery", "reply"), logged("delivered", "reply"));

    assert_eq!(
        logged("turned away", "reply"),
        sorted(heard.turned_away.clone())
    );
    assert_eq!(
        tracked("connect", "reply"),
        sorted(heard.turned_away.clone())
    );
    assert_eq!(tracked("connect", "place"), logged("turned away", "place"));
    assert_eq!(tracked("connect", "note"), logged("turned away", "why"));

    let metrics = relay.command(&["status", "--metrics"]).expect_code(0).out;
    let counted = |name: &str| -> usize {
        let of = metrics.lines().filter(|line| line.starts_with(name));
        let values = of.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        values.sum()
    };
    assert_eq!(
        counted("gatepost_connections_refused_total{"),
        heard.turned_away.len()
    );
    assert_eq!(
        counted("gatepost_recipients_refused_total{"),
        heard.refused.len()
    );
    assert_eq!(
        counted("gatepost_messages_refused_total{"),
        heard.refused_messages.len()
    );
    assert_eq!(
        counted("gatepost_messages_received_total{"),
        heard.taken.len()
    );
    assert_eq!(
        counted("gatepost_recipients_settled_total{fate=\"delivered\"}"),
        heard.taken.len()
    );
}

/// A listener for one client at a time and none from elsewhere, and what is said on all of them in the
/// forms of others.
fn narrow_door(network: Network) -> String {
    format!(
        "[listener.door]\nbind = \"{}:0\"\nmax_per_client = 1\n\
         connect = {{ mode = \"all-except\", except = [\"{}\"] }}\n\
         [log.w3c]\nfields = [\"cs-method\", \"cs-uri-query\", \"sc-status\"]\noutbound = false\n\
         [log.ncsa]\nformat = \"ncsa\"\noutbound = false\n",
        network.relay(),
        network.host(60)
    )
}

/// Each with its status; those for which no command had asked with their words, too.
fn every_refusal_has_a_row_in_protocol_logs(relay: &Relay, heard: &Heard) {
    let [refused, messages, away] = [&heard.refused, &heard.refused_messages, &heard.turned_away];
    let heard = [refused, messages, away].into_iter().flatten();
    let heard = sorted(heard.map(|reply| reply[..3].to_owned()));
    let text = |log: &str| {
        let folder = relay.data_dir().join("log").join(log);
        let files = fs::read_dir(folder).expect("a folder");
        let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()));
        texts.map(|text| text.expect("text")).collect::<String>()
    };
    let statuses = |text: &str, of: fn(&str) -> Option<&str>| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let statuses = lines.filter_map(of).filter(|status| *status >= "400");
        sorted(statuses.map(str::to_owned))
    };
    let of_w3c: fn(&str) -> Option<&str> = |line| line.rsplit(' ').next();
    let of_ncsa: fn(&str) -> Option<&str> = |line| line.rsplit(' ').nth(1);
    for (log, of) in [("w3c", of_w3c), ("ncsa", of_ncsa)] {
        let what = format!("all rows of [log.{log}]");
        until_true(&what, seconds(20), || {
            statuses(&text(log), of).len() >= heard.len()
        });
        assert_eq!(statuses(&text(log), of), heard, "{log}");
    }
    let told = sorted(away.iter().map(|reply| {
        let (code, words) = reply.split_at(3);
        format!("- {} {code}", words.replace(' ', "+"))
    }));
    let text = text("w3c");
    let rows = text.lines().filter(|line| line.starts_with("- "));
    assert_eq!(sorted(rows.map(str::to_owned)), told);
}

fn sorted(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort();
    all
}

/// The queue id at the end of `250 2.0.0 Ok: queued as ID`.
fn id_in(reply: &str) -> String {
    reply
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// What clients were told.
#[derive(Default)]
struct Heard {
    refused: Vec<String>,
    refused_messages: Vec<String>,
    taken: Vec<String>,
    turned_away: Vec<String>,
}

impl Heard {
    /// A client for whom there is no room, or who may not come in at all.
    fn turned_away(&mut self, relay: &Relay, number: usize) {
        let network = relay.network;
        let from = match number % 2 {
            0 => network.stranger(),
            _ => network.host(60),
        };
        let mut client = Dialogue::connect(from, relay.listener("door"));
        let replies = client.replies_until_closed();
        let [reply] = &replies[..] else {
            panic!("{replies:?}");
        };
        self.turned_away.push(one_line(&reply.text()));
    }

    /// One of many dialogues, each different from the one before.
    fn play(&mut self, relay: &Relay, number: usize) {
        let from = if number.is_multiple_of(3) {
            relay.network.permitted()
        } else {
            relay.network.stranger()
        };
        let mut client = Dialogue::ready(from, relay.address());
        let mut named = 0;
        let size = if number.is_multiple_of(7) {
            " SIZE=999999999"
        } else {
            ""
        };
        let mail = client.say(&format!("MAIL FROM:<c{number}@client.test>{size}"));
        if mail.code >= 400 {
            self.refused_messages.push(one_line(&mail.text()));
            return;
        }
        let recipients = [
            "bob@hosted.test",
            "eve@elsewhere.test",
            "b%elsewhere.test@hosted.test",
        ];
        for which in 0..number % 4 {
            let address = recipients[(number / 4 + which) % recipients.len()];
            // Only what stays here is delivered, so that nothing has to be asked of any DNS.
            if from == relay.network.permitted() && address.ends_with("elsewhere.test") {
                continue;
            }
            let reply = client.say(&format!("RCPT TO:<{address}>"));
            if reply.code >= 400 {
                self.refused.push(one_line(&reply.text()));
            } else {
                named += 1;
            }
        }
        if named != 1 {
            return;
        }
        client.ask("DATA", 354);
        client.send(message(&format!("dialogue {number}")).as_bytes());
        if number.is_multiple_of(5) {
            // RFC 5321 section 4.1.1.4: a bare LF ends no line, and we take none from strangers.
            client.send(b"a\nb\r\n");
        }
        let end = client.say(".");
        if end.code == 250 {
            self.taken.push(id_in(&end.text()));
        } else {
            self.refused_messages.push(one_line(&end.text()));
        }
    }
}

fn one_line(reply: &str) -> String {
    reply.trim().replace("\r\n", " ").replace('\n', " ")
}

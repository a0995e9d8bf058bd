//! What became of mail: each recipient is found, with who decided and what was answered, and nothing
//! that the tracking store meets holds up any mail.

use std::fs;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};

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
    stranger.send(b"Subject: the invoice\r\nMessage-ID: <one@client.test>\r\n\r\nhello\r\n.\r\n");
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
    assert_eq!(received["subject"], "the invoice");
    assert_eq!(received["message_id"], "one@client.test");
    assert_eq!(
        received["place"],
        relay.place_of("[domain.\"hosted.test\"]")
    );
    assert_eq!(results(&track(&relay, &["state:failed"])), ["failed"]);

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
    let wrong = relay.command(&["track", "state:waiting"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("is no state"), "{}", wrong.err);
}

/// What waits after a crash is known of, though its rows were never written.
#[test]
fn rows_that_a_crash_took_are_made_again_from_the_spool() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::start(network, &hosted(&server));
    relay.command(&["queue", "pause"]).expect_code(0);
    for name in ["first", "second"] {
        let (from, to) = (relay.network.permitted(), relay.address());
        submit(
            from,
            to,
            "ann@client.test",
            &["bob@hosted.test"],
            &message(name),
        );
    }
    assert_eq!(results(&track(&relay, &[])), ["received", "received"]);
    relay.kill();
    fs::remove_dir_all(relay.data_dir().join("tracking")).expect("it was there");
    relay.run();
    let rows = track(&relay, &[]);
    assert_eq!(results(&rows), ["received", "received"]);
    assert!(rows.iter().all(|row| row["recovered"] == true), "{rows:?}");

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
    let (from, to) = (relay.network.permitted(), relay.address());
    submit(
        from,
        to,
        "ann@client.test",
        &["bob@hosted.test"],
        &message("after"),
    );
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
    let (from, to) = (relay.network.permitted(), relay.address());
    submit(
        from,
        to,
        "ann@client.test",
        &["bob@hosted.test"],
        &message("untold"),
    );
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

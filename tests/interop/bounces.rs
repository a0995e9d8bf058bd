//! What comes back to a sender whose message could not be delivered: one notice as RFC 3464 wants it, read here by
//! Python's own mail parser, and never a notice about a notice.

use serde_json::Value;

use crate::client::{message, submit};
use crate::network::Network;
use crate::program::feed;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

/// Prints the parts of a notice as JSON: what any mail program would make of it.
const TAKE_APART: &str = r#"
import email, email.policy, json, sys
notice = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(notice.iter_parts())
status = parts[1].get_payload()
print(json.dumps({
    "type": notice.get_content_type(),
    "report": notice.get_param("report-type"),
    "auto": notice["Auto-Submitted"],
    "to": notice["To"],
    "from": notice["From"],
    "parts": [part.get_content_type() for part in parts],
    "text": parts[0].get_content(),
    "message": dict(status[0].items()),
    "recipients": [dict(block.items()) for block in status[1:]],
    "original": parts[2].as_string(),
    "defects": [str(d) for part in notice.walk() for d in part.defects],
}))
"#;

fn taken_apart(notice: &Received) -> Value {
    let ran = feed("python3", &["-c", TAKE_APART], &notice.data).expect_code(0);
    serde_json::from_str(&ran.out).expect("JSON from Python")
}

/// A server for the senders' domain, `home.test`, and a relay that also hosts `hosted.test` at `route`.
fn relay_with_home(route: &str, queue: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let home = RecordingServer::start(network.free_port(network.host(11)));
    let config = format!(
        "[domain.\"home.test\"]\nroute = \"{}\"\n[domain.\"hosted.test\"]\nroute = \"{route}\"\n[queue]\n{queue}",
        home.route(),
    );
    (Relay::start(network, &config), home)
}

fn assert_is_report(notice: &Value) {
    assert_eq!(notice["type"], "multipart/report");
    assert_eq!(notice["report"], "delivery-status");
    assert_eq!(
        notice["defects"],
        Value::Array(Vec::new()),
        "Python's parser finds no fault"
    );
    assert!(
        notice["auto"]
            .as_str()
            .is_some_and(|value| value.starts_with("auto-")),
        "RFC 3834 marks it: {notice}"
    );
    assert_eq!(notice["parts"][0], "text/plain");
    assert_eq!(notice["parts"][1], "message/delivery-status");
    let original = notice["parts"][2].as_str().expect("a third part");
    assert!(
        ["text/rfc822-headers", "message/rfc822"].contains(&original),
        "{original}"
    );
    assert_eq!(notice["message"]["Reporting-MTA"], "dns; relay.test");
}

fn submit_to(relay: &Relay, recipient: &str, subject: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@home.test",
        &[recipient],
        &message(subject),
    );
}

#[test]
fn an_expired_message_comes_back_as_one_report() {
    let nobody = Network::new().mail_server();
    let (relay, home) = relay_with_home(
        &route_to(nobody),
        "retry = [\"1s\"]\nexpire = \"4s\"\nprobe = \"1s\"\n",
    );
    submit_to(&relay, "bob@hosted.test", "expired");
    let notice = home.wait_where("a notice", |received| received.from.is_empty());
    assert_eq!(notice.to, ["ann@home.test"]);
    let report = taken_apart(&notice);
    assert_is_report(&report);
    let recipients = report["recipients"].as_array().expect("recipients");
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0]["Final-Recipient"], "rfc822; bob@hosted.test");
    assert_eq!(recipients[0]["Action"], "failed");
    let status = recipients[0]["Status"].as_str().expect("a status");
    // RFC 3463: 4.4.7 and 5.4.7 are "delivery time expired", 4.4.1 and 5.4.1 "no answer from host".
    assert!(
        ["4.4.7", "5.4.7", "4.4.1", "5.4.1"].contains(&status),
        "{status}"
    );
    let original = report["original"].as_str().expect("the original's header");
    assert!(original.contains("Subject: expired"), "{original}");
    relay.wait_until_empty();
    assert_eq!(home.count(), 1, "one notice, not two");
}

#[test]
fn a_refusal_comes_back_with_the_words_of_the_server() {
    let network = Network::new();
    let refuse = |path: &str| {
        path.starts_with("nobody")
            .then_some("550 5.1.1 <nobody@hosted.test> is not known here")
    };
    let server = RecordingServer::start_with(
        network.mail_server(),
        Conduct {
            at_recipient: refuse,
            ..Conduct::default()
        },
    );
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    let recipients = ["bob@hosted.test", "nobody@hosted.test"];
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@home.test",
        &recipients,
        &message("half-refused"),
    );
    assert_eq!(
        server.wait_for("half-refused").to,
        ["bob@hosted.test"],
        "the other recipient gets the message"
    );

    let report = taken_apart(&home.wait_where("a notice", |received| received.from.is_empty()));
    assert_is_report(&report);
    let recipients = report["recipients"].as_array().expect("recipients");
    assert_eq!(
        recipients.len(),
        1,
        "only the refused recipient is reported: {report}"
    );
    assert_eq!(
        recipients[0]["Final-Recipient"],
        "rfc822; nobody@hosted.test"
    );
    assert_eq!(recipients[0]["Status"], "5.1.1");
    let diagnostic = recipients[0]["Diagnostic-Code"]
        .as_str()
        .expect("the server's words");
    assert!(
        diagnostic.starts_with("smtp;") && diagnostic.contains("is not known here"),
        "{diagnostic}"
    );
}

#[test]
fn a_refused_message_comes_back() {
    let network = Network::new();
    let conduct = Conduct {
        at_end: |_| Some("554 5.6.0 not this one"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    submit_to(&relay, "bob@hosted.test", "refused-whole");
    let report = taken_apart(&home.wait_where("a notice", |received| received.from.is_empty()));
    assert_is_report(&report);
    assert_eq!(report["recipients"][0]["Status"], "5.6.0");
}

#[test]
fn a_long_wait_is_reported_once_and_the_message_goes_on_waiting() {
    let network = Network::new();
    let address = network.mail_server();
    let queue = "retry = [\"1s\"]\nprobe = \"1s\"\nexpire = \"1h\"\ndelay_notice = \"2s\"\n";
    let (relay, home) = relay_with_home(&route_to(address), queue);
    submit_to(&relay, "bob@hosted.test", "delayed");
    let report =
        taken_apart(&home.wait_where("a delay notice", |received| received.from.is_empty()));
    assert_is_report(&report);
    assert_eq!(report["recipients"][0]["Action"], "delayed");
    let tries = || {
        relay
            .queue()
            .iter()
            .filter_map(|row| row["tries"].as_u64())
            .max()
            .unwrap_or(0)
    };
    let at_notice = tries();
    until_true("two more attempts", seconds(30), || {
        tries() >= at_notice + 2
    });
    assert_eq!(home.count(), 1, "one delay notice, not one per attempt");
    let server = RecordingServer::start(address);
    server.wait_for("delayed");
}

/// A server that refuses every recipient.
fn refusing(network: &Network) -> RecordingServer {
    let conduct = Conduct {
        at_recipient: |_| Some("550 5.1.1 nobody here"),
        ..Conduct::default()
    };
    RecordingServer::start_with(network.mail_server(), conduct)
}

/// A message whose sender's own server refuses the notice: it becomes badmail.
fn submit_badmail(relay: &Relay, subject: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "gone@hosted.test",
        &["bob@hosted.test"],
        &message(subject),
    );
}

#[test]
fn mail_from_the_null_sender_that_is_refused_is_dropped_and_logged_and_counted() {
    let network = Network::new();
    let server = refusing(&network);
    let nobody = network.free_port(network.host(12));
    let more = format!("[domain.\"silent.test\"]\nroute = \"{}\"", route_to(nobody));
    let queue = format!("retry = [\"1s\"]\nprobe = \"1s\"\nexpire = \"3s\"\n{more}");
    let (mut relay, home) = relay_with_home(&server.route(), &queue);
    let send = |to: &[&str]| {
        let large = format!("{}{}", message("null"), "x\r\n".repeat(200_000));
        let stranger = relay.network.stranger();
        submit(stranger, relay.address(), "", to, &large);
    };
    send(&["bob@hosted.test", "carl@hosted.test"]);
    // One that expires.
    send(&["dan@silent.test"]);
    relay.wait_until_empty();
    for (to, reply) in [
        ("bob@hosted.test", "550 5.1.1 nobody here"),
        ("carl@hosted.test", "550 5.1.1 nobody here"),
        ("dan@silent.test", "554 5.4.7 delivery time expired"),
    ] {
        relay.wait_for_log(&["dropped", "\"id\"", to, reply]);
    }
    let status = relay.status().expect("a running relay");
    assert_eq!(status["queue"]["dropped"], 3);
    assert_eq!(home.count(), 0, "nobody is told");
    // Nothing of it is on the disk any more, and nothing comes back.
    assert!(relay.stop().success());
    let bodies = relay.data_dir().join("spool/bodies");
    let left = std::fs::read_dir(bodies).map_or(0, |folder| folder.count());
    assert_eq!(left, 0);
    relay.run();
    assert_eq!(relay.queued(), 0);
}

#[test]
fn badmail_is_kept_for_its_age_and_then_dropped() {
    let network = Network::new();
    let server = refusing(&network);
    let queue = "retry = [\"1s\"]\nbadmail_age = \"6s\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    submit_badmail(&relay, "soon-gone");
    let held = relay.wait_for_log(&["held as badmail", "gone@hosted.test", "nobody here"]);
    assert!(held.contains("\"id\""), "{held}");
    let listed = relay.command(&["queue", "list", "state:badmail", "--json"]);
    assert!(listed.expect_code(0).out.contains("gone@hosted.test"));
    relay.wait_for_log(&["dropped: badmail", "gone@hosted.test", "queue.badmail_age"]);
    relay.wait_until_empty();
    assert_eq!(relay.status().expect("a status")["queue"]["dropped"], 1);
}

#[test]
fn the_oldest_badmail_makes_room_when_there_is_too_much() {
    let network = Network::new();
    let server = refusing(&network);
    // Each notice has about 2 kB.
    let queue = "retry = [\"1s\"]\nbadmail_size = \"5kB\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    let held = || -> Vec<String> {
        let rows = relay.queue();
        let mut ids: Vec<String> = rows.iter().map(|row| row["id"].to_string()).collect();
        ids.sort();
        ids
    };
    for n in 1..=2 {
        submit_badmail(&relay, "kept");
        until_true("badmail", seconds(30), || held().len() == n);
    }
    let before = held();
    submit_badmail(&relay, "one-too-many");
    relay.wait_for_log(&["dropped: badmail", "queue.badmail_size"]);
    let after = held();
    assert_eq!((after.len(), &after[0]), (2, &before[1]));
    assert!(after[1] > before[1], "the newest stays");
}

#[test]
fn badmail_that_is_not_wanted_is_dropped_at_once() {
    let network = Network::new();
    let server = refusing(&network);
    let queue = "retry = [\"1s\"]\nbadmail = \"discard\"\n";
    let (relay, _home) = relay_with_home(&server.route(), queue);
    submit_badmail(&relay, "unwanted");
    relay.wait_for_log(&["dropped", "gone@hosted.test", "nobody here"]);
    relay.wait_until_empty();
}

#[test]
fn a_notice_that_cannot_be_delivered_makes_no_other_notice() {
    let network = Network::new();
    let server = refusing(&network);
    let (relay, home) = relay_with_home(&server.route(), "retry = [\"1s\"]\n");
    // A message from the null sender, as every notice is.
    submit(
        relay.network.stranger(),
        relay.address(),
        "",
        &["bob@hosted.test"],
        &message("null-sender"),
    );
    submit_badmail(&relay, "gone");
    until_true("nothing left to try", seconds(30), || {
        let queue = relay.queue();
        queue.len() == 1 && queue[0]["state"] == "held"
    });
    assert_eq!((home.count(), server.count()), (0, 0));
    assert!(server.connections() >= 1);
}

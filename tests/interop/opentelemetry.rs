//! Spans as a receiver sees them that reads OTLP with OpenTelemetry's own messages; the trace that a
//! message belongs to, in its header; and mail where nobody takes spans.

use serde_json::{Value, json};

use crate::client::Dialogue;
use crate::network::Network;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until, until_true};

/// Where scripts/test puts what it takes from PyPI.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/otlp");
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Brings a message with these fields; its queue id.
fn send(client: &mut Dialogue, recipients: &[&str], fields: &str) -> String {
    client.ask("MAIL FROM:<ann@client.test>", 250);
    for recipient in recipients {
        client.ask(&format!("RCPT TO:<{recipient}@hosted.test>"), 250);
    }
    client.ask("DATA", 354);
    client.send(format!("{fields}\r\nHello\r\n.\r\n").as_bytes());
    let taken = client.expect(250).text();
    taken.rsplit(' ').next().expect("an id").trim().to_owned()
}

/// A queue id as the hexadecimal digits of a trace.
fn trace_of(id: &str) -> String {
    let digits = "0123456789abcdefghjkmnpqrstvwxyz";
    let digit = |c| digits.find(c).expect("a digit of a queue id") as u128;
    let number = id.chars().fold(0_u128, |number, c| number << 5 | digit(c));
    format!("{number:032x}")
}

#[test]
fn a_session_its_messages_and_their_attempts_are_spans_of_one_trace() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |line| line.contains("nobody@").then_some("550 5.1.1 no such user"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let receiver = Script::otlp(
        network.free_port(network.host(7)),
        json!({ "modules": MODULES, "statuses": [503] }),
    );
    let relay = Relay::prepare(network, "");
    let secret = relay.folder().join("secret");
    std::fs::write(&secret, "Bearer of-nobody\n").expect("a secret");
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[opentelemetry]\n\
         endpoint = \"http://{}/v1/traces\"\nauthorization = \"file:secret\"\ntrace_context = true\n",
        server.route(),
        receiver.address,
    );
    relay.write_config(&config);
    restrict(&secret);
    let mut relay = relay;
    relay.run();

    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    let first = send(&mut client, &["bob"], "Subject: first\r\n");
    let given = format!("Subject: second\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n");
    let second = send(&mut client, &["bob", "nobody"], &given);
    client.ask("QUIT", 221);
    let mut stranger = Dialogue::ready(relay.network.stranger(), relay.address());
    let third = send(&mut stranger, &["bob"], &given.replace("second", "third"));
    stranger.ask("QUIT", 221);

    let spans = || spans_of(&receiver);
    let until_there = |name: &str, id: &str| {
        let is_it =
            |span: &Value| span["name"] == name && span["attributes"]["gatepost.queue_id"] == id;
        until(&format!("{name} of {id}"), seconds(20), || {
            spans().into_iter().find(is_it)
        })
    };
    // One trace from the session to the next hop.
    let message = until_there("receive message", &first);
    let attempt = until_there("deliver message", &first);
    assert_eq!(message["trace"], trace_of(&first));
    assert_eq!(attempt["trace"], message["trace"]);
    assert_eq!(attempt["parent"], message["id"]);
    assert_eq!(attempt["kind"], "SPAN_KIND_CLIENT");
    assert_eq!(attempt["status"], "STATUS_CODE_UNSET");
    let session = until("the session", seconds(20), || {
        let mut sessions = spans()
            .into_iter()
            .filter(|span| span["name"] == "smtp session");
        sessions.find(|span| span["trace"] == message["trace"])
    });
    assert_eq!(message["parent"], session["id"]);
    assert_eq!(
        (&session["parent"], &session["kind"]),
        (&json!(""), &json!("SPAN_KIND_SERVER"))
    );
    assert_eq!(session["attributes"]["gatepost.messages"], 2);
    assert_eq!(session["resource"]["service.name"], "gatepost");
    assert_eq!(session["resource"]["host.name"], "relay.test");
    let time = |span: &Value, key: &str| span[key].as_u64().expect("a time");
    assert!(time(&session, "start") <= time(&message, "start"));
    assert!(
        time(&message, "end") <= time(&session, "end")
            && time(&attempt, "start") <= time(&attempt, "end")
    );

    // The trace of somebody else, into ours and on to the next.
    let message = until_there("receive message", &second);
    let attempt = until_there("deliver message", &second);
    assert_eq!(
        (&message["trace"], &message["parent"]),
        (&json!(TRACE), &json!(SPAN))
    );
    let link = format!(
        "{}-{}",
        session["trace"].as_str().unwrap(),
        session["id"].as_str().unwrap()
    );
    assert_eq!(message["links"], json!([link]));
    assert_eq!(
        (&attempt["trace"], &attempt["parent"]),
        (&json!(TRACE), &message["id"])
    );
    assert_eq!(attempt["status"], "STATUS_CODE_ERROR");
    assert_eq!(attempt["attributes"]["gatepost.reply"], "550 5.1.1");
    let sent = server.wait_for("second").text();
    let field = format!(
        "traceparent: 00-{TRACE}-{}-01\r\n",
        message["id"].as_str().unwrap()
    );
    assert!(
        sent.find(&field) < sent.find(SPAN) && sent.contains(&field),
        "{sent}"
    );

    // Whoever may not relay joins no trace.
    let message = until_there("receive message", &third);
    assert_eq!(message["trace"], trace_of(&third));

    let posted = receiver.entries("post");
    assert_eq!(
        (&posted[0]["status"], &posted[0]["post"]),
        (&json!(503), &json!("/v1/traces"))
    );
    assert_eq!(posted[1]["authorization"], "Bearer of-nobody");
    assert_eq!(posted[1]["kind"], "application/x-protobuf");
    let all = json!(spans()).to_string();
    // No queue id has these letters.
    for word in ["@", "bob", "client.test"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[test]
fn mail_goes_on_where_nobody_takes_spans_and_without_a_field_where_nobody_wants_one() {
    let network = Network::new();
    let nobody = network.free_port(network.host(7));
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[opentelemetry]\nendpoint = \"http://{nobody}/\"\n",
        server.route(),
    );
    let mut relay = Relay::start(network, &config);
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    send(&mut client, &["bob"], "Subject: unseen\r\n");
    let sent = server.wait_for("unseen").text();
    assert!(!sent.to_lowercase().contains("traceparent"), "{sent}");
    relay.wait_for_log(&["spans do not go out", "refused"]);
    until_true("the trouble in the status", seconds(20), || {
        let status = relay.command(&["status"]);
        status.out.contains("[opentelemetry]")
    });
    drop(client);
    assert!(relay.stop().success());
}

fn restrict(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file, mode).expect("the mode of a file");
}

/// All spans that were taken so far.
fn spans_of(receiver: &Script) -> Vec<Value> {
    let entries = receiver.entries("span").into_iter();
    entries.map(|mut entry| entry["span"].take()).collect()
}

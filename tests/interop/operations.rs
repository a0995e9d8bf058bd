//! A verb of an administrator, and how the relay carries it out by itself.

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// So many that it takes several parts.
const RECIPIENTS: usize = 900;

#[test]
fn a_hold_goes_on_after_a_kill_and_keeps_everybody_from_going_out() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &config);
    relay.command(&["queue", "pause"]).expect_code(0);
    let mut dialogue = Dialogue::ready(relay.network.permitted(), relay.address());
    let recipients: Vec<String> = (0..RECIPIENTS)
        .map(|n| format!("b{n}@hosted.test"))
        .collect();
    for part in recipients.chunks(100) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        let reply = dialogue.submit("ann@client.test", &part, &message("many"));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let hold = ["queue", "hold", "to:*@hosted.test", "--no-wait"];
    let said = relay.command(&hold).expect_code(0).out;
    assert_eq!(said.trim(), "hold: operation 1");
    relay.kill();
    relay.run();
    relay.command(&["queue", "resume"]).expect_code(0);
    until_true("the hold to end", seconds(30), || {
        operation(&relay, 0)["state"] == "done"
    });
    let hold = operation(&relay, 0);
    let everybody = Some(RECIPIENTS as u64);
    assert_eq!(
        (hold["changed"].as_u64(), hold["looked_at"].as_u64()),
        (everybody, everybody)
    );
    let held = relay
        .command(&["queue", "count", "state:held"])
        .expect_code(0);
    assert!(
        held.out.contains("0 recipients wait, 900 are held"),
        "{}",
        held.out
    );
    assert_eq!(server.count(), 0);

    // Whoever waits for the end hears how many there were.
    let release = relay
        .command(&["queue", "release", "to:b0@*"])
        .expect_code(0);
    assert_eq!(release.out.trim(), "release: 1 recipients");
    server.wait_for("many");
    let delete = relay.command(&["queue", "delete", "--yes"]).expect_code(0);
    assert_eq!(delete.out.trim(), "delete: 899 recipients");
    relay.wait_until_empty();
    assert_eq!(server.count(), 1);
    let listed = relay.command(&["queue", "operations"]).expect_code(0).out;
    assert!(listed.contains("to:<*@hosted.test>"), "{listed}");
    for (number, why) in [("2", "has ended: done"), ("9", "there is no operation 9")] {
        let stop = relay.command(&["queue", "operations", "stop", number]);
        assert_eq!(stop.code, 1);
        assert!(stop.err.contains(why), "{}", stop.err);
    }
}

fn operation(relay: &Relay, at: usize) -> Value {
    let listed = relay
        .command(&["--json", "queue", "operations"])
        .expect_code(0);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    listed[at].clone()
}

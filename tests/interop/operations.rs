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

/// Of what waits for a server that is down, half is led to another one, and that alone.
#[test]
fn mail_is_led_to_a_route_and_back() {
    let network = Network::new();
    let (down, server) = (
        network.free_port(network.host(11)),
        RecordingServer::start(network.mail_server()),
    );
    let hosted = format!(
        "[domain.\"hosted.test\"]\nroute = \"[{}]:{}\"\n",
        down.ip(),
        down.port()
    );
    let spare = format!("[route.spare]\nhosts = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &format!("{hosted}{spare}"));
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let mut submit = |name: &str| {
        let to = format!("{name}@hosted.test");
        let reply = dialogue.submit("eve@client.test", &[&to], &message(name));
        assert_eq!(reply.code, 250, "{}", reply.text());
    };
    submit("ann");
    // Whose attempt counts as a try where two fail at once is the queue's to say.
    relay.wait_for_deferral("ann@hosted.test");
    submit("bob");
    let reroute = |words: &[&str]| relay.command(&[&["queue", "reroute"], words].concat());
    let unknown = reroute(&["to:ann@*", "elsewhere"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.err.contains("there is no route `elsewhere`"),
        "{}",
        unknown.err
    );
    relay
        .command(&["queue", "pause", "route:spare"])
        .expect_code(0);
    let led = reroute(&["to:ann@*", "spare"]).expect_code(0);
    assert_eq!(led.out.trim(), "reroute: 1 recipients");
    let of = |name: &str| {
        let row = |row: &&Value| row["to"].as_str().is_some_and(|to| to.starts_with(name));
        let queue = relay.queue();
        queue.iter().find(row).expect("it waits").clone()
    };
    assert_eq!(
        (&of("ann")["site"], &of("ann")["rerouted"]),
        (&"route:spare".into(), &true.into())
    );
    assert_eq!(of("bob")["rerouted"], false);
    let id = of("ann")["id"].as_str().expect("an id").to_owned();
    let shown = relay.command(&["queue", "show", &id]).expect_code(0).out;
    assert!(
        shown.contains("next hop  route:spare (rerouted; "),
        "{shown}"
    );

    // A route that is gone neither bounces nor goes anywhere else.
    relay.write_config(&hosted);
    relay.command(&["reload"]).expect_code(0);
    relay
        .command(&["queue", "resume", "route:spare"])
        .expect_code(0);
    relay.command(&["queue", "retry"]).expect_code(0);
    let heard = relay.wait_for_log(&["route:spare is not in the configuration any more"]);
    assert!(heard.contains("451 4.3.5"), "{heard}");
    relay.write_config(&format!("{hosted}{spare}"));
    relay.command(&["reload"]).expect_code(0);
    relay.command(&["queue", "retry"]).expect_code(0);
    server.wait_for("ann");
    until_true("only the other one to wait", seconds(30), || {
        relay.queued() == 1
    });
    assert_eq!(server.count(), 1);
    for words in [&["spare"][..], &["--back"]] {
        relay.command(&["queue", "hold"]).expect_code(0);
        let led = relay
            .command(&[&["queue", "reroute"], words].concat())
            .expect_code(0);
        assert_eq!(led.out.trim(), "reroute: 1 recipients");
    }
    assert_eq!(relay.queue()[0]["rerouted"], false);
    relay.stop();
}

//! Who is connected, and the end of it by the administrator's hand.

use std::net::TcpListener;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::route_to;
use crate::wait::{seconds, until_true};

fn sessions(relay: &Relay) -> Vec<Value> {
    let listed = relay.command(&["session", "list", "--json"]).expect_code(0);
    serde_json::from_str(&listed.out).expect("a list")
}

fn in_state(relay: &Relay, state: &str) -> Option<Value> {
    sessions(relay)
        .into_iter()
        .find(|session| session["state"] == state)
}

#[test]
fn a_client_that_is_killed_hears_421_and_the_others_go_on() {
    let relay = Relay::start(Network::new(), "[domain.\"hosted.test\"]\nroute = \"mx\"\n");
    let mut first = Dialogue::ready(relay.network.stranger(), relay.address());
    let mut second = Dialogue::ready(relay.network.permitted(), relay.address());
    first.ask("MAIL FROM:<ann@client.test>", 250);
    until_true("both to be seen", seconds(20), || {
        in_state(&relay, "naming recipients").is_some() && in_state(&relay, "ready").is_some()
    });
    let seen = in_state(&relay, "naming recipients").expect("a session");
    assert_eq!(seen["way"], "internet");
    assert_eq!(seen["peer"], relay.network.stranger().to_string());
    assert!(seen["received"].as_u64() > Some(20) && seen["sent"].as_u64() > Some(20));
    let id = seen["id"].as_str().expect("an id");
    relay.command(&["session", "kill", id]).expect_code(0);
    let replies = first.replies_until_closed();
    assert_eq!(replies.iter().map(|r| r.code).collect::<Vec<_>>(), [421]);
    second.ask("NOOP", 250);
    until_true("it to be gone", seconds(20), || sessions(&relay).len() == 1);
    assert_ne!(relay.command(&["session", "kill", id]).code, 0);
    assert_ne!(relay.command(&["session", "kill", "7"]).code, 0);
}

/// It never says anything, so that whoever connects waits.
#[test]
fn an_attempt_that_is_killed_counts_as_one_that_failed() {
    let network = Network::new();
    let address = network.mail_server();
    let server = TcpListener::bind(address).expect("an address");
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1h\"]\n",
        route_to(address)
    );
    let relay = Relay::start(network, &config);
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message("kept"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let (_silent, _) = server.accept().expect("a connection");
    until_true("the attempt to be seen", seconds(20), || {
        in_state(&relay, "delivering").is_some()
    });
    let seen = in_state(&relay, "delivering").expect("an attempt");
    assert_eq!(seen["message"], relay.queue()[0]["id"]);
    assert!(
        seen["peer"]
            .as_str()
            .is_some_and(|peer| peer.contains(&address.port().to_string()))
    );
    let id = seen["id"].as_str().expect("an id");
    relay.command(&["session", "kill", id]).expect_code(0);
    until_true("its end", seconds(20), || {
        relay.queue()[0]["tries"].as_u64() == Some(1)
    });
    assert!(in_state(&relay, "delivering").is_none());
    assert_eq!(relay.queued(), 1);
}

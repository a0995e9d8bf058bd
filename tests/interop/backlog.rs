//! A backlog is no emergency: twenty thousand messages wait for a server that is down, over a
//! restart of the relay, and all arrive when the server is back.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::load::Load;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until_true};

const CONNECTIONS: usize = 16;
const MESSAGES_PER_CONNECTION: usize = 1250;
const MESSAGES: usize = CONNECTIONS * MESSAGES_PER_CONNECTION;

#[test]
fn twenty_thousand_messages_outlive_an_outage_and_a_restart() {
    let network = Network::new();
    let address = network.mail_server();
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1s\"]\nexpire = \"1h\"\nprobe = \"1s\"\n",
        route_to(address),
    );
    let mut relay = Relay::start(network, &config);
    let acknowledged = Mutex::new(BTreeSet::new());
    Load {
        from: network.permitted(),
        to: relay.address(),
        recipient: "bob@hosted.test",
        name: "backlog",
        connections: CONNECTIONS,
        messages_per_connection: MESSAGES_PER_CONNECTION,
        acknowledged: &acknowledged,
    }
    .run();
    let acknowledged = acknowledged.into_inner().expect("no panic holds the books");
    assert_eq!(acknowledged.len(), MESSAGES, "every message was taken");
    assert_eq!(relay.queued(), MESSAGES as u64);

    assert!(relay.stop().success(), "a graceful stop");
    relay.run();
    assert_eq!(
        relay.queued(),
        MESSAGES as u64,
        "the backlog is still there"
    );

    let server = RecordingServer::start(address);
    until_true("all messages to arrive", seconds(120), || {
        server.count() >= MESSAGES
    });
    assert!(acknowledged.is_subset(&server.subjects()));
    relay.wait_until_empty();
    assert_eq!(server.count(), MESSAGES, "and not one twice");
}

//! A 250 is kept. The relay is killed in the middle of its work, again and again, and every message
//! whose final 250 the client has read arrives.

use crate::load::killed_under_load;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

const QUICK_RETRY: &str = "[queue]\nretry = [\"1s\"]\nexpire = \"1h\"\nprobe = \"1s\"\n";
const ACKNOWLEDGED_BEFORE_KILL: usize = 300;

#[test]
fn every_acknowledged_message_outlives_a_kill_under_load() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{QUICK_RETRY}",
        server.route()
    );
    let mut relay = Relay::start(network, &config);
    let acknowledged = killed_under_load(&mut relay, ACKNOWLEDGED_BEFORE_KILL);
    until_true("every acknowledged message to arrive", seconds(90), || {
        acknowledged.is_subset(&server.subjects())
    });
    relay.wait_until_empty();
    for received in server.received() {
        let whole = format!("End of {}.\r\n", received.subject());
        assert!(
            received.text().ends_with(&whole),
            "half a message arrived: {}",
            received.text()
        );
    }
}

#[test]
fn a_message_in_the_middle_of_its_text_is_not_kept_by_a_kill() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{QUICK_RETRY}",
        server.route()
    );
    let mut relay = Relay::start(network, &config);
    let mut dialogue = crate::client::Dialogue::ready(network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("DATA", 354);
    let half = "half of it\r\n".repeat(40_000);
    dialogue.send(format!("Subject: half\r\n\r\n{half}").as_bytes());
    relay.kill();
    relay.run();
    assert_eq!(relay.queued(), 0);
    let text = crate::client::message("whole");
    crate::client::submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &text,
    );
    server.wait_for("whole");
    relay.wait_until_empty();
    assert_eq!(server.count(), 1);
}

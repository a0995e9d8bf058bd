//! An administrator lets nothing go out for a while.

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

#[test]
fn a_pause_is_kept_over_a_kill_and_ends_when_it_is_resumed() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::start(network, &config);
    let words = ["--reason", "their maintenance", "--for", "2h"];
    let pause = [&["queue", "pause"][..], &words].concat();
    let said = relay.command(&pause).expect_code(0).out;
    assert!(said.starts_with("the whole queue is paused by "), "{said}");
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message("kept"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    relay.kill();
    relay.run();
    let id = relay.queue()[0]["id"].as_str().expect("an id").to_owned();
    for command in [
        &["queue", "shape"][..],
        &["queue", "show", &id],
        &["status"],
    ] {
        let said = relay.command(command).expect_code(0).out;
        assert!(said.contains(": their maintenance"), "{said}");
        assert!(said.contains(" until 20"), "{said}");
    }
    // Another pause, and the end of one, change nothing about this one.
    let site = server.route();
    let named = relay.command(&["queue", "pause", &site]).expect_code(0);
    assert!(named.out.contains(&format!("{site} is paused by ")));
    relay.command(&["queue", "resume", &site]).expect_code(0);
    assert_ne!(relay.command(&["queue", "resume", &site]).code, 0);
    assert_eq!((server.count(), relay.queued()), (0, 1));
    let tries = &relay.queue()[0]["tries"];
    assert_eq!(tries.as_u64(), Some(0), "no try was counted");
    relay.command(&["queue", "resume"]).expect_code(0);
    until_true("the message to arrive", seconds(30), || server.count() == 1);
    relay.wait_until_empty();
    assert_eq!(relay.command(&["queue", "pause", "--for", "soon"]).code, 1);
    let unknown = relay.command(&["queue", "pause", "hosted.test"]);
    assert_eq!(unknown.code, 1);
    let why = "no mail goes to a site";
    assert!(unknown.err.contains(why), "{}", unknown.err);
}

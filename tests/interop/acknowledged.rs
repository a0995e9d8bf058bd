//! What arrives of a message is acknowledged at once. Clients that write the last dot by itself
//! (dma, msmtp, sendmail) hold it back until then, and the system alone would let them wait for
//! some 40 milliseconds, each time. Shown by system calls, not by a clock.

use std::fs;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::path_of;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

#[test]
fn a_message_in_two_pieces_is_acknowledged_after_the_first() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let mut relay = Relay::prepare(network, &hosted);
    let trace = relay.folder().join("trace");
    let (strace, file) = (path_of("strace"), trace.display().to_string());
    let strace = strace.display().to_string();
    relay.wrap(&[&strace, "-f", "-e", "trace=setsockopt", "-o", &file]);
    relay.run();
    let acknowledged = || {
        let calls = fs::read_to_string(&trace).unwrap_or_default();
        calls.matches("TCP_QUICKACK, [1]").count()
    };
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("DATA", 354);
    assert_eq!(
        acknowledged(),
        0,
        "commands are answered, which acknowledges them"
    );
    for piece in [message("pieces").as_str(), "One more.\r\n"] {
        let before = acknowledged();
        dialogue.send(piece.as_bytes());
        until_true("the piece is acknowledged", seconds(20), || {
            acknowledged() > before
        });
    }
    let before = acknowledged();
    dialogue.ask(".", 250);
    server.wait_for("pieces");
    // The 250 acknowledges the dot.
    assert_eq!(acknowledged(), before);
}

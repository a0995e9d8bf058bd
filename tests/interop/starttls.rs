//! STARTTLS as a client meets it, and as somebody between the client and the relay would like it:
//! what is said in clear never counts under TLS.

use crate::client::{Dialogue, message};
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};

/// A relay with a listener that requires TLS, and the server of `hosted.test`.
fn relay_with(more: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[listener.encrypted]\nbind = \"{}:0\"\ntls = \"require\"\n\
         [domain.\"hosted.test\"]\nroute = \"{}\"\n{more}",
        network.relay(),
        server.route()
    );
    (Relay::start(network, &more), server)
}

/// RFC 3207 section 5 has the danger: commands put behind STARTTLS by somebody else, read as if
/// they had come under TLS.
#[test]
fn nothing_behind_starttls_is_executed() {
    let (relay, server) = relay_with("");
    let injected = "MAIL FROM:<mallory@evil.test>\r\nRCPT TO:<bob@hosted.test>\r\nDATA\r\nSubject: injected\r\n\r\n.\r\n";
    for listener in ["internet", "encrypted"] {
        for extra in [injected, "NOOP\r\n", "M", "\r\n"] {
            let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.listener(listener));
            dialogue.send(format!("STARTTLS\r\n{extra}").as_bytes());
            let codes: Vec<u16> = dialogue
                .replies_until_closed()
                .iter()
                .map(|reply| reply.code)
                .collect();
            // One answer to STARTTLS, and the end: no handshake that what was injected could
            // outlive.
            assert_eq!(codes, [554], "{extra:?} at {listener}");
        }
    }
    assert_eq!(server.count(), 0);
}

/// After 220 only a handshake is read.
#[test]
fn commands_in_place_of_the_handshake_are_not_read() {
    let (relay, server) = relay_with("");
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("STARTTLS", 220);
    dialogue.send(b"MAIL FROM:<mallory@evil.test>\r\nRCPT TO:<bob@hosted.test>\r\nNOOP\r\n");
    let replies = raw_until_closed(&mut dialogue);
    assert!(!replies.contains("250"), "{replies:?}");
    assert_eq!(server.count(), 0);
}

/// What comes is a TLS alert at most, which is no line of text.
fn raw_until_closed(dialogue: &mut Dialogue) -> String {
    String::from_utf8_lossy(&dialogue.octets_until_closed()).into_owned()
}

#[test]
fn what_was_said_in_clear_is_forgotten() {
    let (relay, _server) = relay_with("");
    // openssl has said EHLO in clear; under TLS the relay knows of none.
    let mut dialogue = Encrypted::after_starttls(relay.network.stranger(), relay.address()).open();
    dialogue.ask("MAIL FROM:<ann@client.test>", 503);
    dialogue.ask("EHLO client.test", 250);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
}

#[test]
fn a_listener_may_require_tls() {
    let (relay, server) = relay_with("");
    let (stranger, encrypted) = (relay.network.stranger(), relay.listener("encrypted"));
    let mut dialogue = Dialogue::ready(stranger, encrypted);
    let reply = dialogue.say("MAIL FROM:<ann@client.test>");
    assert_eq!(
        reply.text(),
        "530 5.7.0 Must issue a STARTTLS command first"
    );
    dialogue.ask("RCPT TO:<bob@hosted.test>", 530);
    dialogue.ask("NOOP", 250);
    // The permitted client has to encrypt as well.
    let mut permitted = Dialogue::ready(relay.network.permitted(), encrypted);
    permitted.ask("MAIL FROM:<ann@client.test>", 530);
    let mut dialogue = Encrypted::after_starttls(stranger, encrypted).ready();
    let reply = dialogue.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("required"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("required");
}

#[test]
fn starttls_has_its_place_and_form() {
    let (relay, _server) = relay_with("");
    let (stranger, internet) = (relay.network.stranger(), relay.address());
    let mut dialogue = Dialogue::open(stranger, internet);
    dialogue.ask("STARTTLS", 503);
    dialogue.ask("EHLO client.test", 250);
    dialogue.ask("STARTTLS now", 501);
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("STARTTLS", 503);
    dialogue.ask("RSET", 250);
    dialogue.ask("STARTTLS", 220);
    let mut dialogue = Encrypted::after_starttls(stranger, internet).open();
    let offers = dialogue.ask("EHLO client.test", 250).lines;
    assert!(!offers.iter().any(|line| line == "STARTTLS"), "{offers:?}");
    dialogue.ask("STARTTLS", 503);
    dialogue.ask("NOOP", 250);
}

/// RFC 3848: what the trace says of a connection.
#[test]
fn received_tells_how_a_message_came() {
    let setup = SubmissionSetup::open("");
    let (stranger, internet) = (setup.stranger(), setup.relay.address());
    let clear = Dialogue::ready(stranger, internet);
    let encrypted = Encrypted::after_starttls(stranger, internet);
    let old = encrypted.clone().with(&["-tls1_2"]).ready();
    let new = encrypted.with(&["-tls1_3"]).ready();
    let signed_in = setup.signed_in(USER, PASSWORD);
    let cases = [
        (clear, "clear", "with ESMTP id", None),
        (old, "old", "with ESMTPS id", Some("TLSv1.2")),
        (new, "new", "with ESMTPS id", Some("TLSv1.3")),
        (signed_in, "signed-in", "with ESMTPSA id", Some("TLSv1.3")),
    ];
    for (mut dialogue, id, with, version) in cases {
        let reply = dialogue.submit(USER, &["bob@hosted.test"], &message(id));
        assert_eq!(reply.code, 250, "{}", reply.text());
        let trace = setup
            .server
            .wait_for(id)
            .header("Received")
            .expect("a trace");
        assert!(trace.contains(with), "{id}: {trace}");
        assert_eq!(trace.contains("TLSv"), version.is_some(), "{id}: {trace}");
        assert!(
            version.is_none_or(|version| trace.contains(version)),
            "{id}: {trace}"
        );
    }
    let log = setup.relay.log();
    assert!(log.contains("\"version\":\"TLSv1.2\""), "{log}");
}

#[test]
fn old_versions_are_turned_away() {
    let (relay, _server) =
        relay_with("[listener.modern]\nbind = \"127.0.0.1:0\"\nmin_version = \"1.3\"\n");
    let stranger = relay.network.stranger();
    let cases = [
        ("internet", "-tls1_3", true),
        ("internet", "-tls1_2", true),
        ("internet", "-tls1_1", false),
        ("modern", "-tls1_3", true),
        ("modern", "-tls1_2", false),
    ];
    for (listener, version, good) in cases {
        let options = [version, "-cipher", "DEFAULT@SECLEVEL=0"];
        let client = Encrypted::after_starttls(stranger, relay.listener(listener)).with(&options);
        let ran = client.handshake();
        assert_eq!(ran.code == 0, good, "{listener} {version}: {}", ran.text());
    }
}

/// Devices that know only TLS of yesterday try what is offered, and fail.
#[test]
fn starttls_is_withheld_from_whom_the_listener_excepts() {
    let network = Network::new();
    let (device, other) = (network.stranger(), network.permitted());
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[listener.devices]\nbind = \"{}:0\"\nstarttls_except = [\"{device}\"]\n\
         [domain.\"hosted.test\"]\nroute = \"{}\"\n",
        network.relay(),
        server.route()
    );
    let relay = Relay::start(network, &more);
    let offers = |from, listener| {
        let mut dialogue = Dialogue::open(from, relay.listener(listener));
        let offers = dialogue.ask("EHLO client.test", 250).lines;
        let code = dialogue.say("STARTTLS").code;
        (offers.iter().any(|line| line == "STARTTLS"), code)
    };
    assert_eq!(offers(device, "devices"), (false, 502));
    assert_eq!(offers(other, "devices"), (true, 220));
    assert_eq!(offers(device, "internet"), (true, 220));
    let mut dialogue = Dialogue::ready(device, relay.listener("devices"));
    let text = message("in-clear");
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &text);
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("in-clear");
    let told = format!("STARTTLS is withheld from {device}");
    for command in ["status", "config check"] {
        let words: Vec<&str> = command.split(' ').collect();
        let ran = relay.command(&words).expect_code(0);
        assert!(ran.text().contains(&told), "{command}: {}", ran.text());
    }
    let client = device.to_string();
    let words = [
        "relay",
        "check",
        "--listener",
        "devices",
        "--client",
        &client,
    ];
    let rcpt = ["--rcpt", "bob@hosted.test"];
    let ran = relay.command(&[&words[..], &rcpt].concat()).expect_code(0);
    assert!(ran.out.contains("withheld from this client"), "{}", ran.out);
    let encrypted = relay.command(&[&words[..], &rcpt, &["--tls"]].concat());
    assert_eq!(encrypted.code, 2, "{}", encrypted.text());
}

/// The configuration says so, not the port or what the listener is for.
#[test]
fn any_listener_may_take_tls_from_the_first_octet_on() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[listener.wrapped]\nbind = \"{}:0\"\ntls = \"implicit\"\n\
         [domain.\"hosted.test\"]\nroute = \"{}\"\n",
        network.relay(),
        server.route()
    );
    let relay = Relay::start(network, &more);
    let wrapped = relay.listener("wrapped");
    let mut dialogue = Encrypted::from_the_start(network.stranger(), wrapped).open();
    let hello = dialogue.ask("EHLO client.test", 250);
    assert!(!hello.lines.iter().any(|line| line == "STARTTLS"));
    let to = ["bob@hosted.test"];
    let reply = dialogue.submit("ann@client.test", &to, &message("wrapped"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let trace = server.wait_for("wrapped").header("Received");
    let trace = trace.expect("a trace");
    assert!(trace.contains("with ESMTPS"), "{trace}");
    let mut clear = Dialogue::connect(network.stranger(), wrapped);
    clear.send(b"EHLO client.test\r\n");
    let told = clear.octets_until_closed();
    assert!(!told.starts_with(b"2"), "nothing is said in clear");
}

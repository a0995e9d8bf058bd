//! What devices, scripts and mail programs of three decades send although no standard has it: text
//! without a header, addresses in no brackets, source routes, whole addresses in local parts, lines
//! that end in LF. A real Postfix behind the relay says whether what goes on is right.

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until};

/// A relay for `hosted.test` with a Postfix behind, which wants its envelopes as the standard has
/// them.
fn relay_before_postfix() -> (Relay, Postfix) {
    let network = Network::new();
    let mailbox = Postfix::one_mailbox(&["hosted.test", "direct.test"]);
    let settings = format!("{mailbox}strict_rfc821_envelopes = yes\n");
    let postfix = Postfix::start(network.mail_server(), &settings);
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(postfix.address)
    );
    (Relay::start(network, &config), postfix)
}

/// Waits for the message that has both of these.
fn filed(postfix: &Postfix, marker: &str, recipient: &str) -> String {
    let to = format!("Delivered-To: {recipient}\n");
    until(&format!("{marker} for {recipient}"), seconds(30), || {
        let mut messages = postfix.mailbox("all").into_iter();
        messages.find(|message| message.contains(marker) && message.contains(&to))
    })
}

/// The body of a filed message, and the fields of its header that did not come on the way.
fn as_written(filed: &str) -> (Vec<String>, String) {
    const OF_THE_WAY: [&str; 7] = [
        "return-path",
        "x-original-to",
        "delivered-to",
        "received",
        "date",
        "message-id",
        "from",
    ];
    let (header, body) = filed.split_once("\n\n").unwrap_or((filed, ""));
    let unfolded = header.replace("\n ", " ").replace("\n\t", " ");
    let written = |field: &&str| {
        let name = field.split(':').next().unwrap_or_default();
        !OF_THE_WAY.contains(&name.to_ascii_lowercase().as_str())
    };
    let fields = unfolded.lines().filter(written).map(str::to_owned);
    (fields.collect(), body.to_owned())
}

/// Content, and what of it is header and what is body.
const CONTENTS: [(&str, &str); 7] = [
    ("blank-first", " MARK: indented\r\nmore: text\r\n"),
    ("tab-first", "\tMARK\r\nmore text\r\n"),
    ("text-first", "just text, MARK\r\nSubject: no field\r\n"),
    ("empty-line-first", "\r\nMARK\r\n"),
    (
        "mailbox-line",
        "From ann@client.test Mon Jan  1 00:00:00 2024\r\nSubject: MARK\r\n\r\nHi\r\n",
    ),
    (
        "quoted-mailbox-line",
        ">From ann@client.test Mon Jan  1 00:00:00 2024\r\nSubject: MARK\r\n\r\nHi\r\n",
    ),
    ("header", "Subject: MARK\r\n\r\n indented\r\n"),
];

/// What Postfix files is the same, whether it comes through the relay or not: nothing of the text
/// has become header, nothing of the header text, and our own field is whole.
#[test]
fn content_without_a_header_goes_on_as_the_text_that_it_is() {
    let (relay, postfix) = relay_before_postfix();
    let client = relay.network.stranger();
    for (name, content) in CONTENTS {
        let content = content.replace("MARK", name);
        for (to, recipient) in [
            (relay.address(), "bob@hosted.test"),
            (postfix.address, "bob@direct.test"),
        ] {
            let mut dialogue = Dialogue::ready(client, to);
            let reply = dialogue.submit("ann@client.test", &[recipient], &content);
            assert_eq!(reply.code, 250, "{name}: {}", reply.text());
        }
        let through_us = filed(&postfix, name, "bob@hosted.test");
        let direct = filed(&postfix, name, "bob@direct.test");
        assert_eq!(as_written(&through_us), as_written(&direct), "{name}");
        let mut lines = through_us.lines();
        let ours = lines.position(|line| line.contains("by relay.test with ESMTP"));
        assert!(ours.is_some(), "{name}: {through_us}");
    }
}

#[test]
fn addresses_in_no_brackets_and_behind_routes_go_on_as_the_standard_has_them() {
    let (relay, postfix) = relay_before_postfix();
    let cases = [
        ("MAIL FROM:ann@client.test", "RCPT TO:bob@hosted.test"),
        (
            "MAIL FROM: ann@client.test SIZE=500",
            "RCPT TO: bob@hosted.test NOTIFY=NEVER",
        ),
        (
            "MAIL FROM: <ann@client.test>",
            "RCPT TO:  <bob@hosted.test>",
        ),
        (
            "MAIL FROM:<@one.test,@two.test:ann@client.test>",
            "RCPT TO:<bob@hosted.test>",
        ),
    ];
    for client in [relay.network.stranger(), relay.network.permitted()] {
        for (number, (mail, rcpt)) in cases.iter().enumerate() {
            let id = format!("form-{number}-of-{}", client.to_string().replace('.', "-"));
            let mut dialogue = Dialogue::ready(client, relay.address());
            dialogue.ask(mail, 250);
            dialogue.ask(rcpt, 250);
            dialogue.ask("DATA", 354);
            dialogue.send(message(&id).as_bytes());
            dialogue.ask(".", 250);
            let filed = filed(&postfix, &id, "bob@hosted.test");
            let sender = "Return-Path: <ann@client.test>\n";
            assert!(filed.contains(sender), "{mail}: {filed}");
        }
    }
    relay.wait_until_empty();
    let log = postfix.log();
    assert!(!log.contains("reject"), "{log}");
}

/// Variable envelope return paths and rewritten senders hold a whole address before the `@`.
#[test]
fn local_parts_that_hold_addresses_go_on_whole() {
    let (relay, postfix) = relay_before_postfix();
    let whole = format!("bob=a-{}.example", "very-long-".repeat(12));
    let bounces = format!("bounce+5f3b1a7c-{whole}@client.test");
    let rewritten = format!("SRS0=x7Tz=QW={whole}@hosted.test");
    assert!(bounces.len() > 150, "{bounces}");
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = dialogue.submit(&bounces, &[&rewritten], &message("long"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    let filed = filed(&postfix, "This is long", &rewritten);
    let sender = format!("Return-Path: <{bounces}>\n");
    assert!(filed.contains(&sender), "{filed}");
}

#[test]
fn postmaster_at_our_own_name_is_our_postmaster() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &config);
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    let reply = dialogue.submit("", &["PostMaster@relay.test"], &message("to-postmaster"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert_eq!(
        server.wait_for("to-postmaster").to,
        ["postmaster@hosted.test"]
    );
    dialogue.ask("MAIL FROM:<>", 250);
    let other = dialogue.ask("RCPT TO:<ann@relay.test>", 550);
    assert!(other.text().starts_with("550 5.7.1"), "{}", other.text());
}

/// What a listed device leaves out is added, and its lines are mended where the listener says so; a
/// stranger's are left as they are.
#[test]
fn a_listed_device_is_helped_and_a_stranger_is_not() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[listener.devices]\nbind = \"{}:0\"\nbare_lf = \"mend\"\n[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        network.relay(),
        server.route()
    );
    let relay = Relay::start(network, &config);
    let scan = |client, listener: &str, id: &str| {
        let mut dialogue = Dialogue::ready(client, relay.listener(listener));
        dialogue.ask("MAIL FROM:scanner@client.test", 250);
        dialogue.ask("RCPT TO:bob@hosted.test", 250);
        dialogue.ask("DATA", 354);
        dialogue.send(format!("Subject: {id}\n\n.first\r\nsecond\n\r\n.\r\n").as_bytes());
        dialogue.reply().map(|reply| reply.code)
    };
    let (device, stranger) = (network.permitted(), network.stranger());
    assert_eq!(scan(device, "devices", "scan"), Some(250));
    assert_eq!(scan(stranger, "devices", "no-scan"), Some(550));
    assert_eq!(scan(device, "internet", "no-scan"), Some(550));
    let received = server.wait_for("scan");
    let text = received.text();
    assert!(
        text.ends_with("Subject: scan\r\n\r\nfirst\r\nsecond\r\n\r\n"),
        "{text:?}"
    );
    assert_eq!(received.headers("From"), ["<scanner@client.test>"]);
    for name in ["Date", "Message-ID"] {
        assert_eq!(received.headers(name).len(), 1, "{text}");
    }
    let mut dialogue = Dialogue::ready(stranger, relay.address());
    let reply = dialogue.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        "Subject: alien\r\n\r\n",
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    let alien = server.wait_for("alien");
    for name in ["From", "Date", "Message-ID"] {
        assert_eq!(alien.headers(name), Vec::<String>::new());
    }
    assert_eq!(server.count(), 2);
}

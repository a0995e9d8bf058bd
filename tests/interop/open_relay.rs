//! The door stays shut. A stranger tries the patterns of the known open-relay testers, and nmap's
//! script tries its own, against the running binary. The same testers are pointed at an address
//! that must be accepted and at a server that accepts everything, so that a blind test shows
//! itself.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::client::{Dialogue, Reply};
use crate::network::Network;
use crate::program::{Ran, need_root, path_of, run};
use crate::relay::{Relay, address_of};
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// A relay that hosts `hosted.test` and, in listing order, a server that shall hear nothing.
fn closed_relay() -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route()),
    );
    (relay, server)
}

/// Every reverse path with every forward path of its group, each given after the keyword and its
/// colon.
fn patterns(literal: &str) -> Vec<(String, String)> {
    let long = format!("<{}@foreign.test>", "u".repeat(2000));
    let groups: [(&[&str], &[&str]); 5] = [
        // A foreign recipient in plain, under all kinds of senders: own, hosted, none, malformed.
        (
            &[
                "<a@foreign.test>",
                "<a>",
                "<>",
                "<a@relay.test>",
                "<a@LITERAL>",
                "<a@localhost>",
                "<foreign.test!a>",
                "<bob@hosted.test>",
                "<a@hosted.test> AUTH=<bob@hosted.test>",
                "<a@hosted.test> AUTH=<>",
            ],
            &["<u@foreign.test>"],
        ),
        // The foreign address hidden in a local part of ours.
        (
            &["<a@LITERAL>", "<a@relay.test>", "<a@hosted.test>", "<>"],
            &[
                "<u%foreign.test@relay.test>",
                "<u%foreign.test@LITERAL>",
                "<\"u@foreign.test\">",
                "<\"u%foreign.test\">",
                "<\"u@foreign.test\"@relay.test>",
                "<\"u@foreign.test\"@LITERAL>",
                "<u@foreign.test@relay.test>",
                "<u@foreign.test@LITERAL>",
                "<u%foreign.test>",
                "<u%foreign.test%relay.test>",
                "<u%foreign.test@hosted.test>",
                "<\"u@foreign.test\"@hosted.test>",
                "<u@foreign.test@hosted.test>",
                "<u@hosted.test@foreign.test>",
                "<\"u%foreign.test\"@hosted.test>",
            ],
        ),
        // Routes before and around the address.
        (
            &["<a@LITERAL>", "<>"],
            &[
                "<@relay.test:u@foreign.test>",
                "<@LITERAL:u@foreign.test>",
                "<@hosted.test:u@foreign.test>",
                "<@hosted.test,@relay.test:u@foreign.test>",
                "<foreign.test!u>",
                "<foreign.test!u@relay.test>",
                "<foreign.test!u@LITERAL>",
                "<foreign.test!u@hosted.test>",
                "u@foreign.test",
            ],
        ),
        // Other spellings of a foreign domain, and of ours.
        (
            &["<a@foreign.test>"],
            &[
                "<IMCEASMTP-u+40foreign.test@relay.test>",
                "<\"\\IMCEASMTP-u+40foreign.test\"@hosted.test>",
                "<=?utf-8?q?u=40foreign.test=3e?=@hosted.test>",
                "<\"=?utf-8?q?u=40foreign.test?=\"@hosted.test>",
                "<u\u{FF20}foreign.test@hosted.test>",
                "<u@\u{212A}iosk.hosted.test>",
                "<u@foreign.test.>",
                "<u@FOREIGN.TEST>",
                "<u@xn--frign-kva.test>",
                "<u@hosted.test.foreign.test>",
                "<u@nothosted.test>",
                "<u@.hosted.test>",
                "<u@hosted..test>",
                "<u@hosted.test@>",
                "<u@ho\u{FF53}ted.test>",
                "<u@hosted\u{3002}test>",
                "<u\u{FF20}hosted.test>",
                "<u@hosted.test\u{0}.foreign.test>",
                "<u@=?utf-8?q?hosted.test?=>",
                "<u@[hosted.test]>",
                "<u@foreign.test> ORCPT=rfc822;u@hosted.test",
                "<u@foreign.test,u@hosted.test>",
                &long,
            ],
        ),
        // Numbers for names.
        (
            &["<a@foreign.test>"],
            &[
                "<u@LITERAL>",
                "<u@[127.0.0.1]>",
                "<u@127.0.0.1>",
                "<u@2130706433>",
                "<u@[IPv6:::1]>",
                "<u@0x7f000001>",
                "<u@localhost>",
                "<u@[203.0.113.9]>",
            ],
        ),
    ];
    let filled = |text: &str| text.replace("LITERAL", literal);
    let pairs = groups.iter().flat_map(|(senders, recipients)| {
        senders.iter().flat_map(|sender| {
            recipients
                .iter()
                .map(|recipient| (filled(sender), filled(recipient)))
        })
    });
    pairs.collect()
}

/// What RCPT (or already MAIL) is answered on a connection of its own, or `None` when the relay
/// hangs up.
fn try_pattern(relay: &Relay, mail: &str, recipient: &str) -> Option<Reply> {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.send(format!("MAIL FROM:{mail}\r\n").as_bytes());
    let reply = dialogue.reply()?;
    if reply.code != 250 {
        return Some(reply);
    }
    dialogue.send(format!("RCPT TO:{recipient}\r\n").as_bytes());
    dialogue.reply()
}

#[test]
fn a_stranger_gets_no_pattern_of_the_known_testers_through() {
    let (relay, server) = closed_relay();
    let mut let_through = Vec::new();
    for (mail, recipient) in patterns(&format!("[{}]", relay.network.relay())) {
        let reply = try_pattern(&relay, &mail, &recipient);
        if !reply.as_ref().is_some_and(Reply::is_refusal) {
            let_through.push((mail, recipient, reply));
        }
    }
    assert!(
        let_through.is_empty(),
        "not refused with 5xx: {let_through:#?}"
    );
    assert_eq!(server.count(), 0);
    let accepted = try_pattern(&relay, "<a@foreign.test>", "<bob@hosted.test>").expect("a reply");
    assert_eq!(
        accepted.code,
        250,
        "the test is not blind: {}",
        accepted.text()
    );
}

#[test]
fn a_refused_recipient_cannot_be_smuggled_in_with_an_accepted_one() {
    let (relay, server) = closed_relay();
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("RCPT TO:<victim@foreign.test>", 550);
    dialogue.ask("DATA", 354);
    dialogue
        .send(b"Subject: mixed\r\nTo: victim@foreign.test\r\nCc: other@foreign.test\r\n\r\nhi\r\n");
    dialogue.ask(".", 250);
    assert_eq!(server.wait_for("mixed").to, ["bob@hosted.test"]);
    relay.wait_until_empty();
    assert_eq!(server.count(), 1);
}

#[test]
fn rights_are_not_gained_by_words() {
    let (relay, _server) = closed_relay();
    let permitted = relay.network.permitted();
    let mut dialogue = Dialogue::open(relay.network.stranger(), relay.address());
    dialogue.ask(&format!("EHLO [{permitted}]"), 250);
    for words in [
        format!("XCLIENT ADDR={permitted}"),
        format!("XFORWARD ADDR={permitted}"),
        "AUTH ANONYMOUS".to_owned(),
    ] {
        let reply = dialogue.say(&words);
        assert!(
            reply.is_refusal(),
            "{words:?} was answered {:?}",
            reply.text()
        );
    }
    dialogue.ask("MAIL FROM:<bob@hosted.test>", 250);
    let reply = dialogue.ask("RCPT TO:<victim@foreign.test>", 550);
    assert_eq!(
        reply.text(),
        "550 5.7.1 Unable to relay for victim@foreign.test"
    );
}

#[test]
fn a_proxy_header_from_a_stranger_gives_no_right() {
    let (relay, _server) = closed_relay();
    let (permitted, here) = (relay.network.permitted(), relay.network.relay());
    let mut dialogue = Dialogue::connect(relay.network.stranger(), relay.address());
    dialogue.send(format!("PROXY TCP4 {permitted} {here} 40000 25\r\nEHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<u@foreign.test>\r\n").as_bytes());
    dialogue.send(b"QUIT\r\n");
    let replies = dialogue.replies_until_closed();
    // 220 and the EHLO, MAIL and QUIT replies may be positive; the recipient is never.
    let recipients: Vec<&Reply> = replies
        .iter()
        .filter(|reply| reply.text().contains("foreign.test"))
        .collect();
    assert!(
        recipients.iter().all(|reply| reply.is_refusal()),
        "{replies:?}"
    );
    let refused = replies.iter().filter(|reply| reply.is_refusal()).count();
    assert!(
        refused >= 1,
        "the PROXY line itself is no command: {replies:?}"
    );
}

/// nmap's own opinion of the server at `address`, asked from `client`.
fn nmap(client: &str, address: SocketAddr) -> Ran {
    need_root("nmap sends from a chosen address");
    run(
        "nmap",
        &[
            "-Pn",
            "-n",
            "-S",
            client,
            "-e",
            "lo",
            "-p",
            &address.port().to_string(),
            "--script",
            "+smtp-open-relay",
            "--script-args",
            "smtp-open-relay.domain=foreign.test",
            &address.ip().to_string(),
        ],
    )
    .expect_code(0)
}

#[test]
fn nmap_finds_no_open_relay() {
    let (relay, server) = closed_relay();
    let ran = nmap(&relay.network.stranger().to_string(), relay.address());
    assert!(
        ran.out
            .contains("doesn't seem to be an open relay, all tests failed"),
        "{}",
        ran.text()
    );
    assert_eq!(server.count(), 0);
}

#[test]
fn nmap_finds_no_open_relay_where_users_sign_in() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[listener.users]\nbind = \"{}:0\"\nkind = \"submission\"\n",
        server.route(),
        network.relay()
    );
    let relay = Relay::start(network, &config);
    let status = relay.status().expect("a running relay");
    let users = address_of(&status, "users").expect("an open listener");
    let ran = nmap(&network.stranger().to_string(), users);
    assert!(
        ran.out.contains("smtp-open-relay"),
        "the script ran: {}",
        ran.text()
    );
    assert!(
        !ran.out.contains("Server is an open relay"),
        "{}",
        ran.text()
    );
    assert_eq!(server.count(), 0);
}

#[test]
fn nmap_would_find_an_open_relay() {
    let network = Network::new();
    let sink = OpenSink::start(network.free_port(network.relay()));
    let ran = nmap(&network.stranger().to_string(), sink.address);
    assert!(
        ran.out.contains("Server is an open relay"),
        "{}",
        ran.text()
    );
}

/// smtp-sink accepts everything from anybody.
struct OpenSink {
    address: SocketAddr,
    child: Child,
}

impl OpenSink {
    fn start(address: SocketAddr) -> OpenSink {
        let mut command = Command::new(path_of("smtp-sink"));
        let account: &[&str] = if crate::program::is_root() {
            &["-u", "nobody"]
        } else {
            &[]
        };
        command
            .args(account)
            .args([&address.to_string(), "100"])
            .stdout(Stdio::null());
        let child = command.spawn().expect("smtp-sink starts");
        // The port is taken as soon as smtp-sink listens.
        until_true("smtp-sink to listen", seconds(10), || {
            TcpListener::bind(address).is_err()
        });
        OpenSink { address, child }
    }
}

impl Drop for OpenSink {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

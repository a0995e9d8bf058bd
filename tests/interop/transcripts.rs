//! The SMTP dialogue of what went wrong is kept, and of what an operator asks for; never with a
//! secret or with content.

use std::fs;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};
use crate::wait::{seconds, until, until_true};

/// A message for this recipient, of which the relay says that it has it; its queue id.
fn send(relay: &Relay, recipient: &str, name: &str) -> String {
    let client = Dialogue::ready(relay.network.permitted(), relay.address());
    hand_in(client, recipient, name)
}

/// The same in this session, which ends with it.
fn hand_in(mut client: Dialogue, recipient: &str, name: &str) -> String {
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask(&format!("RCPT TO:<{recipient}>"), 250);
    client.ask("DATA", 354);
    client.send(message(name).as_bytes());
    client.send(b".\r\n");
    let taken = client.expect(250).text();
    client.ask("QUIT", 221);
    taken.rsplit(' ').next().expect("an id").trim().to_owned()
}

/// What was kept about a message, or of a session.
fn transcripts(relay: &Relay, name: &str) -> Vec<Value> {
    let ran = relay.command(&["--json", "trace", name, "--transcript"]);
    let out = ran.expect_code(0).out;
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

fn text(row: &Value) -> &str {
    row["text"].as_str().expect("a text")
}

#[test]
fn the_dialogue_of_what_was_refused_or_failed_is_kept() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |line| line.contains("nobody@").then_some("550 5.1.1 no such user"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &domain);
    let good = send(&relay, "bob@hosted.test", "well");
    let bad = send(&relay, "nobody@hosted.test", "refused-there");
    server.wait_for("well");
    let attempt = until("the attempt that failed", seconds(20), || {
        transcripts(&relay, &bad).pop()
    });
    let said = text(&attempt);
    for line in [
        " # connected to [",
        " C: RCPT TO:<nobody@hosted.test>",
        " S: 550 5.1.1 no such user",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(attempt["session"], Value::Null);
    assert_eq!(transcripts(&relay, &good).len(), 0);

    let mut stranger = Dialogue::ready(network.stranger(), relay.address());
    stranger.ask("MAIL FROM:<eve@client.test>", 250);
    stranger.ask("RCPT TO:<victim@elsewhere.test>", 550);
    stranger.ask("hunter2 AGV2ZQ==", 500);
    stranger.ask("QUIT", 221);
    let line = relay.wait_for_log(&["recipient refused", "victim@elsewhere.test"]);
    let line: Value = serde_json::from_str(&line).expect("a line of the log");
    let (id, session) = (line["id"].as_str().unwrap(), &line["session"]);
    let refused = until("the session", seconds(20), || transcripts(&relay, id).pop());
    let said = text(&refused);
    for line in [
        " S: 220 relay.test",
        " C: ***\n",
        " S: 550 5.7.1 Unable to relay for victim",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    let by_session = transcripts(&relay, &format!("in-{session}"));
    assert_eq!(by_session, [refused]);
    let shown = relay.command(&["trace", id, "--transcript"]).expect_code(0);
    let wanted = format!("session in-{session}, which ended at ");
    assert!(shown.out.contains(&wanted), "{}", shown.out);
}

/// Off keeps none, failures what went wrong, all everything; a reload is enough.
#[test]
fn what_is_kept_is_what_the_configuration_says() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &domain);
    let config = fs::read_to_string(relay.config()).expect("a configuration");
    let mut played = Vec::new();
    for kept in ["off", "failures", "all"] {
        let log = format!("[log]\ntranscript = \"{kept}\"\n");
        relay.write_whole_config(&config.replacen("[log]\n", &log, 1));
        relay.command(&["reload"]).expect_code(0);
        let good = send(&relay, "bob@hosted.test", kept);
        server.wait_for(kept);
        relay.wait_until_empty();
        let victim = format!("{kept}@elsewhere.test");
        let mut stranger = Dialogue::ready(network.stranger(), relay.address());
        stranger.ask("MAIL FROM:<eve@client.test>", 250);
        stranger.ask(&format!("RCPT TO:<{victim}>"), 550);
        stranger.ask("QUIT", 221);
        drop(stranger);
        let line = relay.wait_for_log(&["recipient refused", &victim]);
        let line: Value = serde_json::from_str(&line).expect("a line of the log");
        played.push((good, line["id"].as_str().expect("an id").to_owned()));
    }
    let counts = || -> Vec<(usize, usize)> {
        let count = |id: &str| transcripts(&relay, id).len();
        let all = played.iter();
        all.map(|(good, bad)| (count(good), count(bad))).collect()
    };
    // Of good mail the session and the attempt; what comes last is written last.
    until_true("the last dialogue", seconds(20), || {
        counts().last() == Some(&(2, 1))
    });
    assert_eq!(counts(), [(0, 0), (0, 1), (2, 1)]);
}

#[test]
fn an_operator_has_everything_of_somebody_kept_for_a_while() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &domain);
    relay
        .command(&["log", "trace", "--client", "nobody"])
        .expect_code(1);
    let too_long = relay.command(&["log", "trace", "--client", "192.0.2.1", "--for", "8d"]);
    let too_long = too_long.expect_code(1);
    assert!(
        too_long.err.contains("7 days at most"),
        "{}",
        too_long.text()
    );
    let before = send(&relay, "bob@hosted.test", "before");
    let client = network.permitted().to_string();
    relay
        .command(&["log", "trace", "--client", &client, "--for", "1h"])
        .expect_code(0);
    relay
        .command(&["log", "trace", "--address", "Bob@hosted.test"])
        .expect_code(0);
    let listed = relay.command(&["log", "trace"]).expect_code(0).out;
    assert!(
        listed.contains(&format!("client {client}/32 until ")),
        "{listed}"
    );
    assert!(
        listed.contains("address bob@hosted.test until "),
        "{listed}"
    );
    let traced = send(&relay, "bob@hosted.test", "content-of-nobodys-business");
    server.wait_for("content-of-nobodys-business");
    until_true("session and attempt", seconds(20), || {
        transcripts(&relay, &traced).len() == 2
    });
    let all = transcripts(&relay, &traced);
    let said = all.iter().map(text).collect::<String>();
    assert!(
        said.contains(" C: QUIT\n") && said.contains(" octets of content)"),
        "{said}"
    );
    assert!(!said.contains("content-of-nobodys"), "{said}");
    assert_eq!(transcripts(&relay, &before).len(), 0);
}

/// Each switch by itself, where nothing is kept otherwise; connections to servers that were open before
/// are no exception.
#[test]
fn each_switch_keeps_what_it_names_and_nothing_else() {
    let other = RecordingServer::start(Network::new().mail_server());
    let domain = format!("[domain.\"other.test\"]\nroute = \"{}\"\n", other.route());
    let mut setup = SubmissionSetup::prepare(&domain);
    let config = fs::read_to_string(setup.relay.config()).expect("a configuration");
    let off = "[log]\ntranscript = \"off\"\n";
    setup
        .relay
        .write_whole_config(&config.replacen("[log]\n", off, 1));
    setup.relay.run();
    let (relay, network) = (&setup.relay, setup.relay.network);
    let of = |last, recipient: &str, name: &str| {
        let client = Dialogue::ready(network.host(last), relay.address());
        hand_in(client, recipient, name)
    };
    // Of a client, of a user, at a site, for an address, and of nobody in particular.
    let play = |when: &str| {
        let name = |of: &str| format!("{of}-{when}");
        let ids = [
            of(30, "bob@hosted.test", &name("client")),
            hand_in(
                setup.signed_in(USER, PASSWORD),
                "bob@hosted.test",
                &name("user"),
            ),
            of(31, "bob@other.test", &name("site")),
            of(31, "carol@hosted.test", &name("address")),
            of(31, "dave@hosted.test", &name("nobody")),
        ];
        relay.wait_until_empty();
        ids
    };
    let before = play("before");
    let client = network.host(30).to_string();
    for (switch, whom) in [
        ("--client", &*client),
        ("--user", USER),
        ("--site", &other.route()),
        ("--address", "carol@hosted.test"),
    ] {
        relay
            .command(&["log", "trace", switch, whom])
            .expect_code(0);
    }
    let during = play("during");
    // Of how many sessions and attempts.
    let kept = |id: &String| {
        let all = transcripts(relay, id);
        let of_sessions = all.iter().filter(|row| !row["session"].is_null());
        let sessions = of_sessions.count();
        (sessions, all.len() - sessions)
    };
    let wanted = [(1, 0), (1, 0), (0, 1), (1, 1), (0, 0)];
    until_true("the dialogues", seconds(20), || {
        during.iter().map(kept).eq(wanted)
    });
    assert!(before.iter().map(kept).all(|kept| kept == (0, 0)));
}

//! Scanners beside the relay: real clamd, rspamd, spamd, c-icap with ClamAV, postgrey and policyd-spf;
//! the signatures of ClamAV are one about a harmless text of ours. They are installed and run by
//! `scripts/test scanners`.

mod each;
mod learning;
mod policies;
mod programs;

use std::fs;

use self::programs::{FOUND, Program};
use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until};

/// The spool keeps larger content as a file.
const LARGE: usize = 300_000;

fn relay(clamd: &Program, more: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         {}{more}",
        server.route(),
        clamd.section(),
    ));
    relay.run();
    (relay, server)
}

fn stranger(relay: &Relay) -> Dialogue {
    Dialogue::ready(relay.network.stranger(), relay.address())
}

/// What comes of a message with this text.
fn sent(relay: &Relay, id: &str, text: &str) -> String {
    let content = format!("{}{text}\r\n", message(id));
    let mut client = stranger(relay);
    let reply = client.submit("ann@client.test", &["bob@hosted.test"], &content);
    reply.text().to_owned()
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn malware_is_refused_and_everybody_says_by_which_line() {
    let mut clamd = Program::clamd();
    clamd.start();
    let (relay, server) = relay(&clamd, "");
    let place = relay.place_of("[scanner.looker]");
    for (id, filling) in [("small", 0), ("large", LARGE)] {
        let filling = "nothing\r\n".repeat(filling / 9);
        let refused = sent(&relay, &format!("bad-{id}"), &format!("{filling}{FOUND}"));
        assert_eq!(refused, "550 5.7.1 This message contains malware");
        relay.wait_for_log(&["screened", "Gatepost.Test.UNOFFICIAL", &place]);
        let taken = sent(&relay, id, &filling);
        assert!(taken.starts_with("250 "), "{taken}");
        let received = server.wait_for(id);
        assert_eq!(
            received.header("X-Gatepost-Scan").as_deref(),
            Some("looker clean")
        );
    }
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("scanner looker ") && status.contains("ClamAV 1."),
        "{status}"
    );
    let metrics = relay.command(&["status", "--metrics"]).text();
    for line in [
        "gatepost_scanner_results_total{scanner=\"looker\",result=\"infected\"} 2",
        "gatepost_scanner_results_total{scanner=\"looker\",result=\"clean\"} 2",
        "gatepost_scanner_results_total{scanner=\"looker\",result=\"error\"} 0",
        "gatepost_scanner_duration_seconds_count{scanner=\"looker\"} 4",
        "gatepost_scanner_messages{scanner=\"looker\",state=\"active\"} 0",
        "gatepost_scanner_addresses_silent{scanner=\"looker\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    let file = relay.folder().join("bad.eml");
    fs::write(&file, format!("{}{FOUND}\r\n", message("checked"))).expect("a file");
    let file = file.display().to_string();
    let check = [
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--mail",
        "ann@client.test",
    ];
    let to = ["--rcpt", "bob@hosted.test", "--message", &file];
    let told = relay.command(&[&check[..], &to].concat()).text();
    for part in [
        "looker: infected (Gatepost.Test.UNOFFICIAL)",
        &place,
        "550 5.7.1",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn rules_come_before_what_follows_from_a_scanner() {
    let mut clamd = Program::clamd();
    clamd.start();
    let rules =
        "[[screen]]\nname = \"kept\"\nwhen.scanner = \"looker: infected\"\nthen = \"hold\"\n";
    let (relay, server) = relay(&clamd, rules);
    let forged = format!(
        "X-Gatepost-Scan: looker clean\r\n{}{FOUND}\r\n",
        message("held")
    );
    let mut client = stranger(&relay);
    let taken = client.submit("ann@client.test", &["bob@hosted.test"], &forged);
    assert_eq!(taken.code, 250, "{}", taken.text());
    let held = &relay.wait_until_held(1)[0];
    let why = held["last_reply"].as_str().unwrap_or_default();
    assert!(why.contains("Gatepost.Test.UNOFFICIAL"), "{held}");
    let id = held["id"].as_str().expect("an id");
    relay.command(&["queue", "release", id]).expect_code(0);
    let received = server.wait_for("held");
    let told = received.text();
    let told: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("X-Gatepost-Scan"))
        .collect();
    assert_eq!(
        told,
        ["X-Gatepost-Scan: looker infected (Gatepost.Test.UNOFFICIAL)"]
    );
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn without_an_answer_mail_is_postponed_until_the_scanner_is_back() {
    let mut clamd = Program::clamd();
    let (relay, server) = relay(&clamd, "timeout = \"5s\"\n");
    let postponed = sent(&relay, "early", "nothing");
    assert_eq!(
        postponed,
        "451 4.3.0 This message cannot be looked at now, try again later"
    );
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("attention the scanner looker does not answer at"),
        "{status}"
    );
    clamd.start();
    until("the scanner to be asked again", seconds(30), || {
        sent(&relay, "again", "nothing")
            .starts_with("250 ")
            .then_some(())
    });
    server.wait_for("again");
    // One that hangs holds up its own messages, each for its time alone.
    clamd.signal("STOP");
    assert!(sent(&relay, "hung", "nothing").starts_with("451 4.3.0"));
    clamd.signal("CONT");
    until("the scanner to be asked again", seconds(30), || {
        sent(&relay, "after", "nothing")
            .starts_with("250 ")
            .then_some(())
    });
}

#[test]
#[ignore = "needs rspamd: scripts/test scanners"]
fn rspamd_uses_the_settings_that_a_section_names() {
    let network = Network::new();
    let mut rspamd = Program::rspamd(&network);
    rspamd.start();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let section = rspamd.section();
    let strict = section.replace("looker", "strict") + "settings_id = \"strict\"\n";
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{section}{strict}",
        server.route()
    ));
    relay.run();
    let taken = sent(&relay, "one", "nothing");
    assert!(taken.starts_with("250 "), "{taken}");
    let told = server.wait_for("one").header("X-Gatepost-Scan");
    let told = told.unwrap_or_default();
    // By its usual settings a point is little.
    assert!(told.contains("looker clean"), "{told}");
    assert!(told.contains("strict spam"), "{told}");
}

//! `gatepost relay prove`: the battery of the known open-relay testers, on our own rules and
//! against servers of all kinds. It tells a closed door from an open one, says when it cannot tell,
//! and never sends a message.

use serde_json::json;

use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::Ran;
use crate::relay::Relay;
use crate::script::Script;
use crate::server::RecordingServer;

/// The quick start without certificate files.
const CLOSED: &str = "hostname = \"relay.example.com\"\n\
    [listener.internet]\nbind = \"0.0.0.0:25\"\n[listener.submission]\nbind = \"0.0.0.0:587\"\n\
    [domain.\"example.com\"]\nroute = \"[192.168.1.254]\"\n[relay]\nallow = [\"192.168.1.254\"]\n";

fn prove(config: &str) -> Ran {
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(config);
    relay.command(&["relay", "prove"])
}

#[test]
fn the_quick_start_is_proved_closed() {
    let ran = prove(CLOSED).expect_code(0);
    assert!(ran.out.contains("CLOSED"), "{}", ran.text());
    for (listener, controls) in [("internet", "2 of 2"), ("submission", "1 of 1")] {
        let (_, told) = ran
            .out
            .split_once(&format!("listener {listener}, as "))
            .expect("a part for each listener");
        let counts = told.lines().nth(1).expect("the counts");
        let probes: u32 = counts
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number of probes");
        assert!(
            probes >= 50 && counts.contains(" 0 accepted"),
            "{}",
            ran.text()
        );
        assert!(
            counts.contains(controls),
            "{listener} {controls}: {}",
            ran.text()
        );
    }
}

#[test]
fn every_kind_of_hole_is_proved_open() {
    let risk = "accept_risk = \"open-relay\"\n";
    let base = "hostname = \"relay.example.com\"\n[listener.internet]\nbind = \"0.0.0.0:25\"\n";
    for hole in [
        "[relay]\nmode = \"all-except\"\nexcept = [\"203.0.113.0/24\"]\n",
        "[relay]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n",
        "[relay]\nallow = [\"198.51.0.0/16\", \"80.0.0.0/6\"]\n",
        "[relay]\nallow = [\"*.com\"]\n",
        "[domain.\"*\"]\nroute = \"mx\"\n[relay]\n",
        "[domain.\"*.co.uk\"]\nroute = \"mx\"\n[relay]\n",
    ] {
        let ran = prove(&format!("{base}{hole}{risk}"));
        assert!(
            ran.code == 1 && ran.out.contains("OPEN: strangers can relay"),
            "{hole}: {} {}",
            ran.code,
            ran.text()
        );
        // Without the risk accepted it is no configuration at all.
        prove(&format!("{base}{hole}")).expect_code(78);
    }
}

#[test]
fn refusals_without_a_control_prove_nothing() {
    let config = "hostname = \"relay.example.com\"\n[listener.internet]\nbind = \"0.0.0.0:25\"\n";
    let ran = prove(config).expect_code(75);
    assert!(ran.out.contains("could not tell"), "{}", ran.text());
}

/// Runs the battery against a server over a socket.
fn live(network: Network, server: &str, hosted: Option<&str>) -> Ran {
    let relay = Relay::prepare(network, "");
    let mut arguments = vec!["relay", "prove", "--live", server];
    if let Some(hosted) = hosted {
        arguments.extend(["--hosted", hosted]);
    }
    relay.command(&arguments)
}

fn dialogue_has(ran: &Ran, words: &str) -> bool {
    ran.out
        .lines()
        .any(|line| line.trim_start().starts_with(words))
}

#[test]
fn our_own_running_relay_is_proved_closed_over_a_socket() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    // Strangers wait for their refusals otherwise; the battery gets many.
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[limits]\ntarpit = \"0s\"\n",
        server.route()
    );
    let relay = Relay::start(network, &config);
    let address = relay.address().to_string();
    let ran = live(network, &address, Some("bob@hosted.test")).expect_code(0);
    assert!(
        ran.out.contains("CLOSED") && ran.out.contains("1 of 1 controls"),
        "{}",
        ran.text()
    );
    assert!(
        dialogue_has(&ran, "C: RCPT TO:") && dialogue_has(&ran, "S: 550"),
        "{}",
        ran.text()
    );
    // The control is what makes it a proof.
    let ran = live(network, &address, None).expect_code(75);
    assert!(ran.out.contains("--hosted"), "{}", ran.text());
    assert_eq!(server.connections(), 0, "nothing was sent");
    assert_eq!(relay.queued(), 0);
}

#[test]
fn an_open_postfix_is_found_and_gets_no_message() {
    let network = Network::new();
    // What is often written in a hurry: everybody is of our own network.
    let settings = "mynetworks = 0.0.0.0/0\nsmtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 1000\n\
        smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n";
    let postfix = Postfix::start(network.mail_server(), settings);
    let address = postfix.address.to_string();
    let ran = live(network, &address, None);
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert!(
        ran.out.contains("OPEN: strangers can relay"),
        "{}",
        ran.text()
    );
    // Postfix counts the commands of a session in its log: there was RCPT and no DATA.
    let sessions = crate::wait::until("the session in the log", crate::wait::seconds(20), || {
        let log = postfix.log();
        let lines = log.lines().filter(|line| line.contains("disconnect from"));
        let told: Vec<String> = lines.map(str::to_owned).collect();
        told.iter()
            .any(|line| line.contains("rcpt="))
            .then_some(told)
    });
    assert!(
        sessions.iter().all(|line| !line.contains("data=")),
        "{sessions:?}"
    );
}

#[test]
fn a_closed_postfix_is_proved_closed() {
    let network = Network::new();
    let settings = Postfix::mailboxes("hosted.test", &["bob"])
        + "\nmynetworks = 192.0.2.0/24\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
           smtpd_error_sleep_time = 0\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\nstrict_rfc821_envelopes = yes\n";
    let postfix = Postfix::start(network.mail_server(), &settings);
    let address = postfix.address.to_string();
    let ran = live(network, &address, Some("bob@hosted.test"));
    assert_eq!(ran.code, 0, "{}", ran.text());
}

#[test]
fn a_server_that_says_nothing_about_relaying_is_not_called_closed() {
    for (what, replies) in [
        (
            "wants sign-in",
            json!({ "MAIL": "530 5.7.0 Authentication required" }),
        ),
        ("hangs up at once", json!({ "CONNECT": "" })),
        ("hangs up at RCPT", json!({ "RCPT": "" })),
        (
            "refuses strangers",
            json!({ "CONNECT": "554 5.7.1 go away" }),
        ),
        ("postpones everybody", json!({ "RCPT": "451 4.7.1 later" })),
    ] {
        let network = Network::new();
        let server = Script::smtp(network.mail_server(), json!({ "replies": replies }));
        let ran = live(
            network,
            &server.address.to_string(),
            Some("bob@hosted.test"),
        );
        assert_eq!(ran.code, 75, "{what}: {}", ran.text());
        assert!(!server.heard("DATA") && !server.heard("BDAT"), "{what}");
    }
}

#[test]
fn sender_and_recipient_of_the_battery_can_be_chosen() {
    let network = Network::new();
    let server = Script::smtp(network.mail_server(), json!({}));
    let relay = Relay::prepare(network, "");
    let address = server.address.to_string();
    let ran = relay.command(&[
        "relay",
        "prove",
        "--live",
        &address,
        "--sender",
        "me@one.test",
        "--recipient",
        "you@two.test",
    ]);
    assert_eq!(ran.code, 1, "it takes everything: {}", ran.text());
    assert!(server.heard("MAIL FROM:<me@one.test>") && server.heard("RCPT TO:<you@two.test>"));
    assert!(!server.heard("DATA"));
}

#[test]
fn nobody_to_talk_to_is_no_proof() {
    let network = Network::new();
    let address = network.mail_server().to_string();
    live(network, &address, None).expect_code(75);
}

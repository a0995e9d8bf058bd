//! What the administrator sees of the rules: the posture, wherever a configuration is loaded; a
//! refusal with a counter-example when it is open; and `relay.tests`, which a configuration has to
//! pass before it is used.

use std::fs;

use crate::network::Network;
use crate::program::Ran;
use crate::relay::{Relay, address_of};
use crate::wait::{seconds, until_true};

const OPEN: &str = "hostname = \"relay.example.com\"\n\
    [listener.internet]\nbind = \"0.0.0.0:25\"\n\
    [relay]\nmode = \"all-except\"\nexcept = [\"198.51.100.7\"]\n";

fn check(config: &str) -> Ran {
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(config);
    relay.command(&["config", "check"])
}

#[test]
fn the_recipe_of_the_nineties_is_refused_with_a_counter_example() {
    let said = check(OPEN).expect_code(78).text();
    for words in [
        "this configuration is an open relay",
        "gatepost.toml:5:8",
        "mode = \"all-except\"",
        "all but 1 of them",
        "proof: 203.0.113.9 -> someone@elsewhere.example would be accepted",
        "only-list",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
    // The relay does not start with it either.
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(OPEN);
    let ran = relay.command(&["run"]).expect_code(78);
    assert!(ran.text().contains("open relay"), "{}", ran.text());
}

#[test]
fn the_counter_example_is_what_relay_check_says() {
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(&format!("{OPEN}accept_risk = \"open-relay\"\n"));
    let ask = |client: &str| {
        let arguments = [
            "relay",
            "check",
            "--client",
            client,
            "--rcpt",
            "someone@elsewhere.example",
        ];
        relay.command(&arguments).code
    };
    assert_eq!(ask("203.0.113.9"), 0);
    assert_eq!(ask("198.51.100.7"), 1);
}

#[test]
fn an_accepted_risk_is_warned_of_and_called_open() {
    let said = check(&format!("{OPEN}accept_risk = \"open-relay\"\n"))
        .expect_code(0)
        .text();
    assert!(
        said.contains("warning: this configuration is an open relay"),
        "{said}"
    );
    assert!(said.contains("proof: 203.0.113.9"), "{said}");
    assert!(said.contains("open: "), "the posture: {said}");
}

#[test]
fn an_accepted_risk_is_warned_of_at_every_start() {
    let mut relay = Relay::prepare(Network::new(), "");
    // Strangers enough to make it open, and none that comes this way: a network far away whose
    // packets end there.
    let data = relay.data_dir();
    relay.write_whole_config(&format!(
        "hostname = \"relay.test\"\nuser = \"root\"\ngroup = \"root\"\ndata_dir = {data:?}\n\
         [listener.internet]\nbind = \"0.0.0.0:0\"\n\
         connect = {{ mode = \"only-list\", allow = [\"11.0.0.0/8\"] }}\n[spool]\nmin_free = \"0MB\"\n[log]\nformat = \"json\"\n\
         [relay]\nmode = \"all-except\"\naccept_risk = \"open-relay\"\n"
    ));
    for start in 1..=2 {
        relay.run();
        until_true("the warning", seconds(20), || {
            let log = relay.log();
            let warnings = log.lines().filter(|line| line.contains("WARN"));
            warnings
                .filter(|line| line.contains("strangers may relay"))
                .count()
                == start
        });
        let ran = relay.command(&["status"]).expect_code(0);
        assert!(ran.out.contains("open: "), "{}", ran.out);
        relay.stop();
    }
}

#[test]
fn the_posture_is_told_wherever_a_configuration_is_loaded() {
    let network = Network::new();
    let relay = Relay::start(network, "");
    // Who, at which listener, and the line that says so.
    let line = format!(
        "closed: 1 entry in relay.allow on internet ({}:9)",
        relay.config().display()
    );
    let told = |text: &str| text.contains(&line);
    let checked = relay.command(&["config", "check"]).expect_code(0);
    assert!(told(&checked.out), "{line}: {}", checked.text());
    let status = relay.command(&["status"]).expect_code(0);
    assert!(told(&status.out), "{line}: {}", status.text());
    let json = relay.status().expect("a running relay");
    assert!(json["posture"].as_str().is_some_and(told), "{json}");
    let started = relay.wait_for_log(&["posture", "closed: "]);
    assert!(told(&started), "{started}");
    relay.command(&["reload"]).expect_code(0);
    until_true("the posture after a reload", seconds(20), || {
        let log = relay.log();
        log.lines()
            .filter(|line| line.contains("posture") && told(line))
            .count()
            >= 2
    });
}

/// A relay with a file of tests beside its configuration.
fn with_tests(network: Network, tests: &str) -> Relay {
    let relay = Relay::prepare(
        network,
        "[domain.\"hosted.test\"]\nroute = \"[127.0.0.1]:2525\"\n",
    );
    fs::write(relay.folder().join("relay.tests"), tests).expect("the relay tests");
    relay
}

const HOLDS: &str = "[[test]]\nname = \"no stranger sends through us\"\nfrom = \"203.0.113.9\"\n\
    rcpt = \"someone@elsewhere.example\"\nexpected = \"550 5.7.1\"\n\
    [[test]]\nname = \"anybody may write to us\"\nfrom = \"203.0.113.9\"\nrcpt = \"bob@hosted.test\"\nexpected = \"accepted\"\n";

/// Holds no more once that client may relay.
fn fails(network: Network) -> String {
    format!(
        "{HOLDS}[[test]]\nname = \"the printer may not relay\"\nfrom = \"{}\"\n\
         rcpt = \"someone@elsewhere.example\"\nexpected = \"refused\"\n",
        network.permitted()
    )
}

#[test]
fn relay_tests_that_hold_are_counted() {
    let relay = with_tests(Network::new(), HOLDS);
    let ran = relay.command(&["config", "check"]).expect_code(0);
    assert!(ran.out.contains("2 relay tests"), "{}", ran.text());
}

#[test]
fn a_relay_test_that_fails_stops_check_and_start() {
    let network = Network::new();
    let relay = with_tests(network, &fails(network));
    for command in [&["config", "check"][..], &["run"]] {
        let said = relay.command(command).expect_code(78).text();
        for words in [
            "relay test \"the printer may not relay\" expects a refusal, the rules accept it",
            // The rule that decided, and the test itself.
            "gatepost.toml:",
            "relay.tests:11:1",
        ] {
            assert!(said.contains(words), "{words:?} is missing: {said}");
        }
    }
}

#[test]
fn a_relay_test_that_fails_stops_a_reload_and_the_old_rules_go_on() {
    let network = Network::new();
    let mut relay = with_tests(network, HOLDS);
    relay.run();
    fs::write(relay.folder().join("relay.tests"), fails(network)).expect("the relay tests");
    let ran = relay.command(&["reload"]);
    assert_ne!(ran.code, 0, "{}", ran.text());
    assert!(
        ran.text().contains("the printer may not relay"),
        "{}",
        ran.text()
    );
    let status = relay.status().expect("the relay runs on");
    assert!(address_of(&status, "internet").is_some());
    fs::write(relay.folder().join("relay.tests"), HOLDS).expect("the relay tests");
    relay.command(&["reload"]).expect_code(0);
}

//! testssl.sh looks at the relay as an auditor would: at STARTTLS for what is offered and shown, at
//! TLS from the start for known weaknesses of TLS. The two go side by side, because testssl waits
//! more than it works; and they begin early, by the name of this file, because they take longest.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value;

use crate::program::run;
use crate::submission_setup::SubmissionSetup;

/// What it may find; everything else it calls a weakness.
const HARMLESS: [&str; 4] = ["OK", "INFO", "LOW", "DEBUG"];

/// What it cannot do here and says so: ciphers of other engines, and resuming sessions whose
/// tickets openssl, given nothing to say, does not wait for.
const NOT_LOOKED_AT: [&str; 3] = [
    "engine_problem",
    "sessionresumption_ticket",
    "sessionresumption_ID",
];

/// testssl leaves a client alone that has asked for renegotiation, until the server hangs up.
const HASTY: &str = "idle_timeout = \"10s\"\n";

fn findings(setup: &SubmissionSetup, options: &[&str], at: SocketAddr) -> Vec<Value> {
    let file = setup.relay.folder().join("testssl.json");
    let (at, file_text, trust) = (at.to_string(), file.display().to_string(), setup.trust());
    let mut words = vec!["--quiet", "--color", "0", "--warnings", "off"];
    words.extend(["--nodns", "none", "--add-ca", &trust]);
    words.extend(["--jsonfile", &file_text]);
    words.extend(options);
    words.push(&at);
    let ran = run("testssl", &words);
    let findings = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", ran.text()));
    serde_json::from_str(&findings).unwrap_or_else(|_| panic!("{}", ran.text()))
}

fn assert_nothing_above_low(findings: &[Value]) {
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let severe: Vec<&Value> = findings
        .iter()
        .filter(|finding| !HARMLESS.contains(&&*word(finding, "severity")))
        .filter(|finding| !NOT_LOOKED_AT.contains(&&*word(finding, "id")))
        .collect();
    assert!(severe.is_empty(), "{severe:#?}");
}

fn assert_finds(findings: &[Value], expected: &[(&str, &str)]) {
    for (id, text) in expected {
        let found = findings.iter().find(|finding| finding["id"] == *id);
        let found = found.unwrap_or_else(|| panic!("nothing is said of {id}: {findings:#?}"));
        let finding = found["finding"].as_str().unwrap_or_default();
        assert!(finding.starts_with(text), "{found}");
    }
}

/// Protocols, kinds of ciphers, forward secrecy, the certificate.
#[test]
fn testssl_finds_nothing_above_low_in_what_starttls_offers() {
    let setup = SubmissionSetup::open_with(HASTY);
    let options = ["-t", "smtp", "-p", "-s", "-f", "-S"];
    let findings = findings(&setup, &options, setup.submission());
    assert_nothing_above_low(&findings);
    let expected = [
        ("TLS1", "not offered"),
        ("TLS1_1", "not offered"),
        ("TLS1_2", "offered"),
        ("TLS1_3", "offered"),
        ("cert_chain_of_trust", "passed"),
    ];
    assert_finds(&findings, &expected);
}

/// From Heartbleed to RC4.
#[test]
fn testssl_finds_no_known_weakness() {
    let setup = SubmissionSetup::open_with(HASTY);
    let findings = findings(&setup, &["-U"], setup.submissions());
    assert_nothing_above_low(&findings);
    let expected = [
        ("heartbleed", "not vulnerable"),
        ("secure_renego", "supported"),
        ("SWEET32", "not vulnerable"),
    ];
    assert_finds(&findings, &expected);
}

//! The test suite of ARC that ValiMail made, as Mail::DKIM has it: `scripts/test` fetches it.

use std::collections::HashMap;
use std::fs;

use dkim::{Answer, Chain, Sought, Step, Verifier};
use mail::Timestamp;
use yaml_rust2::{Yaml, YamlLoader};

const SUITE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/mail-dkim/t/arc_test_suite/arc-draft-validation-tests.yml"
);

/// What comes to something else here, and why.
const OTHERWISE: [(&str, &str); 8] = [
    // The suite leaves open what a chain is that its last sealer found broken, or that has no
    // beginning.
    ("cv_fail_i1_as_cv_fail", "broken before it was sealed last"),
    ("cv_fail_i2_as2_fail", "broken before it was sealed last"),
    ("cv_fail_i2_as1_fail", "cv= of seal 1 cannot be"),
    // It is older than RFC 8301.
    (
        "ams_fields_a_sha1",
        "message signature 1: rsa-sha1 counts no more",
    ),
    ("as_fields_a_sha1", "seal 1: rsa-sha1 counts no more"),
    // A name that is empty is none (RFC 6376 section 3.5), in any signature.
    (
        "ams_fields_h_empty",
        "message signature 1: h= is no list of fields",
    ),
    (
        "ams_fields_h_mis_hdr",
        "message signature 1: h= is no list of fields",
    ),
    // Nothing between two semicolons is nothing, in any list of tags.
    ("as_format_tags_sc", "good"),
];

/// When the suite was written: some signatures say when they end.
const NOW: Timestamp = Timestamp::from_millis(1_500_000_000_000);

#[test]
fn the_suite_passes() {
    let text = fs::read_to_string(SUITE).expect("the suite; `scripts/test install` fetches it");
    let scenarios = YamlLoader::load_from_str(&with_names(&text)).expect("the suite is YAML");
    let (mut tests, mut others, mut wrong) = (0, 0, Vec::new());
    for scenario in &scenarios {
        let keys = keys(&scenario["txt-records"]);
        for (name, test) in scenario["tests"].as_hash().expect("tests") {
            tests += 1;
            let message = test["message"].as_str().expect("a message");
            let chain = chain(&message.replace('\n', "\r\n"), &keys);
            let name = name.as_str().expect("a name");
            let expected = test["cv"].as_str().unwrap_or("none").to_lowercase();
            let told = chain.reason.to_string();
            let is_ours = |(test, why): &&(&str, &str)| name.starts_with(test) && told == *why;
            if OTHERWISE.iter().any(|one| is_ours(&one)) {
                others += 1;
            } else if chain.result().as_str() != expected {
                let description = &test["description"];
                wrong.push(format!(
                    "{name:?}: {expected} not {}: {} {description:?}",
                    chain.result(),
                    chain.reason
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tests}: {wrong:#?}", wrong.len());
    assert_eq!((tests, others), (174, OTHERWISE.len()));
}

/// The suite has tests of one name, which YAML does not: each gets the number of its line as well.
fn with_names(text: &str) -> String {
    let named = |(number, line): (usize, &str)| {
        let name = line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(':'));
        match name.filter(|name| !name.starts_with(' ')) {
            Some(name) => format!("  {name}_{number}:\n"),
            None => format!("{line}\n"),
        }
    };
    text.lines().enumerate().map(named).collect()
}

/// The texts of the records by their names.
fn keys(records: &Yaml) -> HashMap<String, String> {
    let records = records.as_hash().into_iter().flatten();
    let record = |(name, text): (&Yaml, &Yaml)| {
        let text = text.as_str().unwrap_or_default().lines().collect();
        Some((name.as_str()?.to_owned(), text))
    };
    records.filter_map(record).collect()
}

fn chain(message: &str, keys: &HashMap<String, String>) -> Chain {
    let (header, body) = match message.split_once("\r\n\r\n") {
        Some((header, body)) => (format!("{header}\r\n"), body),
        None => (message.to_owned(), ""),
    };
    let mut verifier = Verifier::new(header.as_bytes(), Sought::CHAIN);
    verifier.push(body.as_bytes());
    let mut verification = verifier.finish(NOW);
    loop {
        match verification.step() {
            Step::Done(verified) => return verified.chain.expect("a chain was sought"),
            Step::Ask(name) => {
                let text = keys.get(name.as_str()).map(|text| text.as_str().into());
                verification.on_answer(name, Answer::Texts(text.into_iter().collect()));
            }
        }
    }
}

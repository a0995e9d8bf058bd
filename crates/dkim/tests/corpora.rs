//! The messages that Mail::DKIM is tested with come to what its tests say, but for what proves nothing any
//! more: `scripts/test` fetches them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dkim::{Answer, Sought, Step, VerifiedSignature, Verifier};
use mail::Timestamp;

const TESTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/mail-dkim/t"
);

/// Before some of the signatures end.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Why what is good there proves nothing here: drafts of the standard, and what RFC 8301 has put an end to.
const OLD: [&str; 3] = [
    "permerror: v= is missing",
    "permerror: v= is not 1",
    "permerror: rsa-sha1 counts no more",
];

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(TESTS).join(name);
    fs::read(path)
        .unwrap_or_else(|error| panic!("{name}: {error}; `scripts/test install` fetches it"))
}

/// What DNS has, by name: `None` where nobody knows.
fn records() -> BTreeMap<String, Option<Vec<Box<str>>>> {
    let text = String::from_utf8(read("FAKE_DNS.dat")).expect("text");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let records = lines.filter_map(|line| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let texts = match value.trim() {
            "NXDOMAIN" => Some(Vec::new()),
            failed if failed.starts_with("~~") => None,
            text => Some(vec![text.trim_matches('"').into()]),
        };
        Some((name.to_owned(), texts))
    });
    records.collect()
}

fn verify(
    message: &[u8],
    records: &BTreeMap<String, Option<Vec<Box<str>>>>,
) -> Vec<VerifiedSignature> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    let (header, body) = message.split_at(end.map_or(message.len(), |end| end + 2));
    let mut verifier = Verifier::new(header, Sought::SIGNATURES);
    verifier.push(body.strip_prefix(b"\r\n").unwrap_or(body));
    let mut verification = verifier.finish(NOW);
    loop {
        match verification.step() {
            Step::Done(verified) => return verified.signatures,
            Step::Ask(name) => {
                let answer = match records.get(name.as_str()) {
                    Some(None) => Answer::CannotTell,
                    Some(Some(texts)) => Answer::Texts(texts.clone()),
                    None => Answer::Texts(Vec::new()),
                };
                verification.on_answer(name, answer);
            }
        }
    }
}

#[test]
fn the_messages_of_mail_dkim_come_to_what_it_says() {
    let tests = String::from_utf8(read("verifier.t")).expect("text");
    let calls = tests.split("test_email( \"").skip(1);
    let table = calls.filter_map(|call| {
        let mut words = call.split('"');
        Some((words.next()?, words.nth(1)?))
    });
    let records = records();
    let (mut count, mut old) = (0, 0);
    for (file, expected) in table {
        count += 1;
        let verified = verify(&read(&format!("corpus/{file}")), &records);
        let told = |one: &VerifiedSignature| format!("{}: {}", one.result(), one.reason);
        let told: Vec<String> = verified.iter().map(told).collect();
        // One without signatures has those of DomainKeys, which came before DKIM.
        if told
            .iter()
            .all(|told| OLD.contains(&&**told) || file == "multiple_2.txt")
        {
            old += 1;
            continue;
        }
        let begin = match expected {
            "invalid" => "permerror: ",
            expected => expected,
        };
        assert!(
            told[0].starts_with(begin),
            "{file}: {expected} not {told:?}"
        );
    }
    assert_eq!((count, old), (79, 72));
}

//! The test suite of RFC 7208, as pyspf has it: `scripts/test` fetches it.

use std::collections::HashMap;
use std::fs;

use spf::{Answer, Answers, DnsName, Facts, Outcome, Question, Step, check};
use yaml_rust2::{Yaml, YamlLoader};

const SUITE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/pyspf/test/rfc7208-tests.yml"
);

/// Type and data of each record, by its name; a type alone is one that times out, nothing is all of
/// them.
type Zone = HashMap<String, Vec<(String, Option<Yaml>)>>;

#[test]
fn the_suite_of_the_rfc_passes() {
    let text = fs::read_to_string(SUITE).expect("the suite; `scripts/test install` fetches it");
    let scenarios = YamlLoader::load_from_str(&text).expect("the suite is YAML");
    let (mut tests, mut wrong) = (0, Vec::new());
    for scenario in &scenarios {
        let zone = zone(&scenario["zonedata"]);
        for (name, test) in scenario["tests"].as_hash().expect("tests") {
            tests += 1;
            let outcome = played(test, &zone);
            if let Some(fault) = fault(test, &outcome) {
                wrong.push(format!("{name:?}: {fault}: {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tests}: {wrong:#?}", wrong.len());
    assert_eq!(tests, 203);
}

fn played(test: &Yaml, zone: &Zone) -> Outcome {
    let text = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
    let (helo, sender) = (text("helo"), text("mailfrom"));
    let facts = Facts {
        client: text("host").parse().expect("an address"),
        helo: &helo,
        sender: &sender,
        receiver: "mx.example.org",
        now: 1_700_000_000,
    };
    let mut answers = Answers::new();
    loop {
        match check(&facts, &answers) {
            Step::Done(outcome) => return outcome,
            Step::Ask(questions) => {
                for question in questions {
                    let answer = answer(&question, zone);
                    answers.insert(question, answer);
                }
            }
        }
    }
}

fn fault(test: &Yaml, outcome: &Outcome) -> Option<String> {
    let result = outcome.result.as_str();
    let is_expected = match &test["result"] {
        Yaml::Array(allowed) => allowed.iter().any(|one| one.as_str() == Some(result)),
        one => one.as_str() == Some(result),
    };
    if !is_expected {
        return Some(format!("not {:?}", test["result"]));
    }
    let expected = test["explanation"].as_str()?;
    // What the suite calls DEFAULT is a text of the receiver's own.
    let explanation = outcome.explanation.as_deref().unwrap_or("DEFAULT");
    (explanation != expected).then(|| format!("not {expected:?}"))
}

/// Where a name has no TXT records, those of type SPF are TXT records too: the type is gone since.
fn zone(data: &Yaml) -> Zone {
    let mut zone = Zone::new();
    for (name, records) in data.as_hash().expect("zone data") {
        let mut list = Vec::new();
        let mut texts = Vec::new();
        let mut has_texts = false;
        for record in records.as_vec().expect("records") {
            let Some(record) = record.as_hash() else {
                list.push((String::new(), None));
                continue;
            };
            for (kind, data) in record {
                let kind = kind.as_str().expect("a type").to_owned();
                has_texts |= kind == "TXT";
                match data.as_str() {
                    Some("NONE") => {}
                    Some("TIMEOUT") => list.push((kind, None)),
                    _ if kind == "SPF" => texts.push(("TXT".to_owned(), Some(data.clone()))),
                    _ => list.push((kind, Some(data.clone()))),
                }
            }
        }
        if !has_texts {
            list.extend(texts);
        }
        let name = name.as_str().expect("a name").to_ascii_lowercase();
        zone.insert(name, list);
    }
    zone
}

fn answer(question: &Question, zone: &Zone) -> Answer {
    let (name, kind) = match question {
        Question::Texts(name) => (name.to_string(), "TXT"),
        Question::V4(name) => (name.to_string(), "A"),
        Question::V6(name) => (name.to_string(), "AAAA"),
        Question::Mx(name) => (name.to_string(), "MX"),
        Question::Names(address) => (reversed(*address), "PTR"),
    };
    match records(&name, kind, zone) {
        Err(()) => Answer::Failed("time-out".into()),
        Ok(records) if records.is_empty() => Answer::Nothing,
        Ok(records) => match kind {
            "TXT" => Answer::Texts(records.iter().map(joined).collect()),
            "A" | "AAAA" => Answer::Addresses(
                records
                    .iter()
                    .filter_map(|data| data.as_str()?.parse().ok())
                    .collect(),
            ),
            _ => Answer::Hosts(records.iter().filter_map(host).collect()),
        },
    }
}

fn records(name: &str, kind: &str, zone: &Zone) -> Result<Vec<Yaml>, ()> {
    let mut found = Vec::new();
    for (of, data) in zone.get(name).into_iter().flatten() {
        match data {
            None if (of.is_empty() && found.is_empty()) || of == kind => return Err(()),
            Some(data) if of == kind => found.push(data.clone()),
            Some(data) if of == "CNAME" => {
                return records(data.as_str().expect("a name"), kind, zone);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The strings of a TXT record, put together.
fn joined(data: &Yaml) -> Box<str> {
    match data {
        Yaml::Array(strings) => strings
            .iter()
            .filter_map(Yaml::as_str)
            .collect::<String>()
            .into(),
        one => one.as_str().unwrap_or_default().into(),
    }
}

/// Of a PTR record the name, of an MX record the one behind its preference.
fn host(data: &Yaml) -> Option<DnsName> {
    let name = match data {
        Yaml::Array(parts) => parts.get(1)?.as_str()?,
        name => name.as_str()?,
    };
    DnsName::parse(name)
}

fn reversed(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        std::net::IpAddr::V6(address) => {
            let digits: Vec<char> = format!("{:032x}", u128::from(address))
                .chars()
                .rev()
                .collect();
            let labels: String = digits.iter().flat_map(|digit| [*digit, '.']).collect();
            format!("{labels}ip6.arpa")
        }
    }
}

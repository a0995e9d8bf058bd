//! Every result says how it came to be, and what the suite of the RFC leaves open is decided.

use spf::{Answer, Answers, DnsName, Facts, Question, Step, check};

const POLICIES: [(&str, &str); 14] = [
    ("a.test", "v=spf1 include:b.test -all exp=exp.test"),
    ("b.test", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32"),
    ("c.test", "v=spf1 ?include:a.test ~all"),
    ("d.test", "v=spf1 redirect=b.test"),
    ("e.test", "v=spf1 include:none.test"),
    ("f.test", "v=spf1 a:\u{e9}.test"),
    ("g.test", "v=spf1 a:fail.test"),
    ("h.test", "v=spf1 redirect=h.test"),
    ("i.test", "v=spf1 exists:%{l}.x.test -all"),
    ("j.test", "v=spf1 a:n1.test a:n2.test a:n3.test all"),
    ("k.test", "v=spf1 mx -all"),
    ("two.test", "v=spf1"),
    ("two.test", "v=spf1 all"),
    ("exp.test", "%{l} is not at %{i}"),
];

fn answer(question: &Question) -> Answer {
    let hosts = |names: &[&str]| {
        Answer::Hosts(
            names
                .iter()
                .filter_map(|name| DnsName::parse(name))
                .collect(),
        )
    };
    match question {
        Question::V4(name) | Question::V6(name) if name.as_str() == "fail.test" => {
            Answer::Failed("SERVFAIL".into())
        }
        // Servers with IPv4 alone, of which one cannot be asked for.
        Question::Mx(name) if name.as_str() == "k.test" => {
            hosts(&["fail.test", "m1.test", "m2.test", "m3.test"])
        }
        Question::V4(name) if name.as_str() == "m2.test" => {
            Answer::Addresses(vec!["198.51.100.1".parse().expect("an address")])
        }
        Question::V4(name) if name.as_str().ends_with(".x.test") => {
            Answer::Addresses(vec!["127.0.0.2".parse().expect("an address")])
        }
        Question::Texts(name) if name.as_str() == "long.test" => {
            Answer::Texts(vec![format!("v=spf1{}", " a".repeat(5000)).into()])
        }
        Question::Texts(name) => {
            let of_name = POLICIES.iter().filter(|(of, _)| *of == name.as_str());
            let texts: Vec<Box<str>> = of_name.map(|(_, text)| (*text).into()).collect();
            if texts.is_empty() {
                Answer::Nothing
            } else {
                Answer::Texts(texts)
            }
        }
        _ => Answer::Nothing,
    }
}

/// Result, reason and explanation of a check.
fn reason(client: &str, sender: &str) -> String {
    let facts = Facts {
        client: client.parse().expect("an address"),
        helo: "c.test",
        sender,
        receiver: "mx.test",
        now: 0,
    };
    let mut answers = Answers::new();
    loop {
        match check(&facts, &answers) {
            Step::Done(outcome) => {
                let explanation = outcome.explanation.as_deref().unwrap_or("-");
                return format!("{}: {}: {explanation}", outcome.result, outcome.why);
            }
            Step::Ask(questions) => questions.into_iter().for_each(|question| {
                let answer = answer(&question);
                answers.insert(question, answer);
            }),
        }
    }
}

/// A client, a sender, and what comes of them.
const CASES: [(&str, &str, &str); 20] = [
    (
        "192.0.2.1",
        "x@a.test",
        "pass: ip4:192.0.2.0/24 of b.test, by include:b.test of a.test: -",
    ),
    (
        "::ffff:192.0.2.1",
        "x@d.test",
        "pass: ip4:192.0.2.0/24 of b.test: -",
    ),
    (
        "198.51.100.1",
        "x@a.test",
        "fail: -all of a.test: x is not at 198.51.100.1",
    ),
    ("198.51.100.1", "\u{e9}@a.test", "fail: -all of a.test: -"),
    ("198.51.100.1", "", "softfail: ~all of c.test: -"),
    (
        "2001:db8::1",
        "x@c.test",
        "neutral: ip6:2001:db8::/32 of b.test, by include:b.test of a.test, by ?include:a.test of c.test: -",
    ),
    (
        "198.51.100.1",
        "x@b.test",
        "neutral: no term of b.test matches: -",
    ),
    (
        "198.51.100.1",
        "x@none.test",
        "none: none.test has no policy: -",
    ),
    (
        "198.51.100.1",
        "x@[192.0.2.1]",
        "none: no domain to look at: -",
    ),
    (
        "198.51.100.1",
        "x@e.test",
        "permerror: e.test points to a domain without a policy: -",
    ),
    (
        "198.51.100.1",
        "x@f.test",
        "permerror: malformed: a:\\u{e9}.test of f.test: -",
    ),
    (
        "198.51.100.1",
        "x@g.test",
        "temperror: DNS: fail.test: SERVFAIL: -",
    ),
    (
        "198.51.100.1",
        "x@h.test",
        "permerror: more than 10 terms look something up: -",
    ),
    (
        "198.51.100.1",
        "x@j.test",
        "permerror: more than 2 terms look something up in vain: -",
    ),
    (
        "198.51.100.1",
        "x@two.test",
        "permerror: two.test has several policies: -",
    ),
    (
        "198.51.100.1",
        "x@long.test",
        "permerror: the policy of long.test is too long: -",
    ),
    // RFC 8616 section 4: a local part beyond ASCII matches nothing.
    (
        "198.51.100.1",
        "x@i.test",
        "pass: exists:%{l}.x.test of i.test: -",
    ),
    ("198.51.100.1", "\u{e9}@i.test", "fail: -all of i.test: -"),
    // A host that matches is enough, and hosts without an address are no look-ups in vain.
    ("198.51.100.1", "x@k.test", "pass: mx of k.test: -"),
    (
        "198.51.100.2",
        "x@k.test",
        "temperror: DNS: fail.test: SERVFAIL: -",
    ),
];

#[test]
fn results_are_explained() {
    for (client, sender, expected) in CASES {
        assert_eq!(reason(client, sender), expected, "{client} {sender}");
    }
}

//! Whatever a policy says and DNS answers, a check ends, asks no more than its limits allow, and says
//! nothing that could not stand in a reply.

use std::collections::HashSet;

use proptest::prelude::*;
use spf::{Answer, Answers, DnsName, Facts, Question, Step, check};

/// Terms and pieces of terms, well-formed and not.
const TERMS: [&str; 24] = [
    "v=spf1",
    "all",
    "-all",
    "?",
    "include:",
    "redirect=",
    "exp=",
    "a",
    "mx",
    "ptr",
    "exists:",
    "ip4:192.0.2.0/24",
    "ip6:2001:db8::/32",
    "a:%{i}.%{l1r-}",
    "mx:a.test",
    "include:b.test",
    "redirect=c.test",
    "exp=%{p}.a.test",
    "%{p}.b.test",
    "%{",
    "}",
    "/24//64",
    "\u{e9}",
    "foo=%%%_",
];

fn text() -> impl Strategy<Value = Box<str>> {
    let term = prop::sample::select(TERMS.to_vec());
    let words = prop::collection::vec((term, prop::bool::weighted(0.8)), 0..14);
    words.prop_map(|words| {
        let mut text = String::from("v=spf1 ");
        for (word, ends) in words {
            text.push_str(word);
            text.push_str(if ends { " " } else { "" });
        }
        text.into()
    })
}

fn answer(texts: Vec<Box<str>>, hosts: usize, choice: u8, question: &Question) -> Answer {
    let host = |n| DnsName::parse(&format!("h{n}.a.test")).expect("a name");
    match (choice, question) {
        (0, _) => Answer::Nothing,
        (1, _) => Answer::Failed("time-out".into()),
        (2..4, Question::V4(_)) => Answer::Addresses(vec!["192.0.2.1".parse().expect("one")]),
        (_, Question::Texts(_)) => Answer::Texts(texts),
        (_, Question::Mx(_) | Question::Names(_)) => Answer::Hosts((0..hosts).map(host).collect()),
        (_, Question::V4(_) | Question::V6(_)) => Answer::Addresses(Vec::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_check_ends(
        policies in prop::collection::vec(text(), 1..5),
        choices in prop::collection::vec(0u8..24, 1..12),
        hosts in 0usize..13,
        client in prop::sample::select(vec!["192.0.2.1", "2001:db8::1", "::ffff:198.51.100.7"]),
        sender in "([a-z.+\u{e9}\"-]{0,8}@)?[a-c]\\.test|",
    ) {
        let facts = Facts {
            client: client.parse().expect("an address"),
            helo: "h.a.test",
            sender: &sender,
            receiver: "mx.test",
            now: 0,
        };
        let mut answers = Answers::new();
        let mut asked = HashSet::new();
        let mut rounds = 0;
        let outcome = loop {
            match check(&facts, &answers) {
                Step::Done(outcome) => break outcome,
                Step::Ask(questions) => {
                    rounds += 1;
                    prop_assert!(!questions.is_empty());
                    for question in questions {
                        prop_assert!(asked.insert(question.clone()), "asked twice: {question:?}");
                        let n = asked.len();
                        let policy = policies[n % policies.len()].clone();
                        let choice = choices[n % choices.len()];
                        answers.insert(question.clone(), answer(vec![policy], hosts, choice, &question));
                    }
                }
            }
        };
        prop_assert!(rounds <= 24, "{rounds} rounds");
        prop_assert!(asked.len() <= 123, "{} questions", asked.len());
        let words = outcome.explanation.as_deref().unwrap_or_default();
        prop_assert!(words.bytes().all(|b| matches!(b, b' '..=b'~')));
        prop_assert!(!outcome.why.to_string().contains(char::is_control));
    }

    #[test]
    fn no_text_panics(record in "v=spf1 \\PC{0,60}", local in "\\PC{0,12}", helo in "\\PC{0,12}") {
        let sender = format!("{local}@a.test");
        let facts = Facts {
            client: "192.0.2.1".parse().expect("an address"),
            helo: &helo,
            sender: &sender,
            receiver: "",
            now: u64::MAX,
        };
        let mut answers = Answers::new();
        let policy = Question::Texts(DnsName::parse("a.test").expect("a name"));
        answers.insert(policy, Answer::Texts(vec![record.into()]));
        check(&facts, &answers);
    }
}

//! Messages, what DNS has, and what RFC 9989 makes of them.

use std::collections::{BTreeSet, HashMap};

use dmarc::{
    Answer, Answers, Checked, DmarcResult, Facts, Outcome, Policy, Question, Signature, Step, Tag,
    Why, evaluate,
};
use mail::Domain;
use proptest::prelude::*;
use spf::{Identity, SpfResult};

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect(name)
}

/// What SPF said of a domain.
fn spf(result: SpfResult, name: &str) -> spf::Outcome {
    spf::Outcome {
        result,
        identity: Identity::MailFrom,
        domain: Some(domain(name)),
        why: spf::Why::NoDomain,
        explanation: None,
    }
}

fn signature(name: &str, checked: Checked) -> Signature {
    Signature {
        domain: domain(name),
        selector: "s".into(),
        checked,
    }
}

/// The names of a zone with their records; DNS fails for one whose record is `!`.
struct Zone(HashMap<String, Vec<Box<str>>>);

impl Zone {
    fn of(records: &[(&str, &str)]) -> Self {
        let mut zone: HashMap<String, Vec<Box<str>>> = HashMap::new();
        for (name, text) in records {
            zone.entry((*name).to_owned())
                .or_default()
                .push((*text).into());
        }
        Self(zone)
    }

    fn answer(&self, question: &Question) -> Answer {
        let (Question::Texts(name) | Question::Exists(name)) = question;
        match self.0.get(name.as_str()) {
            None => Answer::NoSuchName,
            Some(texts) if texts.iter().any(|text| &**text == "!") => Answer::Failed("!".into()),
            Some(texts) => Answer::Texts(texts.clone()),
        }
    }

    /// The outcome, and what had to be asked for it.
    fn outcome(&self, facts: &Facts<'_>) -> (Outcome, BTreeSet<Question>) {
        let mut answers = Answers::new();
        let mut asked = BTreeSet::new();
        for _ in 0..6 {
            match evaluate(facts, &answers) {
                Step::Done(outcome) => return (outcome, asked),
                Step::Ask(questions) => {
                    assert!(!questions.is_empty());
                    for question in questions {
                        answers.insert(question.clone(), self.answer(&question));
                        assert!(asked.insert(question), "nothing is asked twice");
                    }
                }
            }
        }
        panic!("more than five rounds");
    }

    fn signed(&self, author: &str, signer: &str) -> Outcome {
        let facts = Facts {
            authors: &[domain(author)],
            spf: None,
            dkim: &[signature(signer, Checked::Passed)],
        };
        self.outcome(&facts).0
    }
}

/// Result, the domain of the record, organization and policy, as text.
fn summary(outcome: &Outcome) -> String {
    let name = |domain: Option<&Domain>| domain.map_or("-".to_owned(), Domain::to_string);
    let policy = outcome.policy.map_or("-".to_owned(), |policy| {
        format!("{}={}", policy.tag.as_str(), policy.policy)
    });
    format!(
        "{} {} {} {policy}",
        outcome.result,
        name(outcome.record.as_ref().map(|found| &found.domain)),
        name(outcome.organization.as_ref()),
    )
}

/// Records that stand below `_dmarc`, the author, who signed, and what comes of it.
const WALKS: [[&str; 4]; 13] = [
    // Its own domain: nothing else matters.
    [
        "a.test p=reject",
        "a.test",
        "a.test",
        "pass a.test - p=reject",
    ],
    ["", "a.test", "a.test", "none - - -"],
    // The examples of section 4.10.2.
    [
        "mail.example.com p=none, example.com p=reject",
        "a.mail.example.com",
        "example.com",
        "pass example.com example.com p=reject",
    ],
    [
        "com p=none;sp=reject;psd=y",
        "a.mail.example.com",
        "b.example.com",
        "pass com example.com sp=reject",
    ],
    [
        "com p=none;psd=y",
        "example.com",
        "other.com",
        "fail com example.com p=none",
    ],
    // Above the only record nothing is of the organization.
    [
        "n.a.test p=reject",
        "n.a.test",
        "a.test",
        "fail n.a.test n.a.test p=reject",
    ],
    [
        "n.a.test p=reject",
        "n.a.test",
        "x.n.a.test",
        "pass n.a.test n.a.test p=reject",
    ],
    // An organization within another.
    [
        "u.a.test p=none;psd=n, a.test p=reject",
        "u.a.test",
        "a.test",
        "fail u.a.test u.a.test p=none",
    ],
    [
        "u.a.test p=none;psd=n, a.test p=reject",
        "a.test",
        "u.a.test",
        "fail a.test a.test p=reject",
    ],
    // A public suffix that sends mail itself.
    [
        "co.test p=reject;psd=y",
        "co.test",
        "a.co.test",
        "fail co.test co.test p=reject",
    ],
    [
        "a.test p=reject;adkim=s",
        "a.test",
        "b.a.test",
        "fail a.test - p=reject",
    ],
    [
        "a.test p=reject",
        "a.test",
        "a.example",
        "fail a.test - p=reject",
    ],
    // Several records at a name are none.
    [
        "b.a.test p=none, b.a.test p=none, a.test p=reject",
        "b.a.test",
        "x.test",
        "fail a.test a.test p=reject",
    ],
];

#[test]
fn the_organization_is_found_by_walking_up() {
    for [records, author, signer, expected] in WALKS {
        let records: Vec<(String, String)> = records
            .split_terminator(", ")
            .filter_map(|record| record.split_once(' '))
            .map(|(name, tags)| (format!("_dmarc.{name}"), format!("v=DMARC1;{tags}")))
            .collect();
        let records: Vec<_> = records
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        let outcome = Zone::of(&records).signed(author, signer);
        assert_eq!(
            summary(&outcome),
            expected,
            "{author} by {signer}: {outcome}"
        );
    }
}

#[test]
fn a_long_name_is_asked_about_eight_times() {
    let author = domain("a.b.c.d.e.f.g.h.i.example.com");
    let facts = Facts {
        authors: &[author],
        spf: None,
        dkim: &[],
    };
    let (outcome, asked) = Zone::of(&[]).outcome(&facts);
    assert_eq!(outcome.why, Why::NoRecord);
    let asked: Vec<String> = asked
        .iter()
        .map(|question| format!("{question:?}"))
        .collect();
    let expected = [
        "a.b.c.d.e.f.g.h.i.example.com",
        "com",
        "e.f.g.h.i.example.com",
        "example.com",
        "f.g.h.i.example.com",
        "g.h.i.example.com",
        "h.i.example.com",
        "i.example.com",
    ];
    assert_eq!(
        asked,
        expected.map(|name| format!("Texts(\"_dmarc.{name}\")"))
    );
}

#[test]
fn the_policy_is_that_of_the_tag_for_the_name() {
    for (record, exists, expected) in [
        ("v=DMARC1;p=reject", true, "fail a.test a.test p=reject"),
        (
            "v=DMARC1;p=reject;sp=none",
            true,
            "fail a.test a.test sp=none",
        ),
        (
            "v=DMARC1;p=none;np=reject",
            true,
            "fail a.test a.test p=none",
        ),
        (
            "v=DMARC1;p=none;np=reject",
            false,
            "fail a.test a.test np=reject",
        ),
        (
            "v=DMARC1;p=none;sp=quarantine",
            false,
            "fail a.test a.test sp=quarantine",
        ),
        (
            "v=DMARC1;p=reject;t=y",
            true,
            "fail a.test a.test p=quarantine",
        ),
        (
            "v=DMARC1;p=quarantine;t=y",
            true,
            "fail a.test a.test p=none",
        ),
        // Without a policy that can be read.
        (
            "v=DMARC1;rua=mailto:a@a.test",
            true,
            "fail a.test a.test p=none",
        ),
        (
            "v=DMARC1;p=reject;sp=x;rua=mailto:a@a.test",
            true,
            "fail a.test a.test p=none",
        ),
        ("v=DMARC1;p=refuse", true, "permerror a.test a.test -"),
        ("v=DMARC1;rua=nobody", true, "permerror a.test a.test -"),
        ("v=DMARC2;p=reject", true, "none - - -"),
    ] {
        let mut records = vec![("_dmarc.a.test", record)];
        records.extend(exists.then_some(("b.a.test", "text")));
        let outcome = Zone::of(&records).signed("b.a.test", "x.test");
        assert_eq!(summary(&outcome), expected, "{record}");
    }
    let records = [
        ("_dmarc.a.test", "v=DMARC1;p=none;np=reject"),
        ("b.a.test", "!"),
    ];
    let outcome = Zone::of(&records).signed("b.a.test", "x.test");
    assert_eq!(outcome.policy.map(|policy| policy.tag), Some(Tag::P));
}

/// What SPF said, signatures with what came of them, and how they compare.
const COMPARISONS: [[&str; 3]; 9] = [
    ["pass a.test", "", "pass Same"],
    ["pass b.a.test", "", "fail No"],
    ["softfail a.test", "", "fail NotPassed"],
    [
        "pass b.test",
        "+b.test +c.a.test",
        "pass No No Organization",
    ],
    ["none b.test", "-a.test", "fail NotPassed NotPassed"],
    ["temperror b.test", "", "fail No"],
    ["temperror a.test", "", "temperror CannotTell"],
    ["temperror a.test", "+a.test", "pass CannotTell Same"],
    ["fail a.test", "?c.a.test", "temperror NotPassed CannotTell"],
];

#[test]
fn sender_and_signatures_are_compared_each_by_its_mode() {
    let zone = Zone::of(&[("_dmarc.a.test", "v=DMARC1;p=reject;aspf=s")]);
    for [sender, signers, expected] in COMPARISONS {
        let (result, name) = sender.split_once(' ').expect("a domain");
        let results = [
            SpfResult::Pass,
            SpfResult::SoftFail,
            SpfResult::TempError,
            SpfResult::Fail,
        ];
        let result = results.into_iter().find(|one| one.as_str() == result);
        let spf = spf(result.unwrap_or(SpfResult::None), name);
        let signed = signers
            .split_terminator(' ')
            .map(|signer| match signer.split_at(1) {
                ("+", name) => signature(name, Checked::Passed),
                ("-", name) => signature(name, Checked::Failed),
                (_, name) => signature(name, Checked::CannotTell),
            });
        let facts = Facts {
            authors: &[domain("a.test")],
            spf: Some(&spf),
            dkim: &signed.collect::<Vec<_>>(),
        };
        let (outcome, _) = zone.outcome(&facts);
        let mut found = outcome.result.to_string();
        for one in outcome.compared {
            found.push_str(&format!(" {:?}", one.alignment));
        }
        assert_eq!(found, expected, "{sender} {signers}");
    }
}

#[test]
fn there_has_to_be_one_author() {
    let zone = Zone::of(&[("_dmarc.a.test", "v=DMARC1;p=reject")]);
    let a = domain("a.test");
    for (authors, expected) in [
        (&[][..], (DmarcResult::None, Why::NoAuthor)),
        (
            &[a.clone(), domain("b.test")],
            (DmarcResult::None, Why::SeveralAuthors),
        ),
        (
            &[a.clone(), a.clone()],
            (DmarcResult::Fail, Why::NotAligned),
        ),
    ] {
        let facts = Facts {
            authors,
            spf: None,
            dkim: &[],
        };
        let (outcome, _) = zone.outcome(&facts);
        assert_eq!((outcome.result, outcome.why), expected);
    }
}

#[test]
fn dns_that_fails_is_no_answer() {
    let reject = ("_dmarc.a.test", "v=DMARC1;p=reject");
    let failing = Zone::of(&[("_dmarc.a.test", "!")]).signed("a.test", "a.test");
    assert_eq!(failing.result, DmarcResult::TempError);
    assert_eq!(failing.to_string(), "DNS: _dmarc.a.test: !");
    let above = Zone::of(&[reject, ("_dmarc.test", "!")]);
    assert_eq!(
        above.signed("a.test", "b.a.test").result,
        DmarcResult::TempError
    );
    assert_eq!(above.signed("a.test", "a.test").result, DmarcResult::Pass);
    assert_eq!(
        above.signed("a.test", "b.example").result,
        DmarcResult::Fail
    );
    let signer = Zone::of(&[reject, ("_dmarc.b.a.test", "!")]).signed("a.test", "b.a.test");
    assert_eq!(
        (signer.result, signer.why),
        (DmarcResult::TempError, Why::CannotTell)
    );
}

#[test]
fn an_outcome_names_the_record() {
    let zone = Zone::of(&[("_dmarc.a.test", "v=DMARC1;p=none;sp=reject;t=y")]);
    let outcome = zone.signed("b.a.test", "x.test");
    let expected = "sp=reject in test, so quarantine at _dmarc.a.test, organization a.test";
    assert_eq!(outcome.to_string(), expected);
    assert_eq!(
        outcome.policy.map(|policy| policy.published),
        Some(Policy::Reject)
    );
}

proptest! {
    #[test]
    fn every_evaluation_ends(
        records in prop::collection::vec(("(_dmarc\\.)?([ab]\\.){0,9}test", "!|(v=DMARC1;?)?(;?(p|sp|np|psd|t|adkim|rua)=(y|n|s|none|reject|mailto:x|\\PC{0,4})){0,5}"), 0..12),
        author in "([ab]\\.){0,10}test",
        signers in prop::collection::vec(("([ab]\\.){0,10}test", 0u8..3), 0..6),
    ) {
        let records: Vec<(&str, &str)> = records.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let checked = [Checked::Passed, Checked::Failed, Checked::CannotTell];
        let dkim: Vec<_> = signers.iter().map(|(n, c)| signature(n, checked[usize::from(*c)])).collect();
        let facts = Facts { authors: &[domain(&author)], spf: None, dkim: &dkim };
        let (outcome, asked) = Zone::of(&records).outcome(&facts);
        prop_assert!(asked.len() <= 9 + 8 * dkim.len());
        prop_assert!(outcome.to_string().bytes().all(|b| matches!(b, b' '..=b'~')));
        // Only what passed makes a pass.
        let passed = dkim.iter().any(|one| one.checked == Checked::Passed);
        prop_assert!(outcome.result != DmarcResult::Pass || passed);
    }
}

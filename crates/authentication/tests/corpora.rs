//! Messages that others have collected, as they are and changed by chance, whatever DNS says: every check
//! ends, and what is told of it can stand in a header.

#[path = "../../../tests/corpora/mod.rs"]
mod collections;
#[path = "../../../tests/corpora/mutations.rs"]
mod mutations;

use authentication::{Answer, Authentication, Checks, Claims, Question, Step};
use mail::{Domain, ReversePath, Timestamp};
use message::{results_that_claim, without_results_that_claim};

/// More than any message needs, each of several questions.
const STEPS_MAX: usize = 200;

const TEXTS: [&str; 6] = [
    "v=spf1 mx a:%{d} include:%{i}.%{h} exists:%{l}.example.org ?all",
    "v=DMARC1; p=reject; sp=none; rua=mailto:a@example.org",
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALgSoqXVSEmfcIsOzw7oRuCCOwsmtX/SJ",
    "v=spf1 redirect=%{d2}.example.net",
    "",
];

/// Another answer for each question, of every kind.
fn answer(question: &Question, number: usize) -> Answer {
    let name = Domain::parse("mx.example.org").expect("a name");
    match number % 9 {
        0 => Answer::NoData,
        1 => Answer::NoSuchName,
        2 => Answer::Failed("time is over".into()),
        _ => match question {
            Question::Texts(_) => Answer::Texts(vec![TEXTS[number % TEXTS.len()].into()]),
            Question::Exists(_) => Answer::NoData,
            Question::V4(_) => Answer::Addresses(vec!["192.0.2.1".parse().expect("an address")]),
            Question::V6(_) => Answer::Addresses(vec!["2001:db8::1".parse().expect("an address")]),
            Question::Mx(_) | Question::Names(_) => Answer::Hosts(vec![(&name).into()]),
        },
    }
}

fn check(message: &[u8]) {
    let checks = Checks {
        spf: true,
        dkim: true,
        arc: true,
        dmarc: true,
    };
    let id = Domain::parse("mx.contoso.com").expect("a name");
    let claims = Claims {
        client: "192.0.2.9".parse().expect("an address"),
        hello: "[192.0.2.9]".into(),
        sender: ReversePath::parse("ann@out.example").expect("a sender"),
        receiver: id.clone(),
        now: Timestamp::from_millis(1_700_000_000_000),
    };
    let mut authentication =
        Authentication::new(checks, claims, message).expect("octets in memory");
    let mut number = message.len();
    let results = (0..STEPS_MAX).find_map(|_| match authentication.step() {
        Step::Done(results) => Some(results),
        Step::Ask(_, questions) => {
            for question in &questions {
                number += 1;
                authentication.on_answer(question, &answer(question, number));
            }
            None
        }
    });
    let results = results.expect("an end");
    let field = results.field(&id).expect("a field");
    assert!(
        field.starts_with("Authentication-Results: mx.contoso.com;") && field.ends_with("\r\n")
    );
    for line in field.split_terminator("\r\n") {
        assert!(
            line.len() < 998
                && line
                    .bytes()
                    .all(|octet| matches!(octet, b'\t' | b' '..=b'~')),
            "{line}"
        );
    }
    assert!(results.lines().count() > 2);
    // Names that some of them have written, and the relay's own.
    for name in [
        "mx.contoso.com",
        "example.org",
        "lists.example.org",
        "gmail.com",
    ] {
        let id = Domain::parse(name).expect("a name");
        let kept = without_results_that_claim(&id, message);
        assert!(results_that_claim(&id, &kept).is_empty());
    }
}

#[test]
fn every_check_of_messages_of_others_ends() {
    for message in collections::all_messages() {
        check(&message.as_mail());
    }
}

#[test]
fn messages_of_others_may_be_changed_anywhere() {
    let messages = collections::all_messages().filter(|one| one.octets.len() < 20_000);
    let messages = messages.map(|one| one.as_mail());
    // Those with fields that are read here come more often.
    let fields: [&[u8]; 2] = [b"DKIM-Signature:", b"Authentication-Results:"];
    let (signed, others): (Vec<_>, Vec<_>) = messages.partition(|octets| {
        let holds = |field: &&[u8]| octets.windows(field.len()).any(|part| part == *field);
        fields.iter().any(holds)
    });
    mutations::each_changed(&[signed.clone(), signed, others].concat(), check);
}

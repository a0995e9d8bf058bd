//! What is told of a message that was taken: who it is for, and which rule let each of them in; and
//! that nothing is told of the content of one that was not.

mod driver;

use std::sync::Arc;

use driver::{Driver, settings};
use mail::Place;
use reception::{AcceptedFact, SessionFact};
use relay_policy::{Greylisting, List, PolicyService};
use smtp::Said;

fn accepted(driver: &Driver) -> Vec<&AcceptedFact> {
    let mut accepted = Vec::new();
    for fact in &driver.facts {
        if let SessionFact::Accepted(fact) = fact {
            accepted.push(fact);
        }
    }
    accepted
}

fn send_message(driver: &mut Driver, recipients: &[&str]) {
    driver.send(b"EHLO c.example\r\nMAIL FROM:<>\r\n", usize::MAX);
    for recipient in recipients {
        driver.send(format!("RCPT TO:<{recipient}>\r\n").as_bytes(), usize::MAX);
    }
    driver.send(b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n", usize::MAX);
}

#[test]
fn each_recipient_is_told_with_the_rule_that_let_it_in() {
    let mut driver = Driver::new(settings(false), ([192, 0, 2, 10], 40_000).into());
    let recipients = [
        "bob@example.com",
        "ann@blocked.example",
        "dora@elsewhere.example",
        "carl@example.com",
    ];
    send_message(&mut driver, &recipients);
    let [accepted] = accepted(&driver)[..] else {
        panic!("one message was taken: {:?}", driver.facts);
    };
    let told: Vec<String> = accepted
        .recipients
        .iter()
        .map(|r| format!("{} {}: {}", r.recipient, r.grounds, r.why))
        .collect();
    let expected = [
        "bob@example.com our-domain: example.com is a remote domain",
        "dora@elsewhere.example listed-client: matches relay.allow entry 192.0.2.10",
        "carl@example.com our-domain: example.com is a remote domain",
    ];
    assert_eq!(told, expected);
    let [refused] = &driver.refused[..] else {
        panic!("one recipient was refused: {:?}", driver.refused);
    };
    assert_eq!(&*refused.recipient, "ann@blocked.example");
}

/// Of one message some recipients pass and others wait, each by itself.
#[test]
fn a_recipient_that_has_to_wait_holds_up_no_other() {
    let mut settings = settings(false);
    let mut rules = (*settings.rules).clone();
    rules.greylisting = Some(Arc::new(Greylisting {
        clients: List::default(),
        senders: Box::default(),
        recipients: Box::default(),
        place: Place::Default,
    }));
    settings.rules = Arc::new(rules);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    send_message(
        &mut driver,
        &["bob@example.com", "new@example.com", "carl@example.com"],
    );
    let [accepted] = accepted(&driver)[..] else {
        panic!("one message was taken: {:?}", driver.facts);
    };
    let taken: Vec<&str> = accepted
        .recipients
        .iter()
        .map(|r| r.recipient.as_str())
        .collect();
    assert_eq!(taken, ["bob@example.com", "carl@example.com"]);
    let [refused] = &driver.refused[..] else {
        panic!("one recipient was postponed: {:?}", driver.refused);
    };
    let reply = refused.reply.to_string();
    assert_eq!(reply, "451 4.7.1 Greylisted, try again in 300 s");
    let why = refused.reason.as_ref().map(ToString::to_string);
    assert_eq!(
        why.as_deref(),
        Some("seen for the first time, waits for 300 s")
    );
}

/// What policy services have against one recipient is said of that one, and of nobody before.
#[test]
fn a_policy_service_refuses_and_postpones_single_recipients() {
    let mut settings = settings(false);
    let mut rules = (*settings.rules).clone();
    rules.policies = [PolicyService {
        name: "spf".into(),
        of_submitters: false,
        listeners: Box::default(),
        to: Box::default(),
        place: Place::Default,
    }]
    .into();
    settings.rules = Arc::new(rules);
    let mut driver = Driver::new(settings, ([203, 0, 113, 9], 40_000).into());
    let recipients = [
        "unwanted@example.com",
        "bob@example.com",
        "later@example.com",
        "unwanted@elsewhere.example",
    ];
    send_message(&mut driver, &recipients);
    let [accepted] = accepted(&driver)[..] else {
        panic!("one message was taken: {:?}", driver.facts);
    };
    assert_eq!(accepted.recipients.len(), 1);
    let refused: Vec<(String, Option<String>)> = driver
        .refused
        .iter()
        .map(|one| {
            let why = one.reason.as_ref().map(ToString::to_string);
            (one.reply.to_string(), why)
        })
        .collect();
    let by_service = |reply: &str, said: &str| {
        let why = format!("policy service spf: {said}");
        (reply.to_owned(), Some(why))
    };
    assert_eq!(
        refused[..2],
        [
            by_service("554 5.7.1 Unwanted", "Unwanted"),
            by_service("450 4.7.1 Come again", "Come again"),
        ]
    );
    assert_eq!(
        refused[2].0,
        "550 5.7.1 Unable to relay for unwanted@elsewhere.example"
    );
}

#[test]
fn nobody_is_told_of_a_message_that_was_not_stored() {
    let mut driver = Driver::new(settings(false), ([192, 0, 2, 10], 40_000).into());
    driver.store = driver::Store::Rejects;
    send_message(&mut driver, &["bob@example.com"]);
    assert!(accepted(&driver).is_empty(), "{:?}", driver.facts);
}

#[test]
fn a_message_sent_though_data_was_refused_is_not_told() {
    let mut driver = Driver::new(settings(false), ([203, 0, 113, 9], 40_000).into());
    driver.session.record();
    send_message(&mut driver, &["dora@elsewhere.example"]);
    driver.send(b"Help me with the merger\r\n", usize::MAX);
    let told = driver.said.iter().filter_map(|said| match said {
        Said::Command(line) => Some(&*line.text),
        Said::Reply(_) | Said::Content { .. } | Said::Remark(_) => None,
    });
    let told = told.skip_while(|line| *line != "DATA").collect::<Vec<_>>();
    assert_eq!(told, ["DATA", "***", "***", "***", "***", "Help ***"]);
}

//! Policy services take away what the rules permit, are asked last, and permit nothing.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use std::sync::Arc;

use mail::{Client, Domain, Place, Reply, ReversePath};
use relay_policy::*;
use sample::{ABROAD, FRIEND, STRANGER, at, client, list, mailbox};

fn service(name: &str, of_submitters: bool) -> PolicyService {
    PolicyService {
        name: name.into(),
        of_submitters,
        listeners: Box::default(),
        to: Box::default(),
        place: at(70),
    }
}

fn rules(policies: Vec<PolicyService>) -> Rules {
    Rules {
        policies: policies.into(),
        ..sample::rules()
    }
}

fn decided(rules: &Rules, client: &Client, to: &str, facts: &Facts) -> Decision {
    sample::decided(rules, client, "", to, facts)
}

/// The facts with a name, and what the services said.
fn known(consulted: Option<Consulted>) -> Facts {
    Facts {
        confirmed_name: Some(Fact::No),
        consulted,
        ..Facts::default()
    }
}

fn asked(decision: Decision) -> Vec<String> {
    match decision {
        Decision::Ask(Question::Consult(asked)) => {
            asked.services.iter().map(ToString::to_string).collect()
        }
        Decision::Carry { .. } => vec!["nobody".to_owned()],
        other => panic!("{other:?}"),
    }
}

#[test]
fn they_are_asked_about_what_is_otherwise_taken() {
    let rules = rules(vec![service("grey", false), service("spf", false)]);
    let bob = "bob@hosted.test";
    let first = decided(&rules, &client(STRANGER), bob, &Facts::default());
    assert!(matches!(first, Decision::Ask(Question::ConfirmedName(_))));
    let second = decided(&rules, &client(STRANGER), bob, &known(None));
    let Decision::Ask(Question::Consult(consultation)) = second else {
        panic!("{second:?}");
    };
    assert_eq!(
        *consultation,
        Consultation {
            services: ["grey".into(), "spf".into()].into(),
            client: client(STRANGER),
            name: Fact::No,
            sender: ReversePath::Null,
            recipient: mailbox(bob),
        }
    );
    let passes = decided(
        &rules,
        &client(STRANGER),
        bob,
        &known(Some(Consulted::Passes)),
    );
    assert!(matches!(passes, Decision::Carry { .. }), "{passes:?}");
    // The next recipient is another one.
    let mut facts = known(Some(Consulted::Passes));
    facts.forget_recipient();
    assert_eq!(
        asked(decided(&rules, &client(STRANGER), bob, &facts)),
        ["grey", "spf"]
    );
}

#[test]
fn what_one_has_against_a_recipient_counts_with_its_line() {
    let rules = rules(vec![service("grey", false), service("spf", false)]);
    for (reply, is_refused) in [
        (Reply::new(550, 7, 23, "SPF fails"), true),
        (Reply::new(450, 7, 1, "Greylisted"), false),
    ] {
        let against = Consulted::Against {
            service: "spf".into(),
            reply: reply.clone(),
            why: "its words".into(),
        };
        let facts = known(Some(against));
        let decision = decided(&rules, &client(STRANGER), "bob@hosted.test", &facts);
        let (said, why) = match decision {
            Decision::Refuse { reply, why } if is_refused => (reply, why),
            Decision::Postpone { reply, why } if !is_refused => (reply, why),
            other => panic!("{other:?}"),
        };
        assert_eq!(said, reply);
        assert_eq!(why.to_string(), "policy service spf: its words");
        assert_eq!(why.place, at(70));
    }
}

/// Whatever they say, and whoever they are asked about.
#[test]
fn they_permit_nothing_and_are_not_asked_about_what_is_refused() {
    let mut with_greylisting = rules(vec![service("spf", false), service("out", true)]);
    with_greylisting.greylisting = Some(Arc::new(Greylisting {
        clients: List::default(),
        senders: Box::default(),
        recipients: Box::default(),
        place: at(30),
    }));
    let stranger = client(STRANGER);
    for consulted in [None, Some(Consulted::Passes)] {
        let refused = decided(
            &with_greylisting,
            &stranger,
            ABROAD,
            &known(consulted.clone()),
        );
        assert!(matches!(refused, Decision::Refuse { .. }), "{refused:?}");
        let mut facts = known(consulted);
        facts.greylisted = Some(Greylisted::Waits {
            seconds: 9,
            since: None,
        });
        let waits = decided(&with_greylisting, &stranger, "bob@hosted.test", &facts);
        assert!(matches!(waits, Decision::Postpone { .. }), "{waits:?}");
    }
}

#[test]
fn who_is_asked_depends_on_client_listener_and_recipient() {
    let rules = rules(vec![
        service("in", false),
        service("out", true),
        PolicyService {
            to: [SenderPattern::parse("*.hosted.test").unwrap()].into(),
            ..service("below", false)
        },
        PolicyService {
            listeners: ["internet".into()].into(),
            ..service("here", false)
        },
        PolicyService {
            listeners: ["submission".into()].into(),
            ..service("elsewhere", false)
        },
    ]);
    let (stranger, bob) = (client(STRANGER), "bob@hosted.test");
    let asked_about = |client: &Client, to| asked(decided(&rules, client, to, &known(None)));
    assert_eq!(asked_about(&stranger, bob), ["in", "here"]);
    assert_eq!(asked_about(&client(FRIEND), bob), ["out"]);
    assert_eq!(asked_about(&sample::user("ann"), bob), ["out"]);
    assert_eq!(asked_about(&client(FRIEND), ABROAD), ["out"]);
    assert_eq!(asked_about(&stranger, "PostMaster@hosted.test"), ["nobody"]);
    assert_eq!(
        asked_about(&client(FRIEND), "postmaster@hosted.test"),
        ["nobody"]
    );
}

/// A name that may relay makes its client no stranger.
#[test]
fn a_client_that_may_relay_by_its_name_is_a_submitter() {
    let mut rules = rules(vec![service("in", false), service("out", true)]);
    rules.relay.access = Access::only_list(list(&["*.friend.test"]), "relay.allow", Place::Default);
    let facts = |name| Facts {
        confirmed_name: Some(name),
        ..Facts::default()
    };
    let friend = Fact::Yes(Domain::parse("mx.friend.test").unwrap());
    for (name, expected) in [(friend, "out"), (Fact::No, "in"), (Fact::CannotTell, "in")] {
        let decision = decided(&rules, &client(STRANGER), "bob@hosted.test", &facts(name));
        assert_eq!(asked(decision), [expected]);
    }
}

#[test]
fn nobody_is_asked_about_mail_of_this_machine() {
    let mut rules = rules(vec![service("in", false), service("out", true)]);
    rules.local = Some(LocalRule {
        name: "relay.submit",
        may_relay: true,
        place: at(3),
        senders: Box::default(),
        senders_place: Place::Default,
        only_to: None,
    });
    let client = Client::of_this_machine(33, "submit".into());
    let decision = decided(&rules, &client, ABROAD, &Facts::default());
    assert!(matches!(decision, Decision::Carry { .. }), "{decision:?}");
}

//! Clients, users and accounts that may send to some recipients only.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use std::sync::Arc;

use mail::{Client, Domain, Timestamp, Trust};
use relay_policy::*;
use sample::*;

fn only_to(texts: &[&str], line: u32) -> SendOnlyTo {
    let recipients = texts.iter().map(|text| RecipientPattern::parse(text));
    SendOnlyTo {
        recipients: recipients.collect::<Result<_, _>>().unwrap(),
        place: at(line),
    }
}

/// The one who may relay is bound by line 20.
fn bound_rules(texts: &[&str]) -> Rules {
    Rules {
        bound_clients: [BoundClients {
            clients: list(&[FRIEND]),
            certificates: Vec::new(),
            only_to: only_to(texts, 20),
        }]
        .into(),
        ..rules()
    }
}

/// Ann may relay, and is bound by line 21.
fn bound_user(texts: &[&str]) -> (Client, Facts) {
    let mut facts = rights(true, &[]);
    if let Some(rights) = &mut facts.rights {
        Arc::make_mut(rights).only_to = [only_to(texts, 21)].into();
    }
    (user("ann"), facts)
}

fn is_carried(rules: &Rules, client: &Client, to: &str, facts: &Facts) -> bool {
    let decision = decided(rules, client, "ann@any.test", to, facts);
    matches!(decision, Decision::Carry { .. })
}

#[test]
fn they_may_write_to_what_is_listed_and_to_nobody_else() {
    let texts = ["example.test", "*.partner.test", "Ops@elsewhere.test"];
    let cases = [
        ("bob@example.test", true),
        ("bob@EXAMPLE.test", true),
        ("bob@sub.example.test", false),
        ("bob@x.y.partner.test", true),
        ("bob@partner.test", false),
        ("ops@elsewhere.test", true),
        ("\"ops\"@elsewhere.test", true),
        ("bob@elsewhere.test", false),
        // Not even to a domain of ours, to which everybody may write.
        ("bob@hosted.test", false),
        ("postmaster@hosted.test", false),
        ("bob@[192.0.2.99]", false),
    ];
    let (ann, of_ann) = bound_user(&texts);
    for (to, may) in cases {
        let by_client = is_carried(&bound_rules(&texts), &client(FRIEND), to, &Facts::default());
        assert_eq!(by_client, may, "{to}");
        assert_eq!(is_carried(&rules(), &ann, to, &of_ann), may, "{to}");
    }
}

/// Whoever may relay by a certificate, and is bound by it.
#[test]
fn holders_of_certificates_are_bound_wherever_they_come_from() {
    let mut rules = with_certificates();
    rules.bound_clients = [BoundClients {
        clients: list(&[]),
        certificates: rules.relay.certificates.clone(),
        only_to: only_to(&["example.test"], 20),
    }]
    .into();
    let holders = [
        (holder([7; 32], &[], Trust::Unknown), true),
        (holder([9; 32], &[], Trust::Unknown), true),
        (holder([1; 32], &["mail.branch.test"], Trust::Ok), true),
        // By its name it may not relay; nor is it free to do by another way what its name may not.
        (
            holder([1; 32], &["mail.branch.test"], Trust::Expired),
            false,
        ),
        (holder([7; 32], &[], Trust::Unproven), false),
    ];
    for (client, may_relay) in &holders {
        let carried = |to| is_carried(&rules, client, to, &Facts::default());
        assert_eq!(carried("bob@example.test"), *may_relay, "{client:?}");
        assert!(!carried("bob@elsewhere.test"), "{client:?}");
        assert!(!carried("bob@hosted.test"), "{client:?}");
    }
    let decision = decided(
        &rules,
        &holders[1].0,
        "ann@any.test",
        "bob@elsewhere.test",
        &Facts::default(),
    );
    let Decision::Refuse { why, .. } = &decision else {
        panic!("{decision:?}")
    };
    assert_eq!(why.place, at(20));
    let stranger = holder([1; 32], &["other.test"], Trust::Ok);
    assert!(is_carried(
        &rules,
        &stranger,
        "bob@hosted.test",
        &Facts::default()
    ));
}

#[test]
fn hosted_names_all_domains_of_ours() {
    let rules = bound_rules(&["hosted"]);
    for (to, may) in [
        ("bob@hosted.test", true),
        ("bob@elsewhere.test", false),
        // A server behind us might send that on.
        ("victim%elsewhere.test@hosted.test", false),
        ("\"victim@elsewhere.test\"@hosted.test", false),
        ("elsewhere.test!victim@hosted.test", false),
    ] {
        let friend = client(FRIEND);
        assert_eq!(
            is_carried(&rules, &friend, to, &Facts::default()),
            may,
            "{to}"
        );
    }
    // ... unless somebody wrote it down.
    let named = bound_rules(&["\"a%b\"@hosted.test"]);
    let to = "a%b@hosted.test";
    assert!(is_carried(&named, &client(FRIEND), to, &Facts::default()));
}

/// Whoever learns such an address would write to that sender by it, wherever that is.
#[test]
fn an_address_that_stands_for_a_sender_is_in_no_domain_of_a_list() {
    let stands_for_ann = "SRS0=9Zkb=JS=client.test=ann@hosted.test";
    for (texts, may) in [
        (["hosted", "hosted.test"], false),
        (["hosted", stands_for_ann], true),
    ] {
        let mut rules = bound_rules(&texts);
        rules.rewriting = Some(Arc::new(Rewriting {
            domain: Domain::parse("hosted.test").unwrap(),
            scheme: srs::Scheme::new(["tops3cret"], 21),
            place: at(22),
        }));
        let now = Some(Timestamp::from_millis(1_775_044_800_000));
        let facts = Facts {
            now,
            ..Facts::default()
        };
        let from_nobody = decided(&rules, &client(FRIEND), "", stands_for_ann, &facts);
        let is_bound = matches!(&from_nobody, Decision::Refuse { why, .. } if why.place == at(20));
        assert_eq!(is_bound, !may, "{texts:?}: {}", shown(&from_nobody));
        assert!(is_carried(
            &rules,
            &client(FRIEND),
            "bob@hosted.test",
            &facts
        ));
    }
}

#[test]
fn the_refusal_says_to_whom_they_may_write_without_a_name() {
    let (ann, of_ann) = bound_user(&["hosted", "a.test", "b.test"]);
    let decision = decided(&rules(), &ann, "", ABROAD, &of_ann);
    assert_eq!(
        shown(&decision),
        "550 5.7.1 user ann may send only to domains hosted here and listed domains"
    );
    assert_eq!(
        reason(&decision),
        "user ann may not send to this recipient (gatepost.toml:21)"
    );
    let rules = bound_rules(&["ops@a.test"]);
    let decision = decided(&rules, &client(FRIEND), "", ABROAD, &Facts::default());
    assert_eq!(
        shown(&decision),
        "550 5.7.1 client 192.0.2.1 may send only to listed addresses"
    );
    assert_eq!(
        reason(&decision),
        "client 192.0.2.1 may not send to this recipient (gatepost.toml:20)"
    );
}

#[test]
fn all_that_binds_somebody_counts() {
    let rules = bound_rules(&["a.test", "b.test"]);
    let (ann, mut facts) = bound_user(&["b.test", "c.test"]);
    let ann = Client {
        user: ann.user,
        ..client(FRIEND)
    };
    for (to, may) in [("x@a.test", false), ("x@b.test", true), ("x@c.test", false)] {
        assert_eq!(is_carried(&rules, &ann, to, &facts), may, "{to}");
    }
    // What binds a person of a directory and the entry for it in the users file, too.
    let entry = Rights {
        may_relay: true,
        senders: Box::default(),
        only_to: [only_to(&["c.test"], 22)].into(),
        place: at(9),
    };
    let both = facts
        .rights
        .as_deref()
        .map(|rights| rights.narrowed_by(&entry));
    facts.rights = both.map(Arc::new);
    let unbound = sample::rules();
    for (to, may) in [("x@b.test", false), ("x@c.test", true)] {
        assert_eq!(is_carried(&unbound, &ann, to, &facts), may, "{to}");
    }
}

#[test]
fn nobody_may_write_to_whom_is_listed_that_might_not_before() {
    let texts = ["elsewhere.test", "blocked.test", "hosted.test"];
    let mut rules = bound_rules(&texts);
    rules.bound_clients = [BoundClients {
        clients: list(&["0.0.0.0/0"]),
        certificates: Vec::new(),
        only_to: only_to(&texts, 20),
    }]
    .into();
    let stranger = client(STRANGER);
    assert!(!is_carried(&rules, &stranger, ABROAD, &Facts::default()));
    assert!(is_carried(
        &rules,
        &stranger,
        "bob@hosted.test",
        &Facts::default()
    ));
    rules.relay.deny = list(&[FRIEND]);
    assert!(!is_carried(
        &rules,
        &client(FRIEND),
        ABROAD,
        &Facts::default()
    ));
}

#[test]
fn whom_they_name_counts_and_not_to_whom_that_is_forwarded() {
    let mut forwards = Forwards::default();
    let party = |text| Party::parse(text).unwrap();
    forwards.insert(Forward {
        from: party("bob@hosted.test"),
        to: [party("bob@elsewhere.test")].into(),
        place: at(30),
    });
    let rules = Rules {
        forwards: Arc::new(forwards),
        ..bound_rules(&["hosted"])
    };
    let friend = client(FRIEND);
    assert!(is_carried(
        &rules,
        &friend,
        "bob@hosted.test",
        &Facts::default()
    ));
    assert!(!is_carried(&rules, &friend, ABROAD, &Facts::default()));
}

/// `submit.recipients` stands in line 24.
#[test]
fn accounts_of_this_machine_are_bound_by_their_way_alone() {
    let www = Client::of_this_machine(33, "submit".into());
    let mut rules = bound_rules(&["nobody.test"]);
    rules.bound_clients = [BoundClients {
        clients: list(&["127.0.0.0/8", "::1"]),
        certificates: Vec::new(),
        only_to: only_to(&["nobody.test"], 20),
    }]
    .into();
    rules.local = Some(LocalRule {
        name: "relay.submit",
        may_relay: true,
        place: at(3),
        senders: Box::default(),
        senders_place: at(9),
        only_to: None,
    });
    assert!(is_carried(&rules, &www, ABROAD, &Facts::default()));
    if let Some(local) = &mut rules.local {
        local.only_to = Some(only_to(&["hosted"], 24));
    }
    assert!(is_carried(
        &rules,
        &www,
        "bob@hosted.test",
        &Facts::default()
    ));
    let decision = decided(&rules, &www, "", ABROAD, &Facts::default());
    assert_eq!(
        shown(&decision),
        "550 5.7.1 uid 33 of this machine may send only to domains hosted here"
    );
    assert_eq!(
        reason(&decision),
        "uid 33 of this machine may not send to this recipient (gatepost.toml:24)"
    );
}

#[test]
fn recipients_print_as_they_are_read() {
    for text in ["hosted", "a@b.test", "b.test", "*.b.test"] {
        assert_eq!(RecipientPattern::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "*", "<>", "@b.test", "a@", "a b", "*.", "a@*.b.test"] {
        assert!(RecipientPattern::parse(text).is_err(), "{text}");
    }
}

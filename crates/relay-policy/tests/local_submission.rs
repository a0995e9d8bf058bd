//! Accounts of this machine, by the ways of local submission: their own rule decides about them,
//! and no list of clients.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use mail::Client;
use relay_policy::*;
use sample::*;

/// `relay.submit` stands in line 3, `submit.senders` in line 9.
fn local_rules(may_relay: bool, senders: &[&str]) -> Rules {
    let senders = senders.iter().map(|text| SenderPattern::parse(text));
    Rules {
        local: Some(LocalRule {
            name: "relay.submit",
            may_relay,
            place: at(3),
            senders: senders.collect::<Result<_, _>>().unwrap(),
            senders_place: at(9),
            only_to: None,
        }),
        ..rules()
    }
}

fn www() -> Client {
    Client::of_this_machine(33, "submit".into())
}

#[test]
fn their_own_rule_decides_and_no_list() {
    let lists: [fn(&mut Rules); 3] = [
        |_| (),
        |rules| rules.relay.deny = list(&["127.0.0.0/8"]),
        |rules| rules.relay.access = Access::all_except(list(&[]), "relay.except", at(1)),
    ];
    for change in lists {
        for (may_relay, to, answer, why) in [
            (
                true,
                ABROAD,
                "local-submission",
                "handed in on this machine by uid 33, which relay.submit lets relay (gatepost.toml:3)",
            ),
            (
                false,
                ABROAD,
                "550 5.7.1 Unable to relay for bob@elsewhere.test",
                "handed in on this machine, and relay.submit lets nobody relay (gatepost.toml:3)",
            ),
            (
                false,
                "ann@hosted.test",
                "our-domain",
                "hosted.test is a remote domain (default)",
            ),
        ] {
            let mut rules = local_rules(may_relay, &[]);
            change(&mut rules);
            let decision = decided(&rules, &www(), "ann@any.test", to, &Facts::default());
            assert_eq!(shown(&decision), answer);
            assert_eq!(reason(&decision), why);
        }
    }
}

#[test]
fn no_listener_lets_them_in_and_no_way_of_theirs_a_network() {
    let mut listener = rules();
    listener.relay.access = Access::only_list(list(&["127.0.0.1"]), "relay.allow", at(1));
    let decision = decided(&listener, &www(), "", ABROAD, &Facts::default());
    assert!(matches!(decision, Decision::Refuse { .. }));
    let decision = decided(
        &local_rules(true, &[]),
        &client(STRANGER),
        "",
        ABROAD,
        &Facts::default(),
    );
    assert!(matches!(decision, Decision::Refuse { .. }));
}

#[test]
fn they_may_send_only_as_the_senders_that_are_named() {
    let rules = local_rules(true, &["apps.test", "root@relay.test"]);
    for (from, allowed) in [
        ("shop@apps.test", true),
        ("ROOT@relay.test", true),
        ("", true),
        ("ann@relay.test", false),
        ("shop@sub.apps.test", false),
    ] {
        for to in [ABROAD, "ann@hosted.test"] {
            let decision = decided(&rules, &www(), from, to, &Facts::default());
            let carried = matches!(decision, Decision::Carry { .. });
            assert_eq!(carried, allowed, "{from} {to}");
            if !allowed {
                let expected =
                    "uid 33 of this machine may not send as this sender (gatepost.toml:9)";
                assert_eq!(reason(&decision), expected);
            }
        }
    }
}

#[test]
fn their_messages_are_completed_where_they_may_relay() {
    for may_relay in [true, false] {
        let rules = local_rules(may_relay, &[]);
        assert_eq!(is_completed(&rules, &www(), &Facts::default()), may_relay);
        assert!(!is_listed(&rules, &www(), &Facts::default()));
    }
}

//! DNS lists: whom they refuse, and when they are asked at all.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use relay_policy::*;
use sample::*;

fn answer(rules: &Rules, facts: &Facts) -> String {
    shown(&decided(
        rules,
        &client(STRANGER),
        "",
        "bob@hosted.test",
        facts,
    ))
}

#[test]
fn only_documented_answers_count() {
    let open = with_dns_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
    let narrow = with_dns_lists(
        vec![dns_list(
            "zen.test",
            1,
            &[
                ("127.0.0.2", "127.0.0.3"),
                ("127.0.0.9", "127.0.0.9"),
                ("192.0.2.1", "192.0.2.9"),
            ],
            1,
        )],
        1,
    );
    let cases: [(&Rules, &[&str], bool); 15] = [
        (&open, &[], false),
        (&open, &["127.0.0.1"], true),
        (&open, &["127.0.0.2"], true),
        (&open, &["127.255.254.255"], true),
        (&open, &["127.255.255.252"], false),
        (&open, &["127.255.255.0", "127.255.255.255"], false),
        (&open, &["127.255.255.254", "127.0.0.4"], true),
        (&open, &["192.0.2.1"], false),
        (&open, &["0.0.0.0", "128.0.0.1"], false),
        (&narrow, &["127.0.0.2"], true),
        (&narrow, &["127.0.0.3"], true),
        (&narrow, &["127.0.0.4", "127.0.0.1"], false),
        (&narrow, &["127.0.0.4", "127.0.0.9"], true),
        (&narrow, &["192.0.2.1"], false),
        (&narrow, &["127.255.255.254"], false),
    ];
    for (rules, codes, refused) in cases {
        let expected = if refused {
            "550 5.7.1 203.0.113.9 is blocked by zen.test"
        } else {
            "our-domain"
        };
        assert_eq!(
            answer(rules, &named_by(&[("zen.test", codes)])),
            expected,
            "{codes:?}"
        );
    }
    let other = named_by(&[
        ("xzen.test", &["127.0.0.2"]),
        ("a.zen.test", &["127.0.0.2"]),
    ]);
    assert_eq!(answer(&open, &other), "our-domain");
}

#[test]
fn weights_are_added_up_to_the_threshold() {
    let mut lists = vec![
        dns_list("wanted.test", -3, &[], 1),
        dns_list("one.test", 1, &[], 2),
        dns_list("two.test", 2, &[], 3),
    ];
    lists[2].reply = Some("See https://%1/%0 (%0)".into());
    let rules = with_dns_lists(lists, 2);
    let yes: &[&str] = &["127.0.0.2", "127.0.0.3"];
    let by_two = "550 5.7.1 See https://two.test/203.0.113.9 (203.0.113.9)";
    let by_one = "550 5.7.1 203.0.113.9 is blocked by one.test";
    let cases: [(&[Says], &str); 6] = [
        (&[], "our-domain"),
        (&[("one.test", yes)], "our-domain"),
        (&[("two.test", yes)], by_two),
        (&[("two.test", yes), ("one.test", yes)], by_one),
        (
            &[("two.test", yes), ("one.test", yes), ("wanted.test", yes)],
            "our-domain",
        ),
        (&[("wanted.test", yes)], "our-domain"),
    ];
    for (answers, expected) in cases {
        assert_eq!(answer(&rules, &named_by(answers)), expected, "{answers:?}");
    }
    let facts = named_by(&[("two.test", yes), ("one.test", yes)]);
    let decision = decided(&rules, &client(STRANGER), "", "bob@hosted.test", &facts);
    assert_eq!(
        reason(&decision),
        "203.0.113.9 is named by one.test: weight 3, refused from 2 on (gatepost.toml:2)"
    );
    // The largest weights do not overflow.
    let lists = vec![
        dns_list("a.test", i32::MAX, &[], 1),
        dns_list("b.test", i32::MAX, &[], 2),
    ];
    let facts = named_by(&[("a.test", yes), ("b.test", yes)]);
    let heavy = with_dns_lists(lists, i32::MAX);
    assert_eq!(
        answer(&heavy, &facts),
        "550 5.7.1 203.0.113.9 is blocked by a.test"
    );
    // A threshold of nought does not refuse those whom nobody names.
    let rules = with_dns_lists(vec![dns_list("a.test", 1, &[], 1)], 0);
    assert_eq!(answer(&rules, &named_by(&[])), "our-domain");
}

#[test]
fn the_lists_are_asked_only_when_they_matter() {
    let rules = with_dns_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
    let ask = |address: &str| format!("Listings({address})");
    let said = |client: &mail::Client, to: &str| {
        shown(&decided(&rules, client, "", to, &rights(true, &[])))
    };
    assert_eq!(said(&client(STRANGER), "bob@hosted.test"), ask(STRANGER));
    assert_eq!(
        said(&client("2001:db8::9"), "bob@hosted.test"),
        ask("2001:db8::9")
    );
    // Refused anyway, permitted, signed in, excepted, or for the postmaster: nobody is asked.
    assert!(said(&client(STRANGER), "bob@elsewhere.test").starts_with("550 5.7.1 Unable"));
    assert!(said(&client(STRANGER), "a%b@hosted.test").starts_with("550 5.7.1 Unable"));
    assert_eq!(said(&client(FRIEND), "bob@hosted.test"), "our-domain");
    assert_eq!(said(&client(FRIEND), "bob@elsewhere.test"), "listed-client");
    assert_eq!(said(&user("ann"), "bob@hosted.test"), "our-domain");
    assert_eq!(
        said(&client("203.0.113.100"), "bob@hosted.test"),
        "our-domain"
    );
    for to in [
        "postmaster@hosted.test",
        "PostMaster@Hosted.test",
        "\"postmaster\"@hosted.test",
    ] {
        assert_eq!(said(&client(STRANGER), to), "our-domain");
    }
    assert_eq!(
        said(&client(STRANGER), "postmasters@hosted.test"),
        ask(STRANGER)
    );
    // Who is on the deny list may not relay, and is a stranger like others.
    let mut denied = rules.clone();
    denied.relay.deny = list(&[FRIEND]);
    let decision = decided(
        &denied,
        &client(FRIEND),
        "",
        "bob@hosted.test",
        &Facts::default(),
    );
    assert_eq!(shown(&decision), ask(FRIEND));
}

#[test]
fn a_name_is_looked_up_only_for_clients_that_a_list_refuses() {
    let rules = with_dns_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
    let mut facts = named_by(&[]);
    facts.confirmed_name = None;
    assert_eq!(answer(&rules, &facts), "our-domain");
    let mut facts = named_by(&[("zen.test", &["127.0.0.2"])]);
    facts.confirmed_name = None;
    assert_eq!(answer(&rules, &facts), "ConfirmedName(203.0.113.9)");
    facts.confirmed_name = Some(Fact::Yes(zone("mx.partner.test")));
    assert_eq!(answer(&rules, &facts), "our-domain");
    facts.confirmed_name = Some(Fact::CannotTell);
    assert!(answer(&rules, &facts).starts_with("451 4.7.0"));
    facts.confirmed_name = Some(Fact::No);
    assert!(answer(&rules, &facts).starts_with("550 5.7.1"));
    // The same for a client that may relay by its name.
    let mut rules = rules;
    rules.relay.access = Access::only_list(
        list(&["*.office.test"]),
        "relay.allow",
        mail::Place::Default,
    );
    facts.confirmed_name = None;
    assert_eq!(answer(&rules, &facts), "ConfirmedName(203.0.113.9)");
    facts.confirmed_name = Some(Fact::Yes(zone("pc.office.test")));
    assert_eq!(answer(&rules, &facts), "our-domain");
}

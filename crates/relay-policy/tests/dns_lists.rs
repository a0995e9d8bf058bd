//! DNS lists: whom they refuse, and when they are asked at all.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use std::net::Ipv4Addr;
use std::sync::Arc;

use mail::Domain;
use relay_policy::*;
use sample::*;

fn zone(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn dns_list(name: &str, weight: i32, codes: &[(&str, &str)], line: u32) -> DnsList {
    let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    DnsList {
        zone: zone(name),
        codes: codes
            .iter()
            .map(|(a, b)| (address(a), address(b)))
            .collect(),
        weight,
        reply: None,
        place: at(line),
    }
}

fn with_lists(lists: Vec<DnsList>, threshold: i32) -> Rules {
    let mut rules = rules();
    rules.dns_lists = Arc::new(DnsLists {
        lists,
        threshold,
        except: list(&["203.0.113.100", "*.partner.test"]),
    });
    rules
}

/// A list and its answers.
type Says<'a> = (&'a str, &'a [&'a str]);

fn listed(answers: &[Says]) -> Facts {
    let listing = |(name, codes): &Says| Listing {
        zone: zone(name),
        codes: codes.iter().map(|code| code.parse().unwrap()).collect(),
    };
    Facts {
        listings: Some(answers.iter().map(listing).collect()),
        confirmed_name: Some(Fact::No),
        ..Facts::default()
    }
}

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
    let open = with_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
    let narrow = with_lists(
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
            answer(rules, &listed(&[("zen.test", codes)])),
            expected,
            "{codes:?}"
        );
    }
    let other = listed(&[
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
    let rules = with_lists(lists, 2);
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
        assert_eq!(answer(&rules, &listed(answers)), expected, "{answers:?}");
    }
    let facts = listed(&[("two.test", yes), ("one.test", yes)]);
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
    let facts = listed(&[("a.test", yes), ("b.test", yes)]);
    let heavy = with_lists(lists, i32::MAX);
    assert_eq!(
        answer(&heavy, &facts),
        "550 5.7.1 203.0.113.9 is blocked by a.test"
    );
    // A threshold of nought does not refuse those whom nobody names.
    let rules = with_lists(vec![dns_list("a.test", 1, &[], 1)], 0);
    assert_eq!(answer(&rules, &listed(&[])), "our-domain");
}

#[test]
fn the_lists_are_asked_only_when_they_matter() {
    let rules = with_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
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
    let rules = with_lists(vec![dns_list("zen.test", 1, &[], 1)], 1);
    let mut facts = listed(&[]);
    facts.confirmed_name = None;
    assert_eq!(answer(&rules, &facts), "our-domain");
    let mut facts = listed(&[("zen.test", &["127.0.0.2"])]);
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

#[test]
fn explanations_show_what_the_lists_say() {
    let rules = with_lists(vec![dns_list("zen.test", 1, &[], 8)], 1);
    let told =
        |client: &mail::Client, to: &str, facts: &Facts| explained(&rules, client, "", to, facts);
    let stranger = client(STRANGER);
    let refused = told(
        &stranger,
        "bob@hosted.test",
        &listed(&[("zen.test", &["127.0.0.2"])]),
    );
    assert_eq!(
        step(&refused, "dns lists"),
        "REFUSE 203.0.113.9 is named by zen.test: weight 1, refused from 1 on (gatepost.toml:8)"
    );
    assert_eq!(
        step(&refused, "recipient"),
        "pass hosted.test is a remote domain, accepted from anyone (default)"
    );
    assert_eq!(
        refused.accepted_if.as_deref(),
        Some(
            "zen.test did not name the client, or the client were in dnsbl_except, or the client were in relay.allow"
        )
    );
    let cases = [
        (
            told(&stranger, "bob@hosted.test", &Facts::default()),
            "? needs to know which DNS lists name 203.0.113.9 (gatepost.toml:8)",
        ),
        (
            told(&stranger, "bob@hosted.test", &listed(&[])),
            "pass weight 0, refused from 1 on (gatepost.toml:8)",
        ),
        (
            told(&stranger, "bob@elsewhere.test", &Facts::default()),
            "- not asked, as they make no difference",
        ),
        (
            told(&stranger, "postmaster@hosted.test", &Facts::default()),
            "- not asked about mail for postmaster",
        ),
        (
            told(&client(FRIEND), "bob@hosted.test", &Facts::default()),
            "- not asked about clients that may relay",
        ),
        (
            told(&user("ann"), "bob@hosted.test", &Facts::default()),
            "- not asked about users who signed in",
        ),
        (
            told(
                &client("203.0.113.100"),
                "bob@hosted.test",
                &Facts::default(),
            ),
            "- not asked about clients in dnsbl_except",
        ),
    ];
    for (told, expected) in cases {
        assert_eq!(step(&told, "dns lists"), expected);
    }
    let without = explained(
        &sample::rules(),
        &stranger,
        "",
        "bob@hosted.test",
        &Facts::default(),
    );
    assert_eq!(step(&without, "dns lists"), "none");
}

//! Mail that goes on to others: who gets it, on which grounds, and what comes back.

#[allow(dead_code, reason = "each test file uses its own part")]
mod sample;

use std::sync::Arc;

use mail::{Domain, Mailbox, Timestamp};
use relay_policy::*;
use sample::*;
use srs::Scheme;

const DAY: u64 = 24 * 3600 * 1000;
/// Noon of the day `JS`.
const NOON: Timestamp = Timestamp::from_millis(306 * DAY + DAY / 2);
/// What that day made of ann@client.test; the secret and the domain are those of [`forwarding`].
const ANN: &str = "SRS0=9Zkb=JS=client.test=ann@srs.test";

/// [`FRIEND`] may relay; what is for info and sales at `hosted.test` goes on, and all of `old.test`.
fn forwarding() -> Rules {
    let mut rules = rules();
    let listed = DomainRule {
        recipients: Recipients::List(Arc::new(RecipientList::new(at(3)))),
        ..remote("listed.test")
    };
    let inner = DomainRule {
        accept_from: AcceptFrom::Relay,
        ..remote("inner.test")
    };
    let blocked = DomainRule {
        kind: DomainKind::Blocked,
        ..remote("blocked.test")
    };
    let ours = [
        remote("hosted.test"),
        remote("old.test"),
        listed,
        inner,
        blocked,
        remote("moved.test"),
        remote("gate.test"),
        remote("split.test"),
    ];
    rules.domains = domains(ours);
    let mut forwards = Forwards::default();
    for (line, from, to) in [
        (10, "info@hosted.test", "ann@elsewhere.test bob@hosted.test"),
        (11, "@old.test", "@hosted.test"),
        (12, "post@listed.test", "ann@elsewhere.test"),
        (13, "@inner.test", "@elsewhere.test"),
        (14, "@listed.test", "@elsewhere.test"),
        (15, "@moved.test", "@listed.test"),
        (16, "@gate.test", "@inner.test"),
        (17, "@split.test", "@listed.test @hosted.test"),
    ] {
        let to = to.split(' ').map(|text| Party::parse(text).unwrap());
        forwards.insert(Forward {
            from: Party::parse(from).unwrap(),
            to: to.collect(),
            place: at(line),
        });
    }
    rules.forwards = Arc::new(forwards);
    rules.rewriting = Some(Arc::new(Rewriting {
        domain: Domain::parse("srs.test").unwrap(),
        scheme: Scheme::new(["tops3cret"], 21),
        place: at(20),
    }));
    rules
}

fn at_noon() -> Facts {
    Facts {
        now: Some(NOON),
        ..Facts::default()
    }
}

/// Everybody who gets the message, on which grounds, and by which line; or the refusal.
fn carried(rules: &Rules, client: &mail::Client, to: &str) -> Vec<String> {
    match decided(rules, client, "someone@stranger.test", to, &at_noon()) {
        Decision::Carry { admitted, why } => {
            let all = forwarded(rules, client, &at_noon(), admitted, why);
            let shown = |(admitted, why): &(Admitted, Reason)| {
                let (to, grounds) = (admitted.recipient(), admitted.grounds());
                format!("{to} {grounds} {}", why.place)
            };
            all.iter().map(shown).collect()
        }
        other => vec![shown(&other)],
    }
}

#[test]
fn what_is_taken_goes_on_by_the_line_that_says_so() {
    let (rules, stranger, friend) = (forwarding(), client(STRANGER), client(FRIEND));
    let both: &[&str] = &[
        "ann@elsewhere.test forwarded gatepost.toml:10",
        "bob@hosted.test our-domain gatepost.toml:10",
    ];
    let cases: [(_, &str, &[&str]); 10] = [
        (&stranger, "info@hosted.test", both),
        (&friend, "info@hosted.test", both),
        (&stranger, "Info@OLD.test", both),
        (
            &stranger,
            "eve@old.test",
            &["eve@hosted.test our-domain gatepost.toml:11"],
        ),
        (
            &stranger,
            "eve@hosted.test",
            &["eve@hosted.test our-domain default"],
        ),
        // An address with an entry of its own exists; others there are looked up.
        (
            &stranger,
            "post@listed.test",
            &["ann@elsewhere.test forwarded gatepost.toml:12"],
        ),
        (
            &stranger,
            "x@listed.test",
            &["550 5.1.1 x@listed.test: no such recipient here"],
        ),
        // Who may send there may also have it forwarded, and nobody else.
        (
            &stranger,
            "x@inner.test",
            &["550 5.7.1 Unable to relay for x@inner.test"],
        ),
        (
            &friend,
            "x@inner.test",
            &["x@elsewhere.test forwarded gatepost.toml:13"],
        ),
        // Nobody relays by naming a target.
        (
            &stranger,
            "ann@elsewhere.test",
            &["550 5.7.1 Unable to relay for ann@elsewhere.test"],
        ),
    ];
    for (client, to, expected) in cases {
        assert_eq!(carried(&rules, client, to), expected, "{to}");
    }
}

/// Whoever is named by `@one.test = "@two.test"` is named by the client.
#[test]
fn a_domain_that_is_forwarded_to_another_of_ours_goes_by_the_rule_of_that() {
    let (rules, stranger, friend) = (forwarding(), client(STRANGER), client(FRIEND));
    let cases: [(_, &str, &[&str]); 6] = [
        (
            &stranger,
            "x@moved.test",
            &["550 5.1.1 x@moved.test: no such recipient here"],
        ),
        (
            &stranger,
            "post@moved.test",
            &["ann@elsewhere.test forwarded gatepost.toml:12"],
        ),
        (
            &stranger,
            "x@gate.test",
            &["550 5.7.1 Unable to relay for x@gate.test"],
        ),
        (
            &friend,
            "x@gate.test",
            &["x@elsewhere.test forwarded gatepost.toml:13"],
        ),
        // One of two is enough.
        (
            &stranger,
            "x@split.test",
            &["x@hosted.test our-domain gatepost.toml:17"],
        ),
        (
            &stranger,
            "postmaster@moved.test",
            &["postmaster@elsewhere.test forwarded gatepost.toml:14"],
        ),
    ];
    for (client, to, expected) in cases {
        assert_eq!(carried(&rules, client, to), expected, "{to}");
    }
    let refused = decided(&rules, &stranger, "", "x@moved.test", &at_noon());
    assert_eq!(
        reason(&refused),
        "forwarded to x@listed.test: there is no such recipient (gatepost.toml:3)"
    );
}

#[test]
fn directories_are_asked_about_all_to_whom_mail_may_go_on() {
    let asked = |name| DomainRule {
        recipients: Recipients::Ask {
            source: RecipientSource::NextHop,
            accept_unasked: false,
            place: at(4),
        },
        ..remote(name)
    };
    let mut rules = forwarding();
    rules.domains = domains([
        asked("split.test"),
        asked("listed.test"),
        asked("hosted.test"),
    ]);
    let answers = |known: [(&str, Fact<()>); 3]| {
        let mut facts = at_noon();
        for _ in 0..=known.len() {
            let to = "x@split.test";
            match decided(&rules, &client(STRANGER), "ann@client.test", to, &facts) {
                Decision::Ask(Question::Recipient { mailbox, .. }) => {
                    let domain = mailbox.host().to_string();
                    let known = known.iter().find(|(name, _)| *name == domain).unwrap();
                    facts.answer(Answer::Recipient(mailbox, known.1.clone()));
                }
                decision => return shown(&decision),
            }
        }
        panic!("asks for ever");
    };
    let (yes, no) = (|name| (name, Fact::Yes(())), |name| (name, Fact::No));
    let (split, listed, hosted) = ("split.test", "listed.test", "hosted.test");
    let unknown = "550 5.1.1 x@split.test: no such recipient here";
    let later = "451 4.4.3 Cannot find out now whether x@split.test exists, try again later";
    for (known, expected) in [
        ([yes(split), yes(listed), yes(hosted)], "our-domain"),
        ([yes(split), no(listed), yes(hosted)], "our-domain"),
        ([yes(split), no(listed), no(hosted)], unknown),
        ([no(split), yes(listed), yes(hosted)], unknown),
        ([yes(split), (listed, Fact::CannotTell), yes(hosted)], later),
    ] {
        let text = format!("{known:?}");
        assert_eq!(answers(known), expected, "{text}");
    }
}

#[test]
fn a_route_in_the_local_part_stays_relaying() {
    let rules = forwarding();
    for to in [
        "ann%elsewhere.test@old.test",
        "\"x@y.test\"@old.test",
        "a!b@old.test",
    ] {
        let expected = format!("550 5.7.1 Unable to relay for {to}");
        assert_eq!(carried(&rules, &client(STRANGER), to), [expected]);
    }
}

fn days(days: u64) -> Facts {
    Facts {
        now: Some(NOON + std::time::Duration::from_millis(days * DAY)),
        ..Facts::default()
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn bounces_alone_are_turned_back_and_only_with_a_hash_of_ours() {
    let rules = forwarding();
    let sender = mail::ReversePath::parse("ann@client.test").unwrap();
    let rewriting = rules.rewriting.as_ref().unwrap();
    let rewritten = rewriting.rewrite(&sender, true, &rules.domains, NOON);
    assert_eq!(rewritten, Rewritten::To(Mailbox::parse(ANN).unwrap()));
    let (stranger, friend) = (client(STRANGER), client(FRIEND));
    let taken = "forwarded-sender";
    let cases = [
        (&stranger, "", ANN, at_noon(), taken),
        (&friend, "", ANN, at_noon(), taken),
        (
            &stranger,
            "",
            "srs0=9zKB=js=CLIENT.test=ann@SRS.test",
            at_noon(),
            taken,
        ),
        (&stranger, "", ANN, days(21), taken),
        (&stranger, "", ANN, days(22), "550 5.7.1 <> is too old"),
        (
            &stranger,
            "",
            ANN,
            Facts::default(),
            "451 4.3.0 Cannot find out now how old <> is, try again later",
        ),
        (
            &stranger,
            "x@y.test",
            ANN,
            at_noon(),
            "550 5.7.1 <> takes notices from <> alone",
        ),
        // Not even who may relay: an address of this kind is no way to write to anybody.
        (
            &friend,
            "x@y.test",
            ANN,
            at_noon(),
            "550 5.7.1 <> takes notices from <> alone",
        ),
        (
            &stranger,
            "",
            "SRS0=9Zkb=JS=client.test=bob@srs.test",
            at_noon(),
            "550 5.1.1 <>: no such recipient here",
        ),
        (
            &stranger,
            "",
            "SRS0=AAAA=JS=client.test=ann@srs.test",
            at_noon(),
            "550 5.1.1 <>: no such recipient here",
        ),
        (
            &stranger,
            "",
            "SRS0=@srs.test",
            at_noon(),
            "550 5.1.1 <>: no such recipient here",
        ),
        (
            &friend,
            "",
            "SRS1=AAAA=x.test==AAAA=JS=a.test=b@srs.test",
            at_noon(),
            "550 5.1.1 <>: no such recipient here",
        ),
        // Elsewhere, and without the form, it is an address like others.
        (
            &stranger,
            "",
            "SRS0=9Zkb=JS=client.test=ann@other.test",
            at_noon(),
            "550 5.7.1 Unable to relay for <>",
        ),
        (
            &stranger,
            "",
            "ann@srs.test",
            at_noon(),
            "550 5.7.1 Unable to relay for <>",
        ),
        (
            &stranger,
            "",
            "SRS0=9Zkb=JS=client.test=ann@hosted.test",
            at_noon(),
            "our-domain",
        ),
    ];
    for (client, from, to, facts, expected) in cases {
        let decision = decided(&rules, client, from, to, &facts);
        // The reply names whom the client named.
        let shown = shown(&decision).replace(to, "<>");
        assert_eq!(shown, expected, "<{from}> {to}");
        if let Decision::Carry { admitted, why } = &decision
            && shown == taken
        {
            let sender = admitted.recipient().as_str();
            assert!(sender.eq_ignore_ascii_case("ann@client.test"), "{sender}");
            assert_eq!(why.place, at(20));
        }
    }
}

#[test]
fn the_deny_list_blocked_domains_and_dns_lists_hold_for_bounces_too() {
    let null = |rules: &Rules, client: &mail::Client, to: &str, facts: &Facts| {
        shown(&decided(rules, client, "", to, facts))
    };
    let mut rules = forwarding();
    rules.relay.deny = list(&[STRANGER]);
    let denied = null(&rules, &client(STRANGER), ANN, &at_noon());
    assert_eq!(denied, "550 5.7.1 Unable to relay for ann@client.test");
    let named = null(&forwarding(), &client("203.0.113.10"), ANN, &at_noon());
    assert_eq!(named, "forwarded-sender");

    let rules = forwarding();
    let blocked = mail::ReversePath::parse("ann@blocked.test").unwrap();
    let rewriting = rules.rewriting.as_ref().unwrap();
    let Rewritten::To(address) = rewriting.rewrite(&blocked, true, &rules.domains, NOON) else {
        panic!("not rewritten");
    };
    let refused = null(&rules, &client(STRANGER), address.as_str(), &at_noon());
    assert_eq!(
        refused,
        "550 5.7.1 Mail for ann@blocked.test is not accepted here"
    );

    let mut rules = forwarding();
    let lists = with_dns_lists(vec![dns_list("bad.dnsbl.test", 1, &[], 5)], 1).dns_lists;
    rules.dns_lists = lists;
    let asked = null(&rules, &client(STRANGER), ANN, &at_noon());
    assert!(asked.starts_with("Listings"), "{asked}");
}

/// To whom `rules` turn a bounce to `address` back, or how they refuse it.
fn turned_back(rules: &Rules, address: &Mailbox) -> String {
    match decided(rules, &client(STRANGER), "", address.as_str(), &at_noon()) {
        Decision::Carry { admitted, .. } => {
            format!("{} {}", admitted.recipient(), admitted.grounds())
        }
        other => shown(&other),
    }
}

fn rewritten(rules: &Rules, sender: &str) -> Mailbox {
    let path = mail::ReversePath::parse(sender).unwrap();
    let rewriting = rules.rewriting.as_ref().unwrap();
    match rewriting.rewrite(&path, true, &rules.domains, NOON) {
        Rewritten::To(address) => address,
        other => panic!("{sender}: {other:?}"),
    }
}

#[test]
fn a_bounce_to_somebody_of_ours_is_taken_by_the_rule_of_the_domain() {
    let rules = forwarding();
    for (sender, expected) in [
        ("bob@hosted.test", "bob@hosted.test our-domain"),
        (
            "x@listed.test",
            "550 5.1.1 x@listed.test: no such recipient here",
        ),
        ("x@inner.test", "550 5.7.1 Unable to relay for x@inner.test"),
        (
            "x%y.test@hosted.test",
            "550 5.7.1 Unable to relay for x%y.test@hosted.test",
        ),
    ] {
        let address = rewritten(&rules, sender);
        assert_eq!(turned_back(&rules, &address), expected);
    }
    // A stranger may write that, and nobody is there.
    let nobody = rewritten(&rules, "x@srs.test");
    let expected = format!("550 5.1.1 {nobody}: no such recipient here");
    assert_eq!(turned_back(&rules, &nobody), expected);
}

#[test]
fn what_passed_us_twice_is_turned_back_to_the_sender() {
    let rules = forwarding();
    let ours = rewritten(&rules, "ann@client.test");
    assert_eq!(ours.as_str(), ANN);
    let tail = ours.local().strip_prefix("SRS0").unwrap();
    let again = rewritten(&rules, &format!("SRS1=HHHH=srs.test={tail}@between.test"));
    assert_eq!(
        turned_back(&rules, &again),
        "ann@client.test forwarded-sender"
    );
}

#[test]
fn without_secrets_nothing_is_turned_back() {
    let mut rules = forwarding();
    let rewriting = rules
        .rewriting
        .as_ref()
        .unwrap()
        .by(Scheme::new([""; 0], 21));
    rules.rewriting = Some(Arc::new(rewriting));
    let decision = decided(&rules, &client(FRIEND), "", ANN, &at_noon());
    assert_eq!(
        shown(&decision),
        format!("550 5.1.1 {ANN}: no such recipient here")
    );
    assert_eq!(
        reason(&decision),
        "no SRS address of ours: the hash is not ours (gatepost.toml:20)"
    );
}

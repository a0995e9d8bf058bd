//! What `relay check` prints: step by step, as the server decides, and what would have to be
//! otherwise.

#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../../relay-policy/tests/sample/mod.rs"]
mod sample;

use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Mailbox, Place, Reply, ReversePath, Timestamp, Trust};
use relay_audit::*;
use relay_policy::*;
use sample::*;
use srs::Scheme;

fn explained(rules: &Rules, client: &Client, from: &str, to: &str, facts: &Facts) -> Explanation {
    let from = ReversePath::parse(from).unwrap();
    explain(rules, client, &from, &mailbox(to), facts)
}

/// The step of this name, as `relay check` shows it.
fn step(told: &Explanation, name: &str) -> String {
    let step = told.steps.iter().find(|step| step.name == name);
    let Some(step) = step else {
        return "none".to_owned();
    };
    let place = step.place.as_ref().map(|place| format!(" ({place})"));
    format!("{} {}{}", step.result, step.text, place.unwrap_or_default())
}

#[test]
fn an_explanation_reads_as_the_server_decides() {
    let mut rules = Rules::closed("internet");
    rules.listener.tls.offered = true;
    rules.listener.sign_in_at = Some("port 587".into());
    rules.listener.place = at(4);
    rules.domains = domains(vec![DomainRule {
        place: at(9),
        ..remote("example.com")
    }]);
    let entry = Entry::parse("192.168.1.254", at(13)).unwrap();
    rules.relay.access = Access::only_list(
        List::new(vec![entry], at(13)),
        "relay.allow",
        Place::Default,
    );
    let told = |recipient: &str| {
        let recipient = Mailbox::parse(recipient).unwrap();
        explain(
            &rules,
            &client(STRANGER),
            &ReversePath::Null,
            &recipient,
            &Facts::default(),
        )
    };
    let lines = [
        "  1 connection  pass    listener internet 0.0.0.0:25, any address may connect       gatepost.toml:4",
        "  2 tls         -       offered, not required here                                  default",
        "  3 sign-in     -       not offered on this listener                                default",
        "  4 recipient   -       elsewhere.example is not a local, remote or blocked domain",
        "  5 relay       REFUSE  203.0.113.9 matches none of 1 entry in relay.allow          gatepost.toml:13",
        "  answer        550 5.7.1 Unable to relay for victim@elsewhere.example",
        "  accepted if   the client were in relay.allow, or signed in on port 587, or elsewhere.example were a remote domain",
    ];
    assert_eq!(
        told("victim@elsewhere.example").to_string(),
        lines.join("\n")
    );
    assert!(!told("victim@elsewhere.example").is_accepted());
    let hosted = told("bob@example.com");
    assert_eq!(hosted.answer, Some(Reply::new(250, 1, 5, "Ok")));
    assert_eq!(
        hosted.steps[3].text,
        "example.com is a remote domain, accepted from anyone"
    );
    assert_eq!(hosted.steps[3].place, Some(at(9)));
    let last_line = "  admitted as   our-domain: example.com is a remote domain  gatepost.toml:9";
    assert!(hosted.to_string().ends_with(last_line), "{hosted}");
    let routed = told("a%b@example.com");
    assert_eq!(routed.steps[4].result, StepResult::Refuse);
    assert!(
        routed
            .accepted_if
            .is_some_and(|text| text.starts_with("the local part held no route"))
    );
}

#[test]
fn to_whom_alone_somebody_may_send_is_a_step_of_its_own() {
    let mut rules = rules();
    rules.bound_clients = [BoundClients {
        clients: list(&[FRIEND]),
        certificates: Vec::new(),
        only_to: SendOnlyTo {
            recipients: [RecipientPattern::Hosted].into(),
            place: at(20),
        },
    }]
    .into();
    let friend = client(FRIEND);
    let told = |to| {
        explain(
            &rules,
            &friend,
            &ReversePath::Null,
            &mailbox(to),
            &Facts::default(),
        )
    };
    let refused = told(ABROAD);
    let step = refused.steps.last().unwrap();
    assert_eq!((step.name, step.result), ("only to", StepResult::Refuse));
    assert_eq!(step.text, "client 192.0.2.1 may not send to this recipient");
    assert_eq!(step.place, Some(at(20)));
    assert_eq!(
        refused.accepted_if.unwrap(),
        "client 192.0.2.1 were permitted to send to bob@elsewhere.test"
    );
    let taken = told("bob@hosted.test");
    let step = taken.steps.iter().find(|step| step.name == "only to");
    assert!(taken.is_accepted() && step.is_some_and(|step| step.result == StepResult::Pass));
}

fn domains_of_each_kind() -> Arc<DomainTable> {
    let from = |name, accept_from| DomainRule {
        accept_from,
        ..remote(name)
    };
    domains([
        remote("hosted.test"),
        DomainRule {
            kind: DomainKind::Blocked,
            ..remote("blocked.test")
        },
        from("inner.test", AcceptFrom::Relay),
        from("listed.test", AcceptFrom::List(list(&["198.51.100.7"]))),
        from("named.test", AcceptFrom::List(list(&["*.partner.test"]))),
    ])
}

#[test]
fn every_explanation_answers_as_the_decision_does() {
    let mut rules = rules();
    rules.relay.access = Access::only_list(
        list(&[FRIEND, "*.office.test"]),
        "relay.allow",
        Place::Default,
    );
    rules.domains = domains_of_each_kind();
    let recipients = [
        "b@hosted.test",
        "b@blocked.test",
        "b@inner.test",
        "b@listed.test",
        "b@named.test",
        "b@else.test",
        "b%c@hosted.test",
        "b@[192.0.2.9]",
    ];
    let facts = [
        Facts::default(),
        Facts {
            confirmed_name: Some(Fact::Yes(zone("pc.office.test"))),
            ..Facts::default()
        },
        Facts {
            confirmed_name: Some(Fact::CannotTell),
            ..Facts::default()
        },
    ];
    for client in [client(STRANGER), client(FRIEND), user("ann")] {
        for (recipient, facts) in recipients
            .iter()
            .flat_map(|r| facts.iter().map(move |f| (r, f)))
        {
            let sender = ReversePath::Null;
            let mailbox = Mailbox::parse(recipient).unwrap();
            let told = explain(&rules, &client, &sender, &mailbox, facts);
            let (answer, question, admitted) =
                match decide(&rules, &client, &sender, &mailbox, facts) {
                    Decision::Carry { admitted, why } => {
                        let ok = Reply::new(250, 1, 5, "Ok");
                        (Some(ok), None, vec![(admitted, why)])
                    }
                    Decision::Refuse { reply, .. } | Decision::Postpone { reply, .. } => {
                        (Some(reply), None, Vec::new())
                    }
                    Decision::Ask(question) => (None, Some(question), Vec::new()),
                };
            assert_eq!(
                (told.answer, told.question, told.admitted),
                (answer, question, admitted),
                "{recipient} {facts:?}"
            );
        }
    }
}

#[test]
fn nothing_goes_before_what_a_listener_requires() {
    let mut rules = rules();
    let demand = |line| Demand {
        offered: true,
        required: true,
        place: at(line),
    };
    rules.listener.tls = demand(20);
    rules.listener.sign_in = demand(21);
    let encrypted = holder([1; 32], &[], Trust::Unknown);
    let signed_in = Client {
        user: Some("ann".into()),
        ..encrypted.clone()
    };
    let told = |client: &Client| {
        let facts = rights(true, &[]);
        explained(&rules, client, "ann@hosted.test", ABROAD, &facts)
    };

    let plain = told(&client(FRIEND));
    let answer = plain.answer.as_ref().map(ToString::to_string);
    assert_eq!(
        answer.as_deref(),
        Some("530 5.7.0 Must issue a STARTTLS command first")
    );
    assert_eq!(
        step(&plain, "tls"),
        "REFUSE required here (gatepost.toml:20)"
    );
    assert_eq!(
        plain.accepted_if.as_deref(),
        Some("the client used TLS and signed in")
    );
    assert_eq!(plain.steps.len(), 2);

    let unknown = told(&encrypted);
    let answer = unknown.answer.as_ref().map(ToString::to_string);
    assert_eq!(answer.as_deref(), Some("530 5.7.0 Authentication required"));
    assert_eq!(
        step(&unknown, "tls"),
        "pass TLSv1.3 is in use, certificate without a name (sha256:01010101.., spki:sha256:01010101.., signed by nobody we trust) (gatepost.toml:20)"
    );
    assert_eq!(
        step(&unknown, "sign-in"),
        "REFUSE required here (gatepost.toml:21)"
    );
    assert_eq!(unknown.accepted_if.as_deref(), Some("the client signed in"));

    assert!(told(&signed_in).is_accepted());
    assert_eq!(gate(&rules.listener, &signed_in), None);
    let (reply, why) = gate(&rules.listener, &encrypted).unwrap();
    assert_eq!(reply.code(), 530);
    assert_eq!((why.why, why.place), (Why::SignInRequired, at(21)));
}

#[test]
fn explanations_say_what_a_submitter_lacks() {
    let mut rules = with_certificates();
    rules.listener.sign_in_at = Some("port 587".into());
    let advice = |rules: &Rules, client: &Client, from: &str, facts: &Facts| {
        let told = explained(rules, client, from, ABROAD, facts);
        assert!(!told.is_accepted());
        told.accepted_if.unwrap_or_default()
    };
    let stranger = advice(&rules, &client(STRANGER), "", &Facts::default());
    assert_eq!(
        stranger,
        "the client were in relay.allow, or showed a certificate of relay.certificates, or signed in on port 587, or elsewhere.test were a remote domain"
    );
    let lacking = advice(&rules, &user("ann"), "", &rights(false, &[]));
    assert!(
        lacking.starts_with("user ann had the right to relay, or the client were in relay.allow")
    );
    let facts = rights(true, &["ann@hosted.test"]);
    let wrong = advice(&rules, &user("ann"), "eve@x.test", &facts);
    assert_eq!(wrong, "the sender were an address of user ann");
    let told = explained(&rules, &user("ann"), "eve@x.test", ABROAD, &facts);
    assert_eq!(
        step(&told, "sender"),
        "REFUSE user ann may not send as this sender (gatepost.toml:7)"
    );
    let told = explained(&rules, &user("ann"), "ann@hosted.test", ABROAD, &facts);
    assert_eq!(
        step(&told, "sender"),
        "pass user ann may send as <ann@hosted.test> (default)"
    );
    rules.relay.signed_in = false;
    let switched_off = advice(&rules, &user("ann"), "", &rights(true, &[]));
    assert!(switched_off.contains("or relay.signed_in were true"));
}

#[test]
fn explanations_show_who_exists_and_who_may_relay() {
    let rules = with_recipients(listed_recipients(), AcceptFrom::Anyone);
    let told =
        |rules: &Rules, who: &Client, to: &str, facts: &Facts| explained(rules, who, "", to, facts);
    let nothing = Facts::default();
    let unknown = told(&rules, &client(STRANGER), "eve@hosted.test", &nothing);
    assert_eq!(
        step(&unknown, "recipient"),
        "REFUSE hosted.test is a remote domain, there is no such recipient (gatepost.toml:30)"
    );
    assert_eq!(
        unknown.accepted_if.as_deref(),
        Some("eve@hosted.test were a recipient of hosted.test")
    );
    let on_the_list = told(&rules, &client(STRANGER), "bob@hosted.test", &nothing);
    assert_eq!(
        step(&on_the_list, "recipient"),
        "pass hosted.test is a remote domain, accepted from anyone, and the recipient is listed (default)"
    );
    let rules = with_recipients(asked_recipients(true), AcceptFrom::Relay);
    let facts = known("bob@hosted.test", Fact::CannotTell);
    let unasked = told(&rules, &client(FRIEND), "bob@hosted.test", &facts);
    assert_eq!(
        step(&unasked, "recipient"),
        "pass hosted.test is a remote domain, nobody could be asked whether the recipient exists (gatepost.toml:31)"
    );
    assert_eq!(
        step(&unasked, "relay"),
        "pass matches relay.allow entry 192.0.2.1 (default)"
    );
    assert!(unasked.is_accepted());
    let open = told(&rules, &client(FRIEND), "bob@hosted.test", &nothing);
    assert!(
        step(&open, "recipient").starts_with("? hosted.test is a remote domain, needs to know")
    );
    assert_eq!((open.answer, open.accepted_if), (None, None));
}

#[test]
fn explanations_show_what_the_lists_say() {
    let rules = with_dns_lists(vec![dns_list("zen.test", 1, &[], 8)], 1);
    let told = |client: &Client, to: &str, facts: &Facts| explained(&rules, client, "", to, facts);
    let stranger = client(STRANGER);
    let refused = told(
        &stranger,
        "bob@hosted.test",
        &named_by(&[("zen.test", &["127.0.0.2"])]),
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
            told(&stranger, "bob@hosted.test", &named_by(&[])),
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

/// `info@hosted.test` goes to two, and bounces to `srs.test` are turned back.
fn forwarding() -> Rules {
    let mut rules = rules();
    let mut forwards = Forwards::default();
    let to = ["ann@elsewhere.test", "bob@hosted.test"].map(|text| Party::parse(text).unwrap());
    forwards.insert(Forward {
        from: Party::parse("info@hosted.test").unwrap(),
        to: to.into(),
        place: at(20),
    });
    rules.forwards = Arc::new(forwards);
    rules.rewriting = Some(Arc::new(Rewriting {
        domain: zone("srs.test"),
        scheme: Scheme::new(["tops3cret"], 21),
        place: at(24),
    }));
    rules
}

#[test]
fn everybody_who_gets_a_forwarded_message_is_told() {
    let facts = Facts::default();
    let told = explained(
        &forwarding(),
        &client(STRANGER),
        "a@b.test",
        "info@hosted.test",
        &facts,
    );
    let text = told.to_string();
    let lines: Vec<&str> = text.lines().skip(5).collect();
    assert_eq!(
        lines,
        [
            "  answer        250 2.1.5 Ok",
            "  admitted as   forwarded: info@hosted.test is forwarded to ann@elsewhere.test  gatepost.toml:20",
            "  admitted as   our-domain: info@hosted.test is forwarded to bob@hosted.test  gatepost.toml:20",
        ]
    );
}

#[test]
fn an_srs_address_has_a_step_of_its_own() {
    let (rules, stranger) = (forwarding(), client(STRANGER));
    let facts = Facts {
        // The day `JS`.
        now: Some(Timestamp::from_millis(306 * 24 * 3600 * 1000)),
        ..Facts::default()
    };
    let good = "SRS0=9Zkb=JS=client.test=ann@srs.test";
    let told = explained(&rules, &stranger, "", good, &facts);
    let expected = "pass an SRS address of ours, for ann@client.test (gatepost.toml:24)";
    assert_eq!(step(&told, "srs"), expected);
    assert_eq!(
        [step(&told, "recipient"), step(&told, "relay")],
        ["none", "none"]
    );
    assert!(told.is_accepted());
    let told = explained(&rules, &stranger, "a@b.test", good, &facts);
    let expected = "REFUSE an SRS address takes mail from <> alone (gatepost.toml:24)";
    assert_eq!(step(&told, "srs"), expected);
    assert_eq!(told.accepted_if.as_deref(), Some("the sender were <>"));
    let forged = explained(&rules, &stranger, "", &good.replace("ann", "eve"), &facts);
    let expected = "REFUSE no SRS address of ours: the hash is not ours (gatepost.toml:24)";
    assert_eq!(step(&forged, "srs"), expected);
    let unknown = explained(&rules, &stranger, "", good, &Facts::default());
    assert_eq!(unknown.answer.map(|reply| reply.code()), Some(451));
}

#[test]
fn dns_lists_are_asked_about_who_sends_bounces_and_forwards_say_who_exists() {
    let mut rules = forwarding();
    rules.dns_lists = with_dns_lists(vec![dns_list("zen.test", 1, &[], 8)], 1).dns_lists;
    rules.domains = domains([DomainRule {
        recipients: Recipients::List(Arc::new(RecipientList::new(at(3)))),
        ..remote("hosted.test")
    }]);
    let facts = Facts {
        now: Some(Timestamp::from_millis(306 * 24 * 3600 * 1000)),
        ..named_by(&[])
    };
    let told = |sender: &str, to: &str| explained(&rules, &client(STRANGER), sender, to, &facts);
    let bounce = told("", "SRS0=9Zkb=JS=client.test=ann@srs.test");
    let expected = "pass weight 0, refused from 1 on (gatepost.toml:8)";
    assert_eq!(step(&bounce, "dns lists"), expected);
    let forwarded = told("a@b.test", "info@hosted.test");
    let expected =
        "pass hosted.test is a remote domain, accepted from anyone, and is forwarded (default)";
    assert_eq!(step(&forwarded, "recipient"), expected);
}

/// `hosted.test` takes mail from strangers who come again, but for some.
fn greylisting() -> Rules {
    let mut rules = rules();
    let listed = |text: &str, line| Listed {
        pattern: SenderPattern::parse(text).unwrap(),
        place: at(line),
    };
    let clients = vec![Entry::parse("203.0.113.128/25", at(31)).unwrap()];
    rules.greylisting = Some(Arc::new(Greylisting {
        clients: List::new(clients, at(31)),
        senders: [listed("*.partner.test", 32)].into(),
        recipients: [listed("abuse@hosted.test", 33)].into(),
        place: at(30),
    }));
    rules.domains = domains([
        remote("hosted.test"),
        DomainRule {
            accept_from: AcceptFrom::List(list(&["198.51.100.1"])),
            ..remote("filtered.test")
        },
    ]);
    rules
}

/// What greylisting says of Ann's mail, behind the code that the client hears.
fn delayed(client: &Client, from: &str, to: &str, facts: &Facts) -> String {
    let told = explained(&greylisting(), client, from, to, facts);
    let code = told.answer.as_ref().map_or(0, Reply::code);
    format!("{code} {}", step(&told, "greylisting"))
}

#[test]
fn greylisting_says_who_waits_and_who_was_here() {
    let known = |greylisted| Facts {
        greylisted: Some(greylisted),
        ..Facts::default()
    };
    let waits = |since: Option<u64>| {
        let since = since.map(Duration::from_secs);
        known(Greylisted::Waits { seconds: 9, since })
    };
    let passes = |familiar| known(Greylisted::Passes(familiar));
    let network = "203.0.113.0/24".parse().unwrap();
    let after = Duration::from_secs(400);
    let domain = mail::Domain::parse("out.test").unwrap();
    let by_network = Familiar::Network { network, times: 5 };
    for (facts, expected) in [
        (
            Facts::default(),
            "0 ? needs to know whether they were here before",
        ),
        (
            waits(None),
            "451 LATER seen for the first time, waits for 9 s",
        ),
        (
            waits(Some(3)),
            "451 LATER first seen 3 s ago, waits for 9 s more",
        ),
        (
            passes(by_network),
            "250 pass mail of 203.0.113.0/24 was taken 5 times",
        ),
        (
            passes(Familiar::Triplet),
            "250 pass client, sender and recipient passed before",
        ),
        (
            passes(Familiar::Retried { after }),
            "250 pass tried again 400 s after the first time",
        ),
        (
            passes(Familiar::SenderDomain(domain)),
            "250 pass mail of out.test was taken before, and SPF passes",
        ),
    ] {
        let told = delayed(&client(STRANGER), "ann@out.test", "bob@hosted.test", &facts);
        assert_eq!(told, format!("{expected} (gatepost.toml:30)"));
    }
}

#[test]
fn greylisting_says_why_it_delays_nobody() {
    let (stranger, bob) = (client(STRANGER), "bob@hosted.test");
    for (client, from, to, expected) in [
        (
            &client("203.0.113.129"),
            "ann@out.test",
            bob,
            "250 pass matches greylisting.clients entry 203.0.113.128/25 (gatepost.toml:31)",
        ),
        (
            &stranger,
            "ann@a.partner.test",
            bob,
            "250 pass matches greylisting.senders entry *.partner.test (gatepost.toml:32)",
        ),
        (
            &stranger,
            "ann@out.test",
            "Abuse@hosted.test",
            "250 pass matches greylisting.recipients entry abuse@hosted.test (gatepost.toml:33)",
        ),
        (
            &stranger,
            "",
            "postmaster@hosted.test",
            "250 - not asked about mail for postmaster",
        ),
        (
            &client(FRIEND),
            "ann@out.test",
            bob,
            "250 - not asked about clients that may relay",
        ),
        (
            &user("ann"),
            "ann@out.test",
            bob,
            "250 - not asked about users who signed in",
        ),
        (
            &client("198.51.100.1"),
            "ann@out.test",
            "bob@filtered.test",
            "250 - not asked about clients that are listed",
        ),
        // Something else decides.
        (&stranger, "ann@out.test", ABROAD, "550 none"),
        (&stranger, "ann@out.test", "bob@filtered.test", "550 none"),
    ] {
        assert_eq!(delayed(client, from, to, &Facts::default()), expected);
    }
}

/// Who has a name that may relay is asked for it only where it would have to wait.
#[test]
fn the_name_of_a_stranger_is_asked_for_last() {
    let mut rules = greylisting();
    rules.relay.access = Access::only_list(list(&["*.friend.test"]), "relay.allow", Place::Default);
    let stranger = client(STRANGER);
    let mut facts = Facts::default();
    let question =
        |facts: &Facts| explained(&rules, &stranger, "a@b.test", "bob@hosted.test", facts).question;
    assert!(matches!(question(&facts), Some(Question::Greylist(_))));
    facts.answer(Answer::Greylist(Greylisted::Waits {
        seconds: 1,
        since: None,
    }));
    assert!(matches!(question(&facts), Some(Question::ConfirmedName(_))));
    for (name, waits) in [
        (Fact::Yes("mx.friend.test"), false),
        (Fact::Yes("mx.bad.test"), true),
        (Fact::No, true),
        (Fact::CannotTell, true),
    ] {
        facts.confirmed_name = Some(match name {
            Fact::Yes(name) => Fact::Yes(mail::Domain::parse(name).unwrap()),
            Fact::No => Fact::No,
            Fact::CannotTell => Fact::CannotTell,
        });
        let told = explained(&rules, &stranger, "a@b.test", "bob@hosted.test", &facts);
        assert_eq!(told.is_accepted(), !waits, "{told}");
    }
    // The next recipient is another one.
    facts.forget_recipient();
    facts.confirmed_name = None;
    assert!(matches!(question(&facts), Some(Question::Greylist(_))));
}

#[test]
fn policy_services_stand_last_with_their_line() {
    let mut rules = greylisting();
    rules.policies = [PolicyService {
        name: "spf".into(),
        of_submitters: false,
        listeners: Box::default(),
        to: Box::default(),
        place: at(70),
    }]
    .into();
    let mut facts = Facts {
        confirmed_name: Some(Fact::No),
        greylisted: Some(Greylisted::Passes(Familiar::Triplet)),
        ..Facts::default()
    };
    let told = |facts: &Facts, to: &str| {
        let told = explained(&rules, &client(STRANGER), "ann@out.test", to, facts);
        let code = told.answer.as_ref().map_or(0, Reply::code);
        format!("{code} {}", step(&told, "policy"))
    };
    let bob = "bob@hosted.test";
    assert_eq!(told(&facts, bob), "0 ? needs to know what spf says of it");
    facts.consulted = Some(Consulted::Passes);
    assert_eq!(
        told(&facts, bob),
        "250 pass no policy service has anything against it (gatepost.toml:70)"
    );
    assert_eq!(told(&facts, ABROAD), "550 none");
    facts.consulted = Some(Consulted::Against {
        service: "spf".into(),
        reply: Reply::new(550, 7, 23, "SPF fails"),
        why: "550 5.7.23 SPF fails".into(),
    });
    assert_eq!(
        told(&facts, bob),
        "550 REFUSE policy service spf: 550 5.7.23 SPF fails (gatepost.toml:70)"
    );
    let refused = explained(&rules, &client(STRANGER), "ann@out.test", bob, &facts);
    assert_eq!(
        refused.accepted_if.as_deref(),
        Some("the policy service spf had nothing against it")
    );
}

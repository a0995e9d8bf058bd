//! The posture tells who may relay, by which line; and nothing that is asked of the world hides a
//! hole.

#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../../relay-policy/tests/sample/mod.rs"]
mod sample;

use std::sync::Arc;

use mail::Place;
use relay_audit::*;
use relay_policy::*;
use sample::*;

fn offered() -> Demand {
    Demand {
        offered: true,
        ..Demand::off()
    }
}

fn with_clients(listener: &str, texts: &[&str]) -> Rules {
    let mut rules = Rules::closed(listener);
    let entries = texts.iter().map(|text| Entry::parse(text, at(13)).unwrap());
    let list = List::new(entries.collect(), at(13));
    rules.relay.access = Access::only_list(list, "relay.allow", Place::Default);
    rules
}

#[test]
fn one_line_tells_who_may_relay() {
    let internet = with_clients("internet", &["192.168.1.254"]);
    let mut submission = with_clients("submission", &["192.168.1.254"]);
    submission.listener.sign_in = offered();
    submission.listener.tls = offered();
    assert_eq!(
        posture([&internet, &submission]).to_string(),
        "closed: 1 entry in relay.allow on internet and submission (gatepost.toml:13); users who signed in on submission (default)"
    );

    submission.relay.certificates = vec![CertificateEntry {
        pattern: CertificatePattern::Name("mail.branch.test".into()),
        text: "mail.branch.test".into(),
        place: at(17),
    }];
    let partners = with_clients("partners", &["8.8.8.0/24", "10.0.0.1"]);
    let nobody = Rules::closed("door");
    assert_eq!(
        posture([&partners, &submission, &nobody]).to_string(),
        "closed: 2 entries in relay.allow with 256 public addresses on partners (gatepost.toml:13); \
         1 entry in relay.allow on submission (gatepost.toml:13); \
         1 entry in relay.certificates on submission (gatepost.toml:17); \
         users who signed in on submission (default); nobody on door (default)"
    );
}

/// It is told once, and closes nothing: the example of a hole is a client that is bound here.
#[test]
fn who_may_send_to_some_only_is_told_and_makes_no_open_relay_a_closed_one() {
    let only_to = SendOnlyTo {
        recipients: [RecipientPattern::Hosted].into(),
        place: at(20),
    };
    let bound = |rules: Rules| Rules {
        bound_clients: [BoundClients {
            clients: list(&["10.0.7.0/24", "203.0.113.9"]),
            certificates: Vec::new(),
            only_to: only_to.clone(),
        }]
        .into(),
        ..rules
    };
    let internet = bound(with_clients("internet", &["10.0.0.0/8"]));
    let inner = bound(with_clients("inner", &["10.0.0.0/8"]));
    assert_eq!(
        posture([&internet, &inner]).to_string(),
        "closed: 1 entry in relay.allow on internet and inner (gatepost.toml:13); \
         2 entries of clients may send to 1 entry of recipients only (gatepost.toml:20)"
    );
    let mut open = bound(Rules::closed("internet"));
    open.relay.access = Access::all_except(List::default(), "relay.except", at(14));
    assert!(!posture([&open]).is_closed());
}

#[test]
fn what_cannot_happen_is_no_permission() {
    let mut rules = Rules::closed("internet");
    assert_eq!(posture([&rules]).to_string(), "closed: nobody may relay");
    // Without sign-in and TLS, users and certificates permit nobody.
    rules.relay.certificates = vec![CertificateEntry {
        pattern: CertificatePattern::Fingerprint([7; 32]),
        text: "sha256:07".into(),
        place: at(17),
    }];
    assert_eq!(posture([&rules]).to_string(), "closed: nobody may relay");
    rules.listener.tls = offered();
    rules.listener.sign_in = offered();
    rules.relay.signed_in = false;
    assert_eq!(
        posture([&rules]).to_string(),
        "closed: 1 entry in relay.certificates on internet (gatepost.toml:17)"
    );
}

#[test]
fn the_famous_recipe_is_open_and_says_how() {
    // "All except the list below", with an empty list, on the listener of the Internet.
    let mut rules = Rules::closed("internet");
    rules.relay.access = Access::all_except(List::default(), "relay.except", at(13));
    let posture = posture([&rules]);
    assert!(!posture.is_closed());
    let hole = &posture.holes[0];
    assert_eq!(hole.kind, HoleKind::AllExcept { entries: 0 });
    let text = posture.to_string();
    assert!(text.starts_with("open: "), "{text}");
    let proof = format!(
        "{} may send to {} through internet (gatepost.toml:13)",
        hole.proof.client, hole.proof.recipient
    );
    assert!(text.contains(&proof), "{text}");
    assert!(
        text.ends_with("everybody but 0 entries in relay.except on internet (gatepost.toml:13)")
    );
}

#[test]
fn blocking_every_domain_leaves_addresses_and_routes() {
    let mut rules = Rules::closed("internet");
    rules.relay.access = Access::all_except(List::default(), "relay.except", at(13));
    let blocked = DomainRule {
        kind: DomainKind::Blocked,
        ..remote("*")
    };
    rules.domains = domains([blocked]);
    let example = |rules: &Rules| posture([rules]).holes[0].proof.recipient.to_string();
    assert_eq!(example(&rules), "someone@[203.0.113.25]");
    // The same with a list of clients that holds nobody, and a domain whose server may unpack
    // routes.
    let nobody = DomainRule {
        accept_from: AcceptFrom::List(List::default()),
        ..remote("*")
    };
    rules.domains = domains([nobody, remote("ours.test")]);
    assert_eq!(example(&rules), "someone@[203.0.113.25]");
    rules.relay.access.mode = Mode::OnlyList;
    assert!(posture([&rules]).is_closed());
}

#[test]
fn questions_to_the_world_hide_no_hole() {
    let everybody = |recipients| {
        let mut rules = Rules::closed("internet");
        rules.domains = domains([DomainRule {
            recipients,
            ..remote("*")
        }]);
        rules.dns_lists = Arc::new(DnsLists {
            lists: vec![DnsList {
                zone: mail::Domain::parse("zen.test").unwrap(),
                codes: Vec::new(),
                weight: 1,
                reply: None,
                place: Place::Default,
            }],
            ..DnsLists::default()
        });
        posture([&rules])
    };
    let asked = |source| Recipients::Ask {
        source,
        accept_unasked: false,
        place: Place::Default,
    };
    assert!(!everybody(Recipients::Any).is_closed());
    assert!(!everybody(asked(RecipientSource::NextHop)).is_closed());
    assert!(!everybody(asked(RecipientSource::Ldap("ad".into()))).is_closed());
    // A list names everybody who is reached, but for the postmasters of the world.
    let mut list = RecipientList::new(Place::Default);
    list.insert(&mailbox("bob@hosted.test"));
    let posture = everybody(Recipients::List(Arc::new(list)));
    assert_eq!(posture.holes[0].proof.recipient.local(), "postmaster");
}

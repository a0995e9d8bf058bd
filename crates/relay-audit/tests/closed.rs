//! For every generated set of rules whose posture is closed, no stranger reaches a domain that is
//! not ours, however the address is written, whatever the stranger shows, and whatever the world
//! answers.

#[allow(dead_code, reason = "each test file uses its own part")]
#[path = "../../relay-policy/tests/sample/mod.rs"]
mod sample;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mail::{Certificate, Client, Domain, Mailbox, Place, ReversePath, TlsFacts, Trust};
use proptest::prelude::*;
use proptest::sample::select;
use relay_audit::*;
use relay_policy::*;
use sample::{list, mailbox};

/// What lists of clients are made of: private blocks, blocks of somebody, wide ones, and names.
const ENTRIES: [&str; 18] = [
    "10.0.0.0/8",
    "192.168.1.254",
    "8.8.8.0/24",
    "8.8.0.0/16",
    "9.0.0.0/8",
    "203.0.113.0-203.0.113.7",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "2600::/48",
    "2600::/20",
    "*.office.test",
    "*.com",
    "*.co.uk",
    "*.stranger.com",
    "172.17.0.1",
];

const NAMES: [&str; 9] = [
    "ours.test",
    "*.ours.test",
    "x.ours.test",
    "ours.com",
    "*.partner.com",
    "com",
    "*.com",
    "*.co.uk",
    "*",
];

/// Every way to write a recipient in `FOREIGN`; `OURS` stands for a domain that may be ours.
const FORMS: [&str; 24] = [
    "victim@FOREIGN",
    "postmaster@FOREIGN",
    "victim%FOREIGN@OURS",
    "victim%FOREIGN%OURS@OURS",
    "victim%OURS@FOREIGN",
    "FOREIGN!victim@OURS",
    "OURS!FOREIGN!victim@OURS",
    "FOREIGN!victim%OURS@OURS",
    "\"victim@FOREIGN\"@OURS",
    "\"victim%FOREIGN\"@OURS",
    "\"victim\\@FOREIGN\"@OURS",
    "\"FOREIGN!victim\"@OURS",
    "\"@OURS:victim@FOREIGN\"@OURS",
    "\"victim@FOREIGN@OURS\"@OURS",
    "IMCEASMTP-victim+40FOREIGN@OURS",
    "\"imceasmtp-victim+40FOREIGN\"@OURS",
    "\"\\IMCEASMTP-victim+40FOREIGN\"@OURS",
    "=?utf-8?q?victim=40FOREIGN?=@OURS",
    "\"=?utf-8?q?victim=40FOREIGN?=\"@OURS",
    "victim\u{ff20}FOREIGN@OURS",
    "victim@OURS.FOREIGN",
    "victim@x.FOREIGN",
    "victim@[198.51.100.25]",
    "victim@[IPv6:2001:db8::25]",
];

fn entries() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(select(&ENTRIES[..]), 0..4)
}

fn access() -> impl Strategy<Value = Access> {
    (any::<bool>(), entries()).prop_map(|(all_except, texts)| {
        if all_except {
            Access::all_except(list(&texts), "except", Place::Default)
        } else {
            Access::only_list(list(&texts), "allow", Place::Default)
        }
    })
}

fn accept_from() -> impl Strategy<Value = AcceptFrom> {
    prop_oneof![
        3 => Just(AcceptFrom::Anyone),
        1 => Just(AcceptFrom::Relay),
        1 => entries().prop_map(|texts| AcceptFrom::List(list(&texts))),
    ]
}

fn recipients() -> impl Strategy<Value = Recipients> {
    let asked = any::<bool>().prop_map(|accept_unasked| Recipients::Ask {
        source: RecipientSource::NextHop,
        accept_unasked,
        place: Place::Default,
    });
    let mut list = RecipientList::new(Place::Default);
    list.insert(&mailbox("bob@ours.test"));
    prop_oneof![
        3 => Just(Recipients::Any),
        1 => asked,
        1 => Just(Recipients::List(Arc::new(list))),
    ]
}

fn domain_rule() -> impl Strategy<Value = DomainRule> {
    let kinds = [DomainKind::Remote, DomainKind::Local, DomainKind::Blocked];
    let parts = (
        select(&NAMES[..]),
        select(kinds.to_vec()),
        accept_from(),
        recipients(),
    );
    parts.prop_map(|(name, kind, accept_from, recipients)| DomainRule {
        kind,
        accept_from,
        recipients,
        ..sample::remote(name)
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let domains = proptest::collection::vec(domain_rule(), 0..4);
    let parts = (
        access(),
        access(),
        entries(),
        domains,
        any::<bool>(),
        bound_clients(),
    );
    parts.prop_map(
        |(connect, access, deny, domains, unwanted, bound_clients)| {
            let mut rules = Rules::closed("internet");
            rules.connect = connect;
            rules.relay.access = access;
            rules.relay.deny = list(&deny);
            rules.relay.certificates = certificates();
            rules.domains = sample::domains(domains);
            rules.bound_clients = bound_clients.into();
            if unwanted {
                rules.dns_lists = Arc::new(wanted_everywhere());
            }
            rules
        },
    )
}

fn only_to() -> impl Strategy<Value = SendOnlyTo> {
    let all = [
        "hosted",
        "ours.test",
        "*.com",
        "elsewhere.example",
        "victim@xours.test",
    ];
    proptest::collection::vec(select(all.to_vec()), 1..3).prop_map(|texts| SendOnlyTo {
        recipients: (texts.iter())
            .map(|text| RecipientPattern::parse(text).unwrap())
            .collect(),
        place: Place::Default,
    })
}

fn bound_clients() -> impl Strategy<Value = Vec<BoundClients>> {
    let addresses = [
        "10.0.0.0/8",
        "203.0.113.0/24",
        "8.0.0.0/7",
        "0.0.0.0/0",
        "::/0",
    ];
    let bound = (select(addresses.to_vec()), only_to());
    let bound = bound.prop_map(|(clients, only_to)| BoundClients {
        clients: list(&[clients]),
        certificates: Vec::new(),
        only_to,
    });
    proptest::collection::vec(bound, 0..3)
}

fn certificates() -> Vec<CertificateEntry> {
    let entry = |pattern| CertificateEntry {
        pattern,
        text: "entry".into(),
        place: Place::Default,
    };
    let name = CertificatePattern::Name("mail.branch.test".into());
    vec![entry(CertificatePattern::Fingerprint([7; 32])), entry(name)]
}

/// Lists that welcome every client.
fn wanted_everywhere() -> DnsLists {
    let zone = Domain::parse("wanted.test").unwrap();
    DnsLists {
        lists: vec![DnsList {
            zone,
            codes: Vec::new(),
            weight: -100,
            reply: None,
            place: Place::Default,
        }],
        ..DnsLists::default()
    }
}

/// A stranger's address: anywhere, or at the edge of what lists hold.
fn address() -> impl Strategy<Value = IpAddr> {
    let edges = [
        "9.255.255.255",
        "11.0.0.0",
        "8.8.7.255",
        "8.8.9.0",
        "8.9.0.0",
        "203.0.113.8",
        "192.168.1.253",
        "172.17.0.2",
        "2600:0:1::",
        "2001:db9::",
        "::ffff:8.8.9.0",
        "127.0.0.1",
        "::1",
    ];
    let edges = edges.map(|text| text.parse::<IpAddr>().unwrap());
    prop_oneof![
        3 => any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        1 => any::<u128>().prop_map(|n| IpAddr::V6(Ipv6Addr::from(n))),
        2 => select(edges.to_vec()),
    ]
}

/// A stranger, with a certificate that almost permits to relay.
fn stranger() -> impl Strategy<Value = Client> {
    let parts = (address(), any::<bool>(), any::<bool>());
    parts.prop_map(|(address, shows, trusted)| {
        let local = "192.0.2.25:25".parse().unwrap();
        let name = if trusted {
            "mail.branch.test.stranger.net"
        } else {
            "mail.branch.test"
        };
        let certificate = Certificate {
            sha256: [8; 32],
            key_sha256: Some([8; 32]),
            names: [name.into()].into(),
            trust: if trusted { Trust::Ok } else { Trust::Unknown },
        };
        let tls = TlsFacts {
            version: "TLSv1.3",
            cipher: "x".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: Some(Arc::new(certificate)),
        };
        Client {
            tls: shows.then_some(tls),
            ..Client::new(SocketAddr::new(address, 1), local, "internet".into())
        }
    })
}

/// What the world can answer about a stranger and its recipient; the client's own name is its own
/// choice, outside of what lists hold.
fn answer(question: Question, named: bool) -> Answer {
    let name = Domain::parse("mx.office.test.stranger.net").unwrap();
    match question {
        Question::ConfirmedName(_) if named => Answer::ConfirmedName(Fact::Yes(name)),
        Question::ConfirmedName(_) => Answer::ConfirmedName(Fact::No),
        Question::Listings(_) => {
            let zone = Domain::parse("wanted.test").unwrap();
            let codes = [Ipv4Addr::new(127, 0, 0, 2)].into();
            Answer::Listings([Listing { zone, codes }].into())
        }
        Question::Recipient { mailbox, .. } => Answer::Recipient(mailbox, Fact::Yes(())),
        Question::Consult(_) => Answer::Consulted(Consulted::Passes),
        Question::Greylist(_) => Answer::Greylist(Greylisted::Passes(Familiar::Triplet)),
    }
}

/// A decision takes at most so many questions.
const QUESTIONS_MAX: usize = 4;

/// Whether a recipient is carried for `client`, connection control included.
fn is_carried(rules: &Rules, client: &Client, recipient: &Mailbox, named: bool) -> bool {
    conclude(rules, client, recipient, named, Facts::default()).is_some()
}

/// The recipient as it is admitted in the end, if it is.
fn conclude(
    rules: &Rules,
    client: &Client,
    recipient: &Mailbox,
    named: bool,
    mut facts: Facts,
) -> Option<Admitted> {
    for _ in 0..=QUESTIONS_MAX {
        let asked = match may_connect(rules, client, &facts) {
            Connect::Ask(question) => question,
            Connect::Refuse { .. } | Connect::Postpone { .. } => return None,
            Connect::Yes(_) => match decide(rules, client, &ReversePath::Null, recipient, &facts) {
                Decision::Ask(question) => question,
                Decision::Refuse { .. } | Decision::Postpone { .. } => return None,
                Decision::Carry { admitted, .. } => return Some(admitted),
            },
        };
        facts.answer(answer(asked, named));
    }
    panic!("one question after another about {recipient}");
}

fn holds(list: &List, address: IpAddr) -> bool {
    list.entries().iter().any(|entry| match &entry.clients {
        Clients::Range(range) => range.contains(address),
        Clients::Below(_) => false,
    })
}

/// Whether some rule speaks of this address as one that may do more than others: such a client is
/// no stranger.
fn is_listed(rules: &Rules, address: IpAddr) -> bool {
    let permits = |access: &Access| access.mode == Mode::OnlyList && holds(&access.list, address);
    let by_domain = |rule: &DomainRule| match &rule.accept_from {
        AcceptFrom::List(list) => holds(list, address),
        AcceptFrom::Anyone | AcceptFrom::Relay => false,
    };
    permits(&rules.connect) || permits(&rules.relay.access) || rules.domains.rules().any(by_domain)
}

fn recipient() -> impl Strategy<Value = String> {
    let ours = select(vec![
        "ours.test",
        "x.ours.test",
        "ours.com",
        "a.partner.com",
    ]);
    let foreign = select(vec![
        "elsewhere.example",
        "elsewhere.com",
        "xours.test",
        "com.test",
    ]);
    let parts = (select(&FORMS[..]), ours, foreign);
    parts.prop_map(|(form, ours, foreign)| form.replace("OURS", ours).replace("FOREIGN", foreign))
}

const CASES: u32 = 4096;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn closed_rules_carry_nothing_foreign_for_strangers(
        rules in rules(), client in stranger(), recipient in recipient(), named in any::<bool>(),
    ) {
        let recipient = mailbox(&recipient);
        let closed = posture([&rules]).is_closed() && !is_listed(&rules, client.address());
        prop_assert!(!(closed && is_carried(&rules, &client, &recipient, named)), "{recipient}");
    }

    /// To whom alone some may send takes away and never gives, of clients and users alike.
    #[test]
    fn what_is_not_permitted_is_permitted_by_no_bond(
        rules in rules(), client in stranger(), recipient in recipient(), named in any::<bool>(),
        (may_relay, of_user) in (any::<bool>(), proptest::collection::vec(only_to(), 0..3)),
    ) {
        let recipient = mailbox(&recipient);
        let client = Client { user: Some("ann".into()), ..client };
        let free = Rules { bound_clients: Arc::default(), ..rules.clone() };
        let facts = |only_to: &[SendOnlyTo]| Facts {
            rights: Some(Arc::new(Rights {
                may_relay,
                senders: Box::default(),
                only_to: only_to.into(),
                place: Place::Default,
            })),
            ..Facts::default()
        };
        let bound = conclude(&rules, &client, &recipient, named, facts(&of_user));
        let unbound = conclude(&free, &client, &recipient, named, facts(&[]));
        if bound.is_some() {
            prop_assert_eq!(&bound, &unbound, "{}", recipient);
        }
        if !is_bound(&rules, &client, &facts(&of_user)) {
            prop_assert_eq!(&bound, &unbound, "{}", recipient);
        }
    }

    /// And every explanation ends as the decision does, with at most one step that says no.
    #[test]
    fn explanations_agree_with_decisions(
        rules in rules(), client in stranger(), recipient in recipient(), named in any::<bool>(),
    ) {
        let recipient = mailbox(&recipient);
        let mut facts = Facts::default();
        let told = loop {
            let told = explain(&rules, &client, &ReversePath::Null, &recipient, &facts);
            let open = told.steps.iter().filter(|step| step.result == StepResult::Ask).count();
            prop_assert_eq!(open, usize::from(told.question.is_some()));
            match told.question {
                Some(question) => facts.answer(answer(question, named)),
                None => break told,
            }
        };
        let no = |step: &&Step| matches!(step.result, StepResult::Refuse | StepResult::Postpone);
        let refusals = told.steps.iter().filter(no).count();
        prop_assert_eq!(refusals, usize::from(!told.is_accepted()));
        prop_assert_eq!(told.is_accepted(), is_carried(&rules, &client, &recipient, named));
    }
}

/// The property is not empty: among the generated rules there are closed ones under which strangers
/// reach our own domains, and open ones under which they reach everything.
#[test]
fn the_property_sees_both_sides() {
    let client = Client::new(
        "198.51.100.77:1".parse().unwrap(),
        "192.0.2.25:25".parse().unwrap(),
        "internet".into(),
    );
    let mut rules = Rules::closed("internet");
    rules.domains = sample::domains([sample::remote("ours.test")]);
    assert!(posture([&rules]).is_closed());
    assert!(is_carried(
        &rules,
        &client,
        &mailbox("bob@ours.test"),
        false
    ));
    rules.relay.access = Access::all_except(List::default(), "except", Place::Default);
    assert!(!posture([&rules]).is_closed());
    for form in FORMS {
        let text = form
            .replace("OURS", "ours.test")
            .replace("FOREIGN", "elsewhere.example");
        assert!(
            is_carried(&rules, &client, &mailbox(&text), false),
            "{text}"
        );
    }
}

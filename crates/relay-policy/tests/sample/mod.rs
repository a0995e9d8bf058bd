//! A relay, and those who come to it; each test changes what it is about.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mail::{Certificate, Client, Domain, Mailbox, Place, ReversePath, TlsFacts, Trust};
use relay_policy::*;

pub const STRANGER: &str = "203.0.113.9";
pub const FRIEND: &str = "192.0.2.1";
pub const ABROAD: &str = "bob@elsewhere.test";

pub fn at(line: u32) -> Place {
    Place::line(&"gatepost.toml".into(), line, 1)
}

pub fn list(texts: &[&str]) -> List {
    List::from_texts(texts).unwrap()
}

pub fn remote(name: &str) -> DomainRule {
    DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default)
}

pub fn domains(rules: impl IntoIterator<Item = DomainRule>) -> Arc<DomainTable> {
    let mut table = DomainTable::default();
    for rule in rules {
        table.insert(rule);
    }
    Arc::new(table)
}

/// `hosted.test` is ours, and [`FRIEND`] may relay.
pub fn rules() -> Rules {
    let mut rules = Rules::closed("internet");
    rules.relay.access = Access::only_list(list(&[FRIEND]), "relay.allow", Place::Default);
    rules.domains = domains([remote("hosted.test")]);
    rules
}

pub fn client(address: &str) -> Client {
    let address: IpAddr = address.parse().unwrap();
    let local = "192.0.2.25:25".parse().unwrap();
    Client::new(SocketAddr::new(address, 40_000), local, "internet".into())
}

pub fn user(name: &str) -> Client {
    Client {
        user: Some(name.into()),
        ..client(STRANGER)
    }
}

/// Somebody with a certificate, whose key is pinned by the same octets.
pub fn holder(sha256: [u8; 32], names: &[&str], trust: Trust) -> Client {
    let certificate = Certificate {
        sha256,
        key_sha256: Some(sha256),
        names: names.iter().map(|name| (*name).into()).collect(),
        trust,
    };
    Client {
        tls: Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: Some(Arc::new(certificate)),
        }),
        ..client(STRANGER)
    }
}

/// What is known of a user; the rights stand in line 7.
pub fn rights(may_relay: bool, senders: &[&str]) -> Facts {
    let senders = senders.iter().map(|text| SenderPattern::parse(text));
    let rights = Rights {
        may_relay,
        senders: senders.collect::<Result<_, _>>().unwrap(),
        only_to: Box::default(),
        place: at(7),
    };
    Facts {
        rights: Some(Arc::new(rights)),
        ..Facts::default()
    }
}

pub fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

pub fn decided(rules: &Rules, client: &Client, from: &str, to: &str, facts: &Facts) -> Decision {
    let from = ReversePath::parse(from).unwrap();
    decide(rules, client, &from, &mailbox(to), facts)
}

/// The grounds, the reply or the question.
pub fn shown(decision: &Decision) -> String {
    match decision {
        Decision::Carry { admitted, .. } => admitted.grounds().to_string(),
        Decision::Refuse { reply, .. } | Decision::Postpone { reply, .. } => reply.to_string(),
        Decision::Ask(question) => format!("{question:?}"),
    }
}

/// Why, and by which line.
pub fn reason(decision: &Decision) -> String {
    match decision {
        Decision::Carry { why, .. }
        | Decision::Refuse { why, .. }
        | Decision::Postpone { why, .. } => format!("{why} ({})", why.place),
        Decision::Ask(question) => format!("{question:?}"),
    }
}

pub fn zone(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn dns_list(name: &str, weight: i32, codes: &[(&str, &str)], line: u32) -> DnsList {
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

pub fn with_dns_lists(lists: Vec<DnsList>, threshold: i32) -> Rules {
    let mut rules = rules();
    rules.dns_lists = Arc::new(DnsLists {
        lists,
        threshold,
        except: list(&["203.0.113.100", "*.partner.test"]),
    });
    rules
}

/// A list and its answers.
pub type Says<'a> = (&'a str, &'a [&'a str]);

pub fn named_by(answers: &[Says]) -> Facts {
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

pub fn listed_recipients() -> Recipients {
    let mut list = RecipientList::new(at(30));
    for one in ["bob@hosted.test", "Ann.Lee@hosted.test"] {
        list.insert(&mailbox(one));
    }
    Recipients::List(Arc::new(list))
}

pub fn asked_recipients(accept_unasked: bool) -> Recipients {
    Recipients::Ask {
        source: RecipientSource::NextHop,
        accept_unasked,
        place: at(31),
    }
}

pub fn with_recipients(recipients: Recipients, accept_from: AcceptFrom) -> Rules {
    let mut rules = rules();
    rules.domains = domains([DomainRule {
        recipients,
        accept_from,
        ..remote("hosted.test")
    }]);
    rules
}

pub fn known(recipient: &str, fact: Fact<()>) -> Facts {
    Facts {
        recipients: vec![(mailbox(recipient), fact)],
        ..rights(true, &[])
    }
}

pub fn with_certificates() -> Rules {
    let mut rules = rules();
    let entry = |pattern, text: &str, line| CertificateEntry {
        pattern,
        text: text.into(),
        place: at(line),
    };
    rules.relay.certificates = vec![
        entry(
            CertificatePattern::Fingerprint([7; 32]),
            "sha256:0707..",
            11,
        ),
        entry(
            CertificatePattern::Name("Mail.Branch.test".into()),
            "mail.branch.test",
            12,
        ),
        entry(CertificatePattern::Key([9; 32]), "spki:sha256:0909..", 13),
    ];
    rules
}

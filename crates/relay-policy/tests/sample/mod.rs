//! A relay, and those who come to it; each test changes what it is about.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mail::{Certificate, Client, Mailbox, Place, ReversePath, TlsFacts, Trust};
use relay_policy::*;

pub const STRANGER: &str = "203.0.113.9";
pub const FRIEND: &str = "192.0.2.1";

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

pub fn explained(
    rules: &Rules,
    client: &Client,
    from: &str,
    to: &str,
    facts: &Facts,
) -> Explanation {
    let from = ReversePath::parse(from).unwrap();
    explain(rules, client, &from, &mailbox(to), facts)
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

/// The step of this name, as `relay check` shows it.
pub fn step(told: &Explanation, name: &str) -> String {
    let step = told.steps.iter().find(|step| step.name == name);
    let Some(step) = step else {
        return "none".to_owned();
    };
    let place = step.place.as_ref().map(|place| format!(" ({place})"));
    format!("{} {}{}", step.result, step.text, place.unwrap_or_default())
}

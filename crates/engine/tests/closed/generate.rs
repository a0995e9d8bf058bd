//! Configurations and strangers, at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::parts::{
    Access, ConfigFile, Entry, From, HostedDomain, ListenerPart, Shown, Stranger, Written,
};

/// An entry; now and then one so wide that it opens the relay.
fn entry() -> impl Strategy<Value = Entry> {
    let bits = prop_oneof![20 => 18..=32_u32, 1 => 0..=8_u32];
    let block = (any::<u32>(), bits, any::<bool>()).prop_map(|(near, bits, mask)| {
        let host = u32::MAX.checked_shr(bits).unwrap_or(0);
        let written = if mask {
            Written::Mask
        } else {
            Written::Bits(bits)
        };
        Entry::V4(near & !host, near | host, written)
    });
    let v6 = (any::<u128>(), 49..=128_u32).prop_map(|(near, bits)| {
        let host = u128::MAX.checked_shr(bits).unwrap_or(0);
        // Where strangers' addresses are, too.
        let near = near >> 16 | 0x2600 << 112;
        Entry::V6(near & !host, near | host, bits)
    });
    let single = any::<u32>().prop_map(|n| Entry::V4(n, n, Written::Single));
    let range = (any::<u32>(), 0..5000_u32)
        .prop_map(|(n, more)| Entry::V4(n, n.saturating_add(more), Written::Range));
    let inner = Just(Entry::V4(10 << 24, (11 << 24) - 1, Written::Bits(8)));
    let name =
        select(vec!["office.test", "branch.test", "stranger.org", "com"]).prop_map(Entry::Below);
    prop_oneof![3 => single, 3 => block, 1 => v6, 2 => range, 2 => inner, 2 => name]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), 0..4)
}

fn everybody() -> Vec<Entry> {
    vec![
        Entry::V4(0, u32::MAX, Written::Bits(0)),
        Entry::V6(0, u128::MAX, 0),
    ]
}

fn relay() -> impl Strategy<Value = Access> {
    let only = |list| Access {
        all_except: false,
        list,
    };
    let except = |list| Access {
        all_except: true,
        list,
    };
    prop_oneof![
        8 => entries().prop_map(only),
        1 => entries().prop_map(except),
        1 => Just(except(everybody())),
    ]
}

fn connect() -> impl Strategy<Value = Access> {
    let only = |list| Access {
        all_except: false,
        list,
    };
    let except = |list| Access {
        all_except: true,
        list,
    };
    prop_oneof![4 => entries().prop_map(except), 1 => entries().prop_map(only)]
}

fn domain() -> impl Strategy<Value = HostedDomain> {
    const NAMES: [&str; 7] = [
        "ours.test",
        "*.ours.test",
        "relay.ours.test",
        "ours.com",
        "*.partner.com",
        "*.x.example",
        "elsewhere.example",
    ];
    let name = prop_oneof![12 => select(&NAMES[..]), 1 => Just("*")];
    let from = prop_oneof![
        3 => Just(From::Anyone),
        1 => Just(From::Relay),
        1 => entries().prop_map(From::List),
    ];
    let recipients = select(vec![
        "",
        "",
        "recipients = \"verify\"\nroute = \"10.0.0.5\"\n",
    ]);
    (
        name,
        select(vec!["remote", "remote", "local", "blocked"]),
        from,
        recipients,
    )
        .prop_map(|(name, kind, from, recipients)| HostedDomain {
            name,
            kind,
            from,
            recipients,
        })
}

fn listener(name: &'static str) -> impl Strategy<Value = ListenerPart> {
    let rest = [
        "proxy_protocol_from = [\"10.0.0.7\"]",
        "dnsbl = [{ zone = \"bl.test\" }, { zone = \"wl.test\", weight = -5 }]",
        "dnsbl_except = [\"0.0.0.0/0\"]",
        "relay.certificates = [\"partner.test\"]",
        "relay.signed_in = true",
        "tls = \"implicit\"",
    ];
    let kind = select(vec!["mx", "mx", "submission", "submissions"]);
    let auth = option::of(select(vec!["optional", "required"]));
    let hostname = option::of(select(vec!["mx.ours.test", "ours.test", "mx.other.test"]));
    let rest = proptest::sample::subsequence(rest.to_vec(), 0..rest.len());
    let lists = (connect(), option::of(relay()), entries());
    (prop::bool::weighted(0.1), kind, auth, hostname, lists, rest).prop_map(
        move |(is_loopback, kind, auth, hostname, (connect, relay, deny), rest)| ListenerPart {
            name: name.to_owned(),
            is_loopback,
            kind,
            auth,
            hostname,
            connect,
            relay,
            deny,
            rest,
        },
    )
}

pub fn config_file() -> impl Strategy<Value = ConfigFile> {
    let listeners = prop_oneof![
        listener("in").prop_map(|listener| vec![listener]),
        (listener("in"), listener("sub")).prop_map(|(one, other)| vec![one, other]),
    ];
    let blocked = proptest::sample::subsequence(vec!["<>", "spam.test", "*.ours.test"], 0..2);
    let sender_match = option::of(select(vec!["own", "off"]));
    let parts = (
        listeners,
        relay(),
        entries(),
        any::<bool>(),
        any::<bool>(),
        vec(domain(), 0..4),
        blocked,
        sender_match,
        select(vec![
            "",
            "",
            "\"203.0.113.0/24\"",
            "[\"0.0.0.0/1\", \"::/0\"]",
        ]),
    );
    parts.prop_map(
        |(
            listeners,
            relay,
            deny,
            certificates,
            signed_in,
            mut domains,
            blocked,
            sender_match,
            bound,
        )| {
            domains.sort_by_key(|domain| domain.name);
            domains.dedup_by_key(|domain| domain.name);
            ConfigFile {
                listeners,
                relay,
                deny,
                certificates,
                signed_in,
                domains,
                blocked,
                sender_match,
                bound,
            }
        },
    )
}

/// Somebody from anywhere, with the best that one can have without being named.
pub fn stranger() -> impl Strategy<Value = Stranger> {
    let address = prop_oneof![
        4 => any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from_bits(n))),
        1 => any::<u128>().prop_map(|n| IpAddr::V6(Ipv6Addr::from_bits(n >> 16 | 0x2600 << 112))),
        // As a socket for both families shows them.
        1 => any::<u32>().prop_map(|n| IpAddr::V6(Ipv4Addr::from_bits(n).to_ipv6_mapped())),
    ];
    let names = [
        "mx.office.test.stranger.net",
        "office.test",
        "xoffice.test",
        "mail.branch.test",
        "mx.stranger.org",
        "a.b.com",
    ];
    let shown = [
        Shown {
            name: "mail.branch.test.stranger.net",
            trusted: true,
        },
        Shown {
            name: "xpartner.test",
            trusted: true,
        },
        Shown {
            name: "mail.branch.test",
            trusted: false,
        },
        Shown {
            name: "partner.test",
            trusted: false,
        },
    ];
    let parts = (
        address,
        option::of(select(names.to_vec())),
        option::of(select(shown.to_vec())),
    );
    parts.prop_map(|(address, name, certificate)| Stranger {
        address,
        name,
        certificate,
    })
}

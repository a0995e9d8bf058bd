//! What configuration files are made of, and who is a stranger to them, in numbers of our own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// One entry of a list of clients.
#[derive(Debug, Clone)]
pub enum Entry {
    /// From, to, how it is written.
    V4(u32, u32, Written),
    /// From, to; always a block of so many bits.
    V6(u128, u128, u32),
    /// Hosts below this name.
    Below(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub enum Written {
    Single,
    Bits(u32),
    Mask,
    Range,
}

impl Entry {
    fn text(&self) -> String {
        let v4 = |number: &u32| Ipv4Addr::from_bits(*number);
        match self {
            Self::V4(first, _, Written::Single) => v4(first).to_string(),
            Self::V4(first, _, Written::Bits(bits)) => format!("{}/{bits}", v4(first)),
            Self::V4(first, last, Written::Mask) => {
                format!("{}/{}", v4(first), v4(&!(last - first)))
            }
            Self::V4(first, last, Written::Range) => format!("{}-{}", v4(first), v4(last)),
            Self::V6(first, _, bits) => format!("{}/{bits}", Ipv6Addr::from_bits(*first)),
            Self::Below(name) => format!("*.{name}"),
        }
    }

    fn names(&self, stranger: &Stranger) -> bool {
        match (self, stranger.number()) {
            (Self::V4(first, last, _), Number::V4(number)) => (*first..=*last).contains(&number),
            (Self::V6(first, last, _), Number::V6(number)) => (*first..=*last).contains(&number),
            (Self::Below(name), _) => stranger
                .name
                .is_some_and(|own| own.ends_with(&format!(".{name}"))),
            (Self::V4(..), Number::V6(_)) | (Self::V6(..), Number::V4(_)) => false,
        }
    }

    /// The addresses beside it.
    fn neighbours(&self) -> Vec<IpAddr> {
        match self {
            Self::V4(first, last, _) => {
                let beside = [first.checked_sub(1), last.checked_add(1)];
                let beside = beside.into_iter().flatten();
                beside.map(|n| Ipv4Addr::from_bits(n).into()).collect()
            }
            Self::V6(first, last, _) => {
                let beside = [first.checked_sub(1), last.checked_add(1)];
                let beside = beside.into_iter().flatten();
                beside.map(|n| Ipv6Addr::from_bits(n).into()).collect()
            }
            Self::Below(_) => Vec::new(),
        }
    }
}

/// One list and how it is read: `allow` of only-list, or `except` of all-except.
#[derive(Debug, Clone)]
pub struct Access {
    all_except: bool,
    list: Vec<Entry>,
}

/// Whom a domain's mail is taken from.
#[derive(Debug, Clone)]
enum From {
    Anyone,
    Relay,
    List(Vec<Entry>),
}

#[derive(Debug, Clone)]
struct Home {
    name: &'static str,
    kind: &'static str,
    from: From,
    recipients: &'static str,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Door {
    pub name: String,
    pub is_loopback: bool,
    kind: &'static str,
    auth: Option<&'static str>,
    hostname: Option<&'static str>,
    connect: Access,
    relay: Option<Access>,
    deny: Vec<Entry>,
    rest: Vec<&'static str>,
}

/// One configuration.
#[derive(Debug, Clone)]
pub struct World {
    pub doors: Vec<Door>,
    relay: Access,
    deny: Vec<Entry>,
    certificates: bool,
    signed_in: bool,
    homes: Vec<Home>,
    blocked: Vec<&'static str>,
    sender_match: Option<&'static str>,
}

/// Somebody who wants to relay.
#[derive(Debug, Clone)]
pub struct Stranger {
    pub address: IpAddr,
    pub name: Option<&'static str>,
    pub certificate: Option<Shown>,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub name: &'static str,
    pub trusted: bool,
}

enum Number {
    V4(u32),
    V6(u128),
}

impl Stranger {
    fn number(&self) -> Number {
        match self.address.to_canonical() {
            IpAddr::V4(address) => Number::V4(address.to_bits()),
            IpAddr::V6(address) => Number::V6(address.to_bits()),
        }
    }

    /// Whether it comes from the Internet at large.
    fn is_public(&self) -> bool {
        match self.number() {
            Number::V4(number) => match number >> 24 {
                0 | 10 | 100 | 127 | 169 | 172 | 192 | 198 | 203 | 224.. => false,
                1..224 => true,
            },
            Number::V6(number) => number >> 112 == 0x2600,
        }
    }
}

/// Domains that may be foreign.
const FOREIGN: [&str; 3] = [
    "elsewhere.example",
    "elsewhere.test",
    "ours.test.elsewhere.net",
];

impl World {
    /// A domain that no one can write to without being named somewhere.
    pub fn foreign(&self) -> Option<&'static str> {
        let is_taken = |domain: &str| {
            let mut homes = self.homes.iter().filter(|home| home.is_for_anyone());
            homes.any(|home| home.holds(domain))
        };
        FOREIGN.into_iter().find(|domain| !is_taken(domain))
    }

    /// A domain whose mail is taken from anyone.
    pub fn hosted(&self) -> Option<String> {
        let home = self.homes.iter().find(|home| home.is_for_anyone())?;
        Some(home.name.replacen('*', "x", 1))
    }

    /// Those of `strangers`, and of the neighbours of everybody who is named, whom no list lets in at `door`.
    pub fn strangers(&self, door: &Door, strangers: &[Stranger]) -> Vec<Stranger> {
        let lists = self.lists(door);
        let relay = door.relay.as_ref().unwrap_or(&self.relay);
        let beside = lists
            .iter()
            .flat_map(|entry| entry.neighbours())
            .take(NEIGHBOURS_MAX);
        let beside = beside.map(|address| Stranger {
            address,
            name: Some("mx.branch.test.stranger.net"),
            certificate: None,
        });
        let callers = strangers.iter().cloned().chain(beside);
        let is_stranger = |caller: &Stranger| {
            // All-except is closed when it leaves out the Internet; inner networks may remain.
            !lists.iter().any(|entry| entry.names(caller))
                && (!relay.all_except || caller.is_public())
        };
        callers.filter(is_stranger).collect()
    }

    /// Every entry by which somebody could be more than a stranger.
    fn lists<'a>(&'a self, door: &'a Door) -> Vec<&'a Entry> {
        let relay = door.relay.as_ref().unwrap_or(&self.relay);
        let only = [relay, &door.connect]
            .into_iter()
            .filter(|access| !access.all_except);
        let mut lists: Vec<&Entry> = only.flat_map(|access| &access.list).collect();
        for home in &self.homes {
            if let From::List(list) = &home.from {
                lists.extend(list);
            }
        }
        lists
    }

    pub fn text(&self) -> String {
        let mut text = String::from("hostname = \"relay.ours.test\"\n[relay]\n");
        self.relay.write(&mut text, "");
        write_list(&mut text, "deny", &self.deny);
        writeln!(text, "signed_in = {}", self.signed_in).unwrap();
        if self.certificates {
            let print = "07".repeat(32);
            writeln!(
                text,
                "certificates = [\"sha256:{print}\", \"mail.branch.test\"]"
            )
            .unwrap();
        }
        writeln!(text, "[senders]\nblocked = {:?}", self.blocked).unwrap();
        if let Some(word) = self.sender_match {
            writeln!(text, "[auth]\nsender_match = \"{word}\"").unwrap();
        }
        for home in &self.homes {
            home.write(&mut text);
        }
        for door in &self.doors {
            door.write(&mut text);
        }
        text
    }
}

/// Neighbours tried at one listener.
const NEIGHBOURS_MAX: usize = 4;

impl Access {
    fn write(&self, text: &mut String, prefix: &str) {
        let (mode, list) = if self.all_except {
            ("all-except", "except")
        } else {
            ("only-list", "allow")
        };
        writeln!(text, "{prefix}mode = \"{mode}\"").unwrap();
        write_list(text, &format!("{prefix}{list}"), &self.list);
    }
}

fn write_list(text: &mut String, key: &str, list: &[Entry]) {
    let entries: Vec<String> = list.iter().map(Entry::text).collect();
    writeln!(text, "{key} = {entries:?}").unwrap();
}

impl Home {
    fn is_for_anyone(&self) -> bool {
        self.kind != "blocked" && matches!(self.from, From::Anyone)
    }

    fn holds(&self, domain: &str) -> bool {
        match self.name.strip_prefix('*') {
            Some(below) => domain.ends_with(below),
            None => domain == self.name,
        }
    }

    fn write(&self, text: &mut String) {
        writeln!(text, "[domain.\"{}\"]\ntype = \"{}\"", self.name, self.kind).unwrap();
        if self.kind == "blocked" {
            return;
        }
        match &self.from {
            From::Anyone => {}
            From::Relay => text.push_str("accept_from = \"relay\"\n"),
            From::List(list) => write_list(text, "accept_from", list),
        }
        if self.kind == "remote" {
            text.push_str(self.recipients);
        }
    }
}

impl Door {
    fn write(&self, text: &mut String) {
        let host = if self.is_loopback {
            "127.0.0.1"
        } else {
            "0.0.0.0"
        };
        let (name, kind) = (&self.name, self.kind);
        writeln!(
            text,
            "[listener.{name}]\nbind = \"{host}:0\"\nkind = \"{kind}\""
        )
        .unwrap();
        if let Some(auth) = self.auth {
            writeln!(text, "auth = \"{auth}\"").unwrap();
        }
        if let Some(hostname) = self.hostname {
            writeln!(text, "hostname = \"{hostname}\"").unwrap();
        }
        self.connect.write(text, "connect.");
        if let Some(relay) = &self.relay {
            relay.write(text, "relay.");
        }
        write_list(text, "relay.deny", &self.deny);
        for line in &self.rest {
            writeln!(text, "{line}").unwrap();
        }
    }
}

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

fn home() -> impl Strategy<Value = Home> {
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
        .prop_map(|(name, kind, from, recipients)| Home {
            name,
            kind,
            from,
            recipients,
        })
}

fn door(name: &'static str) -> impl Strategy<Value = Door> {
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
        move |(is_loopback, kind, auth, hostname, (connect, relay, deny), rest)| Door {
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

pub fn world() -> impl Strategy<Value = World> {
    let doors = prop_oneof![
        door("in").prop_map(|door| vec![door]),
        (door("in"), door("sub")).prop_map(|(one, other)| vec![one, other]),
    ];
    let blocked = proptest::sample::subsequence(vec!["<>", "spam.test", "*.ours.test"], 0..2);
    let sender_match = option::of(select(vec!["own", "off"]));
    let parts = (
        doors,
        relay(),
        entries(),
        any::<bool>(),
        any::<bool>(),
        vec(home(), 0..4),
        blocked,
        sender_match,
    );
    parts.prop_map(
        |(doors, relay, deny, certificates, signed_in, mut homes, blocked, sender_match)| {
            homes.sort_by_key(|home| home.name);
            homes.dedup_by_key(|home| home.name);
            World {
                doors,
                relay,
                deny,
                certificates,
                signed_in,
                homes,
                blocked,
                sender_match,
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

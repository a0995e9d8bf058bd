//! What configuration files are made of, and who is a stranger to them, in numbers of our own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    pub all_except: bool,
    pub list: Vec<Entry>,
}

/// Whom a domain's mail is taken from.
#[derive(Debug, Clone)]
pub enum From {
    Anyone,
    Relay,
    List(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct HostedDomain {
    pub name: &'static str,
    pub kind: &'static str,
    pub from: From,
    pub recipients: &'static str,
}

/// One listener of the configuration.
#[derive(Debug, Clone)]
pub struct ListenerPart {
    pub name: String,
    pub is_loopback: bool,
    pub kind: &'static str,
    pub auth: Option<&'static str>,
    pub hostname: Option<&'static str>,
    pub connect: Access,
    pub relay: Option<Access>,
    pub deny: Vec<Entry>,
    pub rest: Vec<&'static str>,
}

/// One whole configuration, in parts from which the file is written.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    pub listeners: Vec<ListenerPart>,
    pub relay: Access,
    pub deny: Vec<Entry>,
    pub certificates: bool,
    pub signed_in: bool,
    pub domains: Vec<HostedDomain>,
    pub blocked: Vec<&'static str>,
    pub sender_match: Option<&'static str>,
    /// Clients that may send to some only, as `[[send_only_to]]` names them.
    pub bound: &'static str,
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

impl ConfigFile {
    /// A domain that no one can write to without being named somewhere.
    pub fn foreign(&self) -> Option<&'static str> {
        let is_taken = |domain: &str| {
            let mut domains = self.domains.iter().filter(|domain| domain.is_for_anyone());
            domains.any(|hosted| hosted.holds(domain))
        };
        FOREIGN.into_iter().find(|domain| !is_taken(domain))
    }

    /// A domain whose mail is taken from anyone.
    pub fn hosted(&self) -> Option<String> {
        let domain = self.domains.iter().find(|domain| domain.is_for_anyone())?;
        Some(domain.name.replacen('*', "x", 1))
    }

    /// Those of `strangers`, and of the neighbours of everybody who is named, whom no list lets in
    /// at `listener`.
    pub fn strangers(&self, listener: &ListenerPart, strangers: &[Stranger]) -> Vec<Stranger> {
        let lists = self.lists(listener);
        let relay = listener.relay.as_ref().unwrap_or(&self.relay);
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
    fn lists<'a>(&'a self, listener: &'a ListenerPart) -> Vec<&'a Entry> {
        let relay = listener.relay.as_ref().unwrap_or(&self.relay);
        let only = [relay, &listener.connect]
            .into_iter()
            .filter(|access| !access.all_except);
        let mut lists: Vec<&Entry> = only.flat_map(|access| &access.list).collect();
        for domain in &self.domains {
            if let From::List(list) = &domain.from {
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
        if !self.bound.is_empty() {
            let to = "recipients = [\"hosted\", \"elsewhere.example\"]";
            writeln!(text, "[[send_only_to]]\nclients = {}\n{to}", self.bound).unwrap();
        }
        for domain in &self.domains {
            domain.write(&mut text);
        }
        for listener in &self.listeners {
            listener.write(&mut text);
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

impl HostedDomain {
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

impl ListenerPart {
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

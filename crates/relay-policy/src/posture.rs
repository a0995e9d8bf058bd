//! Whether a set of rules makes an open relay.
//!
//! *Open* means: on a listener that strangers can reach (not bound to loopback only; a connect rule that keeps strangers out is taken
//! into account by what it lets in), the clients permitted to relay, less those denied, hold more public addresses than
//! [`PUBLIC_ADDRESSES_MAX`] however the list is split, or a host name at or above a public suffix; or a domain that is taken from
//! strangers is `*` or a public suffix. Every hole comes with an example that [`decide`] itself carries.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Domain, Mailbox, Place, ReversePath};

use crate::reach::Reach;
use crate::{
    AcceptFrom, Access, Clients, Connect, Decision, DomainKind, DomainRule, Entry, Fact, Facts,
    List, Mode, NamePattern, Rules, decide, may_connect, suffix,
};

/// So many public addresses may be permitted to relay on a listener that strangers can reach; one more makes an open relay. An
/// IPv6 /64 counts as one address.
pub const PUBLIC_ADDRESSES_MAX: u128 = 65_536;

/// An entry that holds more public addresses than this is worth a warning.
const PUBLIC_ADDRESSES_PER_ENTRY_MAX: u128 = 256;

/// What a set of rules amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Posture {
    /// The ways in which it is an open relay; none: it is closed.
    pub holes: Vec<Hole>,
    /// What is not open but looks wrong.
    pub suspicions: Vec<Suspicion>,
}

impl Posture {
    /// No stranger can relay.
    pub fn is_closed(&self) -> bool {
        self.holes.is_empty()
    }
}

/// One way in which strangers can relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The listener through which they come.
    pub listener: Arc<str>,
    /// Where that listener is configured.
    pub listener_place: Place,
    /// What lets them.
    pub kind: HoleKind,
    /// The line that lets them.
    pub place: Place,
    /// An example that [`crate::decide`] carries.
    pub proof: Proof,
}

/// What makes a relay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoleKind {
    /// All but so many entries may relay.
    AllExcept {
        /// Entries in `except`.
        entries: usize,
    },
    /// The permitted addresses hold too many public ones.
    TooManyAddresses {
        /// How many; an IPv6 /64 counts as one.
        public: u128,
    },
    /// A permitted host name is a public suffix or above one.
    WideName {
        /// The entry.
        entry: Arc<str>,
    },
    /// A domain that is taken from strangers is `*` or a public suffix.
    WideDomain {
        /// The configured name.
        name: Arc<str>,
    },
}

/// A client and a recipient that show the hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The client.
    pub client: IpAddr,
    /// Its confirmed name, when the hole is a name.
    pub client_name: Option<Domain>,
    /// The recipient.
    pub recipient: Mailbox,
}

/// A rule that is not open but looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// What looks wrong.
    pub text: String,
    /// Where it was written.
    pub place: Place,
}

/// Says whether these listeners make an open relay, each hole with a proof. What several listeners share is told once.
pub fn posture<'a>(listeners: impl IntoIterator<Item = &'a Rules>) -> Posture {
    let mut posture = Posture::default();
    for rules in listeners
        .into_iter()
        .filter(|rules| !rules.listener.is_loopback_only())
    {
        let told = |hole: &Hole, holes: &[Hole]| {
            holes
                .iter()
                .any(|h| h.kind == hole.kind && h.place == hole.place)
        };
        for hole in holes(rules) {
            if !told(&hole, &posture.holes) {
                posture.holes.push(hole);
            }
        }
        for suspicion in suspicions(rules) {
            if !posture.suspicions.contains(&suspicion) {
                posture.suspicions.push(suspicion);
            }
        }
    }
    posture
}

/// Clients of one rule as far as strangers are concerned: the addresses, and a name that everybody can have.
struct Crowd<'a> {
    addresses: Reach,
    wide: Option<&'a Entry>,
}

impl<'a> Crowd<'a> {
    fn anyone() -> Self {
        Self {
            addresses: Reach::everywhere(),
            wide: None,
        }
    }

    fn of_list(list: &'a List) -> Self {
        Self {
            addresses: Reach::of_list(list),
            wide: wide_entry(list),
        }
    }

    fn of_access(access: &'a Access) -> Self {
        match access.mode {
            Mode::OnlyList => Self::of_list(&access.list),
            Mode::AllExcept => Self {
                addresses: Reach::of_access(access),
                wide: None,
            },
        }
    }

    /// Where they can come from: whoever can have a name can have it anywhere.
    fn origin(&self) -> Reach {
        if self.wide.is_some() {
            Reach::everywhere()
        } else {
            self.addresses.clone()
        }
    }
}

fn wide_entry(list: &List) -> Option<&Entry> {
    list.entries().iter().find(|entry| match &entry.clients {
        Clients::Below(name) => suffix::is_wide(name),
        Clients::Range(_) => false,
    })
}

fn is_many(reach: &Reach) -> bool {
    reach.public_count() > PUBLIC_ADDRESSES_MAX
}

fn holes(rules: &Rules) -> Vec<Hole> {
    let connect = Crowd::of_access(&rules.connect);
    let entrance = connect.origin();
    let mut holes = relay_holes(rules, &connect, &entrance);
    let mut domains: Vec<Hole> = rules
        .domains
        .rules()
        .filter_map(|rule| domain_hole(rules, rule, &connect, &entrance))
        .collect();
    domains.sort_by_key(|hole| place_order(&hole.place));
    holes.append(&mut domains);
    holes
}

fn place_order(place: &Place) -> (Option<Arc<str>>, u32) {
    match place {
        Place::Default => (None, 0),
        Place::Line { file, line, .. } => (Some(file.clone()), *line),
    }
}

fn relay_holes(rules: &Rules, connect: &Crowd, entrance: &Reach) -> Vec<Hole> {
    let access = &rules.relay.access;
    let crowd = Crowd::of_access(access);
    let denied = Reach::of_list(&rules.relay.deny);
    let open = entrance.without(&denied);
    let permitted = open.intersected(&crowd.addresses);
    let mut holes = Vec::new();
    if is_many(&permitted) {
        let (kind, place) = match access.mode {
            Mode::AllExcept => {
                let entries = access.list.entries().len();
                (HoleKind::AllExcept { entries }, access.place.clone())
            }
            Mode::OnlyList => {
                let public = permitted.public_count();
                (
                    HoleKind::TooManyAddresses { public },
                    access.list.place().clone(),
                )
            }
        };
        holes.extend(hole(
            rules,
            kind,
            place,
            &permitted,
            &[connect.wide],
            &NamePattern::Any,
        ));
    }
    if let Some(entry) = crowd.wide.filter(|_| is_many(&open)) {
        let kind = HoleKind::WideName {
            entry: entry.text.clone(),
        };
        let wide = [Some(entry), connect.wide];
        holes.extend(hole(
            rules,
            kind,
            entry.place.clone(),
            &open,
            &wide,
            &NamePattern::Any,
        ));
    }
    holes
}

fn domain_hole(
    rules: &Rules,
    rule: &DomainRule,
    connect: &Crowd,
    entrance: &Reach,
) -> Option<Hole> {
    let wide = match &rule.pattern {
        NamePattern::Any => true,
        NamePattern::Below(name) => suffix::is_wide(name),
        NamePattern::Exact(name) => suffix::is_registry(name),
    };
    let crowd = match (rule.kind, &rule.accept_from) {
        (DomainKind::Blocked, _) | (_, AcceptFrom::Relay) => return None,
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Anyone) => Crowd::anyone(),
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::List(list)) => Crowd::of_list(list),
    };
    let from = entrance.intersected(&crowd.origin());
    if !wide || !is_many(&from) {
        return None;
    }
    let kind = HoleKind::WideDomain {
        name: rule.name.clone(),
    };
    hole(
        rules,
        kind,
        rule.place.clone(),
        &from,
        &[crowd.wide, connect.wide],
        &rule.pattern,
    )
}

/// The hole, if there is an example that `decide` carries; there is none when a deny list closes it by name.
fn hole(
    rules: &Rules,
    kind: HoleKind,
    place: Place,
    from: &Reach,
    wide: &[Option<&Entry>],
    recipients: &NamePattern,
) -> Option<Hole> {
    let client = from.example()?;
    let names = client_names(wide);
    let recipients: Vec<Mailbox> = example_recipients(recipients).collect();
    let mut proofs = names.iter().flat_map(|name| {
        recipients.iter().map(move |recipient| Proof {
            client,
            client_name: name.clone(),
            recipient: recipient.clone(),
        })
    });
    let proof = proofs.find(|proof| is_carried(rules, proof))?;
    let listener = &rules.listener;
    Some(Hole {
        listener: listener.name.clone(),
        listener_place: listener.place.clone(),
        kind,
        place,
        proof,
    })
}

/// Names under which a stranger can have a host; none when no rule asks for one.
fn client_names(wide: &[Option<&Entry>]) -> Vec<Option<Domain>> {
    let mut names: Vec<Option<Domain>> = Vec::new();
    for entry in wide.iter().flatten() {
        let Clients::Below(suffix) = &entry.clients else {
            continue;
        };
        for host in ["host.stranger", "stranger", "mail.somebody-else"] {
            names.extend(Domain::parse(&format!("{host}.{suffix}")).ok().map(Some));
        }
    }
    if names.is_empty() { vec![None] } else { names }
}

/// Recipients that are not ours by any sensible configuration, within a pattern.
fn example_recipients(pattern: &NamePattern) -> impl Iterator<Item = Mailbox> + use<> {
    let hosts: Vec<String> = match pattern {
        NamePattern::Exact(name) => vec![name.to_string()],
        NamePattern::Below(name) => ["elsewhere", "somewhere-else", "x.elsewhere"]
            .map(|l| format!("{l}.{name}"))
            .to_vec(),
        NamePattern::Any => [
            "elsewhere.example",
            "somewhere-else.example",
            "elsewhere.com",
            "elsewhere.invalid",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    hosts
        .into_iter()
        .filter_map(|host| Mailbox::parse(&format!("someone@{host}")).ok())
}

/// Plays the proof through the code that the live relay runs.
fn is_carried(rules: &Rules, proof: &Proof) -> bool {
    let peer = SocketAddr::new(proof.client, 25);
    let local = rules.listener.binds.first().copied().unwrap_or(peer);
    let client = Client::new(peer, local, rules.listener.name.clone());
    let name = proof.client_name.clone().map_or(Fact::No, Fact::Yes);
    let facts = Facts {
        confirmed_name: Some(name),
    };
    let sender = Mailbox::parse("someone@stranger.example").map(ReversePath::Mailbox);
    let senders = [sender.unwrap_or(ReversePath::Null), ReversePath::Null];
    matches!(may_connect(rules, &client, &facts), Connect::Yes(_))
        && senders.iter().any(|sender| {
            let decision = decide(rules, &client, sender, &proof.recipient, &facts);
            matches!(decision, Decision::Carry { .. })
        })
}

/// Rules that are closed by the letter and may be open in fact.
fn suspicions(rules: &Rules) -> Vec<Suspicion> {
    let access = &rules.relay.access;
    if access.mode == Mode::AllExcept || rules.connect.mode == Mode::OnlyList {
        return Vec::new();
    }
    let denied = Reach::of_list(&rules.relay.deny);
    access
        .list
        .entries()
        .iter()
        .filter_map(|entry| suspicion(entry, &denied))
        .collect()
}

fn suspicion(entry: &Entry, denied: &Reach) -> Option<Suspicion> {
    let Clients::Range(range) = &entry.clients else {
        return None;
    };
    let reach = Reach::of_range(range).without(denied);
    let shown = &entry.text;
    let text = if range.first() == range.last()
        && is_gateway(range.first())
        && reach.example().is_some()
    {
        format!(
            "{shown} looks like a gateway: behind a gateway that hides clients' addresses, every stranger has that one"
        )
    } else if let Some(bridge) = BRIDGES
        .iter()
        .find(|bridge| reach.contains(IpAddr::V4(**bridge)))
    {
        format!(
            "{shown} holds {bridge}, which is usually a container bridge: every stranger has that address behind one"
        )
    } else if reach.public_count() > PUBLIC_ADDRESSES_PER_ENTRY_MAX {
        format!(
            "{shown} holds {} public addresses: everybody there may send anywhere",
            reach.public_count()
        )
    } else {
        return None;
    };
    Some(Suspicion {
        text,
        place: entry.place.clone(),
    })
}

/// Where Docker and Podman put the host's end of their networks.
const BRIDGES: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 17, 0, 1), Ipv4Addr::new(10, 88, 0, 1)];

/// The first address of a private network is the router's, by custom.
fn is_gateway(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_private() && a.octets()[3] == 1,
        IpAddr::V6(_) => false,
    }
}

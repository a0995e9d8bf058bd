use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Domain, Mailbox, Place, ReversePath};
use relay_policy::{
    AcceptFrom, Access, Clients, Connect, Consulted, Decision, DomainKind, DomainRule, Entry, Fact,
    Facts, Familiar, Greylisted, List, Mode, NamePattern, Rules, decide, may_connect,
};

use crate::reach::Reach;
use crate::suffix;

/// So many public addresses may be permitted to relay on a listener that strangers can reach; one
/// more makes an open relay. An IPv6 /64 counts as one address.
pub const PUBLIC_ADDRESSES_MAX: u128 = 65_536;

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
    /// An example that [`relay_policy::decide`] carries.
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
        /// The list entry with that name, as it was written.
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
    /// The address of a client that can relay through the hole.
    pub client: IpAddr,
    /// Its confirmed name, when the hole is a name.
    pub client_name: Option<Domain>,
    /// The recipient to whom that client can send.
    pub recipient: Mailbox,
}

/// `203.0.113.9 may send to someone@elsewhere.example through internet (gatepost.toml:13)`
impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proof {
            client, recipient, ..
        } = &self.proof;
        let (listener, place) = (mail::escaped(&self.listener), &self.place);
        write!(
            f,
            "{client} may send to {recipient} through {listener} ({place})"
        )
    }
}

/// Clients of one rule as far as strangers are concerned: the addresses, and a name that everybody
/// can have.
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

/// So many public addresses may a filter have; one more is no filter.
const FILTER_ADDRESSES_MAX: u128 = 256;

fn is_many(reach: &Reach) -> bool {
    reach.public_count() > PUBLIC_ADDRESSES_MAX
}

/// Whether these may not all relay by these rules.
fn are_strangers(rules: &Rules, reach: &Reach) -> bool {
    is_many(reach) || rules.is_way_back() && reach.public_count() > FILTER_ADDRESSES_MAX
}

/// The ways in which one listener's rules let strangers relay.
pub(crate) fn holes(rules: &Rules) -> Vec<Hole> {
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
        Place::Default | Place::Preset => (None, 0),
        Place::Line { file, line, .. } => (Some(file.clone()), *line),
    }
}

fn relay_holes(rules: &Rules, connect: &Crowd, entrance: &Reach) -> Vec<Hole> {
    let access = &rules.relay.access;
    let crowd = Crowd::of_access(access);
    let denied = Reach::of_list(&rules.relay.deny);
    let open = entrance.without(&denied);
    let permitted = open.intersected(&crowd.addresses);
    let foreign = || foreign_recipients(rules);
    let mut holes = Vec::new();
    if are_strangers(rules, &permitted) {
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
            foreign(),
        ));
    }
    if let Some(entry) = crowd.wide.filter(|_| are_strangers(rules, &open)) {
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
            foreign(),
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
        example_recipients(&rule.pattern).collect(),
    )
}

/// The hole, if there is an example that `decide` carries; there is none when a deny list closes it
/// by name.
fn hole(
    rules: &Rules,
    kind: HoleKind,
    place: Place,
    from: &Reach,
    wide: &[Option<&Entry>],
    recipients: Vec<Mailbox>,
) -> Option<Hole> {
    let client = from.example()?;
    let names = client_names(wide);
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

/// Recipients for which a client has to be one that may relay: elsewhere, at an address, and with a
/// route to elsewhere at domains of ours.
fn foreign_recipients(rules: &Rules) -> Vec<Mailbox> {
    let ours = rules.domains.rules().flat_map(|rule| hosts(&rule.pattern));
    let routed = ours.filter_map(|host| {
        let text = format!("someone%elsewhere.example@{host}");
        Mailbox::parse(&text).ok()
    });
    let at_address = Mailbox::parse("someone@[203.0.113.25]").ok();
    let elsewhere = example_recipients(&NamePattern::Any);
    elsewhere.chain(at_address).chain(routed).collect()
}

/// Recipients within a pattern; every domain has a postmaster, whatever its list of recipients
/// says.
fn example_recipients(pattern: &NamePattern) -> impl Iterator<Item = Mailbox> + use<> {
    let texts = |host: String| [format!("someone@{host}"), format!("postmaster@{host}")];
    let texts = hosts(pattern).into_iter().flat_map(texts);
    texts.filter_map(|text| Mailbox::parse(&text).ok())
}

/// Hosts within a pattern; if it is a wide one, they are not ours by any sensible configuration.
fn hosts(pattern: &NamePattern) -> Vec<String> {
    match pattern {
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
    }
}

/// Plays the proof through the code that the live relay runs.
fn is_carried(rules: &Rules, proof: &Proof) -> bool {
    let peer = SocketAddr::new(proof.client, 25);
    let local = rules.listener.binds.first().copied().unwrap_or(peer);
    let client = Client::new(peer, local, rules.listener.name.clone());
    let name = proof.client_name.clone().map_or(Fact::No, Fact::Yes);
    // The most that a stranger can hope for: no DNS list names it, the recipient exists, they were here
    // before, and no policy service has anything against it.
    let facts = Facts {
        confirmed_name: Some(name),
        listings: Some(Arc::default()),
        recipients: vec![(proof.recipient.clone(), Fact::Yes(()))],
        greylisted: Some(Greylisted::Passes(Familiar::Triplet)),
        consulted: Some(Consulted::Passes),
        now: None,
        rights: None,
        came_of_ours: false,
    };
    let sender = Mailbox::parse("someone@stranger.example").map(ReversePath::Mailbox);
    let senders = [sender.unwrap_or(ReversePath::Null), ReversePath::Null];
    matches!(may_connect(rules, &client, &facts), Connect::Yes(_))
        && senders.iter().any(|sender| {
            let decision = decide(rules, &client, sender, &proof.recipient, &facts);
            matches!(decision, Decision::Carry { .. })
        })
}

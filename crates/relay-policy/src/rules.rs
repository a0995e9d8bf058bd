use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Place};

use crate::{
    Access, CertificateEntry, DnsLists, DomainTable, Forwards, Greylisting, List, PolicyService,
    Rewriting, SendOnlyTo, SenderMatch, SenderPattern, SenderRules,
};

/// What one listener's sessions are decided by. Immutable; a reload makes new ones.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which listener these are for.
    pub listener: Listener,
    /// Who may connect at all.
    pub connect: Access,
    /// Who may send to domains that are not ours.
    pub relay: RelayRule,
    /// What accounts of this machine may do, where these rules are for a way of local submission.
    /// Nothing, where they are for a listener.
    pub local: Option<LocalRule>,
    /// The listener is the way back from a filter, for its clients alone: those on the list of
    /// `relay`.
    pub way_back: Option<Arc<WayBack>>,
    /// Clients that may send to some recipients only.
    pub bound_clients: Arc<[BoundClients]>,
    /// Domains of ours, and blocked ones.
    pub domains: Arc<DomainTable>,
    /// Whose mail goes on to others.
    pub forwards: Arc<Forwards>,
    /// At which domain bounces of forwarded messages are taken, to be turned back to the sender.
    pub rewriting: Option<Arc<Rewriting>>,
    /// Senders from whom nothing is taken.
    pub senders: Arc<SenderRules>,
    /// Whether users may send only under their own names.
    pub sender_match: SenderMatch,
    /// Where that was written.
    pub sender_match_place: Place,
    /// DNS lists of unwanted (and wanted) clients.
    pub dns_lists: Arc<DnsLists>,
    /// Whom greylisting does not delay; `None`: it delays nobody.
    pub greylisting: Option<Arc<Greylisting>>,
    /// Policy services, in the order in which they are asked.
    pub policies: Arc<[PolicyService]>,
}

/// What decisions and explanations know of a listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it listens.
    pub binds: Vec<SocketAddr>,
    /// Whether sessions are encrypted.
    pub tls: Demand,
    /// Clients from whom STARTTLS is withheld: their TLS is too old, and nothing comes of a
    /// handshake. Addresses only.
    pub starttls_except: List,
    /// Whether users sign in.
    pub sign_in: Demand,
    /// Where users may sign in, for the advice in explanations: `port 587`. `None` when nowhere.
    pub sign_in_at: Option<Arc<str>>,
    /// Where it was configured.
    pub place: Place,
}

impl Listener {
    /// Whether `client`, which is not encrypted yet, may encrypt.
    pub fn offers_tls(&self, client: &Client) -> bool {
        self.tls.offered && !self.starttls_except.holds(client.address())
    }

    /// Whether only this machine can connect. A private address proves nothing: a firewall may
    /// publish it.
    pub fn is_loopback_only(&self) -> bool {
        self.binds
            .iter()
            .all(|bind| bind.ip().to_canonical().is_loopback())
    }
}

/// How much a listener wants something of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Whether it is offered.
    pub offered: bool,
    /// Whether nothing goes without.
    pub required: bool,
    /// Where that was configured.
    pub place: Place,
}

impl Demand {
    /// Neither offered nor required.
    pub fn off() -> Self {
        Self {
            offered: false,
            required: false,
            place: Place::Default,
        }
    }
}

/// `[relay]`, as it holds for one listener.
#[derive(Debug, Clone)]
pub struct RelayRule {
    /// Clients that may relay.
    pub access: Access,
    /// Client certificates whose holders may.
    pub certificates: Vec<CertificateEntry>,
    /// Clients that never may, whatever else permits them.
    pub deny: List,
    /// Whether users who signed in may relay regardless of the list.
    pub signed_in: bool,
    /// Where `signed_in` was written.
    pub signed_in_place: Place,
}

/// A listener is the way back from a filter: for that alone, whose clients are those that may relay
/// there. What comes was let in before it went to the filter, or is the filter's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The filter.
    pub filter: Arc<str>,
    /// Where it is configured.
    pub place: Place,
}

/// `relay.pickup` or `relay.submit`, with the senders and recipients that may be named there.
#[derive(Debug, Clone)]
pub struct LocalRule {
    /// What the rule is called in explanations: `relay.submit`.
    pub name: &'static str,
    /// Whether they may relay.
    pub may_relay: bool,
    /// Where that was written.
    pub place: Place,
    /// The senders that they may name; none: any.
    pub senders: Box<[SenderPattern]>,
    /// Where those were written.
    pub senders_place: Place,
    /// To whom alone they may send, where that is said.
    pub only_to: Option<SendOnlyTo>,
}

/// To whom alone some clients may send.
#[derive(Debug, Clone)]
pub struct BoundClients {
    /// The clients, by address alone: nobody gets out of it by another name.
    pub clients: List,
    /// Those who show one of these certificates, from wherever they come.
    pub certificates: Vec<CertificateEntry>,
    /// To whom they may send.
    pub only_to: SendOnlyTo,
}

impl RelayRule {
    /// Nobody by address; users who signed in: what an empty `[relay]` says.
    pub fn closed() -> Self {
        Self {
            access: Access::only_list(List::default(), "relay.allow", Place::Default),
            certificates: Vec::new(),
            deny: List::default(),
            signed_in: true,
            signed_in_place: Place::Default,
        }
    }
}

impl Rules {
    /// They are for the way back from a filter.
    pub fn is_way_back(&self) -> bool {
        self.way_back.is_some()
    }

    /// The closed door: anyone may connect to `listener` on port 25, no domain is ours, nobody may
    /// relay.
    pub fn closed(listener: &str) -> Self {
        Self {
            listener: Listener {
                name: listener.into(),
                binds: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 25)],
                tls: Demand::off(),
                starttls_except: List::default(),
                sign_in: Demand::off(),
                sign_in_at: None,
                place: Place::Default,
            },
            connect: Access::all_except(List::default(), "connect.except", Place::Default),
            relay: RelayRule::closed(),
            local: None,
            way_back: None,
            bound_clients: Arc::default(),
            domains: Arc::default(),
            forwards: Arc::default(),
            rewriting: None,
            senders: Arc::default(),
            sender_match: SenderMatch::default(),
            sender_match_place: Place::Default,
            dns_lists: Arc::default(),
            greylisting: None,
            policies: Arc::default(),
        }
    }
}

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Domain, Mailbox};
use relay_policy::{Clients, Connect, Fact, Facts, Rules, is_permitted, may_connect};

use crate::posture::posture;

/// Who comes to a listener.
#[derive(Debug, Clone)]
pub struct Caller {
    /// From where, and with which certificate if it encrypts.
    pub client: Client,
    /// Its name by forward-confirmed reverse DNS, if it has one.
    pub name: Option<Domain>,
}

impl Caller {
    fn facts(&self) -> Facts {
        Facts {
            confirmed_name: Some(self.name.clone().map_or(Fact::No, Fact::Yes)),
            ..Facts::default()
        }
    }
}

/// Somebody at `address` who comes to the listener of `rules`.
pub(super) fn client(rules: &Rules, address: IpAddr) -> Client {
    let listener = &rules.listener;
    let local = listener.binds.first().copied();
    let local = local.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 25)));
    let peer = SocketAddr::new(address, 49_152);
    Client::new(peer, local, Arc::clone(&listener.name))
}

/// Who relays by the rules themselves, and to whom, if the posture knows of somebody.
pub(super) fn example_of_a_hole(rules: &Rules) -> Option<(Caller, Mailbox)> {
    let hole = posture([rules]).holes.into_iter().next()?;
    let caller = Caller {
        client: client(rules, hole.proof.client),
        name: hole.proof.client_name,
    };
    Some((caller, hole.proof.recipient))
}

/// Somebody without a name who may connect and not relay.
pub(super) fn stranger(rules: &Rules) -> Option<Caller> {
    // Where only a list may connect, a stranger is one of those who may not relay.
    let entries = rules.connect.list.entries().iter();
    let known = entries
        .filter_map(|entry| edges(&entry.clients))
        .flat_map(|(first, last)| [first, last]);
    let anywhere = anywhere().into_iter();
    let mut callers = anywhere.chain(known).map(|address| Caller {
        client: client(rules, address),
        name: None,
    });
    callers.find(|caller| is_stranger(rules, caller))
}

fn is_stranger(rules: &Rules, caller: &Caller) -> bool {
    let facts = caller.facts();
    matches!(may_connect(rules, &caller.client, &facts), Connect::Yes(_))
        && !is_permitted(rules, &caller.client, &facts)
}

/// The first and the last address that an entry of a list names.
pub(super) fn edges(clients: &Clients) -> Option<(IpAddr, IpAddr)> {
    match clients {
        Clients::Range(range) => Some((range.first(), range.last())),
        Clients::Below(_) => None,
    }
}

/// Addresses to come from: those kept for examples, then some of everywhere, this machine last.
fn anywhere() -> [IpAddr; 10] {
    let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    [
        v4(203, 0, 113, 9),
        v4(198, 51, 100, 9),
        v4(192, 0, 2, 9),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9)),
        v4(8, 8, 8, 8),
        v4(81, 2, 69, 142),
        v4(10, 99, 99, 99),
        v4(172, 31, 99, 99),
        v4(192, 168, 199, 199),
        v4(127, 0, 0, 9),
    ]
}

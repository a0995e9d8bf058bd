//! Who is connected: counts per listener and per client, so that no stranger takes all places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Of a listener's places, so many in a hundred are kept for clients that may relay: strangers
/// cannot shut out the mail server.
const RESERVED_PERCENT: u32 = 10;
/// A client that may relay gets this many times the places of a stranger.
const PERMITTED_FACTOR: u32 = 10;

/// All sessions of one relay.
#[derive(Default)]
pub(crate) struct Sessions {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    by_listener: HashMap<Arc<str>, u32>,
    by_client: HashMap<(Arc<str>, IpAddr), u32>,
}

/// How many a listener takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotLimits {
    pub(crate) in_all: u32,
    pub(crate) per_client: u32,
}

/// One session's place; given back when dropped.
pub(crate) struct Slot {
    counts: Arc<Mutex<Counts>>,
    listener: Arc<str>,
    client: IpAddr,
}

impl Sessions {
    /// A place for a session of `client`, or none when its share or the listener is full.
    pub(crate) fn enter(
        &self,
        listener: &Arc<str>,
        client: IpAddr,
        permitted: bool,
        places: SlotLimits,
    ) -> Option<Slot> {
        let client = network(client);
        let (in_all, per_client) = if permitted {
            (
                places.in_all,
                places.per_client.saturating_mul(PERMITTED_FACTOR),
            )
        } else {
            (
                places.in_all - places.in_all * RESERVED_PERCENT / 100,
                places.per_client,
            )
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(listener), client);
        let here = counts.by_listener.get(listener).copied().unwrap_or(0);
        let theirs = counts.by_client.get(&key).copied().unwrap_or(0);
        if here >= in_all || theirs >= per_client {
            return None;
        }
        counts.by_listener.insert(Arc::clone(listener), here + 1);
        counts.by_client.insert(key, theirs + 1);
        Some(Slot {
            counts: Arc::clone(&self.counts),
            listener: Arc::clone(listener),
            client,
        })
    }

    /// Sessions at this moment.
    pub(crate) fn count(&self) -> u32 {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .by_listener
            .values()
            .sum()
    }
}

/// Whom a client's share is counted for: an IPv4 address, or the /64 that one IPv6 site has at
/// least.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = counts.by_listener.get_mut(&self.listener) {
            *here -= 1;
        }
        let key = (Arc::clone(&self.listener), self.client);
        if let Some(theirs) = counts.by_client.get_mut(&key) {
            *theirs -= 1;
            if *theirs == 0 {
                counts.by_client.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_take_all_places_and_leavers_give_theirs_back() {
        let sessions = Sessions::default();
        let listener: Arc<str> = "internet".into();
        let places = SlotLimits {
            in_all: 10,
            per_client: 9,
        };
        let stranger = "203.0.113.9".parse().unwrap();
        let server = "192.0.2.1".parse().unwrap();
        let mut held: Vec<_> =
            std::iter::from_fn(|| sessions.enter(&listener, stranger, false, places)).collect();
        assert_eq!(held.len(), 9);
        let last = sessions.enter(&listener, server, true, places);
        assert!(last.is_some());
        assert!(sessions.enter(&listener, server, true, places).is_none());
        held.pop();
        assert_eq!(sessions.count(), 9);
        assert!(sessions.enter(&listener, server, true, places).is_some());
    }

    #[test]
    fn one_stranger_gets_no_more_than_its_share() {
        let sessions = Sessions::default();
        let listener: Arc<str> = "internet".into();
        let places = SlotLimits {
            in_all: 100,
            per_client: 2,
        };
        let stranger = "203.0.113.9".parse().unwrap();
        let other = "203.0.113.10".parse().unwrap();
        let held: Vec<_> =
            std::iter::from_fn(|| sessions.enter(&listener, stranger, false, places)).collect();
        assert_eq!(held.len(), 2);
        assert!(sessions.enter(&listener, other, false, places).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_site_share() {
        let sessions = Sessions::default();
        let listener: Arc<str> = "internet".into();
        let places = SlotLimits {
            in_all: 100,
            per_client: 1,
        };
        let enter =
            |client: &str| sessions.enter(&listener, client.parse().unwrap(), false, places);
        let first = enter("2001:db8::1");
        assert!(first.is_some() && enter("2001:db8::2").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(enter("2001:db8::2").is_some());
    }
}

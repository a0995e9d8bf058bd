//! Who is connected: counts per listener and per client, so that no stranger takes all slots.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Excess, Limit, SlotLimits, Standing, Subject, TurnAway};

/// Of a listener's slots, so many in a hundred are kept for clients that may relay: strangers
/// cannot shut out the mail server.
const RESERVED_PERCENT: u32 = 10;
/// A client that may relay gets this many times the slots of a stranger.
const PERMITTED_FACTOR: u32 = 10;

/// All sessions of one relay.
#[derive(Debug, Default)]
pub struct Slots {
    by_listener: HashMap<Arc<str>, u32>,
    by_client: HashMap<(Arc<str>, Subject), u32>,
}

/// One session's slot, to be given back when the session has ended.
#[derive(Debug)]
#[must_use = "a slot that is not given back stays taken"]
pub struct Slot {
    listener: Arc<str>,
    client: Subject,
}

impl SlotLimits {
    /// Sessions of one client.
    pub(crate) fn of_client(&self, standing: &Standing) -> Limit<u32> {
        let stranger = self.per_client.value;
        self.per_client.with(if standing.is_permitted() {
            stranger.saturating_mul(PERMITTED_FACTOR)
        } else {
            stranger
        })
    }

    /// Sessions at which the listener takes no further client of this kind.
    fn of_listener(&self, standing: &Standing) -> u32 {
        let in_all = self.in_all.value;
        if standing.is_permitted() {
            in_all
        } else {
            let reserved = u64::from(in_all) * u64::from(RESERVED_PERCENT) / 100;
            in_all - u32::try_from(reserved).unwrap_or(in_all)
        }
    }
}

impl Slots {
    /// A slot for a session of `listener` with this client.
    ///
    /// # Errors
    /// The client's share is taken, or the listener's.
    pub fn take(
        &mut self,
        listener: &Arc<str>,
        client: Subject,
        standing: &Standing,
        limits: &SlotLimits,
    ) -> Result<Slot, TurnAway> {
        let slot = Slot {
            listener: Arc::clone(listener),
            client,
        };
        let key = (Arc::clone(listener), slot.client.clone());
        let here = self.by_listener.get(listener).copied().unwrap_or(0);
        let theirs = self.by_client.get(&key).copied().unwrap_or(0);
        let full = |limit: &Limit<u32>| TurnAway {
            excess: Excess::Sessions,
            place: limit.place.clone(),
        };
        if here >= limits.of_listener(standing) {
            return Err(full(&limits.in_all));
        }
        if theirs >= limits.of_client(standing).value {
            return Err(full(&limits.per_client));
        }
        self.by_listener.insert(key.0.clone(), here + 1);
        self.by_client.insert(key, theirs + 1);
        Ok(slot)
    }

    /// The session has ended.
    pub fn give_back(&mut self, slot: Slot) {
        let Slot { listener, client } = slot;
        if let Some(here) = self.by_listener.get_mut(&listener) {
            *here -= 1;
        }
        let key = (listener, client);
        if let Some(theirs) = self.by_client.get_mut(&key) {
            *theirs -= 1;
            if *theirs == 0 {
                self.by_client.remove(&key);
            }
        }
    }

    /// Sessions at this moment.
    pub fn count(&self) -> u32 {
        self.by_listener.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use mail::Place;
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    fn limits(in_all: u32, per_client: u32) -> SlotLimits {
        SlotLimits {
            in_all: Limit::default_of(in_all),
            per_client: Limit::default_of(per_client),
        }
    }

    /// Clients at one listener: those of 192.0.2.0/24 may relay.
    #[derive(Default)]
    struct Listener(Slots);

    impl Listener {
        fn enter(&mut self, address: &str, limits: &SlotLimits) -> Option<Slot> {
            let address: IpAddr = address.parse().unwrap();
            let permitted = address.to_string().starts_with("192.0.2.");
            let standing = Standing::new(address, permitted, &Arc::new(Limits::default()));
            let client = Subject::client(address);
            let slot = self.0.take(&"internet".into(), client, &standing, limits);
            slot.ok()
        }

        /// Takes as many as it gets.
        fn fill(&mut self, address: &str, limits: &SlotLimits) -> Vec<Slot> {
            std::iter::from_fn(|| self.enter(address, limits)).collect()
        }
    }

    #[test]
    fn each_kind_of_client_gets_its_share_and_no_more() {
        for (in_all, per_client, address, expected) in [
            (10, 9, "203.0.113.9", 9),
            (10, 10, "203.0.113.9", 9),
            (100, 2, "203.0.113.9", 2),
            (100, 2, "192.0.2.1", 20),
            (10, 2, "192.0.2.1", 10),
            // As fast as it likes, with the slots of a stranger.
            (100, 2, "127.0.0.1", 2),
            (u32::MAX, 1, "203.0.113.9", 1),
        ] {
            let mut listener = Listener::default();
            let held = listener.fill(address, &limits(in_all, per_client));
            let case = format!("{per_client} of {in_all} for {address}");
            assert_eq!(held.len(), expected, "{case}");
        }
    }

    #[test]
    fn strangers_cannot_take_all_slots_and_leavers_give_theirs_back() {
        let (mut listener, limits) = (Listener::default(), limits(10, 9));
        let mut held = listener.fill("203.0.113.9", &limits);
        held.extend(listener.enter("192.0.2.1", &limits));
        assert_eq!(held.len(), 10);
        assert!(listener.enter("192.0.2.1", &limits).is_none());
        listener.0.give_back(held.remove(0));
        assert_eq!(listener.0.count(), 9);
        assert!(listener.enter("192.0.2.1", &limits).is_some());
    }

    #[test]
    fn whoever_gets_no_slot_hears_by_which_line() {
        let place = |line| Place::line(&"gatepost.toml".into(), line, 1);
        let limit = |value, line| Limit {
            value,
            place: place(line),
        };
        for (in_all, per_client, line) in [(20, 1, 2), (1, 20, 1), (1, 1, 1)] {
            let limits = SlotLimits {
                in_all: limit(in_all, 1),
                per_client: limit(per_client, 2),
            };
            let (mut slots, address) = (Slots::default(), "203.0.113.9".parse().unwrap());
            let standing = Standing::new(address, false, &Arc::default());
            let client = Subject::client(address);
            let mut take = || slots.take(&"internet".into(), client.clone(), &standing, &limits);
            let first = take();
            assert!(first.is_ok(), "{first:?}");
            let place = place(line);
            let excess = Excess::Sessions;
            assert_eq!(take().map(|_| ()), Err(TurnAway { excess, place }));
        }
    }

    #[test]
    fn addresses_of_one_ipv6_site_share() {
        let (mut listener, limits) = (Listener::default(), limits(100, 1));
        let first = listener.enter("2001:db8::1", &limits);
        let first = first.expect("a slot");
        assert!(listener.enter("2001:db8::2", &limits).is_none());
        assert!(listener.enter("2001:db8:0:1::1", &limits).is_some());
        listener.0.give_back(first);
        assert!(listener.enter("2001:db8::2", &limits).is_some());
    }

    proptest! {
        /// Whoever comes and goes in whatever order: the listener is never over its number, and
        /// empty when all have gone.
        #[test]
        fn every_slot_comes_back(
            in_all in 1_u32..40,
            per_client in 1_u32..20,
            moves in prop::collection::vec((0_u8..6, any::<bool>()), 0..200),
        ) {
            let (mut listener, limits) = (Listener::default(), limits(in_all, per_client));
            let mut held = Vec::new();
            for (client, comes) in moves {
                if comes {
                    let network = if client < 3 { "192.0.2" } else { "203.0.113" };
                    held.extend(listener.enter(&format!("{network}.{client}"), &limits));
                } else if !held.is_empty() {
                    listener.0.give_back(held.remove(usize::from(client) % held.len()));
                }
                prop_assert_eq!(listener.0.count() as usize, held.len());
                prop_assert!(listener.0.count() <= in_all);
            }
            for slot in held {
                listener.0.give_back(slot);
            }
            prop_assert_eq!(listener.0.count(), 0);
            prop_assert!(listener.0.by_client.is_empty());
        }
    }
}

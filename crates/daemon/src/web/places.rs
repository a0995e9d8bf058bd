//! Who may have how many connections: nobody takes all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use admission::Subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at one time: a browser keeps half a dozen. Further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// And of one network: the /24 of an IPv4 address, the /48 of an IPv6 address.
const CONNECTIONS_OF_NETWORK_MAX: usize = 96;

/// The places for connections.
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken(Mutex<HashMap<Subject, usize>>);

/// A place that nobody has yet.
pub(super) struct Free {
    permit: OwnedSemaphorePermit,
    taken: Arc<Taken>,
}

/// A place as long as it is held.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    taken: Arc<Taken>,
    network: Subject,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            taken: Arc::default(),
        }
    }
}

impl Places {
    /// Waits until one is free.
    pub(super) async fn next(&self) -> Option<Free> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let taken = Arc::clone(&self.taken);
        Some(Free { permit, taken })
    }
}

impl Free {
    /// It is this client's, unless his network has enough of them.
    pub(super) fn taken_by(self, client: IpAddr) -> Option<Place> {
        let network = Subject::network(client.to_canonical());
        let Self { permit, taken } = self;
        let mut counts = taken.counts();
        let count = counts.entry(network.clone()).or_default();
        if *count >= CONNECTIONS_OF_NETWORK_MAX {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place {
            _permit: permit,
            taken,
            network,
        })
    }
}

impl Taken {
    fn counts(&self) -> MutexGuard<'_, HashMap<Subject, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.taken.counts();
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_network_leaves_places_to_others() {
        let places = Places::default();
        let mut held = Vec::new();
        let take = async |client: &str| {
            let free = places.next().await.unwrap();
            free.taken_by(client.parse().unwrap())
        };
        for number in 0..CONNECTIONS_OF_NETWORK_MAX {
            held.push(take(&format!("192.0.2.{}", number % 9)).await.unwrap());
        }
        assert!(take("192.0.2.200").await.is_none());
        assert!(take("::ffff:192.0.2.200").await.is_none());
        assert!(take("198.51.100.1").await.is_some());
        held.pop();
        assert!(take("192.0.2.200").await.is_some());
        drop(held);
        assert!(places.taken.counts().is_empty());
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spool::INLINE_OCTETS_MAX;

/// What all messages on their way in may have in memory beyond what each session has anyway. One
/// that does not get any of it goes to the disk as it comes.
#[derive(Debug, Clone)]
pub struct ContentMemory(Arc<AtomicUsize>);

/// Enough for one message of [`INLINE_OCTETS_MAX`], until it is dropped.
#[derive(Debug)]
pub(super) struct Share(Arc<AtomicUsize>);

impl ContentMemory {
    /// So many octets.
    pub fn new(octets: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(octets / INLINE_OCTETS_MAX)))
    }

    /// What one message needs, if it is there.
    pub(super) fn share(&self) -> Option<Share> {
        let order = Ordering::Relaxed;
        let taken = self
            .0
            .fetch_update(order, order, |left| left.checked_sub(1));
        taken.is_ok().then(|| Share(Arc::clone(&self.0)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A message on its way in: whoever writes to the spool may wait a moment for it. Dropped right
/// before the message is handed in, else with the next one or the session.
#[derive(Debug)]
pub struct Coming(Arc<AtomicUsize>);

impl Coming {
    /// One more in `count`, until it is dropped.
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

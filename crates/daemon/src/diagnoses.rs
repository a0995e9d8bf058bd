use std::sync::Arc;

use mail::Timestamp;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::api::RelayProof;

/// What is being found out for operators, and was.
pub(crate) struct Diagnoses {
    /// What the open-relay battery came to last; held while it is played.
    pub(crate) proved: Mutex<Option<Proved>>,
    turns: Arc<Semaphore>,
}

/// What the open-relay battery came to.
pub(crate) struct Proved {
    pub(crate) at: Timestamp,
    /// Of the configuration on which it was played.
    pub(crate) fingerprint: u64,
    pub(crate) proof: RelayProof,
}

impl Default for Diagnoses {
    fn default() -> Self {
        Self {
            proved: Mutex::default(),
            turns: Arc::new(Semaphore::new(Self::SIDE_BY_SIDE)),
        }
    }
}

impl Diagnoses {
    /// So much may be found out at one time.
    pub(crate) const SIDE_BY_SIDE: usize = 8;

    /// The right to find out one thing; `None`: enough is being found out.
    pub(crate) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_found_out_at_one_time() {
        let diagnoses = Diagnoses::default();
        let mut turns: Vec<_> = (0..Diagnoses::SIDE_BY_SIDE)
            .map(|_| diagnoses.turn())
            .collect();
        assert!(turns.iter().all(Option::is_some) && diagnoses.turn().is_none());
        turns.pop();
        assert!(diagnoses.turn().is_some());
    }
}

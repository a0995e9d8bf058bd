use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use mail::QueueId;

/// A recipient's name: message and number.
pub(crate) type Key = (QueueId, u32);

/// Where a claimed recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In memory, waiting for an agent.
    Ready,
    /// An agent has it in hand.
    Active,
    /// Its outcome is being written down.
    Settling,
}

/// Which recipients are in memory and must not be taken again from the spool.
///
/// A page that was read before an outcome was written still shows the recipient as waiting. So a
/// settled recipient is remembered for as long as a load is under way that began before it was
/// settled.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: BTreeMap<Key, Stage>,
    /// Settled recipients, with the time (in `clock`) when that was known.
    settled: HashMap<Key, u64>,
    settled_order: VecDeque<(u64, Key)>,
    /// The start times of loads under way.
    loads: BTreeSet<u64>,
    /// Counts loads; orders their starts against settlements.
    clock: u64,
}

impl Claims {
    /// Takes a recipient; false when it is taken already.
    pub(crate) fn claim(&mut self, key: Key) -> bool {
        use std::collections::btree_map::Entry;
        match self.held.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Stage::Ready);
                true
            }
        }
    }

    pub(crate) fn set(&mut self, key: Key, stage: Stage) {
        self.held.insert(key, stage);
    }

    pub(crate) fn stage(&self, key: Key) -> Option<Stage> {
        self.held.get(&key).copied()
    }

    /// Whether a recipient of the message waits for an agent or has one.
    pub(crate) fn is_in_hand(&self, id: QueueId) -> bool {
        let mut stages = self.held.range((id, 0)..=(id, u32::MAX));
        stages.any(|(_, stage)| matches!(stage, Stage::Ready | Stage::Active))
    }

    /// Whether a page read by the load that began at `load` must not be believed about this
    /// recipient.
    pub(crate) fn is_taken(&self, key: Key, load: u64) -> bool {
        self.held.contains_key(&key) || self.settled.get(&key).is_some_and(|at| *at >= load)
    }

    /// Gives back a recipient that nobody tried: the spool still says what is true.
    pub(crate) fn drop_untried(&mut self, key: Key) {
        self.held.remove(&key);
    }

    /// Gives back a recipient whose outcome is written.
    pub(crate) fn settled(&mut self, key: Key) {
        self.held.remove(&key);
        if !self.loads.is_empty() {
            self.settled.insert(key, self.clock);
            self.settled_order.push_back((self.clock, key));
        }
    }

    pub(crate) fn begin_load(&mut self) -> u64 {
        self.clock += 1;
        self.loads.insert(self.clock);
        self.clock
    }

    pub(crate) fn end_load(&mut self, load: u64) {
        self.loads.remove(&load);
        let oldest = self.loads.first().copied().unwrap_or(u64::MAX);
        while let Some((at, key)) = self.settled_order.pop_front_if(|(at, _)| *at < oldest) {
            if self.settled.get(&key) == Some(&at) {
                self.settled.remove(&key);
            }
        }
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.len()
    }

    /// What is remembered in all: bounded by what is ready, active and settling.
    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.held.len(), self.settled_order.len())
    }
}

#[cfg(test)]
mod tests {
    use mail::Timestamp;

    use super::*;

    #[test]
    fn a_page_read_before_the_settlement_is_not_believed() {
        let key = (QueueId::new(Timestamp::from_millis(1), 1), 0);
        let mut claims = Claims::default();
        assert!(claims.claim(key) && !claims.claim(key));
        let before = claims.begin_load();
        claims.settled(key);
        let after = claims.begin_load();
        assert!(claims.is_taken(key, before));
        assert!(!claims.is_taken(key, after));
        claims.end_load(before);
        assert_eq!(claims.len(), (0, 0));
        claims.end_load(after);
    }
}

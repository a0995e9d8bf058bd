use std::collections::VecDeque;
use std::iter;

use crate::Job;
use crate::slots::Kind;

/// Of so many messages that go to a site, one is the oldest that has been tried before, even while
/// there is new mail.
const RETRY_TURN: u32 = 5;

/// Whether a job tries a site that was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Yes,
    No,
}

/// A job in memory.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) job: Job,
    pub(crate) fresh: bool,
    pub(crate) probe: Probe,
    /// The kinds of traffic that it is of.
    pub(crate) kinds: Vec<Kind>,
    /// How often it was turned away without this being held against it.
    pub(crate) turned_away: u32,
}

impl Ready {
    pub(crate) fn new(job: Job, fresh: bool, probe: Probe) -> Self {
        let kinds = Kind::of(&job);
        Self {
            job,
            fresh,
            probe,
            kinds,
            turned_away: 0,
        }
    }

    /// It was tried before.
    fn is_retry(&self) -> bool {
        self.job.recipients.iter().any(|one| one.tries > 0)
    }
}

/// What a site has ready, in the order in which it goes out: new mail before what was tried before,
/// which has its turns.
#[derive(Debug, Default)]
pub(crate) struct ReadyJobs {
    new: VecDeque<Ready>,
    retries: VecDeque<Ready>,
    /// Messages that went since the last turn of the retries.
    since_retry: u32,
}

impl ReadyJobs {
    pub(crate) fn len(&self) -> usize {
        self.new.len() + self.retries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ready> {
        let (first, then) = if self.is_retry_turn() {
            (&self.retries, &self.new)
        } else {
            (&self.new, &self.retries)
        };
        first.iter().chain(then)
    }

    fn is_retry_turn(&self) -> bool {
        self.since_retry + 1 >= RETRY_TURN
    }

    pub(crate) fn push_back(&mut self, ready: Ready) {
        self.line_of(&ready).push_back(ready);
    }

    pub(crate) fn push_front(&mut self, ready: Ready) {
        self.line_of(&ready).push_front(ready);
    }

    fn line_of(&mut self, ready: &Ready) -> &mut VecDeque<Ready> {
        if ready.is_retry() {
            &mut self.retries
        } else {
            &mut self.new
        }
    }

    /// The one at this place of the order.
    pub(crate) fn get(&self, at: usize) -> Option<&Ready> {
        self.iter().nth(at)
    }

    /// Takes it.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Ready> {
        let (first, then) = if self.is_retry_turn() {
            (&mut self.retries, &mut self.new)
        } else {
            (&mut self.new, &mut self.retries)
        };
        let ready = match at.checked_sub(first.len()) {
            None => first.remove(at),
            Some(at) => then.remove(at),
        }?;
        self.since_retry = if ready.is_retry() {
            0
        } else {
            self.since_retry.saturating_add(1)
        };
        Some(ready)
    }
}

impl IntoIterator for ReadyJobs {
    type Item = Ready;
    type IntoIter = iter::Chain<
        std::collections::vec_deque::IntoIter<Ready>,
        std::collections::vec_deque::IntoIter<Ready>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.new.into_iter().chain(self.retries)
    }
}

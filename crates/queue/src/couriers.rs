use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;

use crate::{CourierId, Job};

/// How long a courier without a job keeps its connection.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(2);

/// One courier.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) site: Arc<str>,
    pub(crate) duty: Duty,
    /// Messages so far, the present one included.
    pub(crate) messages: u32,
    /// Its connection leads where the configuration led before a reload: nothing more is given to it.
    pub(crate) outdated: bool,
}

/// What a courier does.
#[derive(Debug)]
pub(crate) enum Duty {
    /// It has a job, since then.
    Busy(Box<Job>, Timestamp, Probe),
    /// It waits, until then.
    Idle(Timestamp),
    /// It was dismissed.
    Leaving,
}

/// A job that a courier gave back.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) job: Job,
    pub(crate) began: Timestamp,
    pub(crate) probe: Probe,
    /// It was done by the configuration before a reload: it tells nothing about the site as it is now.
    pub(crate) outdated: bool,
}

/// Whether a job tries a site that was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Yes,
    No,
}

/// All couriers.
#[derive(Debug, Default)]
pub(crate) struct Couriers {
    all: HashMap<CourierId, Courier>,
    /// Those that wait, by when they give up waiting.
    idle: BTreeSet<(Timestamp, CourierId)>,
    leaving: usize,
    last: CourierId,
}

impl Couriers {
    pub(crate) fn hire(
        &mut self,
        site: Arc<str>,
        job: Job,
        now: Timestamp,
        probe: Probe,
    ) -> CourierId {
        self.last += 1;
        let duty = Duty::Busy(Box::new(job), now, probe);
        self.all.insert(
            self.last,
            Courier {
                site,
                duty,
                messages: 1,
                outdated: false,
            },
        );
        self.last
    }

    /// The next job for one that waits.
    pub(crate) fn give(&mut self, id: CourierId, job: Job, now: Timestamp, probe: Probe) {
        if let Some(courier) = self.all.get_mut(&id) {
            if let Duty::Idle(until) = courier.duty {
                self.idle.remove(&(until, id));
            }
            courier.duty = Duty::Busy(Box::new(job), now, probe);
            courier.messages = courier.messages.saturating_add(1);
        }
    }

    /// Takes the job from a busy courier, which waits from now on.
    pub(crate) fn take_job(&mut self, id: CourierId, now: Timestamp) -> Option<Ended> {
        let courier = self.all.get_mut(&id)?;
        if !matches!(courier.duty, Duty::Busy(..)) {
            return None;
        }
        let until = now + IDLE_MAX;
        match std::mem::replace(&mut courier.duty, Duty::Idle(until)) {
            Duty::Busy(job, began, probe) => {
                self.idle.insert((until, id));
                Some(Ended {
                    job: *job,
                    began,
                    probe,
                    outdated: courier.outdated,
                })
            }
            Duty::Idle(_) | Duty::Leaving => None,
        }
    }

    /// Marks one that has no job as leaving; false when it has one, or is leaving already.
    pub(crate) fn dismiss(&mut self, id: CourierId) -> bool {
        match self.all.get_mut(&id) {
            Some(courier) => match courier.duty {
                Duty::Idle(until) => {
                    self.idle.remove(&(until, id));
                    courier.duty = Duty::Leaving;
                    self.leaving += 1;
                    true
                }
                Duty::Busy(..) | Duty::Leaving => false,
            },
            None => false,
        }
    }

    pub(crate) fn remove(&mut self, id: CourierId) -> Option<Courier> {
        let courier = self.all.remove(&id)?;
        match courier.duty {
            Duty::Idle(until) => {
                self.idle.remove(&(until, id));
            }
            Duty::Leaving => self.leaving -= 1,
            Duty::Busy(..) => {}
        }
        Some(courier)
    }

    pub(crate) fn get(&self, id: CourierId) -> Option<&Courier> {
        self.all.get(&id)
    }

    /// After a reload: no courier gets another job.
    pub(crate) fn outdate_all(&mut self) {
        self.all
            .values_mut()
            .for_each(|courier| courier.outdated = true);
    }

    /// The one that has waited longest, and until when.
    pub(crate) fn longest_idle(&self) -> Option<(Timestamp, CourierId)> {
        self.idle.first().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn idle_len(&self) -> usize {
        self.idle.len()
    }

    pub(crate) fn leaving_len(&self) -> usize {
        self.leaving
    }
}

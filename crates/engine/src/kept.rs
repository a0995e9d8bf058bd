//! Which of what is held has to go: what nobody has looked at in time, and the oldest of what takes
//! too much room.

use std::time::Duration;

use mail::{Timestamp, TrackedResult};
use spool::HoldReason;

/// What is held for a while only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAs {
    /// Notices of ours that could not be delivered.
    Badmail,
    /// What screening holds.
    Quarantine,
}

impl KeptAs {
    /// Why the spool holds it.
    pub fn reason(self) -> HoldReason {
        match self {
            Self::Badmail => HoldReason::Badmail,
            Self::Quarantine => HoldReason::Screening,
        }
    }

    /// What tracking says of what goes.
    pub(crate) fn tracked(self) -> TrackedResult {
        match self {
            Self::Badmail => TrackedResult::Dropped,
            Self::Quarantine => TrackedResult::Deleted,
        }
    }

    /// Why it goes, in words.
    pub fn words(self, why: Surplus) -> &'static str {
        match (self, why) {
            (Self::Badmail, Surplus::Old) => "older than queue.badmail_age",
            (Self::Badmail, Surplus::Large) => {
                "the oldest, and there is more than queue.badmail_size"
            }
            (Self::Quarantine, Surplus::Old) => "older than quarantine.keep",
            (Self::Quarantine, Surplus::Large) => {
                "the oldest, and there is more than quarantine.max_size"
            }
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptLimits {
    /// Since it came to be there.
    pub age: Duration,
    /// Octets of all of it.
    pub bytes: u64,
}

/// One message that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When it came to be there.
    pub arrived: Timestamp,
    /// What it takes up, in octets.
    pub size: u64,
}

/// Why something that was kept goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// It has reached the age.
    Old,
    /// All of it together was too large, and this was the oldest.
    Large,
}

/// How many of `kept`, which is in order of age with the oldest first, have to go at `now`: so many
/// from the front, each for its reason.
pub fn surplus(kept: &[Kept], limits: &KeptLimits, now: Timestamp) -> Vec<Surplus> {
    let mut bytes: u64 = kept.iter().map(|one| one.size).sum();
    let mut reasons = Vec::new();
    for one in kept {
        if one.arrived + limits.age <= now {
            reasons.push(Surplus::Old);
        } else if bytes > limits.bytes {
            reasons.push(Surplus::Large);
        } else {
            break;
        }
        bytes -= one.size;
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_for_its_age_or_for_the_room_of_all() {
        let at = |seconds| Timestamp::from_millis(1000 * seconds);
        let kept = [(10, 400), (20, 300), (30, 200), (40, 100)].map(|(seconds, size)| Kept {
            arrived: at(seconds),
            size,
        });
        let limits = |age, bytes| KeptLimits {
            age: Duration::from_secs(age),
            bytes,
        };
        use Surplus::{Large, Old};
        let cases: [(u64, u64, u64, &[Surplus]); 7] = [
            (1000, 1000, 50, &[]),
            (1000, 999, 50, &[Large]),
            (1000, 100, 50, &[Large, Large, Large]),
            (1000, 0, 50, &[Large; 4]),
            (30, 1000, 49, &[Old]),
            (30, 250, 50, &[Old, Old, Large]),
            (10, 1000, 50, &[Old; 4]),
        ];
        for (age, bytes, now, expected) in cases {
            assert_eq!(
                surplus(&kept, &limits(age, bytes), at(now)),
                expected,
                "{age} {bytes} {now}"
            );
        }
    }
}

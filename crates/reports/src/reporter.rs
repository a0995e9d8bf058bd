use std::ops::{BitOr, BitOrAssign};

use mail::Timestamp;

/// Who made a report, and what it is called there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reporter {
    /// The name of the organization.
    pub organization: String,
    /// Where it can be asked, mostly a mail address.
    pub contact: String,
    /// The name of the report: one for each of a reporter.
    pub id: String,
}

/// What time a report is about, in seconds since 1970-01-01T00:00:00Z; zero for both where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// Its beginning.
    pub begin: u64,
    /// Its end.
    pub end: u64,
}

impl Period {
    /// Its beginning.
    pub fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.begin.saturating_mul(1000))
    }

    /// Its end.
    pub fn end(self) -> Timestamp {
        Timestamp::from_millis(self.end.saturating_mul(1000))
    }
}

/// The shortest period that has both in it; one that is not known adds nothing.
impl BitOr for Period {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        if self == Self::default() || other == Self::default() {
            return self.max(other);
        }
        Self {
            begin: self.begin.min(other.begin),
            end: self.end.max(other.end),
        }
    }
}

impl BitOrAssign for Period {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

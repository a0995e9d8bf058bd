use std::fmt;

use serde::{Deserialize, Serialize};

/// What is counted of what somebody sends out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Messages with a recipient elsewhere.
    Messages,
    /// Their recipients elsewhere.
    Recipients,
    /// Those among them to whom the subject never wrote, as far as is remembered.
    NewRecipients,
    /// Recipients that were refused for good, by us or by a next hop.
    Failures,
}

impl Measure {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [
        Self::Messages,
        Self::Recipients,
        Self::NewRecipients,
        Self::Failures,
    ];
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Messages => "messages",
            Self::Recipients => "recipients",
            Self::NewRecipients => "new recipients",
            Self::Failures => "failures",
        })
    }
}

/// A count of each measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally([u32; 4]);

impl Tally {
    /// One message to so many recipients, of whom so many are new.
    pub(crate) fn message(recipients: u32, new: u32) -> Self {
        Self([1, recipients, new, 0])
    }

    /// So many failures.
    pub(crate) fn failures(count: u32) -> Self {
        Self([0, 0, 0, count])
    }

    /// How many there are of this.
    pub fn of(&self, measure: Measure) -> u32 {
        let [messages, recipients, new_recipients, failures] = self.0;
        match measure {
            Measure::Messages => messages,
            Measure::Recipients => recipients,
            Measure::NewRecipients => new_recipients,
            Measure::Failures => failures,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

use serde::{Deserialize, Serialize};

/// What a stranger did here, as it counts for its network and, where SPF vouches for the sender, for
/// the sender's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A message of it was taken.
    Delivered,
    /// A recipient was refused for good.
    Refused,
    /// It named a recipient that does not exist.
    Unknown,
    /// Rules of screening refused a message, or threw it away.
    Screened,
    /// DMARC failed for a message. That takes back what the message counts: lists and forwards break
    /// DMARC too.
    Forged,
}

impl Deed {
    /// How much it counts.
    pub fn points(self) -> f32 {
        match self {
            Self::Delivered => 1.0,
            Self::Refused | Self::Forged => -1.0,
            Self::Unknown => -2.0,
            Self::Screened => -3.0,
        }
    }
}

/// What a client network and a sender's domain are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reputation {
    /// Of the client's network.
    pub client: i32,
    /// Of the sender's domain.
    pub domain: i32,
}

/// However much was done, trust is lost sooner than it was won, and a new beginning is possible.
const MOST: f32 = 20.0;
const LEAST: f32 = -100.0;

/// A score, as it was at some time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Score {
    value: f32,
    at: u64,
}

impl Score {
    pub fn after(self, points: f32, now: u64, half_life: u64) -> Self {
        let value = (self.at(now, half_life) + points).clamp(LEAST, MOST);
        Self { value, at: now }
    }

    /// What is left of it.
    fn at(self, now: u64, half_life: u64) -> f32 {
        let age = now.saturating_sub(self.at) as f32;
        let left = 0.5_f32.powf(age / half_life.max(1) as f32);
        // What was read from a file may be anything.
        let value = self.value * left;
        if value.is_finite() { value } else { 0.0 }
    }

    /// In whole points.
    pub fn points(self, now: u64, half_life: u64) -> i32 {
        self.at(now, half_life).round() as i32
    }

    pub fn since(self) -> u64 {
        self.at
    }
}

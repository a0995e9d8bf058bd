use std::fmt;
use std::time::Duration;

/// How much may go to a site in a time: `30/1m` (messages), `10000 recipients/1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRate {
    /// How many in the time `per`; never 0.
    pub count: u32,
    /// What is counted.
    pub unit: RateUnit,
    /// In how long; never nothing.
    pub per: Duration,
}

/// What a [`SendRate`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateUnit {
    /// Transactions: a message for several recipients of one site is one.
    Messages,
    /// Recipients of these.
    Recipients,
}

impl RateUnit {
    /// What a message for so many recipients takes of a rate.
    pub fn of(self, recipients: u32) -> u32 {
        match self {
            Self::Messages => 1,
            Self::Recipients => recipients,
        }
    }
}

impl fmt::Display for SendRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            RateUnit::Messages => "messages",
            RateUnit::Recipients => "recipients",
        };
        write!(f, "{} {unit}/", self.count)?;
        let millis = self.per.as_millis();
        let units = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
        ];
        let whole = units
            .into_iter()
            .find(|(length, _)| millis.is_multiple_of(*length));
        let (length, name) = whole.unwrap_or((1, "ms"));
        write!(f, "{}{name}", millis / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_as_they_may_be_written() {
        for (count, unit, seconds, shown) in [
            (30, RateUnit::Messages, 60, "30 messages/1m"),
            (10_000, RateUnit::Recipients, 86_400, "10000 recipients/1d"),
            (5, RateUnit::Messages, 90, "5 messages/90s"),
        ] {
            let per = Duration::from_secs(seconds);
            let rate = SendRate { count, unit, per };
            assert_eq!(rate.to_string(), shown);
        }
    }
}

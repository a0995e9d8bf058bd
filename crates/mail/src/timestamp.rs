use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::StdFmtWrite;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;

use crate::Zone;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
///
/// Always an argument, never read from a clock by the code that decides, so the same code runs in
/// virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long `self` lies after `earlier`; zero when it does not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.in_calendar())
    }
}

/// This is no moment of the form in which a [`Timestamp`] is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTimestamp;

/// Reads the form in which it is printed; the fraction of a second may be shorter, or left out.
impl FromStr for Timestamp {
    type Err = NoTimestamp;

    fn from_str(text: &str) -> Result<Self, NoTimestamp> {
        let at: jiff::Timestamp = text.parse().map_err(|_| NoTimestamp)?;
        // The library reads more forms than this one, some of which look like something else.
        let is_printed = |digits: usize| format!("{at:.digits$}") == text;
        let millis = u64::try_from(at.as_millisecond()).map_err(|_| NoTimestamp)?;
        (0..=3)
            .any(is_printed)
            .then_some(Self(millis))
            .ok_or(NoTimestamp)
    }
}

impl Timestamp {
    /// RFC 5322 section 3.3 `date-time` in UTC: `Sat, 31 Jan 2026 23:59:59 +0000`.
    pub fn rfc5322(self) -> impl fmt::Display {
        Rfc5322(self)
    }

    /// The time stamp of RFC 3164 section 4.1.2 by the clock of `zone`, or in UTC: `Nov  3 10:00:00`.
    pub fn rfc3164(self, zone: Option<&Zone>) -> impl fmt::Display {
        let zone = zone.map_or(TimeZone::UTC, |zone| zone.time_zone().clone());
        let moment = zone.to_datetime(self.in_calendar());
        moment.strftime("%b %e %H:%M:%S")
    }

    /// Moments behind the year 9999, which no calendar of mail can show, are its last one.
    fn in_calendar(self) -> jiff::Timestamp {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
    }
}

struct Rfc5322(Timestamp);

impl fmt::Display for Rfc5322 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.0.in_calendar().to_zoned(TimeZone::UTC);
        DateTimePrinter::new()
            .print_zoned(&moment, StdFmtWrite(f))
            .map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_rfc_3339_and_rfc_5322() {
        let cases = [
            (
                0,
                "1970-01-01T00:00:00.000Z",
                "Thu, 1 Jan 1970 00:00:00 +0000",
            ),
            (
                951_782_400_000,
                "2000-02-29T00:00:00.000Z",
                "Tue, 29 Feb 2000 00:00:00 +0000",
            ),
            (
                1_775_001_599_123,
                "2026-03-31T23:59:59.123Z",
                "Tue, 31 Mar 2026 23:59:59 +0000",
            ),
            (
                4_107_542_400_000,
                "2100-03-01T00:00:00.000Z",
                "Mon, 1 Mar 2100 00:00:00 +0000",
            ),
        ];
        for (millis, rfc3339, rfc5322) in cases {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string(), rfc3339);
            assert_eq!(at.rfc5322().to_string(), rfc5322);
        }
    }

    #[test]
    fn the_end_of_time_is_shown_as_the_last_moment_of_a_calendar() {
        let end = Timestamp::from_millis(u64::MAX);
        assert!(end.to_string().starts_with("9999-12-3"), "{end}");
        let shown = end.rfc5322().to_string();
        assert!(shown.contains(" Dec 9999 "), "{shown}");
    }

    #[test]
    fn moments_are_read_as_they_are_printed() {
        for millis in [
            0,
            951_782_400_000,
            1_775_001_599_123,
            4_107_542_400_000,
            1_709_251_199_999,
        ] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse(), Ok(at));
        }
        for (text, millis) in [
            ("1970-01-02T00:00:00Z", 86_400_000),
            ("1970-01-02T00:00:00.5Z", 86_400_500),
            ("1970-01-02T00:00:00.05Z", 86_400_050),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp::from_millis(millis)), "{text}");
        }
        let wrong = [
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-01T24:00:00Z",
            "2026-04-01T00:00:00",
            "2026-04-01",
            "1969-01-01T00:00:00Z",
            "2026-04-01T00:00:00.1234Z",
            "2026-04-01T00:00:00.-1Z",
            "+026-04-01T00:00:00Z",
            "2026-04-01 00:00:00Z",
            "2026-04-01T00:00:60Z",
            "2026-04-01T02:00:00+02:00",
            "20260401T000000Z",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Timestamp>(), Err(NoTimestamp), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let t = Timestamp::from_millis(5);
        assert_eq!(t - Duration::from_secs(1), Timestamp::default());
        assert_eq!(t.since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

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
        let (secs, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = civil_from_days(secs / 86_400);
        let (h, m, s) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z"
        )
    }
}

impl Timestamp {
    /// RFC 5322 section 3.3 `date-time` in UTC: `Sat, 31 Jan 2026 23:59:59 +0000`.
    pub fn rfc5322(self) -> impl fmt::Display {
        Rfc5322(self)
    }
}

struct Rfc5322(Timestamp);

impl fmt::Display for Rfc5322 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let secs = self.0.as_secs();
        let days = secs / 86_400;
        let (year, month, day) = civil_from_days(days);
        let weekday = WEEKDAYS[(days % 7) as usize];
        let month = MONTHS[month as usize - 1];
        let (h, m, s) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        write!(
            f,
            "{weekday}, {day} {month} {year:04} {h:02}:{m:02}:{s:02} +0000"
        )
    }
}

/// Days since 1970-01-01 to (year, month, day) in the Gregorian calendar.
/// Counts from 1 March of year 0, so that the leap day is the last of its year.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let from_march = days + 719_468;
    let era = from_march / 146_097;
    let day_of_era = from_march % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
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
    fn arithmetic_saturates_instead_of_wrapping() {
        let t = Timestamp::from_millis(5);
        assert_eq!(t - Duration::from_secs(1), Timestamp::default());
        assert_eq!(t.since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}

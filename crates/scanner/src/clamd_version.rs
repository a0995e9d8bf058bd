use std::time::Duration;

use crate::Fault;
use crate::fault::text;

const DAY_SECONDS: u64 = 24 * 60 * 60;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Characters of a version that are kept.
const TEXT_MAX: usize = 64;

/// What clamd is, and how old its signatures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClamdVersion {
    /// `ClamAV 1.4.6`
    pub engine: String,
    /// The number of its official signatures; none while it has none loaded.
    pub signatures: Option<u64>,
    /// The day on which they were made, as days since 1970 by the clock and zone of clamd.
    pub made_on: Option<u64>,
}

impl ClamdVersion {
    /// Reads `ClamAV 1.4.6/27500/Wed Sep  3 08:27:41 2026`, of which only the first part has to be
    /// there.
    pub(crate) fn read(reply: &[u8]) -> Result<Self, Fault> {
        let mut parts = reply.splitn(3, |&c| c == b'/');
        let engine = text(parts.next().unwrap_or_default(), TEXT_MAX);
        if !engine.starts_with("ClamAV") {
            return Err(Fault::malformed("an answer to VERSION", reply));
        }
        let number = parts.next().and_then(|part| str::from_utf8(part).ok());
        let date = parts.next().and_then(|part| str::from_utf8(part).ok());
        Ok(Self {
            engine,
            signatures: number.and_then(|number| number.trim().parse().ok()),
            made_on: date.and_then(day),
        })
    }

    /// How many days old the signatures are at a moment, given as the time since 1970 began (UTC).
    /// The zone of clamd is not told, so it may be one more or less.
    pub fn age_days(&self, now: Duration) -> Option<u64> {
        let today = now.as_secs() / DAY_SECONDS;
        Some(today.saturating_sub(self.made_on?))
    }
}

/// The day of a date as `ctime` writes it, in days since 1970.
fn day(date: &str) -> Option<u64> {
    let mut words = date.split_ascii_whitespace().skip(1);
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as u64;
    let day: u64 = words.next()?.parse().ok()?;
    let year: u64 = words.nth(1)?.parse().ok()?;
    let is_date = (1970..=9999).contains(&year) && (1..=31).contains(&day);
    is_date.then(|| days_since_1970(year, month, day))
}

/// Days from the first of January 1970 to a day; months count from 0.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // A year that begins in March ends with the day that some years lack.
    let (year, month) = match month {
        0 | 1 => (year - 1, month + 10),
        _ => (year, month - 2),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let of_months = (month * 153 + 2) / 5;
    // The first of March of the year 0 lies 719,468 days before 1970.
    year * 365 + leap_days + of_months + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_to_three_parts() {
        let read = |reply: &str| ClamdVersion::read(reply.as_bytes()).unwrap();
        let alone = read("ClamAV 1.4.6");
        assert_eq!(
            (&*alone.engine, alone.signatures, alone.made_on),
            ("ClamAV 1.4.6", None, None)
        );
        assert_eq!(alone.age_days(Duration::from_secs(1)), None);
        assert_eq!(read("ClamAV 1.4.6/27500").signatures, Some(27_500));
        let whole = read("ClamAV 1.4.6/27500/Thu Jan  8 08:27:41 1970");
        assert_eq!(whole.signatures, Some(27_500));
        assert_eq!(whole.made_on, Some(7));
        let on_the_tenth = Duration::from_secs(9 * DAY_SECONDS);
        assert_eq!(whole.age_days(on_the_tenth), Some(2));
        assert_eq!(
            whole.age_days(Duration::ZERO),
            Some(0),
            "made in the future"
        );
    }

    #[test]
    fn dates_are_days() {
        assert_eq!(day("Thu Jan  1 00:00:00 1970"), Some(0));
        assert_eq!(day("Tue Feb 29 23:59:59 2000"), Some(11_016));
        assert_eq!(day("Wed Mar  1 00:00:00 2000"), Some(11_017));
        assert_eq!(day("Fri Dec 31 00:00:00 2027"), Some(21_183));
        for wrong in [
            "",
            "Thu",
            "Thu Foo  1 00:00:00 1970",
            "Thu Jan 99 0 1970",
            "Thu Jan 1 0 1",
        ] {
            assert_eq!(day(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn another_answer_is_no_version() {
        assert!(ClamdVersion::read(b"UNKNOWN COMMAND").is_err());
        assert!(ClamdVersion::read(b"").is_err());
        assert_eq!(ClamdVersion::read(b"ClamAV 1/x/y").unwrap().made_on, None);
    }
}

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::Time;

use crate::{Timestamp, Zone};

/// A minute of every day, by the clock on the wall: `07:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeOfDay(Time);

/// This is no time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTimeOfDay;

impl FromStr for TimeOfDay {
    type Err = NoTimeOfDay;

    fn from_str(text: &str) -> Result<Self, NoTimeOfDay> {
        let (hour, minute) = text.split_once(':').ok_or(NoTimeOfDay)?;
        let number = |text: &str| {
            let is_number = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|_| is_number).ok_or(NoTimeOfDay)
        };
        let time = Time::new(number(hour)?, number(minute)?, 0, 0);
        time.map(Self).map_err(|_| NoTimeOfDay)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl TimeOfDay {
    /// When it was this time of day in a zone the last time before `now`, or is at this moment. A time
    /// that the zone skips comes as much later as the clock is set forward; one that it repeats counts
    /// the first time.
    pub fn last(self, now: Timestamp, zone: &Zone) -> Timestamp {
        let wall = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let wall = jiff::Timestamp::from_millisecond(wall).unwrap_or(jiff::Timestamp::MAX);
        let today = zone.time_zone().to_datetime(wall).date();
        let days = [0, 1, 2].into_iter();
        let times = days.filter_map(|back| {
            let date = today.checked_sub(back.days()).ok()?;
            let local = zone
                .time_zone()
                .to_ambiguous_timestamp(date.to_datetime(self.0));
            let at = local.compatible().ok()?.as_millisecond();
            u64::try_from(at).ok().map(Timestamp::from_millis)
        });
        let mut past = times.filter(|at| *at <= now);
        past.next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_of_day_is_two_numbers_of_two_digits() {
        assert_eq!("07:05".parse::<TimeOfDay>().unwrap().to_string(), "07:05");
        for wrong in [
            "", "7:05", "07:5", "24:00", "12:60", "+1:00", "12", "12:00:00", "-1:00",
        ] {
            assert_eq!(wrong.parse::<TimeOfDay>(), Err(NoTimeOfDay), "{wrong}");
        }
    }

    #[test]
    fn it_comes_once_a_day_whatever_is_done_to_the_clock_on_the_wall() {
        let berlin = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let last = |time: &str, now: &str| {
            let time: TimeOfDay = time.parse().unwrap();
            time.last(at(now), &berlin).to_string()
        };
        for (time, now, expected) in [
            ("07:00", "2026-01-05T06:00:00Z", "2026-01-05T06:00:00.000Z"),
            ("07:00", "2026-01-05T05:59:59Z", "2026-01-04T06:00:00.000Z"),
            ("07:00", "2026-07-05T05:00:00Z", "2026-07-05T05:00:00.000Z"),
            ("23:30", "2026-01-05T22:45:00Z", "2026-01-05T22:30:00.000Z"),
            ("00:10", "2026-01-05T23:05:00Z", "2026-01-04T23:10:00.000Z"),
            // 02:30 is skipped, and comes twice.
            ("02:30", "2026-03-29T02:00:00Z", "2026-03-29T01:30:00.000Z"),
            ("02:30", "2026-10-25T03:00:00Z", "2026-10-25T00:30:00.000Z"),
        ] {
            assert_eq!(last(time, now), expected, "{time} {now}");
        }
        assert_eq!(
            last("07:00", "1970-01-01T00:00:00Z"),
            Timestamp::default().to_string()
        );
    }
}

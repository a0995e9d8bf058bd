use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};

use mail::{Timestamp, Zone};

const DAY_MINUTES: u32 = 24 * 60;
const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Days from yesterday on among which the next change is looked for: what lasts from yesterday into
/// today, and two weeks, since a zone may skip the one span of a week.
const DAYS_AHEAD: usize = 16;

/// When mail goes to a site: spans of the week, by the clock on the wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    spans: Vec<HoursSpan>,
    zone: Zone,
}

/// When large messages go to a site, within its hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeHours {
    /// A message of more octets than this is large.
    pub over: u64,
    /// When they go.
    pub hours: Hours,
}

/// One entry of them, as `Mon-Fri 18:00-07:00`, `Sat` or `22:00-06:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoursSpan {
    /// From this day on, Monday being 0.
    first_day: u32,
    /// So many days, each with the same hours.
    days: u32,
    /// Minutes after the beginning of each.
    start: u32,
    /// How long it lasts, at most a day.
    minutes: u32,
}

/// Whether mail goes to a site at a moment, and when that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoursState {
    /// It goes.
    pub open: bool,
    /// Until then, by the system's clock; `None`: for ever.
    pub until: Option<Timestamp>,
}

impl Hours {
    /// Open in these spans of the zone's time, and closed otherwise.
    pub fn new(spans: Vec<HoursSpan>, zone: Zone) -> Self {
        Self { spans, zone }
    }

    /// How it is when the system's clock shows `wall`. An hour that the zone skips or repeats counts
    /// as the clock on the wall shows it.
    pub fn state(&self, wall: Timestamp) -> HoursState {
        let Ok(now) = moment(wall) else {
            return HoursState {
                open: true,
                until: None,
            };
        };
        let open = self.is_open(now);
        let changes = self.changes(now).into_iter();
        let next = changes.filter(|at| *at > now && self.is_open(*at) != open);
        let until = next
            .min()
            .and_then(|at| at.as_millisecond().try_into().ok());
        HoursState {
            open,
            until: until.map(Timestamp::from_millis),
        }
    }

    fn is_open(&self, at: jiff::Timestamp) -> bool {
        let local = self.zone.time_zone().to_datetime(at);
        let day = local.weekday().to_monday_zero_offset().unsigned_abs();
        let (hour, minute) = (local.hour().unsigned_abs(), local.minute().unsigned_abs());
        let minute = u32::from(day) * DAY_MINUTES + u32::from(hour) * 60 + u32::from(minute);
        self.spans.iter().any(|span| span.contains(minute))
    }

    /// All moments of the days ahead at which it may change: the ends of spans, and where the zone
    /// sets its clock.
    fn changes(&self, now: jiff::Timestamp) -> Vec<jiff::Timestamp> {
        let today = self.zone.time_zone().to_datetime(now).date();
        let first = today.yesterday().unwrap_or(today);
        let days = first.series(jiff::Span::new().days(1)).take(DAYS_AHEAD);
        let ends = |date: Date| {
            let spans = self.spans.iter();
            let minutes = spans.flat_map(|span| [span.start, span.start + span.minutes]);
            minutes.filter_map(move |minute| at_minute(date, minute))
        };
        let ends = days.flat_map(ends).flat_map(|local| {
            let at = self.zone.time_zone().to_ambiguous_timestamp(local);
            [at.earlier(), at.later()].into_iter().flatten()
        });
        let set = self.zone.time_zone().following(now).next();
        ends.chain(set.map(|transition| transition.timestamp()))
            .collect()
    }
}

fn moment(wall: Timestamp) -> Result<jiff::Timestamp, jiff::Error> {
    jiff::Timestamp::from_millisecond(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
}

/// So many minutes after a day began, which may be on the next one.
fn at_minute(date: Date, minute: u32) -> Option<jiff::civil::DateTime> {
    let date = match minute / DAY_MINUTES {
        0 => date,
        _ => date.tomorrow().ok()?,
    };
    let minute = minute % DAY_MINUTES;
    let (hour, minute) = (i8::try_from(minute / 60), i8::try_from(minute % 60));
    Some(date.to_datetime(Time::new(hour.ok()?, minute.ok()?, 0, 0).ok()?))
}

impl HoursSpan {
    /// Whether this minute of the week is within it.
    fn contains(self, minute: u32) -> bool {
        (0..self.days).any(|day| {
            let start = (self.first_day + day) * DAY_MINUTES + self.start;
            (minute + WEEK_MINUTES - start % WEEK_MINUTES) % WEEK_MINUTES < self.minutes
        })
    }
}

/// What is wrong with the text of a span.
const HELP: &str =
    "write days, times or both, as \"Mon-Fri 18:00-07:00\", \"Sat\" or \"22:00-06:00\"";

impl FromStr for HoursSpan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().ok_or(HELP)?, words.next());
        let (days, times) = match (day(first), second) {
            (_, Some(times)) => (Some(first), Some(times)),
            (None, None) if first.contains(':') => (None, Some(first)),
            (_, None) => (Some(first), None),
        };
        let (first_day, days) = days.map_or(Ok((0, 7)), read_days)?;
        let (start, minutes) = times.map_or(Ok((0, DAY_MINUTES)), read_times)?;
        match words.next() {
            Some(_) => Err(HELP),
            None => Ok(Self {
                first_day,
                days,
                start,
                minutes,
            }),
        }
    }
}

fn day(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let at = DAYS.iter().position(|day| *day == text)?;
    u32::try_from(at).ok()
}

/// The first day and how many there are.
fn read_days(text: &str) -> Result<(u32, u32), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first).ok_or(HELP)?, day(last).ok_or(HELP)?);
    Ok((first, (last + 7 - first) % 7 + 1))
}

/// The minute of the day at which it begins, and how many there are; an end before the beginning is
/// on the next day.
fn read_times(text: &str) -> Result<(u32, u32), &'static str> {
    let (start, end) = text.split_once('-').ok_or(HELP)?;
    let (start, end) = (time(start).ok_or(HELP)?, time(end).ok_or(HELP)?);
    if start == DAY_MINUTES || start == end {
        return Err("it begins and ends at the same time; leave the times out for the whole day");
    }
    Ok((start, (end + DAY_MINUTES - start - 1) % DAY_MINUTES + 1))
}

/// `07:30` up to `24:00`.
fn time(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| match digits.len() {
        2 if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse::<u32>().ok(),
        _ => None,
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let at = hour * 60 + minute;
    (minute < 60 && at <= DAY_MINUTES).then_some(at)
}

/// As it is written in the configuration.
impl fmt::Display for HoursSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: u32| {
            let name = DAYS[(day % 7) as usize];
            format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..])
        };
        let end = (self.start + self.minutes - 1) % DAY_MINUTES + 1;
        let all_days = self.days == 7 && self.first_day == 0;
        if !all_days || self.minutes == DAY_MINUTES {
            f.write_str(&name(self.first_day))?;
        }
        if self.days > 1 && (!all_days || self.minutes == DAY_MINUTES) {
            write!(f, "-{}", name(self.first_day + self.days - 1))?;
        }
        if self.minutes == DAY_MINUTES {
            return Ok(());
        }
        let blank = if all_days { "" } else { " " };
        let (hour, minute) = (self.start / 60, self.start % 60);
        write!(
            f,
            "{blank}{hour:02}:{minute:02}-{:02}:{:02}",
            end / 60,
            end % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time, as the rules are now.
    const CET: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn hours(spans: &[&str], zone: &str) -> Hours {
        let spans = spans.iter().map(|text| text.parse().unwrap());
        Hours::new(spans.collect(), Zone::posix(zone).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(at.as_millisecond() as u64)
    }

    /// All changes from one moment on, as text.
    fn changes(hours: &Hours, from: &str, count: usize) -> Vec<String> {
        let (mut now, mut seen) = (at(from), Vec::new());
        for _ in 0..count {
            let state = hours.state(now);
            now = state.until.unwrap();
            let word = if state.open { "closes" } else { "opens" };
            seen.push(format!(
                "{word} {}",
                now.to_string().replace(":00.000Z", "")
            ));
        }
        seen
    }

    #[test]
    fn evenings_and_weekends() {
        let hours = hours(&["Mon-Fri 18:00-07:00", "Sat", "sun"], "UTC0");
        // 2026-07-08 is a Wednesday.
        assert_eq!(
            changes(&hours, "2026-07-08T12:00:00Z", 7),
            [
                "opens 2026-07-08T18:00",
                "closes 2026-07-09T07:00",
                "opens 2026-07-09T18:00",
                "closes 2026-07-10T07:00",
                "opens 2026-07-10T18:00",
                // Saturday and Sunday are one with the night before; Monday has none.
                "closes 2026-07-13T00:00",
                "opens 2026-07-13T18:00",
            ]
        );
        assert!(hours.state(at("2026-07-11T06:59:59Z")).open);
        assert!(!hours.state(at("2026-07-13T00:00:00Z")).open);
    }

    #[test]
    fn a_span_over_the_end_of_the_week_and_one_over_all_of_it() {
        let over = hours(&["Sun-Mon 23:30-00:30"], "UTC0");
        assert_eq!(
            changes(&over, "2026-07-12T12:00:00Z", 4),
            [
                "opens 2026-07-12T23:30",
                "closes 2026-07-13T00:30",
                "opens 2026-07-13T23:30",
                "closes 2026-07-14T00:30",
            ]
        );
        for spans in [
            &["Mon-Sun"][..],
            &["00:00-24:00"],
            &["07:00-19:00", "19:00-07:00"],
        ] {
            let state = hours(spans, CET).state(at("2026-03-29T00:59:00Z"));
            assert_eq!((state.open, state.until), (true, None), "{spans:?}");
        }
        let never = hours(&[], CET).state(at("2026-03-29T00:59:00Z"));
        assert_eq!((never.open, never.until), (false, None));
    }

    /// On 29 March 2026 the clock goes from 02:00 to 03:00, at 01:00 UTC; on 25 October from 03:00
    /// to 02:00, at the same hour.
    #[test]
    fn the_clock_on_the_wall_decides_where_the_zone_sets_it() {
        let night = hours(&["22:00-06:00"], CET);
        assert_eq!(
            changes(&night, "2026-03-28T12:00:00Z", 4),
            [
                "opens 2026-03-28T21:00",
                "closes 2026-03-29T04:00",
                "opens 2026-03-29T20:00",
                "closes 2026-03-30T04:00",
            ]
        );
        // Half of it is skipped, then all of it.
        let half = hours(&["01:30-02:30"], CET);
        assert_eq!(
            changes(&half, "2026-03-28T22:00:00Z", 2),
            ["opens 2026-03-29T00:30", "closes 2026-03-29T01:00"]
        );
        let skipped = hours(&["Sun 02:15-02:45"], CET);
        assert_eq!(
            changes(&skipped, "2026-03-28T22:00:00Z", 1),
            ["opens 2026-04-05T00:15"]
        );
        // It is shown twice.
        assert_eq!(
            changes(&half, "2026-10-24T22:30:00Z", 4),
            [
                "opens 2026-10-24T23:30",
                "closes 2026-10-25T00:30",
                "opens 2026-10-25T01:00",
                "closes 2026-10-25T01:30",
            ]
        );
    }

    #[test]
    fn spans_print_as_they_are_read() {
        for text in [
            "Mon-Fri 18:00-07:00",
            "Sat",
            "22:00-06:00",
            "Fri-Mon",
            "Mon-Sun",
            "Wed 00:00-24:00",
        ] {
            let span: HoursSpan = text.parse().unwrap();
            let printed = span.to_string();
            assert_eq!(printed, text.replace("Wed 00:00-24:00", "Wed"), "{text}");
            assert_eq!(printed.parse::<HoursSpan>(), Ok(span));
        }
        for text in [
            "",
            "Mo",
            "Mon 7:00-8:00",
            "Mon 07:00",
            "07:00-25:00",
            "07:60-08:00",
            "07:00-07:00",
            "24:00-07:00",
            "Mon 07:00-08:00 09:00-10:00",
            "Mon-",
            "-Mon",
            "Mon -",
            "07:00-+8:00",
            "always",
        ] {
            assert!(text.parse::<HoursSpan>().is_err(), "{text}");
        }
    }
}

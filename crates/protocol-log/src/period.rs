//! Which stretch of time one file holds, and what IIS calls the file.

use jiff::civil::Date;
use mail::{Timestamp, Zone};

use crate::Form;
use crate::calendar::civil;

/// When a log goes on in another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// Every day.
    #[default]
    Daily,
    /// Every hour.
    Hourly,
    /// Every week of a month, which begins on Sunday.
    Weekly,
    /// Every month.
    Monthly,
    /// When the file is as large as it may be.
    Size,
    /// Never, but for the ceiling on all files.
    None,
}

/// A stretch of time, as file names have it: `260131`; empty where files go by their size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Period(String);

impl Period {
    /// The one in which this moment lies, in the zone, or else in UTC.
    pub fn of(at: Timestamp, rotation: Rotation, zone: Option<&Zone>) -> Self {
        let moment = civil(at, zone);
        let form = match rotation {
            Rotation::Daily => "%y%m%d",
            Rotation::Hourly => "%y%m%d%H",
            Rotation::Monthly => "%y%m",
            Rotation::Weekly => {
                let week = week_of_month(moment.date());
                return Self(format!("{}{week:02}", moment.strftime("%y%m")));
            }
            Rotation::Size | Rotation::None => return Self::default(),
        };
        Self(moment.strftime(form).to_string())
    }

    /// The name of its file: the first, or one of further ones.
    pub(crate) fn file_name(&self, form: Form, number: u32) -> String {
        let Self(stamp) = self;
        let (short, long) = form.prefixes();
        match number {
            _ if stamp.is_empty() => format!("{long}{number}.log"),
            1 => format!("{short}{stamp}.log"),
            _ => format!("{short}{stamp}-{number}.log"),
        }
    }

    /// Which of its files has this name, if any.
    pub(crate) fn number_of(&self, form: Form, name: &str) -> Option<u32> {
        let Self(stamp) = self;
        let (short, long) = form.prefixes();
        let stem = name.strip_suffix(".log")?;
        if stamp.is_empty() {
            return stem.strip_prefix(long)?.parse().ok();
        }
        match stem.strip_prefix(short)?.strip_prefix(&**stamp)? {
            "" => Some(1),
            further => further.strip_prefix('-')?.parse().ok(),
        }
    }
}

fn week_of_month(date: Date) -> i8 {
    let first = date.first_of_month().weekday().to_sunday_zero_offset();
    (date.day() + first - 1) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_iis_names_them() {
        // Wednesday, 11 October 2006, 13:16:40 UTC.
        let at = Timestamp::from_millis(1_160_572_600_000);
        let name = |rotation, form, number| Period::of(at, rotation, None).file_name(form, number);
        for (rotation, form, number, expected) in [
            (Rotation::Daily, Form::W3c, 1, "ex061011.log"),
            (Rotation::Daily, Form::Iis, 1, "in061011.log"),
            (Rotation::Daily, Form::Ncsa, 1, "nc061011.log"),
            (Rotation::Hourly, Form::W3c, 1, "ex06101113.log"),
            (Rotation::Weekly, Form::Iis, 1, "in061002.log"),
            (Rotation::Monthly, Form::Ncsa, 1, "nc0610.log"),
            (Rotation::Size, Form::W3c, 7, "extend7.log"),
            (Rotation::Size, Form::Iis, 1, "inetsv1.log"),
            (Rotation::None, Form::Ncsa, 1, "ncsa1.log"),
            (Rotation::Daily, Form::W3c, 2, "ex061011-2.log"),
        ] {
            let period = Period::of(at, rotation, None);
            assert_eq!(name(rotation, form, number), expected);
            assert_eq!(period.number_of(form, expected), Some(number), "{expected}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_zone_if_there_is_one() {
        let zone = Zone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // Saturday, 31 January 2026, 23:30:00 UTC.
        let at = Timestamp::from_millis(1_769_902_200_000);
        for (rotation, utc, local) in [
            (Rotation::Daily, "260131", "260201"),
            (Rotation::Hourly, "26013123", "26020100"),
            (Rotation::Weekly, "260105", "260201"),
            (Rotation::Monthly, "2601", "2602"),
        ] {
            assert_eq!(Period::of(at, rotation, None).0, utc);
            assert_eq!(Period::of(at, rotation, Some(&zone)).0, local);
        }
    }

    #[test]
    fn names_of_others_are_none() {
        let day = Period("061011".into());
        for name in [
            "ex061010.log",
            "ex061011",
            "ex061011-x.log",
            "in061011.log",
            "a.log",
        ] {
            assert_eq!(day.number_of(Form::W3c, name), None, "{name}");
        }
        assert_eq!(Period::default().number_of(Form::W3c, "extend.log"), None);
    }

    #[test]
    fn weeks_of_a_month_begin_on_sunday() {
        let weeks = |days: [i8; 6]| days.map(|day| week_of_month(Date::constant(2026, 11, day)));
        // 1 November 2026 is a Sunday.
        assert_eq!(weeks([1, 7, 8, 14, 15, 30]), [1, 1, 2, 2, 3, 5]);
        assert_eq!(week_of_month(Date::constant(2026, 8, 1)), 1);
        assert_eq!(week_of_month(Date::constant(2026, 8, 2)), 2);
        assert_eq!(week_of_month(Date::constant(2026, 8, 31)), 6);
    }
}

use std::time::Duration;

use mail::Timestamp;

/// `90s`, `1h30m`, `2d`: numbers, each with its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let mut following = after.chars();
        let unit = match following.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = following.as_str();
    }
    (!text.is_empty()).then_some(Duration::from_secs(seconds))
}

/// `1MB` is a million octets, `1MiB` is 1,048,576; a bare number is octets.
pub(crate) fn octets(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("", 1),
        ("B", 1),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let (number, unit) = leading_number(text)?;
    let (_, size) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*size)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// RFC 3339 in UTC, as [`Timestamp`] prints it; the fraction of a second may be left out.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let millis: u64 = format!("{fraction:0<3}").parse().ok()?;
    let (_, days) = months_of(year).nth(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let valid = (1970..=9999).contains(&year)
        && (1..=days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && fraction.len() <= 3;
    let before_month: u64 = months_of(year)
        .take_while(|(m, _)| *m < month)
        .map(|(_, d)| d)
        .sum();
    let days = days_before_year(year)
        .checked_add(before_month + day)?
        .checked_sub(1)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    valid.then(|| Timestamp::from_millis(seconds * 1000 + millis))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| match part.len() {
        2 | 4 if part.bytes().all(|b| b.is_ascii_digit()) => part.parse().ok(),
        _ => None,
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// The months with their number and their days.
fn months_of(year: u64) -> impl Iterator<Item = (u64, u64)> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap { 29 } else { 28 };
    (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
}

/// How many days lie between the first day of 1970 and that of `year`.
fn days_before_year(year: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = year.saturating_sub(1970);
    years * 365 + leap_days(year.max(1970) - 1) - leap_days(1969)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_carry_units() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("2w"), Some(1_209_600));
        for text in [
            "",
            "1",
            "h",
            "1x",
            "-1h",
            "99999999999999999999s",
            "18446744073709551615w",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(octets("64kib"), Some(65_536));
        assert_eq!(octets("25MB"), Some(25_000_000));
        assert_eq!(octets("7"), Some(7));
        for text in ["", "MB", "1TB", "18446744073709551615KB"] {
            assert_eq!(octets(text), None, "{text}");
        }
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
            assert_eq!(moment(&at.to_string()), Some(at));
        }
        assert_eq!(
            moment("1970-01-02T00:00:00Z"),
            Some(Timestamp::from_millis(86_400_000))
        );
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
        ];
        for text in wrong {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}

//! Durations and sizes, which always carry a unit.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Decimal as disks are sold, binary as memory is.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A year: nothing that is configured takes longer.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

pub(crate) const DURATION_HELP: &str =
    "write a number and a unit: \"500ms\", \"30s\", \"5m\", \"1h30m\", \"2d\"";
pub(crate) const SIZE_HELP: &str =
    "write a number and a unit: \"500kB\", \"25MB\" (1,000,000), \"25MiB\" (1,048,576), \"2GB\"";

/// Reads `5m`, `1h30m`, `500ms`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut milliseconds = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, unit, behind) = part(rest)?;
        let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        milliseconds = milliseconds.checked_add(number.checked_mul(factor)?)?;
        rest = behind;
    }
    Some(Duration::from_millis(milliseconds)).filter(|d| *d <= DURATION_MAX)
}

/// Reads `25MB`, `25 MiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit, behind) = part(text.trim())?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1;
    if behind.is_empty() {
        number.checked_mul(factor)
    } else {
        None
    }
}

/// A number, the letters behind it, and the rest.
fn part(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start();
    let letters = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    Some((number, &rest[..letters], rest[letters..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units() {
        let cases = [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("500ms", Some(500)),
            ("30 s", Some(30_000)),
            ("0s", Some(0)),
            ("5", None),
            ("", None),
            ("m", None),
            ("-5m", None),
            ("5 minutes", None),
            ("99999999999999999999s", None),
            ("10000d", None),
            ("1.5h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                duration(text),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }

    #[test]
    fn sizes_carry_units() {
        let cases = [
            ("25MB", Some(25_000_000)),
            ("25MiB", Some(26_214_400)),
            ("0MB", Some(0)),
            ("10 kB", Some(10_000)),
            ("7B", Some(7)),
            ("25", None),
            ("25mb", None),
            ("25MB5", None),
            ("18446744073709551615GB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }
}

//! How people write durations and sizes: a number and its unit. One grammar for the configuration
//! file, for filters and for the command line.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Decimal as disks are sold, binary as memory is. Case counts: a small `m` is no million.
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

/// Reads `5m`, `1h30m`, `500ms`; `None` for what is no duration, or longer than 64 bits of
/// milliseconds hold.
pub fn duration(text: &str) -> Option<Duration> {
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
    Some(Duration::from_millis(milliseconds))
}

/// Reads `25MB`, `25 MiB`, in octets; `None` for what is no size, or more than 64 bits hold.
pub fn size(text: &str) -> Option<u64> {
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
            ("2w", Some(1_209_600_000)),
            ("500ms", Some(500)),
            ("30 s", Some(30_000)),
            ("0s", Some(0)),
            ("5", None),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-5m", None),
            ("5 minutes", None),
            ("99999999999999999999s", None),
            ("18446744073709551615w", None),
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
            ("64KiB", Some(65_536)),
            ("0MB", Some(0)),
            ("10 kB", Some(10_000)),
            ("10KB", Some(10_000)),
            ("7B", Some(7)),
            ("", None),
            ("MB", None),
            ("25", None),
            ("25mb", None),
            ("1TB", None),
            ("25MB5", None),
            ("18446744073709551615GB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }
}

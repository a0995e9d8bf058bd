use std::time::Duration;

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
}

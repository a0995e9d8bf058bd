//! The text of MTA-STS: the record in DNS and the policy behind it (RFC 8461 section 3).

use std::time::Duration;

use mail::Domain;
use route::{StsMode, StsPolicy};

/// MX patterns of a policy; more make it invalid.
const PATTERNS_MAX: usize = 100;
/// RFC 8461 section 3.2: a year.
const MAX_AGE_SECONDS_MAX: u64 = 31_557_600;
/// RFC 8461 section 3.1: 1*32(ALPHA / DIGIT).
const ID_LEN_MAX: usize = 32;

/// Reads a policy.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse(text: &str) -> Result<StsPolicy, String> {
    let mut version = None;
    let mut mode = None;
    let mut max_age = None;
    let mut mx = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(':').ok_or("a line without a colon")?;
        let value = value.trim();
        // RFC 8461 section 3.2: of a field that may not be repeated, only the first counts.
        match key.trim_end() {
            "version" => drop(version.get_or_insert(value)),
            "mode" => drop(mode.get_or_insert(value)),
            "max_age" => drop(max_age.get_or_insert(value)),
            "mx" => mx.push(pattern(value)?),
            _ => {}
        }
    }
    if version != Some("STSv1") {
        return Err("it does not say version: STSv1".to_owned());
    }
    let mode = mode_of(mode.ok_or("it has no mode")?)?;
    if mx.is_empty() && mode != StsMode::None {
        return Err("it names no mx".to_owned());
    }
    if mx.len() > PATTERNS_MAX {
        return Err("it names too many mx".to_owned());
    }
    Ok(StsPolicy {
        mode,
        mx,
        max_age: age(max_age.ok_or("it has no max_age")?)?,
    })
}

fn mode_of(text: &str) -> Result<StsMode, String> {
    match text {
        "enforce" => Ok(StsMode::Enforce),
        "testing" => Ok(StsMode::Testing),
        "none" => Ok(StsMode::None),
        _ => Err("its mode is unknown".to_owned()),
    }
}

fn pattern(text: &str) -> Result<Box<str>, String> {
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    let name = Domain::parse(name).map_err(|_| "an mx that is no host name".to_owned())?;
    Ok(format!("{star}{name}").into())
}

fn age(text: &str) -> Result<Duration, String> {
    // RFC 8461 section 3.2: 1*10(DIGIT)
    let plain = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds: u64 = plain
        .then(|| text.parse().ok())
        .flatten()
        .ok_or("its max_age is no number")?;
    Ok(Duration::from_secs(seconds.min(MAX_AGE_SECONDS_MAX)))
}

/// The id in the texts of `_mta-sts.DOMAIN`; `None`: the domain has no MTA-STS.
pub(crate) fn record_id<'a>(texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // RFC 8461 section 3.1: "If the number of resulting records is not one, or if the resulting
    // record is syntactically invalid, senders MUST assume the recipient domain does not have an
    // available MTA-STS Policy".
    let mut records = texts.filter(|text| text.starts_with("v=STSv1;"));
    let record = records.next()?;
    if records.next().is_some() {
        return None;
    }
    let mut fields = record.split(';').map(str::trim);
    let id = fields.find_map(|field| field.strip_prefix("id="))?;
    let valid =
        (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    valid.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn the_example_of_the_rfc() {
        let policy = parse(GOOD).unwrap();
        let mx: Vec<_> = policy.mx.iter().map(|p| &**p).collect();
        assert_eq!(mx, ["mail.example.com", "*.example.net"]);
        assert_eq!(
            (policy.mode, policy.max_age),
            (StsMode::Enforce, Duration::from_secs(604_800))
        );
        assert_eq!(parse(&GOOD.replace("\r\n", "\n")), Ok(policy));
    }

    #[test]
    fn what_is_no_policy() {
        let cases = [
            ("version: STSv1", "version: STSv2"),
            ("version: STSv1\r\n", ""),
            ("mode: enforce", "mode: please"),
            ("mode: enforce\r\n", ""),
            ("max_age: 604800", "max_age: -1"),
            ("max_age: 604800", "max_age: 99999999999"),
            ("max_age: 604800\r\n", ""),
            ("mx: mail.example.com", "mx: *"),
            ("mx: mail.example.com", "mx: mail..com"),
            ("mx: mail.example.com\r\nmx: *.Example.net\r\n", ""),
            ("mode: enforce", "<html>"),
        ];
        for (good, bad) in cases {
            assert!(parse(&GOOD.replace(good, bad)).is_err(), "{bad}");
        }
        let many = GOOD.to_owned() + &"mx: a.example\n".repeat(PATTERNS_MAX);
        assert!(parse(&many).is_err());
    }

    #[test]
    fn what_is_a_policy_all_the_same() {
        let cases = [
            "version: STSv1\nmode: none\nmax_age: 0",
            "version:STSv1\nmode:testing\nmx:a.example\nmax_age:4294967295\nfuture: yes: no\n\n",
            "version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 1",
        ];
        let parsed = cases.map(|text| parse(text).unwrap());
        assert_eq!(parsed[0].mode, StsMode::None);
        assert_eq!(parsed[1].max_age, Duration::from_secs(MAX_AGE_SECONDS_MAX));
        assert_eq!(parsed[2].mode, StsMode::Enforce);
    }

    #[test]
    fn records() {
        let cases: [(&[&str], Option<&str>); 9] = [
            (&["v=STSv1; id=20160831085700Z;"], Some("20160831085700Z")),
            (&["v=spf1 -all", "v=STSv1;id=a"], Some("a")),
            (&["v=STSv1; future=1; id=b"], Some("b")),
            (&["v=STSv1; id=a", "v=STSv1; id=b"], None),
            (&["v=STSv1; id="], None),
            (&["v=STSv1; id=a-b"], None),
            (&["v=STSv1"], None),
            (&["v=STSv2; id=a"], None),
            (&[], None),
        ];
        for (texts, id) in cases {
            assert_eq!(record_id(texts.iter().copied()), id, "{texts:?}");
        }
    }
}

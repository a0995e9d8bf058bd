//! Values as the cmdlets of Exchange write them: sizes, spans of time, ranges of addresses, address spaces.

use std::net::{IpAddr, SocketAddr};

use super::export::without_blanks;
use crate::addresses::Addresses;

/// A limit: a number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Unlimited,
    At(u64),
}

/// `36 MB (37,748,736 bytes)`, `36MB`, `37748736`, `Unlimited`; in octets.
pub(super) fn size(text: &str) -> Option<Limit> {
    let text = without_blanks(text).to_ascii_lowercase();
    if text == "unlimited" {
        return Some(Limit::Unlimited);
    }
    // The exact number stands in parentheses, grouped as the language of the machine has it.
    let exact = text.split_once('(').map(|(_, rest)| rest);
    if let Some(exact) = exact {
        let digits: String = exact.chars().filter(char::is_ascii_digit).collect();
        return digits.parse().ok().map(Limit::At);
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" | "b" | "bytes" => 1.0,
        "kb" => 1024.0,
        "mb" => 1024.0 * 1024.0,
        "gb" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let octets = number.parse::<f64>().ok()? * factor;
    (0.0..1e15)
        .contains(&octets)
        .then_some(Limit::At(octets as u64))
}

/// A whole number, or `Unlimited`.
pub(super) fn count(text: &str) -> Option<Limit> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(Limit::Unlimited);
    }
    text.parse().ok().map(Limit::At)
}

/// `00:10:00`, `2.00:00:00`, and as XML has it, `PT10M`, `P2DT4H`; in seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('P') {
        return of_iso(rest);
    }
    let (days, clock) = match text.split_once('.') {
        Some((days, clock)) if clock.contains(':') => (days.parse().ok()?, clock),
        _ => (0u64, text),
    };
    // Fractions of a second do not matter.
    let clock = clock.split('.').next()?;
    let parts: Option<Vec<u64>> = clock.split(':').map(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds] = parts?[..] else {
        return None;
    };
    let all = days
        .checked_mul(86_400)?
        .checked_add(hours.checked_mul(3600)?)?;
    all.checked_add(minutes.checked_mul(60)?)?
        .checked_add(seconds)
}

fn of_iso(rest: &str) -> Option<u64> {
    let mut all = 0u64;
    let mut digits = String::new();
    let mut time = false;
    for letter in rest.chars() {
        let factor = match letter {
            'T' => {
                time = true;
                continue;
            }
            '0'..='9' | '.' => {
                digits.push(letter);
                continue;
            }
            'D' => 86_400,
            'H' => 3600,
            'M' if time => 60,
            'S' => 1,
            _ => return None,
        };
        let number: u64 = digits.split('.').next()?.parse().ok()?;
        all = all.checked_add(number.checked_mul(factor)?)?;
        digits.clear();
    }
    digits.is_empty().then_some(all)
}

/// A range of RemoteIPRanges: an address, `first-last`, `address/bits`, or `address(mask)`. Bits behind the
/// mask do not count.
pub(super) fn range(text: &str) -> Option<Addresses> {
    let text = text.trim_matches(['[', ']']);
    if let Some((first, last)) = text.split_once('-') {
        return Addresses::span(address(first)?, address(last)?);
    }
    if let Some((base, bits)) = text.split_once('/') {
        return Addresses::block(address(base)?, bits.parse().ok()?);
    }
    if let Some((base, mask)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (IpAddr::V4(base), IpAddr::V4(mask)) = (address(base)?, address(mask)?) else {
            return None;
        };
        return Addresses::masked(base, mask);
    }
    let address = address(text)?;
    Addresses::span(address, address)
}

fn address(text: &str) -> Option<IpAddr> {
    // An address of a link has the number of its interface behind it.
    text.split('%').next()?.parse().ok()
}

/// `0.0.0.0:25`, `[::]:25`
pub(super) fn bind(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// The mail that a connector is for, of an address space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    /// `*`
    All,
    /// `--`, of an Edge server: all domains of the organisation.
    Organisation,
    Domain(String),
    /// `*.example.com`: the domain and all below it.
    DomainAndBelow(String),
}

/// `SMTP:*.example.com;5`, `example.com`; with its cost. `None` for other kinds of addresses.
pub(super) fn space(text: &str) -> Option<(Space, u32)> {
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind, rest),
        None => ("smtp", text),
    };
    if !kind.eq_ignore_ascii_case("smtp") {
        return None;
    }
    let (name, cost) = rest.split_once(';').unwrap_or((rest, "1"));
    let cost = cost.parse().ok()?;
    // Exchange 2003 may have it with an @.
    let name = name.trim_start_matches('@').to_ascii_lowercase();
    let domain = |name: &str| {
        mail::Domain::parse(name)
            .ok()
            .map(|domain| domain.as_str().to_owned())
    };
    let space = match &*name {
        "*" => Space::All,
        "--" => Space::Organisation,
        name => match name.strip_prefix("*.") {
            Some(below) => Space::DomainAndBelow(domain(below)?),
            None => Space::Domain(domain(name)?),
        },
    };
    Some((space, cost))
}

/// A name of our own, of letters, digits and `-`.
pub(super) fn plain_name(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = text.chars().map(plain).take(NAME_MAX).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

const NAME_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_times_are_read() {
        for (text, octets) in [
            ("36 MB (37,748,736 bytes)", 37_748_736),
            ("36 MB (37.748.736 bytes)", 37_748_736),
            ("10MB", 10 << 20),
            ("1024", 1024),
            ("256 KB", 256 << 10),
        ] {
            assert_eq!(size(text), Some(Limit::At(octets)), "{text}");
        }
        assert_eq!(size("Unlimited"), Some(Limit::Unlimited));
        assert_eq!(size("viel"), None);
        for (text, expected) in [
            ("00:10:00", 600),
            ("2.00:00:00", 172_800),
            ("00:00:05.5000000", 5),
            ("PT10M", 600),
            ("P2DT4H", 187_200),
            ("PT0S", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!(
            (seconds("ten"), seconds("P1M"), seconds("1:2")),
            (None, None, None)
        );
    }

    #[test]
    fn ranges_have_four_forms() {
        for (text, entries) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("192.0.2.0(255.255.255.128)", "192.0.2.0/25"),
            ("192.0.2.3-192.0.2.4", "192.0.2.3,192.0.2.4"),
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("fe80::1%4", "fe80::1"),
        ] {
            assert_eq!(range(text).unwrap().entries().join(","), entries, "{text}");
        }
        for wrong in [
            "192.0.2.9-192.0.2.1",
            "192.0.2.1/33",
            "10.0.0.0(255.0.255.0)",
            "::1-10.0.0.1",
            "host",
            "10.0.0.0/",
        ] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn address_spaces_are_read() {
        assert_eq!(space("SMTP:*;1"), Some((Space::All, 1)));
        assert_eq!(space("smtp:--;100"), Some((Space::Organisation, 100)));
        assert_eq!(
            space("*.Example.com"),
            Some((Space::DomainAndBelow("example.com".into()), 1))
        );
        assert_eq!(
            space("SMTP:@a.test;7"),
            Some((Space::Domain("a.test".into()), 7))
        );
        assert_eq!(
            (space("X400:c=US;a= ;p=X;1"), space("SMTP:a b;1")),
            (None, None)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[0-9a-fPTDHMS.:;/()*@ -]{0,24}|.{0,12}") {
            let _ = (size(&text), count(&text), seconds(&text), range(&text), bind(&text), space(&text), plain_name(&text));
        }
    }
}

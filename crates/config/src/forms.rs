//! How single values are written: rates, answers of DNS lists, certificates, addresses of services.

use std::net::Ipv4Addr;

use admission::Rate;
use mail::Mailbox;

use crate::quantity;
use crate::value::Value;

const RATE_HELP: &str = "write a number, a stroke and a time: \"600/1h\", or \"off\"";

/// More in any time is no limit.
const RATE_COUNT_MAX: u32 = 1_000_000_000;

/// Reads `600/1h`.
pub(crate) fn rate(text: &str) -> Result<Value, String> {
    let (count, per) = text.split_once('/').ok_or(RATE_HELP)?;
    let count = count.trim().parse().map_err(|_| RATE_HELP)?;
    let per = quantity::duration(per).ok_or(RATE_HELP)?;
    if !(1..=RATE_COUNT_MAX).contains(&count) || per.is_zero() {
        return Err("a rate lets something through: \"600/1h\"".into());
    }
    Ok(Value::Rate(Rate { count, per }))
}

/// Reads `127.0.0.2` or `127.0.0.2-127.0.0.11`.
pub(crate) fn codes(text: &str) -> Result<Value, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let address = |text: &str| text.trim().parse::<Ipv4Addr>().ok();
    let (Some(first), Some(last)) = (address(first), address(last)) else {
        return Err("write \"127.0.0.2\" or \"127.0.0.2-127.0.0.11\"".into());
    };
    // RFC 5782 section 2.1: answers are in 127.0.0.0/8; anything else comes from a list that is
    // gone.
    if !first.is_loopback() || !last.is_loopback() || first > last {
        return Err("answers of DNS lists lie in 127.0.0.0/8, from lower to higher".into());
    }
    Ok(Value::Codes(first, last))
}

/// Where recipients are asked for, when it is no list.
pub(crate) fn recipients(text: &str) -> Result<Value, String> {
    let named = |scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest: &str| !rest.is_empty())
    };
    if text == "verify" || named("file:") || named("ldap:") {
        return Ok(Value::Text(text.to_owned()));
    }
    if Mailbox::parse(text).is_ok() {
        return Err("write it in brackets: [\"...\"]".into());
    }
    Err("write \"file:PATH\", \"ldap:NAME\", \"verify\", or a list".into())
}

/// Reads `https://host/path`.
pub(crate) fn https_url(text: &str) -> Result<Value, String> {
    service(text, &["https://"])
        .then(|| Value::Text(text.to_owned()))
        .ok_or_else(|| "write \"https://host/path\"".into())
}

/// Reads `https://host/path` or `file:PATH`.
pub(crate) fn keys(text: &str) -> Result<Value, String> {
    let file = text.strip_prefix("file:").is_some_and(|p| !p.is_empty());
    (file || service(text, &["https://"]))
        .then(|| Value::Text(text.to_owned()))
        .ok_or_else(|| "write \"https://host/path\" or \"file:PATH\"".into())
}

/// Reads `ldap://host:port` or `ldaps://host:port`.
pub(crate) fn ldap_url(text: &str) -> Result<Value, String> {
    let plain = service(text, &["ldap://", "ldaps://"]);
    let host_only = text.matches('/').count() == 2;
    (plain && host_only)
        .then(|| Value::Text(text.to_owned()))
        .ok_or_else(|| "write \"ldaps://host\" or \"ldap://host:389\"".into())
}

/// Whether `text` begins as one of `schemes`, names a host, and holds nothing that ends a line or a
/// request.
fn service(text: &str, schemes: &[&str]) -> bool {
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A user before the host would be a password in this file.
    !host.is_empty() && !host.contains('@') && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rates_are_numbers_in_a_time() {
        for (text, expected) in [
            ("600/1h", Some((600, 3600))),
            ("5 / 30s", Some((5, 30))),
            ("600", None),
            ("0/1h", None),
            ("5/0s", None),
            ("-5/1h", None),
            ("5/1", None),
            ("99999999999/1h", None),
        ] {
            let read = match rate(text) {
                Ok(Value::Rate(rate)) => Some((rate.count, rate.per)),
                _ => None,
            };
            let expected = expected.map(|(n, s)| (n, Duration::from_secs(s)));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn services_are_named_by_scheme_and_host() {
        for (text, https, ldap) in [
            ("https://login.example/token", true, false),
            ("http://login.example/token", false, false),
            ("https:///token", false, false),
            ("https://user:pass@login.example/", false, false),
            ("https://a b/", false, false),
            ("ldap://dc.example:389", false, true),
            ("ldaps://dc.example", false, true),
            ("ldaps://dc.example/o=x", false, false),
        ] {
            assert_eq!(
                (https_url(text).is_ok(), ldap_url(text).is_ok()),
                (https, ldap),
                "{text}"
            );
        }
    }

    #[test]
    fn codes_lie_in_the_loopback_network() {
        for (text, right) in [
            ("127.0.0.2", true),
            ("127.0.0.2-127.0.0.11", true),
            ("127.0.0.11-127.0.0.2", false),
            ("10.0.0.1", false),
            ("2", false),
        ] {
            assert_eq!(codes(text).is_ok(), right, "{text}");
        }
    }
}

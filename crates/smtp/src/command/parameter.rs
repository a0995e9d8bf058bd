//! The parameters behind the paths of MAIL and RCPT: `KEY` and `KEY=VALUE`, separated by blanks.
//! What each means, [`mail::MailParameters`] and [`mail::RcptParameters`] know.

use mail::ParameterFault::{BadValue, Repeated, Unknown};
use mail::{MailParameters, ParameterFault, RcptParameters, is_printable_xtext};

use super::{Mail, Rcpt};

/// RFC 1870 section 5: `1*20DIGIT`.
const SIZE_DIGITS_MAX: usize = 20;

/// The parameter, where it is one of ours, and what is wrong with it.
type Fault = (&'static str, ParameterFault);

/// Reads the parameters behind the path of MAIL.
pub(crate) fn parse_mail(text: &str, mail: &mut Mail) -> Result<(), Fault> {
    let own = ["SIZE", "AUTH", "PRDR"];
    let known = own.into_iter().chain(MailParameters::KEYWORDS);
    parse(text, known, |keyword, value| match keyword {
        "SIZE" => put(&mut mail.size, value.and_then(parse_size)),
        "AUTH" => {
            let xtext = value.filter(|value| is_printable_xtext(value));
            put(&mut mail.auth, xtext.map(Into::into))
        }
        "PRDR" if value.is_some() => Err(BadValue),
        "PRDR" => {
            mail.prdr = true;
            Ok(())
        }
        other => mail.parameters.set(other, value),
    })
}

/// Reads the parameters behind the path of RCPT.
pub(crate) fn parse_rcpt(text: &str, rcpt: &mut Rcpt) -> Result<(), Fault> {
    let known = RcptParameters::KEYWORDS.into_iter();
    parse(text, known, |keyword, value| {
        rcpt.parameters.set(keyword, value)
    })
}

fn parse(
    text: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    mut set: impl FnMut(&str, Option<&str>) -> Result<(), ParameterFault>,
) -> Result<(), Fault> {
    let mut seen = Vec::new();
    for (word, value) in split(text) {
        let is_it = |keyword: &&str| keyword.eq_ignore_ascii_case(word);
        let keyword = known.clone().find(is_it).ok_or(("", Unknown))?;
        if seen.contains(&keyword) {
            return Err((keyword, Repeated));
        }
        seen.push(keyword);
        set(keyword, value).map_err(|fault| (keyword, fault))?;
    }
    Ok(())
}

fn split(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        })
}

fn put<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), ParameterFault> {
    *slot = Some(value.ok_or(BadValue)?);
    Ok(())
}

/// More than 64 bits hold is still a number, larger than any message that we take.
fn parse_size(value: &str) -> Option<u64> {
    let digits =
        (1..=SIZE_DIGITS_MAX).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_do_not_wrap() {
        let cases = [
            ("0", Some(0)),
            ("26214400", Some(26_214_400)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999", Some(u64::MAX)),
            ("999999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("1k", None),
        ];
        for (text, size) in cases {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }
}

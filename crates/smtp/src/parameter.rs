use mail::{BodyKind, Notify, OriginalRecipient, Ret};

use crate::ParameterFault;
use crate::ParameterFault::{BadValue, NotOffered, Repeated, Unknown};
use crate::command::{Mail, Rcpt};

/// RFC 3461 section 4.4: no more than 100 characters.
const ENVID_LEN_MAX: usize = 100;
/// RFC 3461 section 4.2: no more than 500 characters.
const ORCPT_LEN_MAX: usize = 500;
/// RFC 1870 section 5: `1*20DIGIT`.
const SIZE_DIGITS_MAX: usize = 20;

type Fault = (&'static str, ParameterFault);

/// Reads the parameters behind the path of MAIL.
pub(crate) fn parse_mail(text: &str, mail: &mut Mail) -> Result<(), Fault> {
    let mut body = None;
    let mut smtputf8 = None;
    for (key, value) in split(text) {
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        if is("SIZE") {
            once(
                "SIZE",
                &mut mail.size,
                value.and_then(parse_size).ok_or(BadValue),
            )?;
        } else if is("BODY") {
            once(
                "BODY",
                &mut body,
                value.ok_or(BadValue).and_then(parse_body),
            )?;
        } else if is("SMTPUTF8") {
            once(
                "SMTPUTF8",
                &mut smtputf8,
                if value.is_none() {
                    Ok(true)
                } else {
                    Err(BadValue)
                },
            )?;
        } else if is("RET") {
            once(
                "RET",
                &mut mail.ret,
                value.and_then(parse_ret).ok_or(BadValue),
            )?;
        } else if is("ENVID") {
            let valid = |v: &&str| v.len() <= ENVID_LEN_MAX && is_printable_xtext(v);
            once(
                "ENVID",
                &mut mail.envid,
                value.filter(valid).map(Into::into).ok_or(BadValue),
            )?;
        } else if is("AUTH") {
            let valid = |v: &&str| is_printable_xtext(v);
            once(
                "AUTH",
                &mut mail.auth,
                value.filter(valid).map(Into::into).ok_or(BadValue),
            )?;
        } else {
            return Err(("", Unknown));
        }
    }
    mail.body = body.unwrap_or_default();
    mail.smtputf8 = smtputf8.unwrap_or_default();
    Ok(())
}

/// Reads the parameters behind the path of RCPT.
pub(crate) fn parse_rcpt(text: &str, rcpt: &mut Rcpt) -> Result<(), Fault> {
    for (key, value) in split(text) {
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        if is("NOTIFY") {
            once(
                "NOTIFY",
                &mut rcpt.notify,
                value.and_then(parse_notify).ok_or(BadValue),
            )?;
        } else if is("ORCPT") {
            once(
                "ORCPT",
                &mut rcpt.original,
                value.and_then(parse_orcpt).ok_or(BadValue),
            )?;
        } else {
            return Err(("", Unknown));
        }
    }
    Ok(())
}

/// `KEY` and `KEY=VALUE`, separated by blanks.
fn split(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        })
}

fn once<T>(
    name: &'static str,
    slot: &mut Option<T>,
    value: Result<T, ParameterFault>,
) -> Result<(), Fault> {
    if slot.is_some() {
        return Err((name, Repeated));
    }
    *slot = Some(value.map_err(|fault| (name, fault))?);
    Ok(())
}

/// More than 64 bits hold is still a number, larger than any message that we take.
fn parse_size(value: &str) -> Option<u64> {
    let digits =
        (1..=SIZE_DIGITS_MAX).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn parse_body(value: &str) -> Result<BodyKind, ParameterFault> {
    let is = |name: &str| value.eq_ignore_ascii_case(name);
    if is("7BIT") {
        Ok(BodyKind::SevenBit)
    } else if is("8BITMIME") {
        Ok(BodyKind::EightBit)
    } else if is("BINARYMIME") {
        Err(NotOffered)
    } else {
        Err(BadValue)
    }
}

fn parse_ret(value: &str) -> Option<Ret> {
    if value.eq_ignore_ascii_case("FULL") {
        Some(Ret::Full)
    } else if value.eq_ignore_ascii_case("HDRS") {
        Some(Ret::Headers)
    } else {
        None
    }
}

/// RFC 3461 section 4.1: `NEVER` stands alone; the others form a list.
fn parse_notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        if word.eq_ignore_ascii_case("SUCCESS") {
            notify.success = true;
        } else if word.eq_ignore_ascii_case("FAILURE") {
            notify.failure = true;
        } else if word.eq_ignore_ascii_case("DELAY") {
            notify.delay = true;
        } else {
            return None;
        }
    }
    Some(notify)
}

/// `addr-type ";" xtext`
fn parse_orcpt(value: &str) -> Option<OriginalRecipient> {
    let (kind, address) = value.split_once(';')?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let valid = value.len() <= ORCPT_LEN_MAX
        && !kind.is_empty()
        && kind.bytes().all(atom)
        && is_printable_xtext(address);
    if valid {
        OriginalRecipient::new(value)
    } else {
        None
    }
}

/// RFC 3461 section 4: printable ASCII, with `+` followed by two upper-case hex digits for
/// everything else. What it decodes to must be printable too, or a line break could travel in it
/// into the notice that we write.
fn is_printable_xtext(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = match byte {
            b'+' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                (_, _) => return false,
            },
            b'=' => return false,
            other => other,
        };
        if !(b' '..=b'~').contains(&decoded) {
            return false;
        }
    }
    !value.is_empty()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_decodes_to_printable_ascii_or_is_refused() {
        for good in ["abc", "QQ314159", "a+2Bb", "<>", "a+20b"] {
            assert!(is_printable_xtext(good), "{good}");
        }
        for bad in [
            "",
            "a+0D+0Ab",
            "a+2b",
            "a+",
            "a=b",
            "a+ZZ",
            "\u{e4}",
            "a b\u{7f}",
            "+C3+A4",
        ] {
            assert!(!is_printable_xtext(bad), "{bad}");
        }
    }

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

use std::fmt::Write as _;

/// Whether a value is xtext (RFC 3461 section 4) of something printable: printable ASCII, with `+`
/// followed by two upper-case hex digits for everything else.
///
/// What it decodes to must be printable too, or a line break could travel in it into the notice
/// that we write.
pub fn is_printable_xtext(value: &str) -> bool {
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

/// A value as xtext (RFC 3461 section 4): what is not printable ASCII, and `+` and `=`, as `+` with two
/// hex digits for each octet.
pub fn xtext(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if matches!(byte, b'!'..=b'~') && !matches!(byte, b'+' | b'=') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "+{byte:02X}");
        }
    }
    text
}

/// What xtext stands for; hex digits may be in either case, since not everybody writes them as they
/// should be. `None` where it is no xtext, or stands for what is no printable UTF-8.
pub fn from_xtext(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().map(|byte| (byte, byte.to_ascii_uppercase()));
    while let Some((byte, _)) = bytes.next() {
        octets.push(match byte {
            b'+' => hex(bytes.next()?.1)? << 4 | hex(bytes.next()?.1)?,
            other => other,
        });
    }
    let value = String::from_utf8(octets).ok()?;
    (!value.contains(char::is_control)).then_some(value)
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
    fn xtext_and_back() {
        for (value, text) in [
            ("mx.example", "mx.example"),
            ("a b+c=d", "a+20b+2Bc+3Dd"),
            ("\u{e4}", "+C3+A4"),
            ("", ""),
        ] {
            assert_eq!(xtext(value), text);
            assert_eq!(from_xtext(text).as_deref(), Some(value));
        }
        assert_eq!(from_xtext("a+2bb").as_deref(), Some("a+b"));
        for bad in ["a+0D+0Ab", "a+", "a+2", "a+ZZ", "+C3", "+00"] {
            assert_eq!(from_xtext(bad), None, "{bad}");
        }
    }

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
}

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
}

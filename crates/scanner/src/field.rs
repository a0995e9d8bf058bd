use crate::Fault;
use crate::fault::shown;

/// Octets in the name of a field (RFC 5322 section 2.1.1: a line holds 998).
const NAME_MAX: usize = 200;
/// Octets in the value of a field that a scanner adds.
const VALUE_MAX: usize = 64 * 1024;

/// The name of a field, if it is one.
pub(crate) fn field_name(name: &str) -> Result<String, Fault> {
    // RFC 5322 section 2.2: "composed of printable US-ASCII characters (i.e., characters that have
    // values between 33 and 126, inclusive), except colon".
    let is_good = |c: u8| c.is_ascii_graphic() && c != b':';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_good) {
        return Err(Fault::malformed(
            "the name of a header field",
            name.as_bytes(),
        ));
    }
    Ok(name.to_owned())
}

/// The value of a field with its lines ended by CRLF, whatever line ends a scanner writes. A line
/// that does not begin with a blank or tab would be a field of its own or the end of the header, so
/// it gets a tab; blank lines are left out.
pub(crate) fn field_value(value: &str) -> Result<String, Fault> {
    if value.len() > VALUE_MAX {
        return Err(Fault::TooLong("a header field", VALUE_MAX));
    }
    if value.contains('\0') {
        return Err(Fault::Malformed(
            "the value of a header field",
            shown(value.as_bytes()),
        ));
    }
    let mut whole = String::with_capacity(value.len());
    for line in value.split(['\r', '\n']) {
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() {
            continue;
        }
        if !whole.is_empty() {
            whole.push_str("\r\n");
            if !line.starts_with([' ', '\t']) {
                whole.push('\t');
            }
        }
        whole.push_str(line);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_values_get_one_kind_of_line_end() {
        for given in [
            "a=b;\n\tc=d",
            "a=b;\r\n\tc=d",
            "a=b;\r\tc=d\n",
            "a=b; \n\n\tc=d\r\n",
        ] {
            assert_eq!(field_value(given).unwrap(), "a=b;\r\n\tc=d", "{given:?}");
        }
    }

    #[test]
    fn a_value_cannot_hold_another_field_nor_end_the_header() {
        assert_eq!(field_value("x\nBcc: y").unwrap(), "x\r\n\tBcc: y");
        assert_eq!(field_value("x\r\n\r\nbody").unwrap(), "x\r\n\tbody");
        assert_eq!(field_value("\r\n").unwrap(), "");
        assert!(field_value("a\0").is_err());
        assert!(field_value(&"a".repeat(VALUE_MAX + 1)).is_err());
    }

    #[test]
    fn names_are_those_of_fields() {
        assert!(field_name("X-Spam").is_ok());
        for wrong in [
            "",
            "a b",
            "a:",
            "a\r\nb",
            "\u{e9}",
            &"a".repeat(NAME_MAX + 1),
        ] {
            assert!(field_name(wrong).is_err(), "{wrong:?}");
        }
    }
}

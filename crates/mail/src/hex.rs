//! Octets as hexadecimal digits.

/// `octets` as two lower-case digits each.
pub fn hex(octets: impl AsRef<[u8]>) -> String {
    let octets = octets.as_ref();
    let mut text = String::with_capacity(2 * octets.len());
    for octet in octets {
        for digit in [octet >> 4, octet & 0x0f] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn two_digits_each() {
        assert_eq!(hex([0x00, 0x0f, 0xf0, 0xa5]), "000ff0a5");
        assert_eq!(hex(""), "");
    }
}

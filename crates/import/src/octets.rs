//! Octets of files as text: UTF-8 or UTF-16, with or without a byte-order mark, as Windows writes them.

/// The text of a file; what is no letter becomes U+FFFD.
pub(crate) fn text(octets: &[u8]) -> String {
    let wide = |octets: &[u8], number: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = octets
            .chunks_exact(2)
            .map(|pair| number([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match octets {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // Redirected output of PowerShell without a mark: every second octet of plain text is zero.
        [first, 0, ..] if *first != 0 => wide(octets, u16::from_le_bytes),
        octets => String::from_utf8_lossy(octets).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_how_a_file_is_written() {
        let wide =
            |number: fn(u16) -> [u8; 2]| "aü".encode_utf16().flat_map(number).collect::<Vec<u8>>();
        assert_eq!(
            text(&[&[0xff, 0xfe][..], &wide(u16::to_le_bytes)].concat()),
            "aü"
        );
        assert_eq!(
            text(&[&[0xfe, 0xff][..], &wide(u16::to_be_bytes)].concat()),
            "aü"
        );
        assert_eq!(text(&wide(u16::to_le_bytes)), "aü");
        assert_eq!(text("\u{feff}aü".as_bytes()), "aü");
        assert_eq!(text(b"a\xff"), "a\u{fffd}");
    }
}

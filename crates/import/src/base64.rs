//! Base64 (RFC 4648 section 4).

/// What a text stands for; `None` where it is no base64. Missing padding is no matter.
pub(crate) fn octets(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let mut octets = Vec::with_capacity(bare.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for c in bare.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push((bits >> held & 0xff) as u8);
        }
    }
    Some(octets)
}

//! Content-Transfer-Encoding (RFC 2045 section 6).
//!
//! Decoding is forgiving, as clients are: what a strict decoder gives up on, a client still opens.
//! Whatever is out of order is told beside the octets.

use std::borrow::Cow;

/// How the octets of a part are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// As they are: 7bit, 8bit, binary.
    Identity,
    /// RFC 2045 section 6.8.
    Base64,
    /// RFC 2045 section 6.7.
    QuotedPrintable,
    /// uuencode, which no standard for mail has.
    Uuencode,
    /// A name that nobody has given a meaning.
    Unknown,
}

/// Octets as they were before they were encoded.
pub(crate) struct Decoded<'a> {
    pub octets: Cow<'a, [u8]>,
    /// How many there are in all, where only the first were asked for.
    pub size: u64,
    pub is_broken: bool,
}

impl TransferEncoding {
    /// By the value of the field, in any case, with comments and blanks around it.
    pub(crate) fn named(value: &str) -> Self {
        let value = value.split(['(', ';']).next().unwrap_or_default().trim();
        match value.to_ascii_lowercase().as_str() {
            "" | "7bit" | "8bit" | "binary" => Self::Identity,
            "base64" => Self::Base64,
            "quoted-printable" => Self::QuotedPrintable,
            "x-uuencode" | "uuencode" | "x-uue" => Self::Uuencode,
            _ => Self::Unknown,
        }
    }

    /// The first `most` octets of what `body` stands for.
    pub(crate) fn decode(self, body: &[u8], most: usize) -> Decoded<'_> {
        match self {
            Self::Base64 => base64(body, most),
            Self::QuotedPrintable => quoted_printable(body, most),
            Self::Identity | Self::Uuencode | Self::Unknown => Decoded {
                octets: Cow::Borrowed(&body[..most.min(body.len())]),
                size: body.len() as u64,
                is_broken: self == Self::Unknown,
            },
        }
    }
}

const SKIP: u8 = 64;
const PADDING: u8 = 65;
const FOREIGN: u8 = 66;

/// What each octet means in base64: a value, something to skip, padding, or nothing.
const BASE64: [u8; 256] = {
    let mut table = [FOREIGN; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table[b' ' as usize] = SKIP;
    table[b'\t' as usize] = SKIP;
    table[b'=' as usize] = PADDING;
    table
};

/// Padding ends a group and not the content: what follows it is decoded too, since clients do.
fn base64(body: &[u8], most: usize) -> Decoded<'_> {
    let (size, is_broken) = measure_base64(body);
    let wanted = usize::try_from(size).unwrap_or(usize::MAX).min(most);
    let mut octets = Vec::with_capacity(wanted + 3);
    let (mut group, mut have) = (0u32, 0u8);
    let mut at = 0;
    while octets.len() < wanted && at < body.len() {
        if let Some(three) = body
            .get(at..at + 4)
            .filter(|_| have == 0)
            .and_then(three_of_four)
        {
            octets.extend_from_slice(&three);
            at += 4;
            continue;
        }
        match BASE64[body[at] as usize] {
            SKIP | FOREIGN => {}
            PADDING => {
                flush(&mut octets, group, have);
                (group, have) = (0, 0);
            }
            value => {
                group = group << 6 | u32::from(value);
                have += 1;
                if have == 4 {
                    octets.extend_from_slice(&group.to_be_bytes()[1..]);
                    (group, have) = (0, 0);
                }
            }
        }
        at += 1;
    }
    if octets.len() < wanted {
        flush(&mut octets, group, have);
    }
    octets.truncate(wanted);
    Decoded {
        octets: Cow::Owned(octets),
        size,
        is_broken,
    }
}

/// What a group stands for that has nothing but values, as nearly all of them do.
fn three_of_four(group: &[u8]) -> Option<[u8; 3]> {
    let mut bits = 0u32;
    let mut any = 0;
    for &octet in group {
        let value = BASE64[octet as usize];
        any |= value;
        bits = bits << 6 | u32::from(value);
    }
    let [_, three @ ..] = bits.to_be_bytes();
    (any < SKIP).then_some(three)
}

/// How many octets base64 stands for, and whether a strict reader would object.
fn measure_base64(body: &[u8]) -> (u64, bool) {
    let (mut size, mut have, mut is_broken, mut is_padded) = (0u64, 0u64, false, false);
    let mut at = 0;
    while at < body.len() {
        let four = body.get(at..at + 4).filter(|_| have == 0 && !is_padded);
        if four.is_some_and(|four| three_of_four(four).is_some()) {
            (size, at) = (size + 3, at + 4);
            continue;
        }
        match BASE64[body[at] as usize] {
            SKIP => {}
            FOREIGN => is_broken = true,
            PADDING => {
                size += have * 6 / 8;
                is_broken |= have == 1 || have == 0 && !is_padded;
                (have, is_padded) = (0, true);
            }
            _ => {
                is_broken |= is_padded;
                have += 1;
                if have == 4 {
                    (size, have) = (size + 3, 0);
                }
            }
        }
        at += 1;
    }
    (size + have * 6 / 8, is_broken || have != 0)
}

fn flush(octets: &mut Vec<u8>, group: u32, have: u8) {
    match have {
        2 => octets.push((group >> 4) as u8),
        3 => octets.extend_from_slice(&((group >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// What is no code stays as it is (RFC 2045 section 6.7 recommends that); blanks at the end of a
/// line go, as the section demands.
fn quoted_printable(body: &[u8], most: usize) -> Decoded<'_> {
    let mut octets = Vec::with_capacity(body.len().min(most));
    let (mut size, mut is_broken) = (0u64, false);
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = without_line_end(line);
        let text = text.trim_ascii_end();
        let (text, end) = match text.strip_suffix(b"=") {
            Some(text) => (text, &b""[..]),
            None => (text, end),
        };
        let before = octets.len();
        is_broken |= !unquote(text, &mut octets);
        octets.extend_from_slice(end);
        size += (octets.len() - before) as u64;
        octets.truncate(most);
    }
    Decoded {
        octets: Cow::Owned(octets),
        size,
        is_broken,
    }
}

fn without_line_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = if line.ends_with(b"\r\n") {
        2
    } else {
        usize::from(line.ends_with(b"\n"))
    };
    line.split_at(line.len() - end)
}

/// False when an equals sign has no code behind it.
fn unquote(text: &[u8], octets: &mut Vec<u8>) -> bool {
    let mut is_whole = true;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(&rest[..at]);
        match rest.get(at + 1..at + 3).and_then(hex) {
            Some(octet) => {
                octets.push(octet);
                rest = &rest[at + 3..];
            }
            None => {
                octets.push(b'=');
                is_whole = false;
                rest = &rest[at + 1..];
            }
        }
    }
    octets.extend_from_slice(rest);
    is_whole
}

/// The octet that two hexadecimal digits stand for.
pub(crate) fn hex(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    match digits {
        &[high, low] => u8::try_from(value(high)? << 4 | value(low)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: TransferEncoding, body: &str) -> (String, u64, bool) {
        let decoded = encoding.decode(body.as_bytes(), usize::MAX);
        let text = String::from_utf8_lossy(&decoded.octets).into_owned();
        (text, decoded.size, decoded.is_broken)
    }

    #[test]
    fn base64_is_read_as_clients_read_it() {
        let table = [
            ("aGVsbG8=", "hello", false),
            ("aGVs\r\nbG8=\r\n", "hello", false),
            ("aGVsbG8", "hello", true),
            ("aG!Vs*bG8=", "hello", true),
            ("aGVsbG8=aGVsbG8=", "hellohello", true),
            ("aGVsbA==", "hell", false),
            ("====", "", true),
            ("", "", false),
        ];
        for (body, text, is_broken) in table {
            let expected = (text.to_owned(), text.len() as u64, is_broken);
            assert_eq!(decoded(TransferEncoding::Base64, body), expected, "{body}");
        }
    }

    #[test]
    fn quoted_printable_is_read_as_clients_read_it() {
        let table = [
            ("caf=C3=A9  \r\nnext", "café\r\nnext", false),
            ("one =\r\nline", "one line", false),
            ("soft= \t\r\nend", "softend", false),
            ("50 =ZZ and =", "50 =ZZ and ", true),
            ("a=3", "a=3", true),
        ];
        for (body, text, is_broken) in table {
            let expected = (text.to_owned(), text.len() as u64, is_broken);
            assert_eq!(
                decoded(TransferEncoding::QuotedPrintable, body),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn only_what_is_asked_for_is_decoded_and_all_is_counted() {
        for (encoding, body) in [
            (TransferEncoding::Base64, "aGVsbG8="),
            (TransferEncoding::QuotedPrintable, "hell=6F"),
            (TransferEncoding::Identity, "hello"),
        ] {
            let decoded = encoding.decode(body.as_bytes(), 2);
            assert_eq!((decoded.octets.as_ref(), decoded.size), (&b"he"[..], 5));
        }
    }

    #[test]
    fn an_encoding_is_known_by_its_name() {
        assert_eq!(
            TransferEncoding::named(" Base64 (of course)"),
            TransferEncoding::Base64
        );
        assert_eq!(TransferEncoding::named("8BIT"), TransferEncoding::Identity);
        assert_eq!(TransferEncoding::named("rot13"), TransferEncoding::Unknown);
    }
}

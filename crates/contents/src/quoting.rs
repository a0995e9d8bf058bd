//! Text as it is written into messages: quoted-printable, base64, encoded words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A line of an encoded body has no more octets (RFC 2045 sections 6.7 and 6.8).
const LINE_MAX: usize = 76;
/// An encoded word has no more octets (RFC 2047 section 2), its frame among them.
const WORD_MAX: usize = 75;

/// Lines of text, parted by CRLF, in quoted-printable.
pub(crate) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + text.len() / 8);
    for (index, line) in text.split(|&octet| octet == b'\n').enumerate() {
        if index > 0 {
            quoted.extend_from_slice(b"\r\n");
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut length = 0;
        for (at, &octet) in line.iter().enumerate() {
            let is_last = at + 1 == line.len();
            let is_plain = octet.is_ascii_graphic() && octet != b'=' || octet == b' ' && !is_last;
            let size = if is_plain { 1 } else { 3 };
            // One is kept for the soft line end.
            if length + size > LINE_MAX - 1 {
                quoted.extend_from_slice(b"=\r\n");
                length = 0;
            }
            match is_plain {
                true => quoted.push(octet),
                false => quoted.extend_from_slice(format!("={octet:02X}").as_bytes()),
            }
            length += size;
        }
    }
    quoted
}

/// Octets in base64, in lines that all end with CRLF.
pub(crate) fn base64_lines(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(octets.len() / 3 * 4 + octets.len() / 28 + 8);
    for piece in octets.chunks(LINE_MAX / 4 * 3) {
        lines.extend_from_slice(STANDARD.encode(piece).as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// Text as encoded words in UTF-8, with a blank between them, which is not shown.
pub(crate) fn encoded_word(text: &str) -> String {
    let room = (WORD_MAX - "=?utf-8?B??=".len()) / 4 * 3;
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = room.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, left) = rest.split_at(end);
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(piece)));
        rest = left;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::TransferEncoding;
    use crate::encoding::tests::decoded as decoded_by;
    use crate::field::decoded;

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in [
            "",
            "plain",
            "caf\u{e9} = 3 \r\n\r\n  indented\tx",
            &"long and é ".repeat(40),
        ] {
            let quoted = quoted_printable(text.as_bytes());
            let lines = quoted.split(|&octet| octet == b'\n');
            assert!(lines.map(|line| line.trim_ascii_end().len()).max() <= Some(LINE_MAX));
            assert!(quoted.is_ascii());
            let expected = (text.to_owned(), text.len(), false);
            let quoted = String::from_utf8(quoted).unwrap();
            assert_eq!(
                decoded_by(TransferEncoding::QuotedPrintable, &quoted),
                expected
            );
            let lines = base64_lines(text.as_bytes());
            let lines = String::from_utf8(lines).unwrap();
            assert_eq!(decoded_by(TransferEncoding::Base64, &lines), expected);
        }
    }

    #[test]
    fn words_are_read_back() {
        for text in ["[Wärme]", "日本語".repeat(20).as_str()] {
            let word = encoded_word(text);
            assert!(word.split(' ').all(|word| word.len() <= WORD_MAX));
            assert_eq!(decoded(word.as_bytes()), text);
        }
    }
}

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Character sets in which an octet below 128 is always the ASCII character. In others, such as
/// Shift_JIS and ISO-2022-JP, that of `@` may be a part of another character.
const ASCII_SETS: [&str; 6] = [
    "us-ascii",
    "utf-8",
    "iso-8859-",
    "windows-125",
    "koi8-",
    "euc-",
];

/// A display name, or a comment, with a blank for each `@`: filters take one that reads like an
/// address for a forgery. In encoded words (RFC 2047) too, where their character set has it as one
/// octet; nothing gets longer.
pub(crate) fn without_at(name: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(begin) = memmem::find(rest, b"=?") {
        let (plain, word) = rest.split_at(begin);
        written.extend(plain.iter().map(|octet| blank(*octet, b' ')));
        let len = word_len(word);
        match len {
            Some(len) => written.extend(encoded_word(&word[..len])),
            None => written.extend_from_slice(b"=?"),
        }
        rest = &word[len.unwrap_or(2)..];
    }
    written.extend(rest.iter().map(|octet| blank(*octet, b' ')));
    written.trim_ascii().to_vec()
}

fn blank(octet: u8, with: u8) -> u8 {
    if octet == b'@' { with } else { octet }
}

/// The length of the encoded word at the start of `text`: `=?set?encoding?text?=`.
fn word_len(text: &[u8]) -> Option<usize> {
    let mut marks = memchr::memchr_iter(b'?', text).skip(2);
    let encoding = marks.next()?;
    let end = encoding + 1 + memmem::find(&text[encoding + 1..], b"?=")? + 2;
    let blanks = text[..end].iter().any(u8::is_ascii_whitespace);
    (!blanks).then_some(end)
}

fn encoded_word(word: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.splitn(5, |octet| *octet == b'?').collect();
    let [_, set, encoding, text, _] = parts[..] else {
        return word.to_vec();
    };
    // A language may stand behind it (RFC 2231 section 5).
    let name = String::from_utf8_lossy(set).to_ascii_lowercase();
    if !ASCII_SETS.iter().any(|known| name.starts_with(known)) {
        return word.to_vec();
    }
    let text = match encoding {
        b"Q" | b"q" => without_at_in_q(text),
        b"B" | b"b" => match STANDARD.decode(text) {
            Ok(plain) => {
                let plain: Vec<u8> = plain.iter().map(|octet| blank(*octet, b' ')).collect();
                STANDARD.encode(plain).into_bytes()
            }
            Err(_) => return word.to_vec(),
        },
        _ => return word.to_vec(),
    };
    [b"=?", set, b"?", encoding, b"?", &text, b"?="].concat()
}

/// `_` is the blank of this encoding.
fn without_at_in_q(text: &[u8]) -> Vec<u8> {
    let mut written: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memmem::find(rest, b"=40") {
        written.extend_from_slice(&rest[..at]);
        written.push(b'_');
        rest = &rest[at + 3..];
    }
    written.extend_from_slice(rest);
    written.iter().map(|octet| blank(*octet, b'_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_at() {
        for (name, expected) in [
            ("Ann", "Ann"),
            ("\"printer@localhost\"", "\"printer localhost\""),
            ("printer@hall", "printer hall"),
            ("@", ""),
            (
                "=?utf-8?Q?K=C3=BCche=40haus?=",
                "=?utf-8?Q?K=C3=BCche_haus?=",
            ),
            ("=?ISO-8859-1?q?a@b?=", "=?ISO-8859-1?q?a_b?="),
            ("=?utf-8*en?B?YUBi?= x@y", "=?utf-8*en?B?YSBi?= x y"),
            ("=?utf-8?B?YUBi=?=", "=?utf-8?B?YUBi=?="),
            ("=?shift_jis?B?YUBi?=", "=?shift_jis?B?YUBi?="),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?Q?", "=?utf-8?Q?"),
            ("=?=?=?@", "=?=?=?"),
            ("(Hall @ 2)", "(Hall   2)"),
        ] {
            let found = without_at(name.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected, "{name}");
        }
    }
}

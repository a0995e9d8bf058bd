//! Values with parameters: Content-Type (RFC 2045 section 5.1) and Content-Disposition (RFC 2183),
//! with continuations and charsets (RFC 2231).
//!
//! Clients disagree about what a careless field means, and whoever hides a file name counts on that.
//! So every reading is kept: all parameters of a name, in the order in which they stand.

use mail_parser::decoders::charsets::map::charset_decoder;

use crate::encoding::hex;

/// A value and its parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    /// What comes first, in lower case and without blanks: `text/plain`, `attachment`.
    pub main: String,
    parameters: Vec<(String, String)>,
}

/// A piece of a parameter that RFC 2231 has cut up, or that tells its charset.
struct Piece {
    name: String,
    number: u32,
    is_encoded: bool,
    value: Vec<u8>,
}

impl Value {
    /// A field is read this far and no further.
    pub(crate) const OCTETS_MAX: usize = 64 * 1024;

    /// From the octets behind the colon of a field.
    pub(crate) fn read(raw: &[u8]) -> Self {
        let mut reader = Reader {
            rest: &raw[..raw.len().min(Self::OCTETS_MAX)],
        };
        let mut main = reader.until(b";");
        main.retain(|octet| !octet.is_ascii_whitespace());
        let mut value = Self {
            main: String::from_utf8_lossy(&main).to_ascii_lowercase(),
            parameters: Vec::new(),
        };
        let mut pieces = Vec::new();
        while reader.skip(b';') {
            let name = reader.until(b"=;");
            if reader.skip(b'=') {
                let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
                for reading in reader.readings() {
                    value.add(&name, reading, &mut pieces);
                }
            }
        }
        value.join(pieces);
        value
    }

    /// The first value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }

    /// All values of a parameter.
    pub(crate) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: Vec<u8>, pieces: &mut Vec<Piece>) {
        let mut sections = name.split('*');
        let base = sections.next().unwrap_or_default().to_owned();
        match (sections.next(), sections.next()) {
            (None, _) => {
                self.parameters
                    .push((base, String::from_utf8_lossy(&value).into_owned()));
            }
            (Some(""), None) => self.parameters.push((base, joined(&[(true, value)]))),
            (Some(number), encoded) => pieces.push(Piece {
                name: base,
                number: number.parse().unwrap_or(u32::MAX),
                is_encoded: encoded.is_some(),
                value,
            }),
        }
    }

    /// Puts the pieces of each parameter together, by their numbers.
    fn join(&mut self, mut pieces: Vec<Piece>) {
        pieces.sort_by(|a, b| (&a.name, a.number).cmp(&(&b.name, b.number)));
        for run in pieces.chunk_by_mut(|a, b| a.name == b.name) {
            let values: Vec<(bool, Vec<u8>)> = run
                .iter_mut()
                .map(|piece| (piece.is_encoded, std::mem::take(&mut piece.value)))
                .collect();
            self.parameters.push((run[0].name.clone(), joined(&values)));
        }
    }
}

/// The text of pieces, of which the encoded ones have percent codes, and the first one of them may
/// name charset and language.
fn joined(pieces: &[(bool, Vec<u8>)]) -> String {
    let mut octets = Vec::new();
    let mut charset = None;
    for (index, (is_encoded, value)) in pieces.iter().enumerate() {
        let mut value = value.as_slice();
        if !is_encoded {
            octets.extend_from_slice(value);
            continue;
        }
        if index == 0 {
            let mut sections = value.splitn(3, |&octet| octet == b'\'');
            if let (Some(first), Some(_), Some(rest)) =
                (sections.next(), sections.next(), sections.next())
            {
                charset = charset_decoder(first);
                value = rest;
            }
        }
        while let [first, rest @ ..] = value {
            let code = rest.get(..2).filter(|_| *first == b'%').and_then(hex);
            octets.push(code.unwrap_or(*first));
            value = &rest[if code.is_some() { 2 } else { 0 }..];
        }
    }
    match charset {
        Some(decode) => decode(&octets),
        None => String::from_utf8_lossy(&octets).into_owned(),
    }
}

/// Walks over a value; comments and line ends are no part of it.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn skip(&mut self, octet: u8) -> bool {
        let is_there = self.rest.first() == Some(&octet);
        if is_there {
            self.rest = &self.rest[1..];
        }
        is_there
    }

    /// What stands before one of `ends`, or before the end.
    fn until(&mut self, ends: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut comments = 0u32;
        while let [octet, rest @ ..] = self.rest {
            if comments == 0 && ends.contains(octet) {
                break;
            }
            self.rest = rest;
            match octet {
                b'(' => comments = comments.saturating_add(1),
                b')' if comments > 0 => comments -= 1,
                b'\r' | b'\n' => {}
                _ if comments == 0 => text.push(*octet),
                _ => {}
            }
        }
        text
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let [octet, rest @ ..] = self.rest {
            self.rest = rest;
            match octet {
                b'"' => break,
                b'\\' => {
                    if let [escaped, rest @ ..] = self.rest {
                        text.push(*escaped);
                        self.rest = rest;
                    }
                }
                b'\r' | b'\n' => {}
                _ => text.push(*octet),
            }
        }
        text
    }

    /// The value of a parameter, and what it is to a client that reads on behind its quotes, or one
    /// that stops at a blank.
    fn readings(&mut self) -> Vec<Vec<u8>> {
        self.rest = self.rest.trim_ascii_start();
        if self.skip(b'"') {
            let quoted = self.quoted();
            let behind = self.until(b";");
            let behind = behind.trim_ascii();
            return match behind.is_empty() {
                true => vec![quoted],
                false => vec![quoted.clone(), [quoted.as_slice(), behind].concat()],
            };
        }
        let value = self.until(b";");
        let value = value.trim_ascii();
        match value.iter().position(u8::is_ascii_whitespace) {
            Some(blank) => vec![value.to_vec(), value[..blank].to_vec()],
            None => vec![value.to_vec()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &str) -> Vec<String> {
        Value::read(raw.as_bytes())
            .parameters("filename")
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_reading_of_a_name_is_kept() {
        let table: [(&str, &[&str]); 10] = [
            ("attachment; filename=\"a b.txt\"", &["a b.txt"]),
            ("attachment; FILENAME = a.txt ; size=3", &["a.txt"]),
            ("attachment; filename=\"a\\\"b;c.txt\"", &["a\"b;c.txt"]),
            (
                "attachment; filename=a.pdf; filename=a.exe",
                &["a.pdf", "a.exe"],
            ),
            (
                "attachment; filename*=UTF-8'en'caf%C3%A9.exe",
                &["café.exe"],
            ),
            (
                "attachment; filename*1=xe; filename*0=a.e; filename=a.pdf",
                &["a.pdf", "a.exe"],
            ),
            (
                "attachment; filename*0*=iso-8859-1''%E9; filename*1=.exe",
                &["é.exe"],
            ),
            (
                "attachment; filename=\"a.txt\".exe",
                &["a.txt", "a.txt.exe"],
            ),
            (
                "attachment; filename=a.exe b.txt",
                &["a.exe b.txt", "a.exe"],
            ),
            (
                "attachment (no; filename=x) ; filename=\r\n a.txt",
                &["a.txt"],
            ),
        ];
        for (raw, expected) in table {
            assert_eq!(names(raw), expected, "{raw}");
        }
    }

    #[test]
    fn the_type_comes_first() {
        let value = Value::read(b" Text/ HTML (comment) ; charset=\"UTF-8\"\r\n");
        assert_eq!(value.main, "text/html");
        assert_eq!(value.parameter("charset"), Some("UTF-8"));
        assert_eq!(Value::read(b""), Value::default());
    }
}

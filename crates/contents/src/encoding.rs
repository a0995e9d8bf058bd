//! Content-Transfer-Encoding (RFC 2045 section 6).
//!
//! Decoding is forgiving, as clients are: what a strict decoder gives up on, a client still opens.
//! Whatever is out of order is told beside the octets.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use base64::engine::general_purpose::{self, GeneralPurpose};
use base64::{Engine as _, alphabet};

use crate::octets::{Octets, PIECE, Shared};

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

/// A part as it was before it was encoded. It is decoded where it is read, block by block, and never
/// as a whole.
pub(crate) struct Decoded<'a> {
    encoded: Shared<'a>,
    encoding: TransferEncoding,
    end: usize,
    /// Where each block begins, and where the last one ends.
    starts: Vec<Start>,
    is_broken: bool,
    /// What was decoded last.
    last: RefCell<Block>,
}

/// Where a block begins.
#[derive(Clone, Copy, Default)]
struct Start {
    /// Among the encoded octets.
    encoded: usize,
    decoded: usize,
    /// What base64 had begun before it.
    group: Group,
}

/// A group of base64 that is not whole yet.
#[derive(Clone, Copy, Default)]
struct Group {
    bits: u32,
    have: u8,
}

#[derive(Default)]
struct Block {
    number: Option<usize>,
    encoded: Vec<u8>,
    octets: Vec<u8>,
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

    /// Whether octets stand for other ones.
    fn is_code(self) -> bool {
        matches!(self, Self::Base64 | Self::QuotedPrintable)
    }
}

/// How many encoded octets a block has.
const BLOCK: usize = PIECE;

impl<'a> Decoded<'a> {
    /// What the octets of `body` in `of` stand for. They are gone through once: `see` is shown all
    /// that is decoded where they are a code, else as much as it asks for.
    pub(crate) fn new(
        of: &Shared<'a>,
        body: Range<usize>,
        encoding: TransferEncoding,
        see: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Self {
        let end = body.end.min(of.size());
        let mut start = Start {
            encoded: body.start.min(end),
            ..Start::default()
        };
        let mut own = Self {
            encoded: Rc::clone(of),
            encoding,
            end,
            starts: vec![start],
            is_broken: encoding == TransferEncoding::Unknown,
            last: RefCell::default(),
        };
        if !encoding.is_code() {
            of.pieces(start.encoded..end, see);
            return own;
        }
        let (mut faults, mut block) = (Faults::default(), Block::default());
        while start.encoded < end {
            let next = own.decode(start, &mut block, &mut faults);
            if next.encoded == start.encoded {
                break;
            }
            see(&block.octets);
            start = next;
            own.starts.push(start);
        }
        own.is_broken = faults.is_broken || start.group.have != 0;
        own
    }

    /// Whether a strict reader would object.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Takes no more memory than it must until it is read again.
    pub(crate) fn rest(&self) {
        *self.last.borrow_mut() = Block::default();
    }

    /// Decodes the block that begins there, and tells where the next one does.
    fn decode(&self, start: Start, block: &mut Block, faults: &mut Faults) -> Start {
        let Block {
            encoded, octets, ..
        } = block;
        encoded.resize(BLOCK.min(self.end - start.encoded), 0);
        let have = self.encoded.fill(start.encoded, encoded);
        encoded.truncate(have);
        octets.clear();
        let is_last = start.encoded + have >= self.end;
        let mut group = start.group;
        let taken = match self.encoding {
            TransferEncoding::Base64 => {
                base64(encoded, &mut group, octets, faults);
                if is_last {
                    flush(octets, group);
                }
                have
            }
            _ => {
                let taken = if is_last { have } else { whole_lines(encoded) };
                quoted_printable(&encoded[..taken], is_last, octets, faults);
                taken
            }
        };
        Start {
            encoded: start.encoded + taken,
            decoded: start.decoded + octets.len(),
            group,
        }
    }
}

impl Octets for Decoded<'_> {
    fn size(&self) -> usize {
        match (self.encoding.is_code(), &self.starts[..]) {
            (true, [.., last]) => last.decoded,
            (false, [first, ..]) => self.end - first.encoded,
            (_, []) => 0,
        }
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        if at >= self.size() {
            return 0;
        }
        if !self.encoding.is_code() {
            let most = (self.size() - at).min(to.len());
            let start = self.starts.first().map_or(0, |first| first.encoded);
            return self.encoded.read_at(start + at, &mut to[..most]);
        }
        let behind = self.starts.partition_point(|start| start.decoded <= at);
        let number = behind.saturating_sub(1);
        let Some(&start) = self.starts.get(number) else {
            return 0;
        };
        let mut block = self.last.borrow_mut();
        if block.number != Some(number) {
            self.decode(start, &mut block, &mut Faults::default());
            block.number = Some(number);
        }
        block.octets.as_slice().read_at(at - start.decoded, to)
    }
}

/// How many of the octets are lines that have ended. Of a line that is longer as much is taken as
/// cuts no code.
fn whole_lines(encoded: &[u8]) -> usize {
    if let Some(end) = memchr::memrchr(b'\n', encoded) {
        return end + 1;
    }
    let last = encoded.len().saturating_sub(2);
    match memchr::memchr(b'=', &encoded[last..]) {
        Some(at) if last > 0 => last + at,
        _ => encoded.len(),
    }
}

/// What a strict reader would object to.
#[derive(Default)]
struct Faults {
    is_broken: bool,
    /// Padding of base64 has come.
    is_padded: bool,
}

/// Base64 in whole groups; whatever else stands there is an error of it.
const WHOLE_GROUPS: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, general_purpose::NO_PAD);

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
fn base64(encoded: &[u8], group: &mut Group, octets: &mut Vec<u8>, faults: &mut Faults) {
    let mut rest = encoded;
    while !rest.is_empty() {
        let line = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let is_plain = group.have == 0 && !faults.is_padded;
        let taken = match is_plain {
            true => whole_groups(&rest[..line], octets),
            false => 0,
        };
        let (line, behind) = rest.split_at(rest.len().min(line + 1));
        for &octet in &line[taken..] {
            base64_octet(octet, group, octets, faults);
        }
        rest = behind;
    }
}

/// Decodes the whole groups of a line that has nothing else in it, and tells how many octets they
/// took: nearly all lines are so.
fn whole_groups(line: &[u8], octets: &mut Vec<u8>) -> usize {
    let line = &line[..line.len() / 4 * 4];
    let before = octets.len();
    octets.resize(before + line.len() / 4 * 3, 0);
    match WHOLE_GROUPS.decode_slice(line, &mut octets[before..]) {
        Ok(_) => line.len(),
        Err(_) => {
            octets.truncate(before);
            0
        }
    }
}

fn base64_octet(octet: u8, group: &mut Group, octets: &mut Vec<u8>, faults: &mut Faults) {
    match BASE64[octet as usize] {
        SKIP => {}
        FOREIGN => faults.is_broken = true,
        PADDING => {
            faults.is_broken |= group.have == 1 || group.have == 0 && !faults.is_padded;
            faults.is_padded = true;
            flush(octets, *group);
            *group = Group::default();
        }
        value => {
            faults.is_broken |= faults.is_padded;
            group.bits = group.bits << 6 | u32::from(value);
            group.have += 1;
            if group.have == 4 {
                octets.extend_from_slice(&group.bits.to_be_bytes()[1..]);
                *group = Group::default();
            }
        }
    }
}

fn flush(octets: &mut Vec<u8>, group: Group) {
    match group.have {
        2 => octets.push((group.bits >> 4) as u8),
        3 => octets.extend_from_slice(&((group.bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// What is no code stays as it is (RFC 2045 section 6.7 recommends that); blanks at the end of a
/// line go, as the section demands. Unless it `is_last`, a line without an end goes on behind it.
fn quoted_printable(encoded: &[u8], is_last: bool, octets: &mut Vec<u8>, faults: &mut Faults) {
    for line in encoded.split_inclusive(|&octet| octet == b'\n') {
        let (text, end) = without_line_end(line);
        if end.is_empty() && !is_last {
            faults.is_broken |= !unquote(text, octets);
            continue;
        }
        let text = text.trim_ascii_end();
        let (text, end) = match text.strip_suffix(b"=") {
            Some(text) => (text, &b""[..]),
            None => (text, end),
        };
        faults.is_broken |= !unquote(text, octets);
        octets.extend_from_slice(end);
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
pub(crate) mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Read once from its beginning, once from its end; what was seen of it when it was made is the
    /// same.
    pub(crate) fn decoded(encoding: TransferEncoding, body: &str) -> (String, usize, bool) {
        let of: Shared<'_> = Rc::new(body.as_bytes());
        let mut seen = Vec::new();
        let decoded = Decoded::new(&of, 0..body.len(), encoding, &mut |piece| {
            seen.extend_from_slice(piece);
            true
        });
        let octets = decoded.copy(0..usize::MAX);
        assert_eq!(octets, seen);
        let mut octet = [0];
        for (at, expected) in octets.iter().enumerate().rev() {
            assert_eq!((decoded.read_at(at, &mut octet), octet[0]), (1, *expected));
        }
        assert_eq!(decoded.read_at(octets.len(), &mut octet), 0);
        let text = String::from_utf8_lossy(&octets).into_owned();
        (text, decoded.size(), decoded.is_broken())
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
            let expected = (text.to_owned(), text.len(), is_broken);
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
            let expected = (text.to_owned(), text.len(), is_broken);
            assert_eq!(
                decoded(TransferEncoding::QuotedPrintable, body),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn blocks_join_wherever_they_are_cut() {
        let octets: Vec<u8> = (0..200_000u32)
            .map(|at| (at.wrapping_mul(at) >> 7) as u8)
            .collect();
        for width in [1, 3, 61, 76, BLOCK + 5] {
            let lines = STANDARD.encode(&octets);
            let lines = lines.as_bytes().chunks(width);
            let body = lines.collect::<Vec<_>>().join(&b"\r\n"[..]);
            let body = String::from_utf8(body).unwrap();
            let (text, size, is_broken) = decoded(TransferEncoding::Base64, &body);
            assert_eq!((size, is_broken), (octets.len(), false), "{width}");
            assert!(text == String::from_utf8_lossy(&octets), "{width}");
        }
        for line in ["a=20b  \r\n", "soft =\r\n", "=3D"] {
            let body = line.repeat(3 * BLOCK / line.len());
            let (text, _, is_broken) = decoded(TransferEncoding::QuotedPrintable, &body);
            let (one, ..) = decoded(TransferEncoding::QuotedPrintable, line);
            assert!(
                !is_broken && text == one.repeat(3 * BLOCK / line.len()),
                "{line}"
            );
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

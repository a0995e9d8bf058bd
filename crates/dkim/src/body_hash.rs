use aws_lc_rs::digest::{Context, Digest, SHA256};
use memchr::{memchr, memchr2};

use crate::Canonicalization;

/// Octets that are gathered before they are hashed: hashing word by word costs more than the hash.
const GATHERED_MAX: usize = 4096;

/// The hash of a body that comes in pieces, cut anywhere, in one of its canonical forms (RFC 6376
/// section 3.4). Takes time for each octet, and memory for none.
pub struct BodyHash {
    canonicalization: Canonicalization,
    /// `l=`: how many octets of the canonical form are hashed.
    limit: Option<u64>,
    /// A CR has come, and what follows it has not.
    is_after_cr: bool,
    /// White space of which it is not known yet whether it ends the line.
    has_blank: bool,
    /// Line ends of which it is not known yet whether they end the body.
    line_ends: u64,
    gathered: Vec<u8>,
    context: Context,
    /// Octets of the canonical form so far.
    len: u64,
}

/// What [`BodyHash`] has found.
#[derive(Debug, Clone, Copy)]
pub struct HashedBody {
    pub(crate) digest: Digest,
    /// Octets of the whole body in its canonical form, hashed or not.
    pub(crate) len: u64,
}

impl BodyHash {
    /// One that has seen nothing; of the canonical form it hashes so many octets, or all.
    pub fn new(canonicalization: Canonicalization, limit: Option<u64>) -> Self {
        Self {
            canonicalization,
            limit,
            is_after_cr: false,
            has_blank: false,
            line_ends: 0,
            gathered: Vec::with_capacity(GATHERED_MAX),
            context: Context::new(&SHA256),
            len: 0,
        }
    }

    pub(crate) fn is_of(&self, canonicalization: Canonicalization, limit: Option<u64>) -> bool {
        self.canonicalization == canonicalization && self.limit == limit
    }

    /// Takes the next piece of the body; lines end at CRLF.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        if self.is_after_cr && !rest.is_empty() {
            self.is_after_cr = false;
            rest = self.after_cr(rest);
        }
        while !rest.is_empty() {
            let special = match self.canonicalization {
                Canonicalization::Simple => memchr(b'\r', rest),
                Canonicalization::Relaxed => memchr2(b'\r', b'\t', rest),
            };
            let (text, behind) = rest.split_at(special.unwrap_or(rest.len()));
            match self.canonicalization {
                Canonicalization::Simple => self.text(text),
                Canonicalization::Relaxed => self.words(text),
            }
            rest = match behind {
                [] => return,
                [b'\r'] => {
                    self.is_after_cr = true;
                    return;
                }
                [b'\r', behind @ ..] => self.after_cr(behind),
                [_, behind @ ..] => {
                    self.has_blank = true;
                    behind
                }
            };
        }
    }

    /// The body is whole.
    pub fn finish(mut self) -> HashedBody {
        if self.is_after_cr {
            self.text(b"\r");
        }
        // RFC 6376 section 3.4.3: an empty body is one line end, in the simple form alone.
        if self.len > 0 || self.canonicalization == Canonicalization::Simple {
            self.emit(b"\r\n");
        }
        self.context.update(&self.gathered);
        HashedBody {
            digest: self.context.finish(),
            len: self.len,
        }
    }

    /// What follows a CR: ends the line, or the CR was text. What is left.
    fn after_cr<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        if let Some(behind) = rest.strip_prefix(b"\n") {
            self.has_blank = false;
            self.line_ends += 1;
            behind
        } else {
            self.text(b"\r");
            rest
        }
    }

    /// Words with blanks between and around them; as a rule there is one blank at each place, and
    /// nothing has to be changed.
    fn words(&mut self, text: &[u8]) {
        let pairs = text.iter().zip(text.iter().skip(1));
        let has_two = pairs.fold(false, |found, pair| found | (pair == (&b' ', &b' ')));
        let has_outer = text.first() == Some(&b' ') || text.last() == Some(&b' ');
        if !has_two && !has_outer {
            return self.text(text);
        }
        for (at, word) in text.split(|b| *b == b' ').enumerate() {
            self.has_blank |= at > 0;
            self.text(word);
        }
    }

    /// Text goes on, so what came before it belongs to the body.
    fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.emit(b"\r\n");
        }
        if std::mem::take(&mut self.has_blank) {
            self.emit(b" ");
        }
        self.emit(text);
    }

    fn emit(&mut self, octets: &[u8]) {
        let left = self
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(self.len));
        let hashed = usize::try_from(left).map_or(octets.len(), |left| octets.len().min(left));
        self.len += octets.len() as u64;
        self.gather(&octets[..hashed]);
    }

    fn gather(&mut self, octets: &[u8]) {
        if self.gathered.len() + octets.len() > GATHERED_MAX {
            self.context.update(&self.gathered);
            self.gathered.clear();
        }
        if octets.len() > GATHERED_MAX {
            self.context.update(octets);
        } else {
            self.gathered.extend(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;
    use proptest::prelude::*;

    use super::*;
    use Canonicalization::{Relaxed, Simple};

    fn hashed(form: Canonicalization, limit: Option<u64>, body: &[u8], cut: usize) -> HashedBody {
        let mut hash = BodyHash::new(form, limit);
        for piece in body.chunks(cut.max(1)) {
            hash.push(piece);
        }
        hash.finish()
    }

    /// The canonical form, written as the standard tells it: line by line, the whole body at hand.
    fn told(form: Canonicalization, body: &[u8]) -> Vec<u8> {
        let text: Vec<char> = body.iter().map(|b| char::from(*b)).collect();
        let text: String = text.into_iter().collect();
        let line = |line: &str| match form {
            Simple => line.to_owned(),
            Relaxed => {
                let mut out = String::new();
                for c in line.trim_end_matches([' ', '\t']).chars() {
                    let blank = matches!(c, ' ' | '\t');
                    match (blank, out.ends_with(' ')) {
                        (true, true) => {}
                        (true, false) => out.push(' '),
                        (false, _) => out.push(c),
                    }
                }
                out
            }
        };
        let mut lines: Vec<String> = text.split("\r\n").map(line).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let mut out: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
        if lines.is_empty() && form == Simple {
            out.push_str("\r\n");
        }
        out.chars().map(|c| c as u8).collect()
    }

    #[test]
    fn bodies_are_written_as_the_standard_has_them() {
        let table: [(&[u8], &[u8], &[u8]); 10] = [
            (b"", b"\r\n", b""),
            (b"\r\n\r\n", b"\r\n", b""),
            (b" \t", b" \t\r\n", b""),
            (b" \r\n", b" \r\n", b""),
            (b"a", b"a\r\n", b"a\r\n"),
            (b"a\r\n\r\n\r\n", b"a\r\n", b"a\r\n"),
            (
                b" C \r\nD \t E\r\n\r\n\r\n",
                b" C \r\nD \t E\r\n",
                b" C\r\nD E\r\n",
            ),
            (b"\r\n\r\na\r\n", b"\r\n\r\na\r\n", b"\r\n\r\na\r\n"),
            (b"a\r", b"a\r\r\n", b"a\r\r\n"),
            (b"a\r b\n \r\n", b"a\r b\n \r\n", b"a\r b\n\r\n"),
        ];
        for (body, simple, relaxed) in table {
            for (form, expected) in [(Simple, simple), (Relaxed, relaxed)] {
                assert_eq!(
                    told(form, body),
                    expected,
                    "{form:?} {}",
                    body.escape_ascii()
                );
                let found = hashed(form, None, body, 1);
                assert_eq!(found.len, expected.len() as u64);
                assert_eq!(found.digest.as_ref(), digest(&SHA256, expected).as_ref());
            }
        }
    }

    #[test]
    fn large_bodies_are_hashed_in_linear_time() {
        // Each would take hours, were what has come looked at again with each piece.
        for unit in ["\r\n", " ", "\r", " \r\n", "a ", "a\r\n\r\n"] {
            let body = unit.repeat(1 << 18);
            for form in [Simple, Relaxed] {
                hashed(form, Some(7), body.as_bytes(), 3);
            }
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_hash_is_that_of_the_canonical_form(
            body in "([ab \t\r\n\u{fc}]|\r\n|  ){0,40}",
            cut in 1_usize..9,
            limit in proptest::option::of(0_u64..30),
        ) {
            for form in [Simple, Relaxed] {
                let expected = told(form, body.as_bytes());
                let signed = limit.map_or(expected.len(), |limit| expected.len().min(limit as usize));
                let found = hashed(form, limit, body.as_bytes(), cut);
                prop_assert_eq!(found.len, expected.len() as u64);
                let digest = digest(&SHA256, &expected[..signed]);
                prop_assert_eq!(found.digest.as_ref(), digest.as_ref());
            }
        }
    }
}

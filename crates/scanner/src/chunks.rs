use std::io::Write as _;

use crate::Fault;

/// Octets of a line with the length of a chunk.
const LINE_MAX: usize = 1024;
/// Octets of the fields behind the last chunk.
const TRAILER_MAX: usize = 8 * 1024;

/// Reads a body in chunks (RFC 9112 section 7.1).
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    step: Step,
    line: Vec<u8>,
    trailer: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Step {
    /// A line with a length.
    #[default]
    Length,
    /// So many octets of a chunk.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    Trailer,
    Over,
}

impl Chunks {
    /// Takes octets up to the end of the body, and gives what is in the chunks to `keep`: how many
    /// were taken.
    pub(crate) fn read(
        &mut self,
        octets: &[u8],
        keep: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut rest = octets;
        while !rest.is_empty() && self.step != Step::Over {
            if let Step::Data(left) = &mut self.step {
                let count = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                let (piece, more) = rest.split_at(count);
                keep(piece)?;
                rest = more;
                *left -= count as u64;
                if *left == 0 {
                    self.step = Step::DataEnd;
                }
                continue;
            }
            let end = memchr::memchr(b'\n', rest);
            let (piece, more) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = more;
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_MAX {
                return Err(Fault::TooLong("a line between chunks", LINE_MAX));
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.line(&line)?;
            }
        }
        Ok(octets.len() - rest.len())
    }

    /// A line that is none of a chunk.
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = line.trim_ascii();
        self.step = match self.step {
            Step::Length => match length(text)? {
                0 => Step::Trailer,
                length => Step::Data(length),
            },
            Step::DataEnd if text.is_empty() => Step::Length,
            Step::DataEnd => return Err(Fault::malformed("the end of a chunk", text)),
            Step::Trailer if text.is_empty() => Step::Over,
            Step::Trailer => {
                self.trailer += line.len();
                if self.trailer > TRAILER_MAX {
                    return Err(Fault::TooLong("fields behind the last chunk", TRAILER_MAX));
                }
                Step::Trailer
            }
            Step::Data(left) => Step::Data(left),
            Step::Over => Step::Over,
        };
        Ok(())
    }

    pub(crate) fn are_over(&self) -> bool {
        self.step == Step::Over
    }
}

/// The length that a line tells, before its extensions.
fn length(line: &[u8]) -> Result<u64, Fault> {
    let digits = line.split(|&c| c == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii();
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(digits).ok().filter(|_| is_hex);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| Fault::malformed("the length of a chunk", line))
}

/// Puts out a chunk. An empty one would end the body, and is none.
pub(crate) fn chunk(piece: &[u8], out: &mut Vec<u8>) {
    if !piece.is_empty() {
        let _ = write!(out, "{:x}\r\n", piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
}

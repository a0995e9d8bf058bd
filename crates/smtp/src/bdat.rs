use memchr::memchr3;

use crate::ContentFault;

/// The octets of one BDAT chunk still to come (RFC 3030 section 2). They are counted off also when the chunk is refused: what a refused
/// chunk holds must never be read as commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    left: u64,
    last: bool,
}

impl Chunk {
    /// A chunk of `size` octets; `last` as the command said.
    pub fn new(size: u64, last: bool) -> Self {
        Self { left: size, last }
    }

    /// How much of `input` belongs to this chunk; it is counted off.
    pub fn take<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        self.left -= here as u64;
        &input[..here]
    }

    /// Octets still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether the message ends with this chunk.
    pub fn is_last(&self) -> bool {
        self.last
    }
}

/// Checks content that comes in chunks by the same rule as DATA: CR and LF only together, no NUL. A CRLF may be cut by the end of a chunk.
#[derive(Debug)]
pub struct ContentCheck {
    cr_pending: bool,
    line_length: usize,
    line_length_max: usize,
    overlong: bool,
}

impl ContentCheck {
    /// A check at the start of the content. Lines over `line_length_max` octets (without CRLF) make the message overlong.
    pub fn new(line_length_max: usize) -> Self {
        Self {
            cr_pending: false,
            line_length: 0,
            line_length_max,
            overlong: false,
        }
    }

    /// Looks at the next piece of content.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), ContentFault> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.cr_pending {
                if rest[0] != b'\n' {
                    return Err(ContentFault::BareCr);
                }
                self.cr_pending = false;
                self.line_length = 0;
                rest = &rest[1..];
                continue;
            }
            let stop = memchr3(b'\r', b'\n', 0, rest);
            let run = stop.unwrap_or(rest.len());
            self.line_length = self.line_length.saturating_add(run);
            self.overlong |= self.line_length > self.line_length_max;
            match stop.map(|at| rest[at]) {
                None => return Ok(()),
                Some(b'\r') => self.cr_pending = true,
                Some(b'\n') => return Err(ContentFault::BareLf),
                Some(_) => return Err(ContentFault::Nul),
            }
            rest = &rest[run + 1..];
        }
        Ok(())
    }

    /// To be asked when the message is complete: a CR may not be its last octet.
    pub fn finish(&self) -> Result<(), ContentFault> {
        if self.cr_pending {
            Err(ContentFault::BareCr)
        } else {
            Ok(())
        }
    }

    /// Whether some line so far was longer than allowed.
    pub fn is_overlong(&self) -> bool {
        self.overlong
    }
}

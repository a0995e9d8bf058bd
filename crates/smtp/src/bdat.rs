use memchr::memchr3;

use crate::bare_lf::LineEnds;
use crate::{BareLf, ContentFault};

/// The octets of one BDAT chunk still to come (RFC 3030 section 2). They are counted off also when
/// the chunk is refused: what a refused chunk holds must never be read as commands.
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

/// Checks content that comes in chunks by the same rule as DATA: CR and LF only together, no NUL. A
/// CRLF may be cut by the end of a chunk. [`BareLf::Mend`] makes CRLF of an LF alone.
#[derive(Debug)]
pub struct ContentCheck {
    cr_pending: bool,
    ends: LineEnds,
    line_length: usize,
    /// The present line begins with a dot.
    dot: bool,
    line_length_max: usize,
    overlong: bool,
}

impl ContentCheck {
    /// A check at the start of the content. Lines over `line_length_max` octets (without CRLF) make
    /// the message overlong.
    pub fn new(line_length_max: usize, bare_lf: BareLf) -> Self {
        Self {
            cr_pending: false,
            ends: LineEnds::new(bare_lf),
            line_length: 0,
            dot: false,
            line_length_max,
            overlong: false,
        }
    }

    /// Appends the next piece of content to `out`; up to the fault, when there is one.
    pub fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), ContentFault> {
        let (mut from, mut at) = (0, 0);
        while at < piece.len() {
            if self.cr_pending {
                if piece[at] != b'\n' {
                    return Err(ContentFault::BareCr);
                }
                self.ends.on_crlf(self.is_lone_dot())?;
                self.begin_line();
                at += 1;
                continue;
            }
            let stop = memchr3(b'\r', b'\n', 0, &piece[at..]);
            self.count(&piece[at..stop.map_or(piece.len(), |run| at + run)]);
            let Some(run) = stop else { break };
            at += run;
            match piece[at] {
                b'\r' => self.cr_pending = true,
                b'\n' => {
                    self.ends.on_bare_lf(self.is_lone_dot())?;
                    out.extend_from_slice(&piece[from..at]);
                    out.extend_from_slice(b"\r\n");
                    from = at + 1;
                    self.begin_line();
                }
                _ => return Err(ContentFault::Nul),
            }
            at += 1;
        }
        out.extend_from_slice(&piece[from..]);
        Ok(())
    }

    fn begin_line(&mut self) {
        self.cr_pending = false;
        self.line_length = 0;
    }

    /// Looks at a run of octets within one line.
    fn count(&mut self, run: &[u8]) {
        if self.line_length == 0 {
            self.dot = run.first() == Some(&b'.');
        }
        self.line_length = self.line_length.saturating_add(run.len());
        self.overlong |= self.line_length > self.line_length_max;
    }

    fn is_lone_dot(&self) -> bool {
        self.dot && self.line_length == 1
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

use std::borrow::Cow;
use std::fmt;

use memchr::memchr3;

/// Cuts a stream of octets into command lines. A line ends at CRLF and nowhere else.
///
/// RFC 5321 section 2.3.8: "In addition, the appearance of 'bare' 'CR' or 'LF' characters in text
/// (i.e., either without the other) has a long history of causing problems in mail
/// implementations". Whoever sends one is not understood further: where one server sees one command
/// and the next sees two, mail is smuggled.
///
/// Memory is flat: an overlong line is passed over, never kept, and nothing is held between two
/// whole lines.
pub struct LineReader {
    partial: Vec<u8>,
    /// Octets of the present line so far, kept or passed over; the CR of its end is not counted.
    length: usize,
    cr_pending: bool,
    limits: LineLimits,
}

/// Without the line itself: it may be half a password.
impl fmt::Debug for LineReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReader")
            .field("length", &self.length)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How long a line may be, in octets, without its CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLimits {
    /// A longer line is refused as a whole.
    pub line: usize,
    /// After so many octets without a line end nothing more is expected from this peer.
    pub passed_over: usize,
}

impl LineLimits {
    /// RFC 5321 section 4.5.3.1.4 has 512 octets; MAIL and RCPT grow by SIZE, BODY, SMTPUTF8, DSN
    /// and AUTH parameters to about 1,200.
    pub const COMMANDS: LineLimits = LineLimits {
        line: 2_048,
        passed_over: 65_536,
    };
    /// RFC 4954 section 4: lines of an AUTH exchange may have 12,288 octets.
    pub const AUTH: LineLimits = LineLimits {
        line: 12_288,
        passed_over: 65_536,
    };
}

impl Default for LineLimits {
    fn default() -> Self {
        Self::COMMANDS
    }
}

/// What is wrong with the way lines arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// CR without LF. The stream is not read further.
    BareCr,
    /// LF without CR. The stream is not read further.
    BareLf,
    /// The octet zero. The stream is not read further.
    Nul,
    /// No line end within [`LineLimits::passed_over`]. The stream is not read further.
    Endless,
    /// The line was too long and has been passed over; the next one may be read.
    TooLong,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareCr => "bare CR received, lines end in CRLF",
            Self::BareLf => "bare LF received, lines end in CRLF",
            Self::Nul => "NUL received",
            Self::Endless | Self::TooLong => "line too long",
        })
    }
}

/// A whole line without its CRLF, borrowed from the input where it lay in one piece.
pub type Line<'a> = Result<Cow<'a, [u8]>, LineFault>;

impl LineReader {
    /// A reader that is at the start of a line.
    pub fn new(limits: LineLimits) -> Self {
        Self {
            partial: Vec::new(),
            length: 0,
            cr_pending: false,
            limits,
        }
    }

    /// Other limits from the next line on (while AUTH is answered, lines may be longer).
    pub fn set_limits(&mut self, limits: LineLimits) {
        self.limits = limits;
    }

    /// What is kept of the present line, whose end is still to come or which ended by a fault.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Takes from `input` up to the end of one line. Gives the number of octets used up, and the
    /// line if it is whole. After a fatal fault the reader must not be used again.
    pub fn take<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Line<'a>>) {
        if self.cr_pending {
            match input.first() {
                None => return (0, None),
                Some(b'\n') => return (1, Some(self.end(&[]))),
                Some(_) => return (0, Some(Err(LineFault::BareCr))),
            }
        }
        let stop = memchr3(b'\r', b'\n', 0, input);
        let run = stop.unwrap_or(input.len());
        self.length += run;
        if self.length > self.limits.passed_over {
            return (run, Some(Err(LineFault::Endless)));
        }
        let Some(stop) = stop else {
            self.keep(input);
            return (run, None);
        };
        let fault = match (input[stop], input.get(stop + 1)) {
            (b'\r', Some(b'\n')) => return (stop + 2, Some(self.end(&input[..stop]))),
            (b'\r', None) => {
                self.keep(&input[..stop]);
                self.cr_pending = true;
                return (stop + 1, None);
            }
            (b'\r', Some(_)) => LineFault::BareCr,
            (b'\n', _) => LineFault::BareLf,
            (_, _) => LineFault::Nul,
        };
        (stop, Some(Err(fault)))
    }

    /// Keeps a piece of a line whose end is still to come, unless the line is too long already.
    fn keep(&mut self, piece: &[u8]) {
        if self.length <= self.limits.line {
            self.partial.extend_from_slice(piece);
        } else {
            self.partial = Vec::new();
        }
    }

    fn end<'a>(&mut self, last: &'a [u8]) -> Line<'a> {
        let length = std::mem::take(&mut self.length);
        let mut partial = std::mem::take(&mut self.partial);
        self.cr_pending = false;
        if length > self.limits.line {
            return Err(LineFault::TooLong);
        }
        if partial.is_empty() {
            return Ok(Cow::Borrowed(last));
        }
        partial.extend_from_slice(last);
        Ok(Cow::Owned(partial))
    }
}

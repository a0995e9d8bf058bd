use memchr::memchr3;

use crate::bare_lf::LineEnds;
use crate::{BareLf, ContentFault};

/// Decodes what a client sends after DATA: takes the stuffed dots out and finds the end.
///
/// Only CRLF `.` CRLF ends the message. RFC 5321 section 4.1.1.4: "The custom of accepting lines
/// ending only in `<LF>` [...] has proven to cause more interoperability problems than it solves,
/// and SMTP server systems MUST NOT do this". A CR or LF alone anywhere is a fault, so that no
/// other server can see an end where we saw none. [`BareLf::Mend`] lets an LF alone end a line,
/// never a message.
#[derive(Debug)]
pub struct DataDecoder {
    state: State,
    ends: LineEnds,
    /// Octets of the present line, without a stuffed dot.
    line_length: usize,
    /// The present line of content begins with a dot.
    dot: bool,
    line_length_max: usize,
    overlong: bool,
}

/// Where the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    /// A dot at the start of a line: stuffed, or the end.
    Dot,
    /// Behind `.` and CR at the start of a line.
    DotCr,
    Middle,
    /// A CR whose LF must come next.
    Cr,
}

/// How far the decoder came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input is used up; the message goes on.
    More,
    /// The message is complete. What follows in the input are commands.
    End,
    /// The content is not acceptable, and its end can no longer be told for sure: the connection
    /// must be closed.
    Fault(ContentFault),
}

impl DataDecoder {
    /// A decoder at the start of the content. Lines over `line_length_max` octets (without CRLF)
    /// make the message overlong.
    pub fn new(line_length_max: usize, bare_lf: BareLf) -> Self {
        Self {
            state: State::LineStart,
            ends: LineEnds::new(bare_lf),
            line_length: 0,
            dot: false,
            line_length_max,
            overlong: false,
        }
    }

    /// Decodes `input` and appends the content to `out`. Gives the number of octets used up; all of
    /// them, unless the message ended.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Progress) {
        let mut at = 0;
        // What lies between `from` and `at` is content not yet appended: lines are copied in long
        // runs, not one by one.
        let mut from = 0;
        while at < input.len() {
            match self.state {
                State::LineStart if input[at] == b'.' => {
                    out.extend_from_slice(&input[from..at]);
                    at += 1;
                    from = at;
                    self.state = State::Dot;
                }
                State::LineStart | State::Middle => {
                    let run = memchr3(b'\r', b'\n', 0, &input[at..]);
                    let length = run.unwrap_or(input.len() - at);
                    self.count(length);
                    at += length;
                    self.state = State::Middle;
                    match run.map(|_| input[at]) {
                        None => {}
                        Some(b'\r') => {
                            at += 1;
                            self.state = State::Cr;
                        }
                        Some(lone) => {
                            if let Err(fault) = self.end_line_by(lone) {
                                return (at, Progress::Fault(fault));
                            }
                            out.extend_from_slice(&input[from..at]);
                            out.extend_from_slice(b"\r\n");
                            at += 1;
                            from = at;
                        }
                    }
                }
                State::Cr => {
                    if let Err(fault) = self.end_line_behind_cr(input[at]) {
                        return (at, Progress::Fault(fault));
                    }
                    if at == from {
                        // The CR came with the last piece and was held back.
                        out.push(b'\r');
                    }
                    at += 1;
                }
                State::Dot if input[at] == b'\r' => {
                    at += 1;
                    from = at;
                    self.state = State::DotCr;
                }
                // Never an end, whoever sends it.
                State::Dot if input[at] == b'\n' => {
                    return (at, Progress::Fault(ContentFault::BareLf));
                }
                State::Dot => {
                    self.dot = input[at] == b'.';
                    self.state = State::Middle;
                }
                State::DotCr => match self.end_content(input[at]) {
                    Ok(()) => return (at + 1, Progress::End),
                    Err(fault) => return (at, Progress::Fault(fault)),
                },
            }
        }
        let held_back = usize::from(self.state == State::Cr && at > from);
        out.extend_from_slice(&input[from..at - held_back]);
        (at, Progress::More)
    }

    /// A line has come to an LF without CR, or a NUL.
    fn end_line_by(&mut self, lone: u8) -> Result<(), ContentFault> {
        if lone != b'\n' {
            return Err(ContentFault::Nul);
        }
        self.ends.on_bare_lf(self.is_lone_dot())?;
        self.begin_line();
        Ok(())
    }

    /// Behind the CR of a line stands `octet`, which must be its LF.
    fn end_line_behind_cr(&mut self, octet: u8) -> Result<(), ContentFault> {
        if octet != b'\n' {
            return Err(ContentFault::BareCr);
        }
        self.ends.on_crlf(self.is_lone_dot())?;
        self.begin_line();
        Ok(())
    }

    /// Behind the CR of the final dot stands `octet`, which must be its LF.
    fn end_content(&mut self, octet: u8) -> Result<(), ContentFault> {
        if octet != b'\n' {
            return Err(ContentFault::BareCr);
        }
        self.ends.on_crlf(true)
    }

    fn begin_line(&mut self) {
        self.line_length = 0;
        self.dot = false;
        self.state = State::LineStart;
    }

    fn is_lone_dot(&self) -> bool {
        self.dot && self.line_length == 1
    }

    /// Whether some line so far was longer than allowed. Decoding goes on all the same, for the end
    /// must be found.
    pub fn is_overlong(&self) -> bool {
        self.overlong
    }

    fn count(&mut self, octets: usize) {
        self.line_length = self.line_length.saturating_add(octets);
        self.overlong |= self.line_length > self.line_length_max;
    }
}

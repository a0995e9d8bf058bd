//! The part that shows the message which the notice is about.

use std::fmt::Write;

use mail::Ret;
use memchr::memchr_iter;

use super::lines::LINE_LEN_MAX;
use super::{ActionKind, NoticeFacts, Original};
use crate::HeaderScan;

/// A header that comes back is cut here: nobody reads further.
const HEADER_RETURNED_MAX: usize = 64 * 1024;

/// How much of the message comes back.
pub(super) enum Returned<'a> {
    /// Header and body come back as they were.
    Full(Original<'a>),
    /// Its header, in lines that may be sent.
    Header(Vec<u8>),
}

impl<'a> Returned<'a> {
    pub(super) fn of(facts: &NoticeFacts<'a>) -> Self {
        if wants_all(facts) && has_room(facts) && is_sendable(facts.original.content) {
            return Self::Full(facts.original);
        }
        let Original { head, content, .. } = facts.original;
        let mut lines = Vec::with_capacity(2048);
        // Together: the last line of the head may go on in the content.
        let header = [head, &content[..HeaderScan::header_len(content)]].concat();
        push_lines(&mut lines, &header);
        Self::Header(lines)
    }

    pub(super) fn is_ascii(&self) -> bool {
        match self {
            Self::Full(original) => original.head.is_ascii() && original.content.is_ascii(),
            Self::Header(lines) => lines.is_ascii(),
        }
    }

    pub(super) fn push_part_header(&self, text: &mut String, boundary: &str, utf8: bool) {
        let kind = match (self, utf8) {
            (Self::Full(_), false) => "message/rfc822",
            (Self::Full(_), true) => "message/global",
            (Self::Header(_), false) => "text/rfc822-headers",
            (Self::Header(_), true) => "message/global-headers",
        };
        let encoding = if self.is_ascii() { "7bit" } else { "8bit" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\
             Content-Description: Your message\r\n\r\n",
        );
    }

    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Full(original) => {
                out.extend_from_slice(original.head);
                out.extend_from_slice(original.content);
            }
            Self::Header(lines) => out.extend_from_slice(lines),
        }
    }
}

/// RFC 3461 section 4.3: RET "only applies to DSNs that indicate delivery failure".
fn wants_all(facts: &NoticeFacts<'_>) -> bool {
    facts.original.ret == Some(Ret::Full)
        && facts
            .recipients
            .iter()
            .map(|r| r.action)
            .any(|action| action.kind() == ActionKind::Failure)
}

fn has_room(facts: &NoticeFacts<'_>) -> bool {
    let Original {
        head,
        content,
        complete,
        ..
    } = facts.original;
    complete && (head.len() + content.len()) as u64 <= facts.return_size_max
}

/// Whether every line ends in CRLF, is of a length that may be sent, and holds no NUL.
fn is_sendable(content: &[u8]) -> bool {
    let mut start = 0;
    for end in memchr_iter(b'\n', content) {
        let Some(line) = content[start..end].strip_suffix(b"\r") else {
            return false;
        };
        if !is_plain(line) {
            return false;
        }
        start = end + 1;
    }
    is_plain(&content[start..])
}

fn is_plain(line: &[u8]) -> bool {
    line.len() <= LINE_LEN_MAX && !line.iter().any(|b| matches!(b, b'\r' | 0))
}

/// Appends the lines of a header, each ending in CRLF; overlong ones are folded, and what no line
/// may hold becomes a blank.
fn push_lines(out: &mut Vec<u8>, header: &[u8]) {
    for line in header.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        for (i, piece) in line.chunks(LINE_LEN_MAX - 1).enumerate() {
            if out.len() + piece.len() > HEADER_RETURNED_MAX {
                return;
            }
            if i > 0 {
                out.push(b' ');
            }
            out.extend(
                piece
                    .iter()
                    .map(|b| if matches!(b, b'\r' | 0) { b' ' } else { *b }),
            );
            out.extend_from_slice(b"\r\n");
        }
    }
}

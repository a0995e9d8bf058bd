//! Who got a message without others knowing: Bcc and Resent-Bcc, which those others must not read.

use crate::HeaderScan;

/// Longest line of a message without its line end (RFC 5322 section 2.1.1).
const LINE_LEN: usize = 998;

/// The names, in lower case.
const NAMES: [&[u8]; 2] = [b"bcc", b"resent-bcc"];

/// Whether a field of this name names recipients that others must not know; names have no case.
pub fn names_blind_copies(name: &[u8]) -> bool {
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Takes the fields Bcc and Resent-Bcc out of a message while it arrives, in pieces cut anywhere.
///
/// RFC 5322 section 3.6.3 has them removed before others read the message, by whoever hands it in or
/// by the server that takes it from there (RFC 6409 section 8). All of them go, with the lines that
/// continue them; what is left stays as it is, octet for octet. The header ends where [`HeaderScan`]
/// sees its end; a Bcc behind it is text.
#[derive(Debug, Default)]
pub struct BlindCopies {
    scan: HeaderScan,
    /// The start of a line that may become such a field: no more than the longest line.
    held: Vec<u8>,
    /// The present field is one of them.
    is_in_one: bool,
}

impl BlindCopies {
    /// Takes them out of the next piece, which is what stands in `message` from `from` on. What may be
    /// the beginning of one is held back until more is known.
    pub fn take_out(&mut self, message: &mut Vec<u8>, from: usize) {
        if self.scan.has_ended() {
            return;
        }
        let piece = message.split_off(from.min(message.len()));
        let mut rest = &piece[..];
        while !rest.is_empty() && !self.scan.has_ended() {
            rest = self.step(rest, message);
        }
        message.extend_from_slice(rest);
    }

    /// The message has come to its end: what was held back became no field.
    pub fn finish(&mut self, message: &mut Vec<u8>) {
        message.append(&mut self.held);
    }

    /// Gives what is left of `rest`.
    fn step<'a>(&mut self, rest: &'a [u8], message: &mut Vec<u8>) -> &'a [u8] {
        let fields = self.scan.octets_of_fields();
        let was_undecided = self.scan.octets() > fields;
        let (taken, behind) = rest.split_at(self.scan.step(rest));
        let is_decided = self.scan.octets_of_fields() > fields;
        if is_decided && was_undecided {
            // The colon. Behind a line of a mailbox file, that line is decided with it.
            self.is_in_one = names_blind_copies(self.scan.name());
            if self.is_in_one {
                self.held.clear();
                return behind;
            }
        }
        if is_decided && self.is_in_one {
            return behind;
        }
        if self.scan.may_become(&NAMES) {
            // Blanks beyond the longest line say nothing: they are lost, and cost no memory.
            let room = LINE_LEN.saturating_sub(self.held.len());
            self.held.extend(&taken[..taken.len().min(room)]);
        } else {
            message.append(&mut self.held);
            message.extend_from_slice(taken);
        }
        behind
    }
}

#[cfg(test)]
mod tests;

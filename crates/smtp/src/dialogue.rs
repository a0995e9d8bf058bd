//! What was said on a connection, with its times: for whoever wants to see the SMTP dialogue of a
//! session or of an attempt.
//!
//! It is bounded: of a long one the beginning and the end are kept, and how much is left out
//! between them.

use std::collections::VecDeque;
use std::fmt;

use mail::{Timestamp, escaped};

use crate::Said;

/// Entries that are kept of the beginning, and as many of the end.
pub const DIALOGUE_ENTRIES_MAX: usize = 100;
/// Octets of text that are kept of the beginning, and as many of the end.
pub const DIALOGUE_OCTETS_MAX: usize = 16 * 1024;

/// What was said on a connection.
///
/// It is printed as one line for each line that was said: the milliseconds since the line before,
/// who spoke (`C:` the client, `S:` the server, `#` a remark), and the text with its controls
/// escaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialogue {
    first: Part,
    /// Whether the beginning takes no more.
    turned: bool,
    last: Part,
    /// Entries that came between the two and are not kept.
    left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Part {
    entries: VecDeque<(Timestamp, Said)>,
    octets: usize,
}

impl Part {
    fn has_room(&self, said: &Said) -> bool {
        self.entries.len() < DIALOGUE_ENTRIES_MAX && self.octets + size(said) <= DIALOGUE_OCTETS_MAX
    }

    fn push(&mut self, at: Timestamp, said: Said) {
        self.octets += size(&said);
        self.entries.push_back((at, said));
    }

    fn drop_first(&mut self) -> bool {
        let first = self.entries.pop_front();
        if let Some((_, said)) = &first {
            self.octets -= size(said);
        }
        first.is_some()
    }
}

fn size(said: &Said) -> usize {
    match said {
        Said::Command(spoken) | Said::Reply(spoken) => spoken.text.len(),
        Said::Content { message_id, .. } => message_id.len(),
        Said::Remark(text) => text.len(),
    }
}

impl Dialogue {
    /// Adds what was said at this moment of the system's clock.
    pub fn add(&mut self, at: Timestamp, said: Said) {
        self.turned |= !self.first.has_room(&said);
        if !self.turned {
            return self.first.push(at, said);
        }
        while !self.last.has_room(&said) && self.last.drop_first() {
            self.left_out += 1;
        }
        self.last.push(at, said);
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.first.entries.is_empty()
    }

    /// What is kept, in order.
    pub fn entries(&self) -> impl Iterator<Item = &(Timestamp, Said)> {
        self.first.entries.iter().chain(&self.last.entries)
    }
}

impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        print(f, &self.first, &mut before)?;
        if self.left_out > 0 {
            writeln!(f, "        # {} more are not kept", self.left_out)?;
        }
        print(f, &self.last, &mut before)
    }
}

fn print(f: &mut fmt::Formatter<'_>, part: &Part, before: &mut Option<Timestamp>) -> fmt::Result {
    for (at, said) in &part.entries {
        let millis = at.since(before.unwrap_or(*at)).as_millis();
        *before = Some(*at);
        let (who, text) = match said {
            Said::Command(spoken) => ("C:", &*spoken.text),
            Said::Reply(spoken) => ("S:", &*spoken.text),
            Said::Remark(text) => ("#", &**text),
            Said::Content { octets, .. } => {
                writeln!(f, "{millis:>+7} C: ({octets} octets of content)")?;
                continue;
            }
        };
        for (number, line) in text.split('\n').enumerate() {
            match number {
                0 => write!(f, "{millis:>+7}")?,
                _ => write!(f, "{:7}", "")?,
            }
            writeln!(f, " {who} {}", escaped(line))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Doubt;

    #[test]
    fn it_is_printed_with_the_time_between_lines() {
        let mut dialogue = Dialogue::default();
        let said = [
            (0, Said::reply(b"220 relay.example\r\n")),
            (12, Said::command(b"EHLO a\x1b", Doubt::Nothing)),
            (12, Said::reply(b"250-relay.example\r\n250 SIZE\r\n")),
            (1500, Said::remark("encrypted")),
            (1501, Said::content(7)),
        ];
        for (millis, said) in said {
            dialogue.add(Timestamp::from_millis(1000 + millis), said);
        }
        let printed = [
            "     +0 S: 220 relay.example",
            "    +12 C: EHLO a\\x1b",
            "     +0 S: 250-relay.example",
            "        S: 250 SIZE",
            "  +1488 # encrypted",
            "     +1 C: (7 octets of content)",
        ];
        assert_eq!(dialogue.to_string().lines().collect::<Vec<_>>(), printed);
    }

    #[test]
    fn of_a_long_one_the_beginning_and_the_end_are_kept() {
        let mut dialogue = Dialogue::default();
        for number in 0..1000 {
            let said = Said::command(format!("NOOP {number}").as_bytes(), Doubt::Nothing);
            dialogue.add(Timestamp::from_millis(number), said);
        }
        assert_eq!(dialogue.entries().count(), 2 * DIALOGUE_ENTRIES_MAX);
        let printed = dialogue.to_string();
        assert!(printed.starts_with("     +0 C: NOOP 0\n"), "{printed}");
        assert!(printed.ends_with(" C: NOOP 999\n"), "{printed}");
        assert!(
            printed.contains("\n        # 800 more are not kept\n"),
            "{printed}"
        );
    }

    #[test]
    fn neither_part_holds_more_octets_than_it_may() {
        let mut dialogue = Dialogue::default();
        let long = format!("NOOP {}", "x".repeat(crate::SAID_LEN_MAX));
        for _ in 0..1000 {
            dialogue.add(
                Timestamp::default(),
                Said::command(long.as_bytes(), Doubt::Nothing),
            );
        }
        let octets: usize = dialogue.entries().map(|(_, said)| size(said)).sum();
        assert!(octets <= 2 * DIALOGUE_OCTETS_MAX, "{octets}");
        assert!(dialogue.left_out > 900);
    }
}

use std::ops::Range;

use crate::octets::Octets;

/// Octets that are put together of others, which stay where they are.
#[derive(Default)]
pub struct Rope<'a> {
    strands: Vec<Strand<'a>>,
    size: usize,
}

struct Strand<'a> {
    /// Where it begins in the rope.
    start: usize,
    size: usize,
    of: Of<'a>,
}

enum Of<'a> {
    Own(Vec<u8>),
    /// From this octet of others on.
    Others(&'a dyn Octets, usize),
}

impl<'a> Rope<'a> {
    /// Puts octets of its own behind the others.
    pub fn push(&mut self, octets: impl Into<Vec<u8>>) {
        let octets = octets.into();
        self.put(octets.len(), Of::Own(octets));
    }

    /// Puts those of a range of others behind the others.
    pub fn push_from(&mut self, others: &'a dyn Octets, range: Range<usize>) {
        let end = range.end.min(others.size());
        self.put(
            end.saturating_sub(range.start),
            Of::Others(others, range.start),
        );
    }

    fn put(&mut self, size: usize, of: Of<'a>) {
        if size > 0 {
            let start = self.size;
            self.strands.push(Strand { start, size, of });
            self.size += size;
        }
    }
}

impl Octets for Rope<'_> {
    fn size(&self) -> usize {
        self.size
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let behind = self.strands.partition_point(|strand| strand.start <= at);
        let Some(strand) = behind
            .checked_sub(1)
            .and_then(|last| self.strands.get(last))
        else {
            return 0;
        };
        let at = at - strand.start;
        let most = strand.size.saturating_sub(at).min(to.len());
        match &strand.of {
            Of::Own(octets) => octets.read_at(at, &mut to[..most]),
            Of::Others(others, start) => others.read_at(start + at, &mut to[..most]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rope_is_its_strands_one_behind_the_other() {
        let others = b"0123456789".to_vec();
        let mut rope = Rope::default();
        rope.push_from(&others, 8..20);
        rope.push(*b"abc");
        rope.push(Vec::new());
        rope.push_from(&others, 3..5);
        assert_eq!(
            (rope.size(), rope.copy(0..usize::MAX)),
            (7, b"89abc34".to_vec())
        );
        assert_eq!(rope.copy(3..6), b"bc3");
        assert_eq!(rope.copy(7..9), b"");
    }
}

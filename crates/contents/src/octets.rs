//! Octets that are read from any place on, so that nobody needs all of them in memory.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;

/// Octets that are read from any place on: of a message on disk, of a part as it is decoded, of
/// something that was unpacked.
///
/// Reading has no error, so that all that is done with octets has none. What cannot be read any more
/// has nothing left, remembers why, and whoever made it asks for that before believing what was found.
pub trait Octets {
    /// How many there are.
    fn size(&self) -> usize;

    /// Reads those from `at` on into `to` and tells how many it were; none only at the end, or where
    /// `to` is empty.
    fn read_at(&self, at: usize, to: &mut [u8]) -> usize;

    /// Fills `to` from `at` on as far as there are octets, and tells how many it were.
    fn fill(&self, at: usize, to: &mut [u8]) -> usize {
        let mut have = 0;
        while have < to.len() {
            match self.read_at(at.saturating_add(have), &mut to[have..]) {
                0 => break,
                octets => have += octets.min(to.len() - have),
            }
        }
        have
    }

    /// Those of a range, as far as they are there.
    fn copy(&self, range: Range<usize>) -> Vec<u8> {
        let end = range.end.min(self.size());
        let mut copy = vec![0; end.saturating_sub(range.start)];
        let have = self.fill(range.start, &mut copy);
        copy.truncate(have);
        copy
    }
}

impl Octets for [u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let rest = self.get(at..).unwrap_or_default();
        let octets = rest.len().min(to.len());
        to[..octets].copy_from_slice(&rest[..octets]);
        octets
    }
}

impl Octets for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        self.as_slice().read_at(at, to)
    }
}

impl<T: Octets + ?Sized> Octets for &T {
    fn size(&self) -> usize {
        (**self).size()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        (**self).read_at(at, to)
    }
}

/// Octets that several readers hold.
pub(crate) type Shared<'a> = Rc<dyn Octets + 'a>;

/// What is read at one time of what is read from its beginning to its end.
pub(crate) const PIECE: usize = 64 * 1024;

impl dyn Octets + '_ {
    /// Shows those of a range to `see`, piece by piece, for as long as that says so.
    pub(crate) fn pieces(&self, range: Range<usize>, see: &mut dyn FnMut(&[u8]) -> bool) {
        let end = range.end.min(self.size());
        let mut at = range.start;
        let mut piece = vec![0; PIECE.min(end.saturating_sub(at))];
        while at < end {
            let most = piece.len().min(end - at);
            let have = self.fill(at, &mut piece[..most]);
            if have == 0 || !see(&piece[..have]) {
                break;
            }
            at += have;
        }
    }

    /// A reader of all of them.
    pub(crate) fn reader(&self) -> BufReader<Reader<'_>> {
        BufReader::with_capacity(8 * 1024, Reader::new(self))
    }
}

/// Reads octets one after the other.
pub struct Reader<'o> {
    octets: &'o dyn Octets,
    at: usize,
}

impl<'o> Reader<'o> {
    /// From the first one on.
    pub fn new(octets: &'o dyn Octets) -> Self {
        Self { octets, at: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let octets = self.octets.read_at(self.at, to);
        if octets == 0 && !to.is_empty() && self.at < self.octets.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += octets;
        Ok(octets)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
            SeekFrom::End(by) => (self.octets.size() as u64).checked_add_signed(by),
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.at = usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(at)
    }
}

/// Some of others.
pub(crate) struct Section<'a> {
    of: Shared<'a>,
    range: Range<usize>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(of: Shared<'a>, range: Range<usize>) -> Self {
        let end = range.end.min(of.size());
        let range = range.start.min(end)..end;
        Self { of, range }
    }
}

impl Octets for Section<'_> {
    fn size(&self) -> usize {
        self.range.len()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let most = self.size().saturating_sub(at).min(to.len());
        self.of
            .read_at(self.range.start.saturating_add(at), &mut to[..most])
    }
}

/// The lines of octets, through a window that moves over them.
pub(crate) struct Lines<'o> {
    octets: &'o dyn Octets,
    start: usize,
    window: Vec<u8>,
}

impl<'o> Lines<'o> {
    /// So much of a line is seen and no more.
    pub(crate) const SEEN_MAX: usize = PIECE;

    pub(crate) fn new(octets: &'o dyn Octets) -> Self {
        Self {
            octets,
            start: 0,
            window: Vec::new(),
        }
    }

    /// The line at an octet, with its end. Its beginning can be seen until the next is asked for.
    pub(crate) fn at(&mut self, at: usize) -> Range<usize> {
        if let Some(end) = self.end_in_window(at) {
            return at..end;
        }
        self.move_to(at);
        if let Some(end) = self.end_in_window(at) {
            return at..end;
        }
        let mut end = at + self.window.len();
        self.octets.pieces(end..self.octets.size(), &mut |piece| {
            let found = memchr::memchr(b'\n', piece);
            end += found.map_or(piece.len(), |found| found + 1);
            found.is_none()
        });
        at..end
    }

    /// What is seen of the line that was asked for last.
    pub(crate) fn seen(&self, line: &Range<usize>) -> &[u8] {
        let start = line.start.saturating_sub(self.start);
        let end = line.end.saturating_sub(self.start).min(self.window.len());
        self.window.get(start..end).unwrap_or_default()
    }

    fn end_in_window(&self, at: usize) -> Option<usize> {
        let rest = self.window.get(at.checked_sub(self.start)?..)?;
        let found = memchr::memchr(b'\n', rest)?;
        Some(at + found + 1)
    }

    fn move_to(&mut self, at: usize) {
        self.start = at;
        let most = self.octets.size().saturating_sub(at).min(Self::SEEN_MAX);
        self.window.resize(most, 0);
        let have = self.octets.fill(at, &mut self.window);
        self.window.truncate(have);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives few octets at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Octets for Trickle<'_> {
        fn size(&self) -> usize {
            self.0.len()
        }

        fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
            let most = to.len().min(3);
            self.0.read_at(at, &mut to[..most])
        }
    }

    #[test]
    fn lines_are_found_however_long_they_are() {
        let long = vec![b'x'; Lines::SEEN_MAX + 10];
        let text = [b"one\r\n\n", &long[..], b"\ntwo\nend"].concat();
        let octets = Trickle(&text);
        let mut lines = Lines::new(&octets);
        let (mut at, mut seen) = (0, Vec::new());
        while at < text.len() {
            let line = lines.at(at);
            let shown = lines.seen(&line);
            assert!(text[line.clone()].starts_with(shown));
            seen.push((line.len(), shown.len()));
            at = line.end;
        }
        let long = (long.len() + 1, Lines::SEEN_MAX);
        assert_eq!(seen, [(5, 5), (1, 1), long, (4, 4), (3, 3)]);
    }

    #[test]
    fn a_reader_reads_from_any_place_to_the_end() {
        let octets = Trickle(b"0123456789");
        let section = Section::new(Rc::new(octets), 2..9);
        let mut reader = Reader::new(&section);
        let mut text = String::new();
        assert_eq!(reader.seek(SeekFrom::End(-4)).unwrap(), 3);
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "5678");
        assert!(reader.seek(SeekFrom::Start(0)).is_ok());
        assert!(reader.seek(SeekFrom::Current(-1)).is_err());
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_an_error() {
        struct Broken;
        impl Octets for Broken {
            fn size(&self) -> usize {
                5
            }
            fn read_at(&self, _: usize, _: &mut [u8]) -> usize {
                0
            }
        }
        assert!(Reader::new(&Broken).read(&mut [0; 4]).is_err());
        assert_eq!(Broken.copy(0..5), b"");
    }
}

use memchr::memmem::Finder;

use crate::Kind;
use crate::kind::HEAD;
use crate::octets::Octets;
use crate::zip_directory::ZipDirectory;

/// What is seen of octets while they pass by, whatever their number: of what kind they are.
#[derive(Default)]
pub(crate) struct Sight {
    /// Their beginning, until there is enough of it.
    head: Vec<u8>,
    kind: Option<Kind>,
    marks: Vec<Mark>,
    /// How many were searched for marks.
    searched: usize,
    /// The last ones of them, as a mark may begin there.
    last: Vec<u8>,
}

/// Octets that mean something wherever they stand.
struct Mark {
    name: Name,
    finder: Finder<'static>,
    /// Where it stands first, and how often.
    places: Vec<usize>,
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Macros,
    Installer,
    EncryptedPackage,
    ZipEntry,
    Zip64End,
}

/// So many places of a mark are kept.
const PLACES_MAX: usize = 16;
/// No mark is longer.
const MARK_MAX: usize = 32;

/// The class of an installer's root, as Windows writes it.
const INSTALLER: &[u8] = b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F";

impl Sight {
    /// Takes the next octets, however they are cut. False when nothing more is to be seen in them.
    pub(crate) fn see(&mut self, mut piece: &[u8]) -> bool {
        if self.kind.is_none() {
            let missing = HEAD.saturating_sub(self.head.len()).min(piece.len());
            let (of_head, rest) = piece.split_at(missing);
            self.head.extend_from_slice(of_head);
            if self.head.len() < HEAD {
                return true;
            }
            self.decide();
            piece = rest;
        }
        self.search(piece);
        !self.marks.is_empty()
    }

    /// All octets have passed, or nothing more was to be seen in them.
    pub(crate) fn end(&mut self) {
        if self.kind.is_none() {
            self.decide();
        }
    }

    /// What they are by their beginning; none before there was enough of it.
    pub(crate) fn of_head(&self) -> Option<Kind> {
        self.kind
    }

    /// What they are, `octets` being all of them.
    pub(crate) fn kind(&self, octets: &dyn Octets) -> Kind {
        match self.kind.unwrap_or(Kind::Unknown) {
            Kind::Zip => ZipDirectory::of(octets).map_or(Kind::Zip, |directory| directory.kind()),
            Kind::Ole if self.count(Name::Macros) > 0 => Kind::Macro,
            Kind::Ole if self.count(Name::Installer) > 0 => Kind::Msi,
            kind => kind,
        }
    }

    /// Office keeps a document with a password as a stream of a compound file.
    pub(crate) fn is_encrypted_document(&self) -> bool {
        self.count(Name::EncryptedPackage) > 0
    }

    /// How many entries of ZIP archives there are at most, those of archives in an archive too.
    pub(crate) fn zip_entries(&self) -> usize {
        self.count(Name::ZipEntry)
    }

    /// Where records may stand that end a directory of ZIP64; none when there are too many.
    pub(crate) fn zip64_ends(&self) -> Option<&[usize]> {
        let mark = self.marks.iter().find(|mark| mark.name == Name::Zip64End);
        let places = mark.map_or(&[][..], |mark| &mark.places);
        (self.count(Name::Zip64End) <= places.len()).then_some(places)
    }

    fn count(&self, name: Name) -> usize {
        let mark = self.marks.iter().find(|mark| mark.name == name);
        mark.map_or(0, |mark| mark.count)
    }

    fn decide(&mut self) {
        let head = std::mem::take(&mut self.head);
        let kind = Kind::of_head(&head);
        self.kind = Some(kind);
        self.marks = match kind {
            Kind::Zip => vec![
                Mark::new(Name::ZipEntry, b"PK\x01\x02"),
                Mark::new(Name::Zip64End, b"PK\x06\x06"),
            ],
            // The streams of a compound file have their names in a directory that may lie anywhere.
            Kind::Ole => vec![
                Mark::new(Name::Macros, &utf16("_VBA_PROJECT")),
                Mark::new(Name::Installer, INSTALLER),
                Mark::new(Name::EncryptedPackage, &utf16("EncryptedPackage")),
            ],
            _ => Vec::new(),
        };
        self.search(&head);
    }

    fn search(&mut self, piece: &[u8]) {
        if self.marks.is_empty() {
            return;
        }
        let start = self.searched;
        for mark in &mut self.marks {
            let most = mark.finder.needle().len() - 1;
            // One that lies in both can lie nowhere but in these.
            let before = &self.last[self.last.len().saturating_sub(most)..];
            let seam = [before, &piece[..most.min(piece.len())]].concat();
            mark.search(&seam, start - before.len());
            mark.search(piece, start);
        }
        self.searched += piece.len();
        self.last
            .extend_from_slice(&piece[piece.len().saturating_sub(MARK_MAX)..]);
        let surplus = self.last.len().saturating_sub(MARK_MAX);
        self.last.drain(..surplus);
    }
}

impl Mark {
    fn new(name: Name, octets: &[u8]) -> Self {
        Self {
            name,
            finder: Finder::new(octets).into_owned(),
            places: Vec::new(),
            count: 0,
        }
    }

    fn search(&mut self, octets: &[u8], start: usize) {
        for at in self.finder.find_iter(octets) {
            self.count += 1;
            if self.places.len() < PLACES_MAX {
                self.places.push(start + at);
            }
        }
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of octets that come in pieces of a length.
    fn seen(octets: &[u8], length: usize) -> Sight {
        let mut sight = Sight::default();
        for piece in octets.chunks(length) {
            if !sight.see(piece) {
                break;
            }
        }
        sight.end();
        sight
    }

    #[test]
    fn compound_files_tell_by_their_streams() {
        let file = |stream: &[u8]| {
            let start = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
            [start, &vec![0; HEAD][..], stream, &[0; 40][..]].concat()
        };
        let encrypted = utf16("EncryptedPackage");
        for length in [1, 7, 4096, usize::MAX] {
            let kind = |stream: &[u8]| seen(&file(stream), length).kind(&file(stream));
            assert_eq!(kind(&utf16("WordDocument")), Kind::Ole);
            assert_eq!(kind(&utf16("_VBA_PROJECT")), Kind::Macro);
            assert_eq!(kind(&utf16("_VBA_PROJECT_CUR")), Kind::Macro);
            assert_eq!(kind(INSTALLER), Kind::Msi);
            assert!(seen(&file(&encrypted), length).is_encrypted_document());
            assert!(!seen(&file(&encrypted[..30]), length).is_encrypted_document());
        }
    }

    #[test]
    fn marks_are_counted_once_wherever_they_are_cut() {
        let octets = [
            &b"PK\x03\x04"[..],
            &b"xPK\x01\x02PK\x01\x02PK\x06\x06".repeat(20),
        ]
        .concat();
        for length in [1, 2, 3, 4, 5, 100, usize::MAX] {
            let sight = seen(&octets, length);
            assert_eq!(sight.zip_entries(), 40);
            assert_eq!(sight.zip64_ends(), None);
        }
        let sight = seen(&octets[..30], 3);
        assert_eq!(sight.zip64_ends(), Some(&[13, 26][..]));
    }
}

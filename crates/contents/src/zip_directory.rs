//! The directory of a ZIP archive as it stands there, without a library's view of it.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use crate::Kind;
use crate::octets::{Octets, PIECE};

/// Octets of the record that ends a directory, without its comment.
const END: usize = 22;
/// Octets of an entry, without its names.
const ENTRY: usize = 46;
/// No more entries are looked at than this.
const ENTRIES_MAX: usize = 100_000;

/// What a central directory lists, as far as it tells what an archive is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ZipDirectory {
    entries: usize,
    is_office: bool,
    is_open_document: bool,
    is_java: bool,
    has_macros: bool,
    has_basic: bool,
}

impl ZipDirectory {
    /// None when there is no directory.
    pub(crate) fn of(octets: &dyn Octets) -> Option<Self> {
        let end = end_record(octets)?;
        let record = octets.copy(end..end + END);
        // What stands before an archive moves its offsets, so we count back from its end.
        let size = u32::from_le_bytes(record.get(12..16)?.try_into().ok()?);
        let start = end.checked_sub(usize::try_from(size).ok()?)?;
        let mut reader = octets.reader();
        reader.seek(SeekFrom::Start(start as u64)).ok()?;
        let (mut directory, mut at) = (Self::default(), start);
        while directory.entries < ENTRIES_MAX && end - at >= ENTRY {
            let mut entry = [0; ENTRY];
            reader.read_exact(&mut entry).ok()?;
            if !entry.starts_with(b"PK\x01\x02") {
                break;
            }
            let length = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
            let (name, behind) = (length(28), length(30) + length(32));
            at += ENTRY + name + behind;
            if at > end {
                return None;
            }
            directory.take(&read_name(&mut reader, name).ok()?);
            reader.seek_relative(i64::try_from(behind).ok()?).ok()?;
        }
        Some(directory)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// What the archive is by the names of its entries.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            _ if self.is_office && self.has_macros => Kind::Macro,
            _ if self.is_open_document && self.has_basic => Kind::Macro,
            _ if self.is_office || self.is_open_document => Kind::Office,
            _ if self.is_java => Kind::Jar,
            _ => Kind::Zip,
        }
    }

    fn take(&mut self, name: &[u8]) {
        self.entries += 1;
        self.is_office |= name == b"[Content_Types].xml";
        self.has_macros |= name.to_ascii_lowercase().ends_with(b"vbaproject.bin");
        self.is_open_document |= name == b"META-INF/manifest.xml";
        self.has_basic |= name.starts_with(b"Basic/");
        self.is_java |= name == b"META-INF/MANIFEST.MF";
    }
}

fn read_name(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut name = vec![0; length];
    reader.read_exact(&mut name)?;
    Ok(name)
}

/// Where the last record begins that ends a directory.
fn end_record(octets: &dyn Octets) -> Option<usize> {
    let mut end = octets.size();
    loop {
        let start = end.saturating_sub(PIECE);
        let piece = octets.copy(start..end);
        if let Some(at) = memmem::rfind(&piece, b"PK\x05\x06") {
            return Some(start + at);
        }
        if start == 0 {
            return None;
        }
        // One may lie in both.
        end = start + 3;
    }
}

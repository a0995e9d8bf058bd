//! The directory of a ZIP archive as it stands there, without a library's view of it.

use memchr::memmem;

/// Octets of the record that ends a directory, without its comment.
const END: usize = 22;
/// Octets of an entry, without its names.
const ENTRY: usize = 46;
/// No more entries are looked at than this.
const ENTRIES_MAX: usize = 100_000;

/// The entries that a central directory lists.
pub(crate) struct ZipDirectory<'a> {
    names: Vec<&'a [u8]>,
}

impl<'a> ZipDirectory<'a> {
    /// None when there is no directory.
    pub(crate) fn of(octets: &'a [u8]) -> Option<Self> {
        let end = memmem::rfind(octets, b"PK\x05\x06")?;
        let record = octets.get(end..end + END)?;
        // What stands before an archive moves its offsets, so we count back from its end.
        let size = usize::try_from(u32_at(record, 12)?).ok()?;
        let mut rest = octets.get(end.checked_sub(size)?..end)?;
        let mut names = Vec::new();
        while names.len() < ENTRIES_MAX && rest.starts_with(b"PK\x01\x02") {
            let length = |at| u16_at(rest, at).map(usize::from);
            let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
            names.push(rest.get(ENTRY..ENTRY + name)?);
            rest = rest.get(ENTRY + name + extra + comment..)?;
        }
        Some(Self { names })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether an entry has such a name.
    pub(crate) fn has(&self, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.names.iter().any(|name| is_wanted(name))
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets
        .get(at..at + 2)
        .map(|two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets
        .get(at..at + 4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

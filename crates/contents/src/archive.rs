//! Archives: their entries, one after the other, as they unpack.
//!
//! Nothing is unpacked but what the visitor reads, so its limits are those of the whole. What a packer
//! may ask for in memory before the first octet comes has a limit of its own here.

use std::io::Read;

use crate::{Kind, Why};

mod packed;
mod seven_zip;
mod tape;
mod zip;

/// Dictionaries of packers may be as large as this and no larger: what 7-Zip uses at its best level,
/// and some for tables.
const DICTIONARY_MAX: usize = 66 << 20;

/// An entry of an archive.
pub(crate) struct Entry<'a> {
    /// Its names as they are written, with folders; the first is the one to show.
    pub names: Vec<String>,
    /// How many octets it is said to have.
    pub size: u64,
    /// What is in it, or why that cannot be read.
    pub content: Result<&'a mut dyn Read, Why>,
}

/// Takes an entry; an error ends the walk over the archive.
pub(crate) type Visit<'a> = dyn FnMut(Entry<'_>) -> Result<(), Why> + 'a;

/// Whether archives of a kind are opened here.
pub(crate) fn is_opened(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        Zip | Office | Macro | Jar | SevenZip | Tar | Gzip | Bzip2 | Xz | Zstd
    )
}

/// Shows all entries of an archive to `visit`. `name` is the archive's own, for what has no other.
///
/// The error is that of the visitor, or why the archive as a whole cannot be read further.
pub(crate) fn walk(
    kind: Kind,
    octets: &[u8],
    name: &str,
    visit: &mut Visit<'_>,
) -> Result<(), Why> {
    match kind {
        Kind::Zip | Kind::Office | Kind::Macro | Kind::Jar => zip::walk(octets, visit),
        Kind::SevenZip => seven_zip::walk(octets, visit),
        Kind::Tar => tape::walk(octets, visit),
        _ => packed::walk(kind, octets, name, visit),
    }
}

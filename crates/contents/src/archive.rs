//! Archives: their entries, one after the other, as they unpack.
//!
//! Nothing is unpacked but what the visitor reads, so its limits are those of the whole. What a packer
//! may ask for in memory before the first octet comes has a limit of its own here.

use std::io::Read;

use crate::octets::Octets;
use crate::sight::Sight;
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

/// An archive.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'o> {
    pub octets: &'o dyn Octets,
    /// What was seen of them.
    pub sight: &'o Sight,
    pub kind: Kind,
    /// Its own name, for what has no other.
    pub name: &'o str,
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

/// Shows all entries of an archive to `visit`.
///
/// The error is that of the visitor, or why the archive as a whole cannot be read further.
pub(crate) fn walk(packed: Packed<'_>, visit: &mut Visit<'_>) -> Result<(), Why> {
    match packed.kind {
        Kind::Zip | Kind::Office | Kind::Macro | Kind::Jar => zip::walk(packed, visit),
        Kind::SevenZip => seven_zip::walk(packed.octets, visit),
        Kind::Tar => tape::walk(packed.octets, visit),
        _ => packed::walk(packed, visit),
    }
}

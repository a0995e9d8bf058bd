//! ZIP.

use std::io::Read;

use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

use super::{DICTIONARY_MAX, Entry, Packed, Visit};
use crate::Why;
use crate::octets::Octets;
use crate::zip_directory::ZipDirectory;

/// Entries, those of archives within an archive too. The library keeps all of a directory in memory.
const ENTRIES_MAX: usize = 20_000;

pub(super) fn walk(packed: Packed<'_>, visit: &mut Visit<'_>) -> Result<(), Why> {
    let octets = packed.octets;
    if packed.sight.zip_entries() > ENTRIES_MAX || claims_too_many(packed) {
        return Err(Why::TooMany);
    }
    let broken = Why::Broken("its directory");
    let mut archive = ZipArchive::new(octets.reader()).map_err(|_| broken)?;
    // The library keeps one of several entries of a name, and a recipient's program may keep another.
    let listed = ZipDirectory::of(octets).ok_or(broken)?.len();
    for index in 0..archive.len() {
        let Ok(entry) = archive.by_index_raw(index) else {
            visit(Entry {
                names: Vec::new(),
                size: 0,
                content: Err(broken),
            })?;
            continue;
        };
        if entry.is_dir() {
            continue;
        }
        let (names, size, readable) = (names(&entry), entry.size(), readable(&entry, octets));
        drop(entry);
        if let Err(why) = readable {
            visit(Entry {
                names,
                size,
                content: Err(why),
            })?;
            continue;
        }
        match archive.by_index(index) {
            Ok(mut entry) => {
                let content: &mut dyn Read = &mut entry;
                visit(Entry {
                    names,
                    size,
                    content: Ok(content),
                })?;
            }
            Err(_) => visit(Entry {
                names,
                size,
                content: Err(broken),
            })?,
        }
    }
    if archive.len() == listed {
        Ok(())
    } else {
        Err(Why::Broken("several entries of one name"))
    }
}

/// What a record of ZIP64 tells of counts against our limit before the library believes it.
fn claims_too_many(packed: Packed<'_>) -> bool {
    let Some(places) = packed.sight.zip64_ends() else {
        return true;
    };
    let claims = |at: usize| {
        let counts = packed.octets.copy(at + 24..at + 40);
        let mut counts = counts
            .chunks_exact(8)
            .filter_map(|eight| eight.try_into().ok());
        counts.any(|count| u64::from_le_bytes(count) > ENTRIES_MAX as u64)
    };
    places.iter().any(|&at| claims(at))
}

/// Its name as the archive says it is, and as its octets would be without that.
fn names<R: Read>(entry: &ZipFile<'_, R>) -> Vec<String> {
    let raw = String::from_utf8_lossy(entry.name_raw()).into_owned();
    let mut names: Vec<String> = entry
        .name()
        .map(|name| name.into_owned())
        .into_iter()
        .collect();
    if !names.contains(&raw) {
        names.push(raw);
    }
    names
}

fn readable<R: Read>(entry: &ZipFile<'_, R>, octets: &dyn Octets) -> Result<(), Why> {
    if entry.encrypted() {
        return Err(Why::Encrypted);
    }
    match entry.compression() {
        CompressionMethod::Stored
        | CompressionMethod::Deflated
        | CompressionMethod::Deflate64
        | CompressionMethod::Bzip2 => Ok(()),
        // Version, size of properties, one of them, and then the size of the dictionary, which has a
        // limit of ours.
        CompressionMethod::Lzma => {
            let start = entry
                .data_start()
                .and_then(|start| usize::try_from(start).ok());
            let header = start.map(|start| octets.copy(start + 5..start + 9));
            match header.as_deref() {
                Some(&[a, b, c, d])
                    if u32::from_le_bytes([a, b, c, d]) as usize <= DICTIONARY_MAX =>
                {
                    Ok(())
                }
                Some([_, _, _, _]) => Err(Why::TooLarge),
                _ => Err(Why::Broken("its entry")),
            }
        }
        _ => Err(Why::UnknownMethod),
    }
}

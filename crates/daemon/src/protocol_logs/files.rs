//! The folder of one protocol log.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use mail::Timestamp;
use nix::sys::statvfs::statvfs;
use protocol_log::LogFile;

/// Octets at the start of a file in which its `#` lines stand.
const HEADER_LEN_MAX: u64 = 4096;

/// What lies in the folder, which is made where it is missing.
pub(super) fn list(directory: &Path) -> io::Result<Vec<LogFile>> {
    fs::create_dir_all(directory)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // It may have gone meanwhile.
        let Ok(facts) = entry.metadata() else {
            continue;
        };
        if !facts.is_file() {
            continue;
        }
        let written = facts.modified()?.duration_since(UNIX_EPOCH);
        let millis = written.unwrap_or_default().as_millis();
        files.push(LogFile {
            name,
            written: Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)),
            octets: facts.len(),
        });
    }
    Ok(files)
}

/// The start of a file, as text; nothing where it cannot be read.
pub(super) fn start_of(file: &Path) -> String {
    let mut start = Vec::new();
    if let Ok(file) = File::open(file) {
        let _as_far_as_it_goes = file.take(HEADER_LEN_MAX).read_to_end(&mut start);
    }
    String::from_utf8_lossy(&start).into_owned()
}

/// Octets that are free on the disk of the folder, which may still have to be made; `None` where
/// nobody knows.
pub(super) fn free(directory: &Path) -> Option<u64> {
    let facts = directory
        .ancestors()
        .find_map(|above| statvfs(above).ok())?;
    Some(facts.blocks_available() * facts.fragment_size())
}

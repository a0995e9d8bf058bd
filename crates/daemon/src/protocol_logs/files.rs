//! The folder of one protocol log.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use mail::Timestamp;
use nix::sys::statvfs::statvfs;
use protocol_log::LogFile;

/// Octets at the start of a file in which its `#` lines stand.
const HEADER_LEN_MAX: u64 = 4096;

/// Addresses and who wrote to whom are no business of everybody on the machine: programs that read
/// a log run in our group.
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// What lies in the folder, which is made where it is missing.
pub(super) fn list(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut missing = DirBuilder::new();
    missing
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(directory)?;
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

/// Opens a file to write at its end, and makes it where it is missing.
pub(super) fn append_to(file: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).mode(FILE_MODE).open(file)
}

/// Appends whole lines to a file that has so many octets: all of them, or on an error none, so that
/// what is written later follows no half line.
pub(super) fn append(file: &mut File, octets: u64, lines: &[u8]) -> io::Result<()> {
    let written = file.write_all(lines);
    if written.is_err() && file.metadata()?.len() > octets {
        file.set_len(octets)?;
    }
    written
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

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};
    use std::os::unix::fs::PermissionsExt as _;

    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    #[test]
    fn what_is_made_is_for_the_group_and_not_for_everybody() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("log/w3c");
        list(&folder).unwrap();
        let file = folder.join("ex260131.log");
        append_to(&file).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&above.path().join("log")) & 0o027, 0);
        assert_eq!((mode(&folder) & 0o027, mode(&file) & 0o137), (0, 0));
    }

    #[test]
    fn a_half_line_is_taken_back() {
        // A file with room for a page more, as a disk that is nearly full.
        let sealing = MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create("log", sealing).unwrap());
        file.set_len(8192).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        let lines = [b'a'; 16_384];
        assert!(append(&mut file, 4096, &lines).is_err());
        assert_eq!(file.stream_position().unwrap(), 8192, "a part was written");
        assert_eq!(file.metadata().unwrap().len(), 4096);
    }
}

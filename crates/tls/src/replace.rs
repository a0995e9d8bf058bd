//! Small files of our own, written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file of its own beside the old one, and puts it in its place; `mode` says who may read
/// it.
///
/// # Errors
/// It cannot be written; the old one is as it was.
pub fn replace(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    // Never through a link, nor into a file that somebody else has laid there (O_EXCL).
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

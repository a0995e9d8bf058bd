//! The write-ahead log written anew, so that its next sync tells the truth.
//!
//! When a sync fails, the kernel may drop what it could not write. It goes on showing it to
//! readers, and says yes to the next sync, because nothing is left to be written. Whatever follows
//! in the log would then be behind a hole, and the next start would stop there. So a log of which
//! nobody knows how it ended is read and written again, whole, before anything is appended to it or
//! copied out of it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is read and written at one time.
const PIECE_OCTETS: usize = 1 << 20;

/// Where SQLite keeps the log of this file.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-wal");
    name.into()
}

/// Makes what readers see in the log durable. Nobody may have the store open. An orderly end leaves
/// an empty log, and nothing to do.
///
/// # Errors
/// When it is not durable.
pub(super) fn renew(database: &Path) -> io::Result<()> {
    let path = log_of(database);
    let log = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if log.metadata()?.len() == 0 {
        return Ok(());
    }
    // In its own place it needs no room. Elsewhere if that place on the disk takes nothing any
    // more.
    write_again(&log, &log).or_else(|_| replace(&log, &path))
}

/// Syncs the names in a directory.
pub(super) fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// By reading and writing: a copy made by the kernel might share the very blocks that were never
/// written.
fn write_again(from: &File, to: &File) -> io::Result<()> {
    let mut piece = vec![0; PIECE_OCTETS];
    let mut at = 0;
    loop {
        let got = from.read_at(&mut piece, at)?;
        if got == 0 {
            return to.sync_all();
        }
        to.write_all_at(&piece[..got], at)?;
        at += got as u64;
    }
}

fn replace(log: &File, path: &Path) -> io::Result<()> {
    let mut name = OsString::from(path);
    name.push("-new");
    let fresh = PathBuf::from(name);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(&fresh)
        .and_then(|file| write_again(log, &file))
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // The first error is the one that counts.
        let _left = fs::remove_file(&fresh);
    }
    written?;
    path.parent().map_or(Ok(()), sync_names)
}

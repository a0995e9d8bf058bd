use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts `octets` in the place of what is in the file: whole or not at all, so that a crash in between
/// leaves the old ones.
///
/// # Errors
/// They cannot be written.
pub(crate) fn write(file: &Path, octets: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut open = File::create(&new)?;
    open.write_all(octets)?;
    open.sync_data()?;
    fs::rename(&new, file)
}

//! Files of `data_dir` that hold what is worth knowing after a restart, and that mail does not wait for.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// What [`write`] has put there, as `parse` reads it; `None` where nothing was. What cannot be read is
/// set aside, beside the file, and whoever asks begins anew.
///
/// # Errors
/// Says why it cannot be read, and where it lies now.
pub(crate) fn read<T>(
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let damaged = || io::Error::other("this is not what was written");
    let read = fs::read(file).and_then(|octets| parse(&octets).ok_or_else(damaged));
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if file.is_file() => {
            let aside = file.with_extension("damaged");
            Err(match fs::rename(file, &aside) {
                Ok(()) => io::Error::other(format!("{error}; set aside as {}", aside.display())),
                Err(_) => error,
            })
        }
        Err(error) => Err(error),
    }
}

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

//! Secrets of ours in `data_dir`, made when they are first needed.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The octets in this file, which is made, for its owner alone, when there is none. May block.
///
/// # Errors
/// It cannot be read or made, or is shorter.
pub(crate) fn open<const LEN: usize>(file: &Path) -> io::Result<[u8; LEN]> {
    read(file).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => make(file),
        _ => Err(error),
    })
}

fn read<const LEN: usize>(file: &Path) -> io::Result<[u8; LEN]> {
    let mut key = [0; LEN];
    File::open(file)?.read_exact(&mut key)?;
    Ok(key)
}

/// A file beside it takes its name once it is whole: a crash leaves no half of a key.
fn make<const LEN: usize>(file: &Path) -> io::Result<[u8; LEN]> {
    let mut key = [0; LEN];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("there is no randomness"))?;
    let new = file.with_extension("new");
    let mut options = File::options();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let mut written = options.open(&new)?;
    written.write_all(&key)?;
    written.sync_all()?;
    std::fs::rename(&new, file)?;
    Ok(key)
}

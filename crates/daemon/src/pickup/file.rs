//! A file that was taken, as it is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use mail::Domain;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use submission::{Header, Origin, Submission};

/// Octets read at once.
const PIECE_BYTES: usize = 64 << 10;

const NO_FILE: &str = "this is no file of its own: a link, a folder or a device";

/// A file with its header read.
pub(super) struct Opened {
    pub(super) submission: Submission,
    /// What stands behind the header.
    pub(super) rest: Box<dyn Read + Send>,
    /// Whose file it is.
    pub(super) uid: u32,
}

/// Opens and reads it. Whoever may write to the pickup directory chose its name, kind and content.
///
/// # Errors
/// Why it is no message that can be sent.
pub(super) fn open(path: &Path, header_size: u64, hostname: &Domain) -> Result<Opened, String> {
    let unreadable = |error: io::Error| format!("the file cannot be read: {error}");
    // Nothing that a link leads to is read with our rights, and a pipe holds up nobody.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(NO_FILE.to_owned());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.nlink() > 1 {
        return Err(NO_FILE.to_owned());
    }
    let start = start(&mut file, header_size).map_err(unreadable)?;
    let submission =
        Submission::read(&start, Origin::File(hostname)).map_err(|why| why.to_string())?;
    let mut start = Cursor::new(start);
    start.set_position(submission.taken as u64);
    Ok(Opened {
        submission,
        rest: Box::new(start.chain(file)),
        uid: about.uid(),
    })
}

/// The beginning of the file, with its header. One that is too long is left to the session, which
/// refuses it.
fn start(file: &mut File, header_size: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    let mut piece = file.take(PIECE_BYTES as u64);
    while piece.read_to_end(&mut start)? > 0
        && !Header::is_whole(&start)
        && start.len() as u64 <= header_size
    {
        piece.set_limit(PIECE_BYTES as u64);
    }
    Ok(start)
}

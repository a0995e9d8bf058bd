//! A file that was taken, as it is read.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use mail::Domain;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use submission::{Header, Origin, Seen, Submission};

use super::folder::seen;

/// Octets read at once.
const PIECE_BYTES: usize = 64 << 10;

const NO_FILE: &str = "this is no file of its own: a link, a folder or a device";

/// A file with its header read.
pub(super) struct Opened {
    pub(super) submission: Submission,
    /// What stands behind the header.
    pub(super) rest: Box<dyn Read + Send>,
    /// As what it was opened.
    pub(super) seen: Seen,
}

/// Why there is nothing to hand in.
pub(super) enum NotOpened {
    /// It is no message that can be sent.
    Bad(String),
    /// It cannot be read now.
    NotNow(String),
}

/// Opens and reads it. Whoever may write to the pickup directory chose its name, kind and content.
pub(super) fn open(path: &Path, header_size: u64, hostname: &Domain) -> Result<Opened, NotOpened> {
    // Nothing that a link leads to is read with our rights, and a pipe holds up nobody.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let mut file = opened.map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.nlink() > 1 {
        return Err(NotOpened::Bad(NO_FILE.to_owned()));
    }
    let start = start(&mut file, header_size).map_err(unreadable)?;
    if start.len() as u64 > header_size && !Header::is_whole(&start) {
        let why = format!("the header exceeds {header_size} octets");
        return Err(NotOpened::Bad(why));
    }
    let submission = Submission::read(&start, Origin::File(hostname))
        .map_err(|why| NotOpened::Bad(why.to_string()))?;
    let mut start = Cursor::new(start);
    start.set_position(submission.taken as u64);
    Ok(Opened {
        submission,
        rest: Box::new(start.chain(file)),
        seen: seen(&about),
    })
}

/// What is wrong with the file itself stays so; what is wrong with the machine may pass.
fn unreadable(error: io::Error) -> NotOpened {
    // A link, or a socket.
    let number = error.raw_os_error();
    if [Errno::ELOOP, Errno::ENXIO]
        .map(|of| Some(of as i32))
        .contains(&number)
    {
        return NotOpened::Bad(NO_FILE.to_owned());
    }
    let why = format!("the file cannot be read: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => NotOpened::Bad(why),
        _ => NotOpened::NotNow(why),
    }
}

/// The beginning of the file, with its header; where that is too long, some more than may be.
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

//! Local domains: each message becomes a file in a directory (the IIS "drop" folder), for a program
//! on this machine to take.
//!
//! A file appears whole or not at all: it is written under another name, synced, and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use queue::Job;
use spool::{Body, Spool};

/// Octets of content written at once.
const PIECE_BYTES: usize = 64 << 10;

/// Why there is no file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFiled {
    /// The content could not be read, which says nothing of the directory.
    Unreadable(String),
    /// The directory, or the disk that it is on, does not take it.
    Unwritable(String),
}

/// Writes `job` to `directory` as `ID-N.eml`, N being its first recipient's number; the envelope
/// stands on top as `X-Sender` and `X-Receiver`.
///
/// # Errors
/// What the file system or the spool said; nothing is left behind.
pub(crate) fn write(directory: &Path, job: &Job, spool: &dyn Spool) -> Result<(), NotFiled> {
    let first = job
        .recipients
        .first()
        .map_or(0, |recipient| recipient.number);
    let name = format!("{}-{first}", job.message.id);
    let partial = directory.join(format!(".{name}.part"));
    let path = directory.join(format!("{name}.eml"));
    let unwritable =
        |error: io::Error| NotFiled::Unwritable(format!("{}: {error}", path.display()));
    let mut file = create(directory, &partial).map_err(unwritable)?;
    let attempt = fill(&mut file, job, spool).and_then(|()| {
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        Ok(File::open(directory)?.sync_all()?)
    });
    attempt.map_err(|fault| {
        // The next attempt removes it otherwise.
        let _left_behind = fs::remove_file(&partial);
        match fault {
            Fault::Content(why) => NotFiled::Unreadable(why),
            Fault::File(error) => unwritable(error),
        }
    })
}

/// What went wrong while the file was written.
enum Fault {
    Content(String),
    File(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

fn create(directory: &Path, partial: &Path) -> io::Result<File> {
    // For the relay's user and group: the program that takes the files belongs to the group.
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(directory)?;
    // Left by an attempt that was cut off.
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(partial)
}

fn fill(file: &mut File, job: &Job, spool: &dyn Spool) -> Result<(), Fault> {
    write!(file, "X-Sender: {}\r\n", job.message.reverse_path.as_str())?;
    for recipient in &job.recipients {
        write!(file, "X-Receiver: {}\r\n", recipient.admitted.recipient())?;
    }
    file.write_all(&job.message.head)?;
    if let Some(content) = &job.content {
        return Ok(file.write_all(content)?);
    }
    match spool.body(job.message.id) {
        Err(error) => Err(Fault::Content(error.to_string())),
        Ok(None) => Err(Fault::Content(
            "the message is no longer in the spool".to_owned(),
        )),
        Ok(Some(Body::Memory(content))) => Ok(file.write_all(&content)?),
        Ok(Some(Body::Stream(stream))) => copy(stream, file),
    }
}

/// Tells a fault of the content from one of the file, as [`io::copy`] does not.
fn copy(mut content: impl Read, file: &mut File) -> Result<(), Fault> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(octets) => file.write_all(&piece[..octets])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Content(error.to_string())),
        }
    }
}

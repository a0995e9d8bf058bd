//! Local domains: each message becomes a file in a directory (the IIS "drop" folder), for a program on this machine to take.
//!
//! A file appears whole or not at all: it is written under another name, synced, and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use queue::Job;
use spool::{Body, Spool};

/// Writes `job` to `directory` as `ID-N.eml`, N being its first recipient's number; the envelope stands on top as `X-Sender` and `X-Receiver`.
///
/// # Errors
/// What the file system or the spool said.
pub(crate) fn write(directory: &Path, job: &Job, spool: &dyn Spool) -> Result<(), String> {
    let first = job
        .recipients
        .first()
        .map_or(0, |recipient| recipient.number);
    let name = format!("{}-{first}", job.message.id);
    let partial = directory.join(format!(".{name}.part"));
    let path = directory.join(format!("{name}.eml"));
    let attempt = || -> io::Result<()> {
        // For the relay's user and group: the program that takes the files belongs to the group.
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)?;
        // Left by an attempt that was cut off.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&partial)?;
        fill(&mut file, job, spool)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(directory)?.sync_all()
    };
    attempt().map_err(|error| format!("{}: {error}", path.display()))
}

fn fill(file: &mut File, job: &Job, spool: &dyn Spool) -> io::Result<()> {
    write!(file, "X-Sender: {}\r\n", job.message.reverse_path.as_str())?;
    for recipient in &job.recipients {
        write!(file, "X-Receiver: {}\r\n", recipient.admitted.recipient())?;
    }
    file.write_all(&job.message.head)?;
    if let Some(content) = &job.content {
        return file.write_all(content);
    }
    match spool.body(job.message.id).map_err(io::Error::other)? {
        None => Err(io::Error::other("the message is no longer in the spool")),
        Some(Body::Memory(content)) => file.write_all(&content),
        Some(Body::Stream(mut stream)) => io::copy(&mut stream, file).map(|_| ()),
    }
}

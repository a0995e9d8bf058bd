//! Local domains: each message becomes a file in a directory (the IIS "drop" folder), for a program
//! on this machine to take.
//!
//! A file appears whole or not at all: it is written under another name, synced, and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use engine::NotFiled;
use queue::Job;
use spool::{Body, Spool};

/// Octets of content written at once.
const PIECE_BYTES: usize = 64 << 10;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use mail::{Domain, MailParameters, Mailbox, QueueId, RcptParameters, ReversePath, Timestamp};
    use relay_policy::{Admitted, Grounds};
    use spool::{Message, Model, Recipient, RecipientState};

    use super::*;

    fn job(content: Option<&'static [u8]>) -> Job {
        let text = "[domain.\"apps.test\"]\nroute = \"192.0.2.1\"\n";
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let config = config::parse("gatepost.toml", text, &environment).unwrap();
        let to = Mailbox::parse("bob@apps.test").unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let message = Message {
            id: QueueId::new(now, 1),
            arrived: now,
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            client: "192.0.2.9".into(),
            from_stranger: false,
            head: Bytes::new(),
            size: 4,
        };
        Job {
            site: config.config.routes.site(to.host()),
            resting: Arc::default(),
            message: Arc::new(message),
            content: content.map(Bytes::from_static),
            recipients: vec![Recipient {
                number: 0,
                admitted: Admitted::from_stored(to, Grounds::OurDomain),
                parameters: RcptParameters::default(),
                state: RecipientState::Waiting,
                due: now,
                tries: 0,
                delay_told: false,
                last: None,
            }],
        }
    }

    #[test]
    fn content_that_cannot_be_read_is_not_the_directorys_fault_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let filed = write(folder.path(), &job(None), &Model::new());
        assert!(matches!(filed, Err(NotFiled::Unreadable(_))), "{filed:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(
            write(folder.path(), &job(Some(b"a: b")), &Model::new()),
            Ok(())
        );
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_at_fault_itself() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::write(&taken, "a file").unwrap();
        let filed = write(&taken, &job(Some(b"a: b")), &Model::new());
        assert!(matches!(filed, Err(NotFiled::Unwritable(_))), "{filed:?}");
    }

    /// Half of the content can be read.
    struct BadSpot(bool);

    impl Read for BadSpot {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("a bad spot"));
            }
            buffer[..4].copy_from_slice(b"a: b");
            Ok(4)
        }
    }

    #[test]
    fn content_that_ends_in_a_bad_spot_is_unreadable() {
        let mut file = tempfile::tempfile().unwrap();
        let copied = copy(BadSpot(false), &mut file);
        assert!(matches!(copied, Err(Fault::Content(_))));
    }
}

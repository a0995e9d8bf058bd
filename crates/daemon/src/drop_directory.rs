//! Local domains: each message becomes a file in a directory (the IIS "drop" folder), for a program
//! on this machine to take.
//!
//! A file appears whole or not at all: it is written under another name, synced, and renamed.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use config::Filing;
use engine::NotFiled;
use queue::Job;
use spool::{Body, Recipient, Spool};

/// Octets of content written at once.
const PIECE_BYTES: usize = 64 << 10;

/// Writes `job` to `directory` as `ID-N.eml`, N being the number of its first recipient; the
/// envelope stands on top as `X-Sender` and `X-Receiver`. As `filing` has it, each recipient has a
/// file of its own.
///
/// # Errors
/// What the file system or the spool said, or that there is no room; no part of a file is left
/// behind.
pub(crate) fn write(
    directory: &Path,
    filing: Filing,
    job: &Job,
    spool: &dyn Spool,
    rooms: &Rooms,
) -> Result<(), NotFiled> {
    let groups: Vec<&[Recipient]> = if filing.per_recipient {
        job.recipients.chunks(1).collect()
    } else {
        vec![&job.recipients]
    };
    let drops: Vec<DropFile<'_>> = groups
        .into_iter()
        .map(|recipients| DropFile::new(directory, job, recipients))
        .collect();
    let unwritable =
        |error: io::Error| NotFiled::Unwritable(format!("{}: {error}", directory.display()));
    make(directory).map_err(unwritable)?;
    // Left by an attempt that was cut off, and not to be counted.
    drops.iter().for_each(DropFile::forget);
    let room = filing.quota.map(|_| rooms.of(directory));
    // Two that measure at one time would both take the room that is left.
    let _alone = (room.as_ref()).map(|room| room.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(quota) = filing.quota {
        let held = held(directory).map_err(unwritable)?;
        check_room(held, drops.len(), job.message.size, quota)?;
    }
    let written = drops.iter().try_for_each(|drop| drop.write(job, spool));
    let attempt = written.and_then(|()| Ok(publish(directory, &drops)?));
    attempt.map_err(|fault| {
        drops.iter().for_each(DropFile::forget);
        match fault {
            Fault::Content(why) => NotFiled::Unreadable(why),
            Fault::File(error) => unwritable(error),
        }
    })
}

/// All files get their names only when all are written: a full disk leaves none of them to be filed
/// once more. A crash in the middle of this can.
fn publish(directory: &Path, drops: &[DropFile<'_>]) -> io::Result<()> {
    for drop in drops {
        fs::rename(&drop.partial, &drop.path)?;
    }
    File::open(directory)?.sync_all()
}

/// One file on its way.
struct DropFile<'a> {
    recipients: &'a [Recipient],
    partial: PathBuf,
    path: PathBuf,
}

impl<'a> DropFile<'a> {
    fn new(directory: &Path, job: &Job, recipients: &'a [Recipient]) -> Self {
        let first = recipients.first().map_or(0, |recipient| recipient.number);
        let name = format!("{}-{first}", job.message.id);
        Self {
            recipients,
            partial: directory.join(format!(".{name}.part")),
            path: directory.join(format!("{name}.eml")),
        }
    }

    fn write(&self, job: &Job, spool: &dyn Spool) -> Result<(), Fault> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&self.partial)?;
        fill(&mut file, self.recipients, job, spool)?;
        Ok(file.sync_all()?)
    }

    /// Removes what was written of it; the next attempt does otherwise.
    fn forget(&self) {
        let _left_behind = fs::remove_file(&self.partial);
    }
}

/// The directories with a quota, each for one message at a time: as many as the configuration has
/// named since the start.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>);

impl Rooms {
    fn of(&self, directory: &Path) -> Arc<Mutex<()>> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rooms.entry(directory.to_owned()).or_default())
    }
}

/// Octets of all files in the directory.
fn held(directory: &Path) -> io::Result<u64> {
    let mut held = 0_u64;
    for entry in fs::read_dir(directory)? {
        match entry?.metadata() {
            Ok(metadata) if metadata.is_file() => held = held.saturating_add(metadata.len()),
            Ok(_) => {}
            // Somebody took it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

fn check_room(held: u64, files: usize, size: u64, quota: u64) -> Result<(), NotFiled> {
    let files = u64::try_from(files).unwrap_or(u64::MAX);
    let wanted = size.saturating_mul(files);
    if held.saturating_add(wanted) <= quota {
        return Ok(());
    }
    if size > quota {
        let text = format!("the directory may hold {quota} octets, and the message has {size}");
        return Err(NotFiled::TooLarge(text));
    }
    Err(NotFiled::Full(format!(
        "the directory holds {held} of {quota} octets, and the message wants {wanted}"
    )))
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

fn make(directory: &Path) -> io::Result<()> {
    // For the relay's user and group: the program that takes the files belongs to the group.
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(directory)
}

fn fill(
    file: &mut File,
    recipients: &[Recipient],
    job: &Job,
    spool: &dyn Spool,
) -> Result<(), Fault> {
    write!(file, "X-Sender: {}\r\n", job.message.reverse_path.as_str())?;
    for recipient in recipients {
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
    use bytes::Bytes;
    use mail::{Domain, MailParameters, Mailbox, QueueId, RcptParameters, ReversePath, Timestamp};
    use relay_policy::{Admitted, Grounds};
    use spool::{Message, Model, RecipientState};

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
            user: None,
            from_stranger: false,
            head: Bytes::new(),
            size: 4,
        };
        Job {
            site: config.config.routes.site(to.host()),
            resting: Arc::default(),
            shut: None,
            excused: 0,
            message: Arc::new(message),
            content: content.map(Bytes::from_static),
            recipients: vec![Recipient {
                filed: None,
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

    fn file(directory: &Path, filing: Filing, job: &Job) -> Result<(), NotFiled> {
        write(directory, filing, job, &Model::new(), &Rooms::default())
    }

    #[test]
    fn content_that_cannot_be_read_is_not_the_directorys_fault_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let filed = file(folder.path(), Filing::default(), &job(None));
        assert!(matches!(filed, Err(NotFiled::Unreadable(_))), "{filed:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(
            file(folder.path(), Filing::default(), &job(Some(b"a: b"))),
            Ok(())
        );
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_at_fault_itself() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::write(&taken, "a file").unwrap();
        let filed = file(&taken, Filing::default(), &job(Some(b"a: b")));
        assert!(matches!(filed, Err(NotFiled::Unwritable(_))), "{filed:?}");
    }

    #[test]
    fn a_quota_counts_what_is_there_and_what_is_to_come() {
        let folder = tempfile::tempdir().unwrap();
        let filing = |quota| Filing {
            quota: Some(quota),
            per_recipient: false,
        };
        let write = |quota| {
            let job = job(Some(b"a: b"));
            file(folder.path(), filing(quota), &job)
        };
        fs::write(folder.path().join("older"), "123456").unwrap();
        assert!(matches!(write(9), Err(NotFiled::Full(_))));
        // What never fits does not wait.
        assert!(matches!(write(3), Err(NotFiled::TooLarge(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(write(10), Ok(()));
    }

    #[test]
    fn those_who_file_at_one_time_do_not_exceed_the_quota() {
        let folder = tempfile::tempdir().unwrap();
        let (rooms, spool) = (Rooms::default(), Model::new());
        let filing = Filing {
            quota: Some(1_000),
            per_recipient: false,
        };
        let write_one = |n: u32| {
            let mut job = job(Some(&[b'x'; 100]));
            let mut message = Message::clone(&job.message);
            (message.id, message.size) = (QueueId::new(message.arrived, n.into()), 100);
            job.message = Arc::new(message);
            write(folder.path(), filing, &job, &spool, &rooms)
        };
        let write_one = &write_one;
        let filed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..30).map(|n| scope.spawn(move || write_one(n))).collect();
            let ends = threads.into_iter().map(|thread| thread.join().unwrap());
            ends.filter(Result::is_ok).count()
        });
        // The lines of the envelope come on top.
        assert!((5..10).contains(&filed), "{filed} files");
        assert!(held(folder.path()).unwrap() <= 1_200);
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

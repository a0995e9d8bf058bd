//! The largest bodies: a file each, named after the message, in the directory `bodies` beside the rows.
//!
//! A file is written and synced before the commit that names it, and removed after the commit that
//! forgets the message, so a crash leaves at worst a file that nobody names. Behind the content
//! stands its checksum, four octets, so that a damaged body is noticed before the end of the
//! message is sent.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::QueueId;

use crate::interface::nameless;
use crate::local::log::sync_names;
use crate::local::reader::{BUFFER_OCTETS, ContentReader, SUM_OCTETS, damaged};
use crate::local::room::{Promise, Room};
use crate::local::segments::Segments;
use crate::{BodyWriter, Content, LargeBody, SharedBody, SpoolError};

/// What is written at the end: the buffer, the checksum.
const SPARE_OCTETS: u64 = BUFFER_OCTETS as u64 + SUM_OCTETS;
/// Behind the name of a file that is being named anew.
const MOVED: char = '~';

/// The directory, and which of its files no commit has decided about yet.
pub(super) struct Bodies {
    /// Where smaller ones are.
    pub(super) segments: Segments,
    directory: PathBuf,
    room: Arc<Room>,
    undecided: Mutex<HashSet<QueueId>>,
}

impl Bodies {
    /// In the directory of a spool; makes those for bodies and segments when they are missing.
    pub(super) fn open(spool: &Path, room: Arc<Room>) -> Result<Self, SpoolError> {
        let directory = spool.join("bodies");
        make_directory(&directory)?;
        Ok(Self {
            segments: Segments::open(spool.join("segments"))?,
            directory,
            room,
            undecided: Mutex::default(),
        })
    }

    fn undecided(&self) -> MutexGuard<'_, HashSet<QueueId>> {
        self.undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: QueueId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    /// Starts a file; there must be none of that name.
    pub(super) fn create(self: &Arc<Self>, id: QueueId) -> Result<LargeWriter, SpoolError> {
        let promise = Promise::new(&self.room)?;
        // Known before it is there, so that it is not forgotten when names are made anew.
        let is_new = self.undecided().insert(id);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(self.path(id)).inspect_err(|_| {
            if is_new {
                self.decided(id);
            }
        })?;
        Ok(LargeWriter {
            bodies: Arc::clone(self),
            id,
            promise,
            file: BufWriter::with_capacity(BUFFER_OCTETS, file),
            octets: 0,
            sum: crc32fast::Hasher::new(),
            is_named: true,
        })
    }

    /// Whether a finished file for this body is there.
    pub(super) fn holds(&self, id: QueueId, large: &LargeBody) -> bool {
        let length = large.size.checked_add(SUM_OCTETS);
        *large.name == *id.to_string()
            && fs::metadata(self.path(id)).is_ok_and(|facts| Some(facts.len()) == length)
    }

    /// Makes the names of new files survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_names(&self.directory)
    }

    /// After a sync that failed, the names of the files that are waiting for their commit may be
    /// lost, although they can still be seen. They are given their names once more, so that the
    /// next sync is about them.
    pub(super) fn name_anew(&self) -> io::Result<()> {
        let undecided = self.undecided();
        for id in undecided.iter() {
            let (path, moved) = (self.path(*id), self.moved(*id));
            match fs::rename(&path, &moved).and_then(|()| fs::rename(&moved, &path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // One that is only about to be made has no name to lose.
                Ok(()) | Err(_) => {}
            }
        }
        self.sync()
    }

    fn moved(&self, id: QueueId) -> PathBuf {
        self.directory.join(format!("{id}{MOVED}"))
    }

    /// A commit has answered for this body, in whatever way: from now on its row alone protects it
    /// from the sweep. True when it was the first to answer.
    pub(super) fn decided(&self, id: QueueId) -> bool {
        self.undecided().remove(&id)
    }

    /// Whether a commit has answered, or nobody here wrote it.
    pub(super) fn is_decided(&self, id: QueueId) -> bool {
        !self.undecided().contains(&id)
    }

    /// Removes a file that no row names any more. One that cannot be removed now is left to the
    /// sweep.
    pub(super) fn remove(&self, id: QueueId) {
        let _ = fs::remove_file(self.path(id));
    }

    /// Opens the file of a body that should have so many octets.
    pub(super) fn read(&self, id: QueueId, octets: u64) -> io::Result<ContentReader> {
        let file = File::open(self.path(id))?;
        if Some(file.metadata()?.len()) != octets.checked_add(SUM_OCTETS) {
            return Err(damaged(id));
        }
        let sum = crc32fast::Hasher::new();
        Ok(ContentReader::new(id, file, octets, sum, None))
    }

    /// The same, to be read from any place on. It is read once before: whoever reads parts of it
    /// cannot tell that they are damaged.
    pub(super) fn share(&self, id: QueueId, octets: u64) -> io::Result<Arc<dyn SharedBody>> {
        io::copy(&mut self.read(id, octets)?, &mut io::sink())?;
        let file = File::open(self.path(id))?;
        Ok(Arc::new(Opened {
            file,
            octets: Some(octets),
        }))
    }

    /// Files that a commit may have left behind, to be checked against the rows.
    pub(super) fn suspects(&self) -> io::Result<Vec<QueueId>> {
        // With the lock: nothing is being named anew meanwhile.
        let undecided = self.undecided();
        let mut suspects = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let name = name.to_str().unwrap_or_default();
            if name.ends_with(MOVED) {
                // A crash came between its two names; nobody was told that its message is stored.
                let _left_to_the_next = fs::remove_file(self.directory.join(name));
            }
            suspects.extend(name.parse::<QueueId>().ok());
        }
        suspects.retain(|id| !undecided.contains(id));
        Ok(suspects)
    }
}

/// Makes a directory for its owner only. Its name and that of the directory around it, which may be
/// new as well, survive a power cut.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    for around in path.ancestors().skip(1).take(2) {
        // What we may not read we have not made.
        let Ok(around) = File::open(around) else {
            continue;
        };
        match around.sync_all() {
            // Nor anything in a file system that cannot sync: it is for reading only, and ours is
            // mounted in it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Writes one large body.
pub(super) struct LargeWriter {
    bodies: Arc<Bodies>,
    id: QueueId,
    promise: Promise,
    file: BufWriter<File>,
    octets: u64,
    sum: crc32fast::Hasher,
    /// Whether the file of this name is its own to remove.
    is_named: bool,
}

impl BodyWriter for LargeWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let octets = bytes.len() as u64;
        self.promise.grow(octets, SPARE_OCTETS)?;
        self.sum.update(bytes);
        self.octets += octets;
        self.file.write_all(bytes)?;
        self.promise.written(octets);
        Ok(())
    }

    fn read_at(&mut self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError> {
        self.file.flush()?;
        Ok(self.file.get_ref().read_at(to, at)?)
    }

    fn share(&mut self) -> Result<Arc<dyn SharedBody>, SpoolError> {
        self.file.flush()?;
        Ok(Arc::new(Opened {
            file: self.file.get_ref().try_clone()?,
            octets: None,
        }))
    }

    fn give_up_name(&mut self) {
        if std::mem::take(&mut self.is_named) {
            // In this order: nobody names it anew after it is gone.
            self.bodies.decided(self.id);
            self.bodies.remove(self.id);
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Content, SpoolError> {
        if !self.is_named {
            return Err(nameless());
        }
        let sum = self.sum.clone().finalize();
        self.file.write_all(&sum.to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        self.is_named = false;
        Ok(Content::Large(LargeBody {
            size: self.octets,
            name: self.id.to_string().into(),
        }))
    }
}

/// Another handle of a file.
struct Opened {
    file: File,
    /// How many there are of its content, once it is whole: its checksum follows.
    octets: Option<u64>,
}

impl SharedBody for Opened {
    fn read_at(&self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError> {
        let left = self
            .octets
            .map_or(u64::MAX, |octets| octets.saturating_sub(at));
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        Ok(self.file.read_at(&mut to[..most], at)?)
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        self.give_up_name();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_may_be_mounted_where_nothing_can_be_synced() {
        assert!(File::open("/proc").unwrap().sync_all().is_err());
        make_directory(Path::new("/proc/self")).unwrap();
    }
}

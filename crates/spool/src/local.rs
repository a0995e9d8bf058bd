//! The local store: SQLite in one directory, and a file for each large body.
//!
//! One commit is one transaction with one sync, whatever it holds; readers have connections of their own. A write or sync that fails stops
//! everything that writes (a failed sync is never tried again on the same file: the kernel may have dropped the data and say yes);
//! [`Spool::heal`] closes, opens, checks and probes before anything is accepted again. A record that cannot be read is set aside, counted
//! and noted, and the others go on.

mod bodies;
mod checkpoint;
mod failure;
mod query;
mod readers;
mod record;
mod schema;
mod search;
mod watch;
mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::local::bodies::{Bodies, make_directory};
use crate::local::checkpoint::Checkpointer;
use crate::local::readers::Readers;
use crate::local::watch::Watch;
use crate::local::writer::Writer;
use crate::{
    Body, BodyWriter, Change, Commit, Content, Counts, DuePage, Health, Page, Spool, SpoolError,
    Waiting,
};

/// Where the local store lives and what it must leave free.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The spool's own directory; made when it is missing, with access for its owner only.
    pub directory: PathBuf,
    /// Octets that must stay free on its file system; below, no new mail is taken.
    pub min_free: u64,
}

/// The spool in a directory of this machine.
pub struct Local {
    directory: PathBuf,
    min_free: u64,
    bodies: Arc<Bodies>,
    readers: Readers,
    watch: Arc<Watch>,
    /// None while the store has failed and could not be opened again.
    open: Mutex<Option<Open>>,
    /// Held as long as the store lives: the directory is ours alone.
    _lock: File,
}

/// What is closed and opened again to heal. The checkpoints end first.
struct Open {
    checkpointer: Checkpointer,
    writer: Writer,
}

impl Open {
    fn new(path: &Path, bodies: &Arc<Bodies>, watch: &Arc<Watch>) -> Result<Self, SpoolError> {
        let writer = Writer::open(path, Arc::clone(bodies))?;
        let checkpointer = Checkpointer::start(path, Arc::clone(watch))?;
        Ok(Self {
            checkpointer,
            writer,
        })
    }
}

impl Local {
    /// Opens the store, making it when there is none, and locks its directory against a second process.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use, or holds something that is no spool or a newer one.
    pub fn open(options: LocalOptions) -> Result<Self, SpoolError> {
        let LocalOptions {
            directory,
            min_free,
        } = options;
        make_directory(&directory)?;
        let lock = lock(&directory)?;
        let bodies = Arc::new(Bodies::open(directory.join("bodies"))?);
        let path = file_in(&directory);
        let watch = Arc::new(Watch::new(Health::Accepting));
        let open = Open::new(&path, &bodies, &watch)?;
        File::open(&directory)?.sync_all()?;
        let readers = Readers::new(path);
        let local = Self {
            directory,
            min_free,
            bodies,
            readers,
            watch,
            open: Mutex::new(Some(open)),
            _lock: lock,
        };
        local.watch.set_space(local.measure());
        Ok(local)
    }

    /// Removes body files that no message names, left by a crash between their writing and the commit; answers how many. Meant for
    /// the background. Files that a session is writing, or has written and not yet committed, are left alone.
    ///
    /// # Errors
    /// When the directory or the rows cannot be read.
    pub fn sweep(&self) -> Result<u64, SpoolError> {
        let mut removed = 0;
        for id in self.bodies.suspects()? {
            // The lock keeps a commit from naming the file between the question and the removal.
            let open = self.opened();
            let Some(open) = open.as_ref() else {
                return Ok(removed);
            };
            if !open.writer.names(id)? && self.bodies.is_decided(id) {
                self.bodies.remove(id);
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// What an administrator should be told, gathered since the last call: each record that was found unreadable and set aside, each
    /// checkpoint that failed, each failure that was healed. Lines for the log, a bounded number of them.
    pub fn notes(&self) -> Vec<String> {
        self.watch.take_notes()
    }

    /// How often the store failed since it was opened, healed since or not. Whoever looks now and then sees by this what began and
    /// ended between two looks.
    pub fn failures(&self) -> u64 {
        self.watch.failures()
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Free space against the floor.
    fn measure(&self) -> Health {
        let floor = self.min_free;
        match rustix::fs::statvfs(&self.directory) {
            Ok(facts) => match facts.f_bavail.saturating_mul(facts.f_frsize) {
                free if free < floor => Health::LowSpace { free, floor },
                _ => Health::Accepting,
            },
            Err(error) => Health::Failed(SpoolError::Io(error.to_string().into())),
        }
    }

    fn commit_open(&self, open: &mut Open, changes: Vec<Change>) -> Vec<Commit> {
        let health = self.measure();
        let room = health == Health::Accepting;
        self.watch.set_space(health);
        let count = changes.len();
        let damaged = self.watch.damaged();
        match open.writer.commit(changes, room, &damaged) {
            Ok(results) => {
                self.watch.marked(&damaged);
                self.look_after(open, count, room);
                results
            }
            Err(broken) => {
                self.watch.fail(broken.error.clone());
                let answer = if broken.unknown {
                    Commit::Unknown
                } else {
                    Commit::Rejected
                };
                vec![answer(broken.error); count]
            }
        }
    }

    /// Keeps log and file small. What was committed stays committed, even if this fails.
    fn look_after(&self, open: &mut Open, changes: usize, room: bool) {
        let Open {
            checkpointer,
            writer,
        } = open;
        let done = checkpointer
            .after_commit(writer.connection(), changes)
            .and_then(|()| writer.shrink(!room));
        if let Err(error) = done {
            self.watch
                .note(format!("looking after the spool's file failed: {error}"));
            self.watch.fail(error);
        }
    }

    /// Gives the file system what the store does not need any more.
    fn make_room(&self, open: &mut Open) {
        let made = open.writer.shrink(true);
        // Only a checkpoint makes the main file shorter and the log empty.
        if let Err(error) = made.and_then(|()| checkpoint::finish(open.writer.connection())) {
            self.watch
                .note(format!("making room in the spool failed: {error}"));
            self.watch.fail(error);
        }
    }

    /// The commit has answered for these bodies. New mail that is certainly not stored takes its file with it; when that is unknown, or
    /// an earlier commit named the file, it stays.
    fn decide(&self, large: Vec<LargeOne>, results: &[Commit]) {
        let is_rejected = |one: &LargeOne| matches!(results.get(one.at), Some(Commit::Rejected(_)));
        let (rejected, others): (Vec<_>, Vec<_>) = large
            .into_iter()
            .partition(|one| one.is_new_mail && is_rejected(one));
        for one in others {
            self.bodies.decided(one.id);
        }
        for one in rejected {
            if self.bodies.decided(one.id) {
                self.bodies.remove(one.id);
            }
        }
    }

    /// Close, reopen, check, and a synced probe.
    fn reopen(&self, open: &mut Option<Open>) -> Result<(), SpoolError> {
        *open = None;
        self.readers.close()?;
        let fresh = Open::new(&file_in(&self.directory), &self.bodies, &self.watch);
        // Whatever became of it, what can be read may be read.
        self.readers.open();
        let fresh = fresh?;
        fresh.writer.check_and_probe()?;
        *open = Some(fresh);
        Ok(())
    }
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("spool.db")
}

fn lock(directory: &Path) -> Result<File, SpoolError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600);
    let file = file.open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SpoolError::Invalid(
            format!("another process uses the spool in {}", directory.display()).into(),
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// A message whose body is a file, about which a commit is going to decide.
struct LargeOne {
    id: QueueId,
    /// The place of its change.
    at: usize,
    /// It comes from a session, which forgets it when it is rejected. A settlement is given again with its notices.
    is_new_mail: bool,
}

fn large_ones(changes: &[Change]) -> Vec<LargeOne> {
    let mut ones = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let (new, is_new_mail) = match change {
            Change::Store(new) => (std::slice::from_ref(new), true),
            Change::Settle(settlement) => (&settlement.notices[..], false),
            Change::Retry { .. }
            | Change::Hold { .. }
            | Change::Release { .. }
            | Change::Delete { .. } => continue,
        };
        let large = new
            .iter()
            .filter(|new| matches!(new.content, Content::Large(_)));
        ones.extend(large.map(|new| LargeOne {
            id: new.message.id,
            at,
            is_new_mail,
        }));
    }
    ones
}

impl Spool for Local {
    fn open_body(&self, id: QueueId) -> Result<Box<dyn BodyWriter>, SpoolError> {
        Ok(Box::new(self.bodies.create(id)?))
    }

    fn commit(&self, changes: Vec<Change>) -> Vec<Commit> {
        let large = large_ones(&changes);
        let mut open = self.opened();
        let results = match (self.health(), open.as_mut()) {
            (Health::Accepting | Health::LowSpace { .. }, Some(open)) => {
                self.commit_open(open, changes)
            }
            (Health::Failed(why), _) => vec![Commit::Rejected(why); changes.len()],
            (_, None) => vec![Commit::Rejected(SpoolError::Io("closed".into())); changes.len()],
        };
        drop(open);
        self.decide(large, &results);
        results
    }

    fn due(&self, host: &str, before: Timestamp, limit: usize) -> Result<DuePage, SpoolError> {
        self.readers
            .ask(|connection| query::due(connection, &self.watch, host, before, limit))
    }

    fn domains(&self) -> Result<Vec<(String, Timestamp)>, SpoolError> {
        self.readers.ask(query::domains)
    }

    fn body(&self, id: QueueId) -> Result<Option<Body>, SpoolError> {
        self.readers
            .ask(|connection| query::body(connection, &self.bodies, id))
    }

    fn find(&self, filter: &Filter, page: Page) -> Result<Vec<Waiting>, SpoolError> {
        search::find(&self.readers, &self.watch, filter, page)
    }

    fn count(&self, filter: &Filter) -> Result<Counts, SpoolError> {
        search::count(&self.readers, filter)
    }

    fn health(&self) -> Health {
        self.watch.health()
    }

    fn heal(&self) -> Health {
        let mut open = self.opened();
        if let Health::Failed(_) = self.health() {
            match self.reopen(&mut open) {
                Ok(()) => self.watch.healed(),
                Err(error) => {
                    *open = None;
                    self.watch.still_failed(error);
                }
            }
        }
        let measured = self.measure();
        if let (Some(open), Health::LowSpace { .. }) = (open.as_mut(), &measured) {
            self.make_room(open);
        }
        self.watch.set_space(measured);
        self.health()
    }
}

/// An orderly end leaves an empty log; a store that has failed is left as it is.
impl Drop for Local {
    fn drop(&mut self) {
        let health = self.health();
        let mut open = self.opened();
        let Some(Open {
            checkpointer,
            writer,
        }) = open.take()
        else {
            return;
        };
        drop(checkpointer);
        if !matches!(health, Health::Failed(_)) {
            let _ = self.readers.close();
            let _ = checkpoint::finish(writer.connection());
        }
    }
}

//! The local store: SQLite in one directory, files that many messages share for content that is too
//! large for a row, and a file for each of the largest.
//!
//! One commit is one transaction with one sync, whatever it holds; readers have connections of
//! their own. A write or sync that fails stops everything that writes (a failed sync is never just
//! tried again: the kernel may have dropped the data and say yes); [`Spool::heal`] closes, writes
//! the log anew, opens, empties the log, checks and probes before anything is accepted again. A
//! start that finds a log does the same, because nobody knows how the last run ended. New mail
//! leaves a floor of free space; outcomes have a reserve beside it. A record that cannot be read is
//! set aside, counted and noted, and the others go on.

mod bodies;
mod checkpoint;
mod failure;
mod log;
mod operations;
mod pauses;
mod query;
mod reader;
mod readers;
mod record;
mod room;
mod schema;
mod search;
mod segments;
mod tally;
mod watch;
mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use filter::{Filter, State};
use mail::{QueueId, Timestamp};

use crate::local::bodies::{Bodies, make_directory};
use crate::local::checkpoint::Checkpointer;
use crate::local::readers::Readers;
use crate::local::room::{Room, outcomes_need};
use crate::local::search::Whom;
use crate::local::watch::Watch;
use crate::local::writer::Writer;
use crate::{
    Body, BodyWriter, Change, Commit, Content, Counts, DuePage, Found, Health, Operation, Page,
    Pause, SharedBody, Spool, SpoolError, UnscreenedPage, Waiting, Wanted,
};

/// Where the local store lives and what it must leave free.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The spool's own directory; made when it is missing, with access for its owner only.
    pub directory: PathBuf,
    /// Octets that new mail leaves free on its file system. A reserve for outcomes comes on top.
    pub min_free: u64,
}

/// The spool in a directory of this machine.
pub struct Local {
    directory: PathBuf,
    room: Arc<Room>,
    bodies: Arc<Bodies>,
    readers: Readers,
    watch: Arc<Watch>,
    /// None while the store has failed and could not be opened again.
    open: Mutex<Option<Open>>,
    /// Held as long as the store lives: the directory is ours alone.
    _lock: Lock,
}

/// Keeps other processes away.
struct Lock(File);

/// Closing it is not enough: a child that another thread has just begun has the file, too, until it
/// executes its program.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Free pages that stay in the file for what comes next; beyond, the file is shrunk.
const FREE_PAGES_KEPT: i64 = 8192;
/// How often the file is shrunk in one look after the store.
const SHRUNK_PER_LOOK: usize = 4;

/// What is closed and opened again to heal. The checkpoints end first.
struct Open {
    checkpointer: Checkpointer,
    writer: Writer,
}

impl Open {
    /// Opens the file with a log that can be relied on: whatever ended it, what it shows is
    /// durable, and in the main file if there is room. Nobody else may have the store open.
    /// `probe`: check the whole file, and write something.
    fn new(
        path: &Path,
        bodies: &Arc<Bodies>,
        room: &Room,
        watch: &Arc<Watch>,
        probe: bool,
    ) -> Result<Self, SpoolError> {
        room.clear_all(0);
        log::renew(path)?;
        let writer = Writer::open(path, Arc::clone(bodies))?;
        empty_log(&writer, room)?;
        if probe {
            bodies.name_anew()?;
            writer.check_and_probe()?;
        }
        writer.take_stock()?;
        let checkpointer = Checkpointer::start(path, Arc::clone(watch))?;
        Ok(Self {
            checkpointer,
            writer,
        })
    }
}

/// Copies the log into the main file and makes it short, unless the disk has no room for that: then
/// it stays as it is.
fn empty_log(writer: &Writer, room: &Room) -> Result<(), SpoolError> {
    let growth = writer.growth()?;
    if room.clear_all(growth) {
        checkpoint::finish(writer.connection())?;
    }
    room.owe(writer.growth()?);
    Ok(())
}

impl Local {
    /// Opens the store, making it when there is none, and locks its directory against a second
    /// process.
    ///
    /// # Errors
    /// When the directory cannot be used, is in use, or holds something that is no spool or a newer
    /// one.
    pub fn open(options: LocalOptions) -> Result<Self, SpoolError> {
        let LocalOptions {
            directory,
            min_free,
        } = options;
        make_directory(&directory)?;
        let lock = lock(&directory)?;
        let room = Arc::new(Room::open(&directory, min_free)?);
        let bodies = Arc::new(Bodies::open(&directory, Arc::clone(&room))?);
        let path = file_in(&directory);
        let watch = Arc::new(Watch::new(Health::Accepting));
        let open = Open::new(&path, &bodies, &room, &watch, false)?;
        room.restore();
        watch.set_space(room.health());
        Ok(Self {
            directory,
            room,
            bodies,
            readers: Readers::new(path),
            watch,
            open: Mutex::new(Some(open)),
            _lock: lock,
        })
    }

    /// Whether this program could open the store in `directory`, which another process may have open:
    /// nothing is written, and nothing locked. A store that is not there would be made.
    ///
    /// # Errors
    /// When there is something that is no spool, or a newer one, or that cannot be read.
    pub fn look(directory: &Path) -> Result<(), SpoolError> {
        schema::look(&file_in(directory))
    }

    /// Removes body files that no message names, left by a crash between their writing and the
    /// commit; answers how many. Meant for the background. Files that a session is writing, or has
    /// written and not yet committed, are left alone.
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

    /// What an administrator should be told, gathered since the last call: each record that was
    /// found unreadable and set aside, each checkpoint that failed, each failure that was healed.
    /// Lines for the log, a bounded number of them.
    pub fn notes(&self) -> Vec<String> {
        self.watch.take_notes()
    }

    /// How often the store failed since it was opened, healed since or not. Whoever looks now and
    /// then sees by this what began and ended between two looks.
    pub fn failures(&self) -> u64 {
        self.watch.failures()
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_open(&self, open: &mut Open, changes: Vec<Change>) -> Vec<Commit> {
        self.watch.set_space(self.room.health());
        let left = self.room.left();
        self.room.clear(outcomes_need(&changes));
        let count = changes.len();
        let damaged = self.watch.damaged();
        match open.writer.commit(changes, left, &damaged) {
            Ok(results) => {
                self.watch.marked(&damaged);
                for note in open.writer.take_notes() {
                    self.watch.note(note);
                }
                self.look_after(open, count, (left == 0).then_some(0));
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

    /// Keeps the log small, and the file too, down to so many free pages, if that is asked for;
    /// says whether it was shrunk. What was committed stays committed, even if this fails.
    fn look_after(&self, open: &mut Open, changes: usize, free_kept: Option<i64>) -> bool {
        let Open {
            checkpointer,
            writer,
        } = open;
        let done = checkpointer
            .after_commit(writer.connection(), changes)
            .and_then(|()| free_kept.map_or(Ok(false), |kept| writer.shrink(kept)))
            .and_then(|shrunk| self.settle_up(writer).map(|()| shrunk));
        done.unwrap_or_else(|error| {
            self.watch
                .note(format!("looking after the spool's file failed: {error}"));
            self.watch.fail(error);
            false
        })
    }

    /// Gives the file system what a queue that was long has left behind. Beside the commits, a
    /// little now and then: pages that are still in use move for it, and those who wait for a
    /// commit, or for the queue to be empty, have more hurry than the room.
    fn shrink(&self) {
        for _ in 0..SHRUNK_PER_LOOK {
            let mut open = self.opened();
            let shrunk =
                (open.as_mut()).is_some_and(|open| self.look_after(open, 0, Some(FREE_PAGES_KEPT)));
            if !shrunk {
                return;
            }
        }
    }

    /// Counts what the log owes the main file, and has it paid before mail is refused for it.
    fn settle_up(&self, writer: &Writer) -> Result<(), SpoolError> {
        self.room.owe(writer.growth()?);
        if self.room.left() == 0 && self.room.is_owed() {
            checkpoint::copy(writer.connection())?;
            self.room.owe(writer.growth()?);
        }
        Ok(())
    }

    /// Gives the file system what the store does not need any more.
    fn make_room(&self, open: &mut Open) {
        let made = open.writer.shrink(0).map(drop);
        // Only a checkpoint makes the main file shorter and the log empty.
        if let Err(error) = made.and_then(|()| empty_log(&open.writer, &self.room)) {
            self.watch
                .note(format!("making room in the spool failed: {error}"));
            self.watch.fail(error);
        }
    }

    /// The commit has answered for these bodies. New mail that is certainly not stored takes its
    /// file with it; when that is unknown, or an earlier commit named the file, it stays.
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

    /// Close, reopen, check, and a synced probe. Nobody reads meanwhile: a reader would keep the
    /// log from being emptied.
    fn reopen(&self, open: &mut Option<Open>) -> Result<(), SpoolError> {
        *open = None;
        self.readers.close()?;
        let path = file_in(&self.directory);
        let fresh = Open::new(&path, &self.bodies, &self.room, &self.watch, true);
        // Whatever became of it, what can be read may be read.
        self.readers.open();
        *open = Some(fresh?);
        Ok(())
    }
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("spool.db")
}

fn lock(directory: &Path) -> Result<Lock, SpoolError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600);
    let file = file.open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
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
    /// It is forgotten when it is rejected. A settlement is given again with its notices.
    is_new_mail: bool,
}

fn large_ones(changes: &[Change]) -> Vec<LargeOne> {
    let mut ones = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let is_new_mail = change.is_new_mail();
        let messages = change.messages().iter();
        let large = messages.filter(|new| matches!(new.content, Content::Large(_)));
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

    fn due(&self, host: &str, wanted: &Wanted) -> Result<DuePage, SpoolError> {
        self.readers
            .ask(|connection| query::due(connection, &self.bodies, &self.watch, host, wanted))
    }

    fn domains(&self) -> Result<Vec<(String, Timestamp)>, SpoolError> {
        self.readers.ask(query::domains)
    }

    fn abandon(&self, id: QueueId) {
        // In this order: nobody names it anew after it is gone.
        if self.bodies.decided(id) {
            self.bodies.remove(id);
        }
    }

    fn body(&self, id: QueueId) -> Result<Option<Body>, SpoolError> {
        self.readers
            .ask(|connection| query::body(connection, &self.bodies, id))
    }

    fn shared_body(&self, id: QueueId) -> Result<Option<Arc<dyn SharedBody>>, SpoolError> {
        let octets = self
            .readers
            .ask(|connection| query::octets_in_file(connection, id))?;
        // Reading it takes its time, and nobody waits for the reader meanwhile.
        let shared = octets
            .map(|octets| self.bodies.share(id, octets))
            .transpose();
        shared.map_err(|error| query::unreadable(id, error))
    }

    fn unscreened(&self, before: Timestamp, limit: usize) -> Result<UnscreenedPage, SpoolError> {
        self.readers
            .ask(|connection| query::unscreened(connection, &self.watch, before, limit))
    }

    fn find_within(&self, filter: &Filter, page: Page, looks: usize) -> Result<Found, SpoolError> {
        let (readers, watch) = (&self.readers, &self.watch);
        search::find(readers, watch, filter, page, looks, Whom::All)
    }

    fn bouncing(&self, page: Page) -> Result<Vec<Waiting>, SpoolError> {
        let bouncing = Filter::state(State::Bouncing);
        let (readers, watch) = (&self.readers, &self.watch);
        let found = search::find(
            readers,
            watch,
            &bouncing,
            page,
            usize::MAX,
            Whom::NotWithheld,
        );
        Ok(found?.messages)
    }

    fn count_within(&self, filter: &Filter, looks: usize) -> Result<Counts, SpoolError> {
        let is_kept = filter.conditions.is_empty();
        let kept = is_kept
            .then(|| self.readers.ask(tally::counts))
            .transpose()?;
        match kept.flatten() {
            Some(counts) => Ok(counts),
            None => search::count(&self.readers, filter, looks),
        }
    }

    fn pauses(&self) -> Result<Vec<Pause>, SpoolError> {
        self.readers.ask(pauses::all)
    }

    fn operations(&self) -> Result<Vec<Operation>, SpoolError> {
        self.readers.ask(operations::all)
    }

    fn health(&self) -> Health {
        self.watch.health()
    }

    fn heal(&self) -> Health {
        // It may take long: before the writer waits for us.
        self.bodies.segments.give_back();
        let mut open = self.opened();
        let mut was_unknown = false;
        if let Health::Failed(_) = self.health() {
            match self.reopen(&mut open) {
                Ok(()) => {
                    self.watch.healed();
                    was_unknown = true;
                }
                Err(error) => {
                    *open = None;
                    self.watch.still_failed(error);
                }
            }
        }
        let is_low = matches!(self.room.health(), Health::LowSpace { .. });
        if let (Some(open), true) = (open.as_mut(), is_low) {
            self.make_room(open);
        }
        self.room.restore();
        self.watch.set_space(self.room.health());
        drop(open);
        if self.health() == Health::Accepting {
            self.shrink();
        }
        if was_unknown {
            // Bodies of messages that turned out not to be stored: who comes again with one of these,
            // as a file that is picked up does, needs its name.
            if let Err(error) = self.sweep() {
                self.watch
                    .note(format!("bodies without a message are left: {error}"));
            }
        }
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

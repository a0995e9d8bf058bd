//! A few connections for reading, so that no question waits for the writer's sync.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::SpoolError;
use crate::local::schema::open_reader;

/// Connections at once; a further reader waits for one.
const READERS_MAX: usize = 4;
/// How long a reader waits for a connection, and the store for its readers when it closes.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The connections that read, and those who wait for one.
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            pool: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `question` on a connection of its own. Short: what a reader looks at cannot be taken
    /// out of the write-ahead log.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let lent = self.lend()?;
        match &lent.connection {
            Some(connection) => question(connection),
            None => Err(SpoolError::Io("no connection for reading".into())),
        }
    }

    fn lend(&self) -> Result<Lent<'_>, SpoolError> {
        let busy = |pool: &mut Pool| !pool.closed && pool.lent == READERS_MAX;
        let waited = self
            .returned
            .wait_timeout_while(self.pool(), WAIT_MAX, busy);
        let (mut pool, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if pool.closed || timeout.timed_out() {
            return Err(SpoolError::Io(
                "the spool is being reopened, or is overloaded".into(),
            ));
        }
        pool.lent += 1;
        let mut lent = Lent {
            readers: self,
            connection: pool.idle.pop(),
        };
        drop(pool);
        if lent.connection.is_none() {
            // When this fails, dropping `lent` gives the place back.
            lent.connection = Some(open_reader(&self.path)?);
        }
        Ok(lent)
    }

    /// Turns readers away and closes every connection; fails when one does not come back in time.
    pub(super) fn close(&self) -> Result<(), SpoolError> {
        let mut pool = self.pool();
        pool.closed = true;
        pool.idle.clear();
        self.returned.notify_all();
        let lent = |pool: &mut Pool| pool.lent > 0;
        let waited = self.returned.wait_timeout_while(pool, WAIT_MAX, lent);
        let (_pool, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(SpoolError::Io("a reader of the spool does not end".into()));
        }
        Ok(())
    }

    /// From now on those who read get connections again.
    pub(super) fn open(&self) {
        self.pool().closed = false;
    }
}

struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        if !pool.closed {
            pool.idle.extend(self.connection.take());
        }
        // Close, if at all, before anybody is told that the connection came back.
        self.connection = None;
        drop(pool);
        self.readers.returned.notify_all();
    }
}

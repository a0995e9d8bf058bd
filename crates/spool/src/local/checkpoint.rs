//! Checkpoints: copying what the write-ahead log holds into the main file, so that the log can be
//! written from its start again.
//!
//! They run on a thread and a connection of their own, beside the writer. Under steady load they
//! never quite catch up; when the log has grown past its limit, the writer itself finishes one
//! between two batches.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::wal::CheckpointMode as Mode;
use rusqlite::{Connection, ErrorCode, MAIN_DB};

use crate::SpoolError;
use crate::local::schema::open_checkpointer;
use crate::local::watch::Watch;

/// Changes between two checkpoints.
const CHANGES_PER_CHECKPOINT: usize = 4000;
/// Frames (pages) in the log past which a checkpoint is asked for, however few changes made them:
/// 16 MiB.
const LOG_FRAMES_ENOUGH: i32 = 2048;
/// Frames past which the writer finishes a checkpoint itself: 64 MiB.
const LOG_FRAMES_MAX: i32 = 8192;

/// The thread, and how to wake it.
pub(super) struct Checkpointer {
    /// Taken away to end the thread.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    changes: usize,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, watch: Arc<Watch>) -> Result<Self, SpoolError> {
        let connection = open_checkpointer(path)?;
        // One wish is enough: a second one while the first is at work would find little to do.
        let (wake, wishes) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("spool-checkpoint".to_owned())
            .spawn(move || run(&connection, &wishes, &watch))?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
            changes: 0,
        })
    }

    /// Called by the writer between two batches, with its own connection.
    pub(super) fn after_commit(
        &mut self,
        writer: &Connection,
        changes: usize,
    ) -> Result<(), SpoolError> {
        self.changes += changes;
        let (frames, copied) = writer.wal_checkpoint_v2(Some(MAIN_DB), Mode::NOOP)?;
        if frames - copied > LOG_FRAMES_ENOUGH || self.changes >= CHANGES_PER_CHECKPOINT {
            self.changes = 0;
            // Full: it is at work already.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
        if frames <= LOG_FRAMES_MAX {
            return Ok(());
        }
        checkpoint(writer, Mode::RESTART)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(connection: &Connection, wishes: &Receiver<()>, watch: &Watch) {
    while wishes.recv().is_ok() {
        if let Err(error) = copy(connection) {
            watch.note(format!("a checkpoint of the spool failed: {error}"));
            watch.fail(error);
            return;
        }
    }
}

/// That somebody else is at it, or still reads, is no failure: the next one gets further. Nor is it
/// that there is no room: the log has it all, and keeps it until there is.
fn checkpoint(connection: &Connection, mode: Mode) -> Result<(), SpoolError> {
    match connection.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        Ok(_) => Ok(()),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull) => Ok(()),
            _ => Err(error.into()),
        },
    }
}

/// Copies what can be copied without waiting for anybody.
pub(super) fn copy(connection: &Connection) -> Result<(), SpoolError> {
    checkpoint(connection, Mode::PASSIVE)
}

/// Empties the log: at an orderly end, so that the next start has nothing to recover; and where
/// nobody knows how the last one ended.
pub(super) fn finish(connection: &Connection) -> Result<(), SpoolError> {
    checkpoint(connection, Mode::TRUNCATE)
}

//! The log: one line an event, as text or as JSON, written by a thread of its own.
//!
//! Whoever reads the log may stand still for a while, but mail goes on: past a named number of
//! waiting lines further ones are lost, counted, and the count is logged once there is room
//! ([`lost_lines`]). Strings are written in quotes with controls escaped, so no CR, LF or ESC from
//! a peer reaches a terminal or forges a line.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that may wait for the writing thread.
const LINES_WAITING_MAX: usize = 65_536;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();
/// The file that is written to, when it is one.
static FILE: OnceLock<Reopened> = OnceLock::new();

/// How many lines have been lost since the start, because nobody read the log.
pub fn lost_lines() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Opens the log's file anew under its name: who moves it away (logrotate) gets a new one, and the
/// next line is the first in it. Nothing is done where the log is no file.
///
/// # Errors
/// The file cannot be opened for appending; lines go on into the old one.
pub fn reopen() -> io::Result<()> {
    FILE.get().map_or(Ok(()), Reopened::open)
}

/// A file that can be exchanged between two lines.
struct LogFile {
    file: File,
    reopened: Reopened,
}

/// Where the next file is put for the thread that writes.
#[derive(Clone)]
struct Reopened {
    path: Arc<Path>,
    next: Arc<Mutex<Option<File>>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: append_to(path)?,
            reopened: Reopened {
                path: path.into(),
                next: Arc::default(),
            },
        })
    }
}

impl Reopened {
    fn open(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn take(&self) -> Option<File> {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Each write is one line, as the writing thread gives it.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(next) = self.reopened.take() {
            self.file = next;
        }
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Text for people, or JSON for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time LEVEL message key=value ...`
    Text,
    /// One object a line.
    Json,
}

/// Starts logging to `file`, or to standard output. Keep the guard to the end: dropping it writes
/// what is left.
///
/// # Errors
/// The file cannot be opened for appending.
pub fn start(
    level: LevelFilter,
    format: Format,
    file: Option<&PathBuf>,
) -> io::Result<WorkerGuard> {
    let sink: Box<dyn Write + Send> = match file {
        None => Box::new(io::stdout()),
        Some(path) => {
            let sink = LogFile::open(path)?;
            FILE.get_or_init(|| sink.reopened.clone());
            Box::new(sink)
        }
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .finish(sink);
    LOST.get_or_init(|| writer.error_counter());
    let layer = fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .with_ansi(false);
    let registry = tracing_subscriber::registry().with(level);
    let started = match format {
        Format::Text => registry.with(layer).try_init(),
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // Started already (two relays in one process, as in the demo): the first one's log serves both.
    let _already_logging = started.is_err();
    Ok(guard)
}

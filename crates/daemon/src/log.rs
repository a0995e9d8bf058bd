//! The log: one line an event, as text or as JSON, written by a thread of its own; and to syslog
//! servers and the journal of systemd, by a thread for each. The last lines are kept in memory as
//! well, for whoever looks at them through the control socket.
//!
//! Whoever reads the log may stand still for a while, but mail goes on: past a named number of
//! waiting lines further ones are lost, counted, and the count is logged once there is room
//! ([`lost_lines`]). Strings are written in quotes with controls escaped, so no CR, LF or ESC from
//! a peer reaches a terminal or forges a line.

mod journald;
mod recent;
mod servers;
mod veiled;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use config::{Log, LogFormat, LogTarget};
use privacy::Veil;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

pub use self::journald::lost_entries;
pub(crate) use self::journald::send_records;
pub use self::recent::{Followed, Line, next, recent};
pub use self::servers::lost_records;
use self::veiled::Veiled;

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

/// What keeps lines from servers and the journal at present.
pub fn troubles() -> Vec<String> {
    let mut troubles = servers::troubles();
    troubles.extend(journald::trouble());
    troubles
}

/// Writes what is left when it is dropped.
pub struct Guard {
    _lines: Option<WorkerGuard>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        servers::finish();
        journald::finish();
    }
}

/// Starts logging as `config` has it, from this weight on, with addresses behind the veil if there is
/// one. Keep the guard to the end.
///
/// # Errors
/// The file cannot be opened for appending, or there are no threads.
pub fn start(level: LevelFilter, config: &Log, veil: Option<Arc<Veil>>) -> io::Result<Guard> {
    let format = config.format;
    let mut layers = Vec::new();
    let sink: Option<Box<dyn Write + Send>> = match &config.target {
        LogTarget::Stdout => Some(Box::new(io::stdout())),
        LogTarget::File(path) => {
            let sink = LogFile::open(path)?;
            FILE.get_or_init(|| sink.reopened.clone());
            Some(Box::new(sink))
        }
        LogTarget::Nowhere => None,
    };
    let lines = sink.map(|sink| {
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_WAITING_MAX)
            .finish(sink);
        LOST.get_or_init(|| writer.error_counter());
        layers.push(layer(format, Veiled::new(&veil, writer), true));
        guard
    });
    if let Some(to_servers) = servers::start(&config.syslog)? {
        layers.push(layer(format, Veiled::new(&veil, to_servers), false));
    }
    if config.journald
        && let Some(to_journal) = journald::start(veil.clone())?
    {
        layers.push(to_journal.boxed());
    }
    layers.push(recent::ToMemory { veil }.boxed());
    let registry = tracing_subscriber::registry().with(layers).with(level);
    // Started already (two relays in one process, as in the demo): the first one's log serves both.
    let _already_logging = registry.try_init().is_err();
    Ok(Guard { _lines: lines })
}

/// Lines in this format. Syslog has a time and a weight itself.
fn layer<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(
    format: LogFormat,
    writer: W,
    with_header: bool,
) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .with_ansi(false);
    match format {
        LogFormat::Json => Box::new(layer.json().flatten_event(true)),
        LogFormat::Text if with_header => Box::new(layer),
        LogFormat::Text => Box::new(layer.without_time().with_level(false)),
    }
}

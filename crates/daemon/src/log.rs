//! The log: one line an event, as text or as JSON, written by a thread of its own; and to syslog
//! servers and the journal of systemd, by a thread for each. The last lines are kept in memory as
//! well, for whoever looks at them through the control socket.
//!
//! Whoever reads the log may stand still for a while, but mail goes on: past a named number of
//! waiting lines further ones are lost, as are those that a full disk does not take, or one of which
//! the last is left to mail; they are counted, and the count is logged once there is room ([`lost_lines`]). Strings are written in quotes with controls escaped, so no CR, LF or ESC from
//! a peer reaches a terminal or forges a line.

mod ceiling;
mod journald;
mod recent;
mod servers;
mod veiled;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use config::{Log, LogFormat, LogTarget};
use privacy::Veil;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

pub(crate) use self::ceiling::{HasLogFiles, LogFileFacts, ceiling};
pub use self::journald::lost_entries;
pub(crate) use self::journald::send_records;
pub use self::recent::{Followed, Line, next, recent};
pub use self::servers::lost_records;
use self::veiled::Veiled;
use crate::storage;

/// Lines that may wait for the writing thread. Room for the places of all of them is taken at the start.
const LINES_WAITING_MAX: usize = 32_768;
/// How long the writing thread lets lines come together when it has written all that there were: a
/// thread that is woken for each of them, and a call for each, cost more than the lines.
const GATHERING: Duration = Duration::from_millis(5);
/// How often the free room of the file's disk is looked at.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// The last line that goes to a file of which the disk is left to mail.
const NO_ROOM: &str = "no room: the log's file is not written";

static LOST: OnceLock<ErrorCounter> = OnceLock::new();
/// Lines that came to the writing thread, and could not be written.
static UNWRITTEN: AtomicUsize = AtomicUsize::new(0);
/// The file that is written to, when it is one.
static FILE: OnceLock<Reopened> = OnceLock::new();

/// How many lines have been lost since the start, because nobody read the log, or it had no room.
pub fn lost_lines() -> usize {
    let waited_in_vain = LOST.get().map_or(0, ErrorCounter::dropped_lines);
    waited_in_vain + UNWRITTEN.load(Ordering::Relaxed)
}

/// Opens the log's file anew under its name: who moves it away (logrotate) gets a new one, and the
/// next line is the first in it. Nothing is done where the log is no file.
///
/// # Errors
/// The file cannot be opened for appending; lines go on into the old one.
pub fn reopen() -> io::Result<()> {
    FILE.get().map_or(Ok(()), Reopened::open)
}

/// Octets of lines that are written at one time.
const BUFFER_OCTETS: usize = 64 << 10;

/// A file that can be exchanged between two lines.
struct LogFile {
    /// Written to when nobody has anything more to say: one call for many lines.
    file: BufWriter<File>,
    /// That are in it.
    octets: u64,
    /// That it may have; a device or a pipe has no such limit.
    octets_max: u64,
    room: Room,
    reopened: Reopened,
    files: Arc<OwnFiles>,
}

/// What is left of its disk.
struct Room {
    /// With less free nothing is written.
    min_free: u64,
    /// When it was asked last.
    asked: Option<Instant>,
    is_there: bool,
    /// The line that says that there is none has yet to come.
    is_announced: bool,
}

/// The file and the one before it.
struct OwnFiles(PathBuf);

impl OwnFiles {
    fn before(&self) -> PathBuf {
        let mut before = self.0.as_os_str().to_owned();
        before.push(".1");
        before.into()
    }
}

impl HasLogFiles for OwnFiles {
    fn log_files(&self) -> Vec<LogFileFacts> {
        let current = ceiling::facts_of(self.0.clone(), true);
        let before = ceiling::facts_of(self.before(), false);
        current.into_iter().chain(before).collect()
    }
}

/// Where the next file is put for the thread that writes.
#[derive(Clone)]
struct Reopened {
    path: Arc<Path>,
    next: Arc<Mutex<Option<File>>>,
}

impl LogFile {
    /// With half of `max_size` octets for it, and half for the one before it; where less than
    /// `min_free` are free on its disk, nothing is written.
    fn open(path: &Path, max_size: u64, min_free: u64) -> io::Result<Self> {
        let file = append_to(path)?;
        let facts = file.metadata()?;
        let (octets_max, min_free) = match facts.is_file() {
            true => (max_size / 2, min_free),
            false => (u64::MAX, 0),
        };
        let files = Arc::new(OwnFiles(path.into()));
        ceiling().count(&files);
        Ok(Self {
            octets: facts.len(),
            octets_max,
            room: Room {
                min_free,
                asked: None,
                is_there: true,
                is_announced: false,
            },
            files,
            file: BufWriter::with_capacity(BUFFER_OCTETS, file),
            reopened: Reopened {
                path: path.into(),
                next: Arc::default(),
            },
        })
    }

    /// What was said before goes to the file before, if it takes it.
    fn go_on_in(&mut self, file: File) {
        if self.file.flush().is_err() {
            let left = self.file.buffer().iter().filter(|octet| **octet == b'\n');
            UNWRITTEN.fetch_add(left.count(), Ordering::Relaxed);
        }
        self.octets = file.metadata().map_or(0, |facts| facts.len());
        self.file = BufWriter::with_capacity(BUFFER_OCTETS, file);
    }

    /// Begins anew: what there is becomes the file before it, or, where its folder does not let that
    /// be, is no more. It may be that only this makes room on the disk for what is said next.
    fn turn(&mut self) -> io::Result<()> {
        let path = &self.reopened.path;
        let moved = match std::fs::rename(path, self.files.before()) {
            // Somebody has moved it away, and did not say so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        };
        match moved.and_then(|()| append_to(path)) {
            Ok(next) => self.go_on_in(next),
            Err(_) => {
                let _written = self.file.flush();
                self.file.get_ref().set_len(0)?;
                self.octets = self.file.buffer().len() as u64;
            }
        }
        Ok(())
    }
}

impl Room {
    /// Whether this line may be written to the file at this path.
    fn takes(&mut self, path: &Path, line: &[u8]) -> bool {
        if self.min_free == 0 {
            return true;
        }
        if self
            .asked
            .is_none_or(|asked| asked.elapsed() >= ROOM_INTERVAL)
        {
            self.look(path);
        }
        // That it is not written is written.
        let announces = self.is_announced && contains(line, NO_ROOM.as_bytes());
        self.is_announced &= !announces;
        self.is_there || announces
    }

    fn look(&mut self, path: &Path) {
        self.asked = Some(Instant::now());
        // Somebody may have moved it away.
        let free = storage::free_at(path).or_else(|| storage::free_at(path.parent()?));
        let was_there = self.is_there;
        self.is_there = free.is_none_or(|free| free >= self.min_free);
        let file = path.display();
        match (was_there, self.is_there) {
            (true, false) => {
                self.is_announced = true;
                tracing::error!(%file, free, "no room: the log's file is not written");
            }
            (false, true) => tracing::info!(%file, "the log's file is written again"),
            (true, true) | (false, false) => {}
        }
    }
}

fn contains(line: &[u8], words: &[u8]) -> bool {
    line.windows(words.len()).any(|part| part == words)
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
            self.go_on_in(next);
        }
        if !self.room.takes(&self.reopened.path, line) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.octets > 0 && self.octets + line.len() as u64 > self.octets_max {
            self.turn()?;
        }
        let written = self.file.write(line)?;
        self.octets += written as u64;
        ceiling().wrote(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Flushed when nobody has anything more to say, by the thread that writes: what is said in the
/// moment after that goes out together.
struct Gathered<W>(W);

impl<W: Write> Write for Gathered<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.0.write(line);
        if written.is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(GATHERING);
        flushed
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
    ceiling().set(config.total_size);
    let mut layers = Vec::new();
    let sink: Option<Box<dyn Write + Send>> = match &config.target {
        LogTarget::Stdout => {
            let stdout = BufWriter::with_capacity(BUFFER_OCTETS, io::stdout());
            Some(Box::new(Gathered(stdout)))
        }
        LogTarget::File(path) => {
            let sink = LogFile::open(path, config.max_size, config.min_free)?;
            FILE.get_or_init(|| sink.reopened.clone());
            Some(Box::new(Gathered(sink)))
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

#[cfg(test)]
mod tests {
    use std::fs::{self, read_to_string};

    use super::*;

    #[test]
    fn a_file_and_the_one_before_it_have_no_more_than_their_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatepost.log");
        let before = folder.path().join("gatepost.log.1");
        fs::write(&path, "line 0\n").unwrap();
        let mut log = LogFile::open(&path, 30, 0).unwrap();
        for number in 1..8 {
            log.write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        log.flush().unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "line 6\nline 7\n");
        assert_eq!(read_to_string(&before).unwrap(), "line 4\nline 5\n");
        // Moved away by somebody who did not say so: his is left as it is.
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        log.write_all(b"line 8\n").unwrap();
        log.flush().unwrap();
        assert_eq!(read_to_string(&away).unwrap(), "line 6\nline 7\n");
        assert_eq!(read_to_string(&path).unwrap(), "line 8\n");
        // Where it cannot be moved, it begins anew.
        fs::remove_file(&before).unwrap();
        fs::create_dir_all(before.join("a folder in its place")).unwrap();
        log.write_all(b"line 9\n").unwrap();
        log.write_all(b"line 10\n").unwrap();
        log.flush().unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "line 10\n");
    }

    #[test]
    fn a_file_that_takes_nothing_any_more_makes_room_for_the_next_one() {
        let lost = lost_lines();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatepost.log");
        fs::write(&path, "line 0\n").unwrap();
        let mut log = LogFile::open(&path, 30, 0).unwrap();
        log.file = BufWriter::new(append_to(Path::new("/dev/full")).unwrap());
        for number in 1..5 {
            log.write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        log.flush().unwrap();
        let before = folder.path().join("gatepost.log.1");
        assert_eq!(read_to_string(&before).unwrap(), "line 2\nline 3\n");
        assert_eq!(read_to_string(&path).unwrap(), "line 4\n");
        assert_eq!(lost_lines() - lost, 1);
        // Without a next one, what there is no room for is lost, and counted.
        let full = append_to(Path::new("/dev/full")).unwrap();
        let mut log = Gathered(BufWriter::with_capacity(16, full));
        let written = (1..5).map(|number| log.write(format!("line {number}\n").as_bytes()));
        let written: Vec<bool> = written.map(|written| written.is_ok()).collect();
        assert_eq!(written, [true, true, false, false]);
        assert_eq!(lost_lines() - lost, 3);
    }

    #[test]
    fn a_device_takes_all() {
        let mut log = LogFile::open(Path::new("/dev/null"), 2, u64::MAX).unwrap();
        for _ in 0..3 {
            log.write_all(b"a line\n").unwrap();
        }
    }
}

//! The log: one line an event, as text or as JSON, written by a thread of its own.
//!
//! Whoever reads the log may stand still for a while, but mail goes on: past a named number of waiting lines further ones are lost, counted, and the
//! count is logged once there is room ([`lost_lines`]).
//! Strings are written in quotes with controls escaped, so no CR, LF or ESC from a peer reaches a terminal or forges a line.

use std::path::PathBuf;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that may wait for the writing thread.
const LINES_WAITING_MAX: usize = 65_536;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines have been lost since the start, because nobody read the log.
pub fn lost_lines() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Text for people, or JSON for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time LEVEL message key=value ...`
    Text,
    /// One object a line.
    Json,
}

/// Starts logging to `file`, or to standard output. Keep the guard to the end: dropping it writes what is left.
///
/// # Errors
/// The file cannot be opened for appending.
pub fn start(
    level: LevelFilter,
    format: Format,
    file: Option<&PathBuf>,
) -> std::io::Result<WorkerGuard> {
    let sink: Box<dyn std::io::Write + Send> = match file {
        None => Box::new(std::io::stdout()),
        Some(path) => Box::new(
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?,
        ),
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

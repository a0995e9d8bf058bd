//! The syslog servers to which the log goes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use config::Syslog;
use syslog::Severity;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::LINES_WAITING_MAX;
use crate::clock;
use crate::outlet::{Outlet, finish_all};
use crate::syslog_sender::{Record, SyslogSender};

/// The name by which lines are known there.
const APP: &str = "gatepost";

static SERVERS: OnceLock<Servers> = OnceLock::new();
static LOST: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

struct Servers {
    outlets: Vec<Outlet<Record>>,
    app: Arc<str>,
}

/// How many lines did not come to a server since the start.
pub fn lost_records() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// What keeps lines from servers at present.
pub(super) fn troubles() -> Vec<String> {
    let outlets = outlets();
    outlets.iter().filter_map(Outlet::trouble).collect()
}

/// Waits until all is sent, but not for ever.
pub(super) fn finish() {
    let _written_or_late = finish_all(outlets());
}

fn outlets() -> &'static [Outlet<Record>] {
    SERVERS.get().map_or(&[], |servers| &servers.outlets)
}

/// Begins with these servers, a thread for each; what takes lines for all of them. `None` where
/// there are none, or others since earlier.
///
/// # Errors
/// There are no more threads.
pub(super) fn start(syslog: &[Arc<Syslog>]) -> io::Result<Option<ToServers>> {
    if syslog.is_empty() || SERVERS.get().is_some() {
        return Ok(None);
    }
    let outlets = syslog.iter().map(|syslog| {
        let sender = SyslogSender::new(Arc::clone(syslog));
        let name = format!("syslog.{}", syslog.name);
        Outlet::start(name, LINES_WAITING_MAX, &LOST, |records, state| {
            sender.run(records, state, Some);
        })
    });
    let servers = Servers {
        outlets: outlets.collect::<io::Result<_>>()?,
        app: APP.into(),
    };
    SERVERS.get_or_init(|| servers);
    Ok(Some(ToServers))
}

/// Gives a line to each server.
pub(super) struct ToServers;

impl<'a> MakeWriter<'a> for ToServers {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Severity::Informational)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line(match *metadata.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Informational,
            Level::DEBUG | Level::TRACE => Severity::Debug,
        })
    }
}

/// One line, which weighs so much.
pub(super) struct Line(Severity);

/// Each write is a whole line.
impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(servers) = SERVERS.get() {
            let record = Record {
                at: clock::now(),
                severity: self.0,
                app: Arc::clone(&servers.app),
                text: String::from_utf8_lossy(line).into_owned(),
            };
            for outlet in &servers.outlets {
                outlet.put(record.clone());
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

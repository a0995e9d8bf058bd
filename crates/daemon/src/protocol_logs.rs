//! The protocol logs in force: what is said on connections and what becomes of messages goes to
//! them from here. Each has a thread of its own that writes, so that mail never waits for a disk:
//! where a thread is behind by a named number of rows, further ones are lost and counted.

mod files;
mod writer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use config::Config;
use mail::{Client, Timestamp};
use protocol_log::{Exchanges, MailLine, Outgoing, Row, Settings, VirtualServer};
use smtp::Said;

use self::writer::Writer;
use crate::clock;

/// Rows that may wait for a thread.
const ROWS_WAITING_MAX: usize = 16_384;
/// How long a stop waits for a thread to write what it has.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// All protocol logs.
#[derive(Debug, Default)]
pub(crate) struct ProtocolLogs {
    running: RwLock<Running>,
    /// Rows that were not written, since the start.
    lost: Arc<AtomicU64>,
}

/// Those of one configuration.
#[derive(Debug, Clone, Default)]
struct Running {
    logs: Arc<[Arc<Log>]>,
    /// The number of each listener among all of them.
    sites: Arc<HashMap<Arc<str>, u32>>,
    computer: Arc<str>,
}

/// One log, as those see it who have something for it.
#[derive(Debug)]
struct Log {
    settings: Arc<Settings>,
    computer: Arc<str>,
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
    /// Ends with the thread.
    ended: std::sync::Mutex<Receiver<()>>,
}

/// What is to be written.
#[derive(Debug, Clone)]
enum Entry {
    Row(Arc<Row>),
    Line(Timestamp, Arc<MailLine>),
}

impl Log {
    fn start(
        settings: &Settings,
        computer: &Arc<str>,
        lost: &Arc<AtomicU64>,
    ) -> std::io::Result<Self> {
        let (entries, waiting) = sync_channel(ROWS_WAITING_MAX);
        let (ending, ended) = sync_channel(1);
        let settings = Arc::new(settings.clone());
        let writer = Writer::new(
            Arc::clone(&settings),
            Arc::clone(computer),
            Arc::clone(lost),
        );
        std::thread::Builder::new()
            .name(format!("log.{}", settings.name))
            .spawn(move || {
                writer.run(&waiting);
                drop(ending);
            })?;
        Ok(Self {
            settings,
            computer: Arc::clone(computer),
            entries,
            lost: Arc::clone(lost),
            ended: ended.into(),
        })
    }

    fn is_of(&self, settings: &Settings, computer: &str) -> bool {
        *self.settings == *settings && *self.computer == *computer
    }

    fn put(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ProtocolLogs {
    /// Begins those of this configuration; one that is as before goes on.
    pub(crate) fn put_in_force(&self, config: &Config) {
        let computer: Arc<str> = config.hostname.as_str().into();
        let old = self.running();
        let logs = config.log.protocol.iter().filter_map(|settings| {
            let mut before = old.logs.iter();
            if let Some(log) = before.find(|log| log.is_of(settings, &computer)) {
                return Some(Arc::clone(log));
            }
            let started = Log::start(settings, &computer, &self.lost);
            let complaint =
                |error| tracing::error!(log = &*settings.name, %error, "no protocol log");
            started.map(Arc::new).map_err(complaint).ok()
        });
        let names = config.listeners.iter().map(|listener| &listener.name);
        let new = Running {
            logs: logs.collect(),
            sites: Arc::new(names.cloned().zip(1..).collect()),
            computer,
        };
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    fn running(&self) -> Running {
        let running = self.running.read();
        running.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many rows were not written since the start, because a disk was full or slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What a client says that has just connected goes there, if it goes anywhere.
    pub(crate) fn of_session(&self, client: &Client) -> Option<SessionRows> {
        let running = self.running();
        let site = *running.sites.get(&client.listener)?;
        let wants = |settings: &Settings| {
            let listeners = &settings.listeners;
            listeners.is_empty() || listeners.contains(&client.listener)
        };
        let logs = running.with_rows(wants)?;
        let server = running.server(site);
        Some(SessionRows {
            exchanges: Exchanges::new(server, client, clock::now()),
            logs,
        })
    }

    /// The same for an agent.
    pub(crate) fn of_agent(&self) -> Option<AgentRows> {
        let running = self.running();
        let logs = running.with_rows(|settings| settings.outbound)?;
        Some(AgentRows {
            // The first virtual server is the one that delivers.
            outgoing: Outgoing::new(running.server(1)),
            logs,
        })
    }

    /// What became of a message. `line` is asked only where somebody wants to know.
    pub(crate) fn tell(&self, line: impl FnOnce() -> MailLine) {
        let running = self.running.read();
        let running = running.unwrap_or_else(PoisonError::into_inner);
        let mut logs = running.logs.iter();
        let Some(first) = logs.find(|log| !log.settings.form.has_rows()) else {
            return;
        };
        let entry = Entry::Line(clock::now(), Arc::new(line()));
        for log in logs.filter(|log| !log.settings.form.has_rows()) {
            log.put(entry.clone());
        }
        first.put(entry);
    }

    /// Waits until all that was said is written, but not for ever. To be called when nobody has
    /// anything more to say; blocks.
    pub(crate) fn finish(&self) {
        let running = {
            let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        let logs: Vec<_> = running.logs.iter().cloned().collect();
        drop(running);
        for log in logs.into_iter().filter_map(Arc::into_inner) {
            let ended = log
                .ended
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            drop(log.entries);
            let _written_or_late = ended.recv_timeout(STOP_WAIT);
        }
    }
}

impl Running {
    fn with_rows(&self, wants: impl Fn(&Settings) -> bool) -> Option<Box<[Arc<Log>]>> {
        let logs = self.logs.iter();
        let logs = logs.filter(|log| log.settings.form.has_rows() && wants(&log.settings));
        let logs: Box<[_]> = logs.cloned().collect();
        (!logs.is_empty()).then_some(logs)
    }

    fn server(&self, site: u32) -> VirtualServer {
        VirtualServer {
            site,
            computer: Arc::clone(&self.computer),
        }
    }
}

/// The rows of one session.
#[derive(Debug)]
pub(crate) struct SessionRows {
    exchanges: Exchanges,
    logs: Box<[Arc<Log>]>,
}

impl SessionRows {
    /// Something was said.
    pub(crate) fn said(&mut self, said: &Said) {
        let row = self.exchanges.add(clock::now(), said);
        put(row, &self.logs);
    }
}

/// However a session ends, it has its last row.
impl Drop for SessionRows {
    fn drop(&mut self) {
        let row = self.exchanges.end(clock::now());
        put(row, &self.logs);
    }
}

/// The rows of one agent.
#[derive(Debug)]
pub(crate) struct AgentRows {
    outgoing: Outgoing,
    logs: Box<[Arc<Log>]>,
}

impl AgentRows {
    /// Something was said on the connection to `peer`.
    pub(crate) fn said(&mut self, peer: SocketAddr, said: &Said) {
        let row = self.outgoing.row(clock::now(), peer, said);
        put(row, &self.logs);
    }
}

fn put(row: Option<Row>, logs: &[Arc<Log>]) {
    let Some(row) = row.map(Arc::new) else { return };
    for log in logs {
        log.put(Entry::Row(Arc::clone(&row)));
    }
}

//! The protocol logs in force: what is said on connections and what becomes of messages goes to
//! them from here. Each has a thread of its own that writes, so that mail never waits for a disk:
//! where a thread is behind by a named number of rows, further ones are lost and counted.

mod files;
mod writer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use config::{Config, ProtocolLog, ProtocolLogTarget};
use mail::{Client, Timestamp};
use privacy::Veil;
use protocol_log::{Exchanges, MailLine, Outgoing, Row, Settings, VirtualServer};
use smtp::Said;
use syslog::Severity;

use self::writer::Writer;
use crate::clock;
use crate::log::send_records;
use crate::outlet::{Outlet, finish_all};
use crate::syslog_sender::{Record, SyslogSender};
use crate::veiling;

/// Rows that may wait for a thread.
const ROWS_WAITING_MAX: usize = 16_384;

/// All protocol logs.
#[derive(Debug)]
pub(crate) struct ProtocolLogs {
    veil: Option<Arc<Veil>>,
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
    config: ProtocolLog,
    computer: Arc<str>,
    outlet: Outlet<Entry>,
}

/// What is to be written.
#[derive(Debug, Clone)]
enum Entry {
    Row(Arc<Row>),
    Line(Timestamp, Arc<MailLine>),
}

impl Entry {
    fn behind(self, veil: Option<&Veil>) -> Self {
        match (veil, self) {
            (Some(veil), Self::Row(row)) => Self::Row(Arc::new(veiling::row(veil, &row))),
            (Some(veil), Self::Line(at, line)) => {
                Self::Line(at, Arc::new(veiling::mail_line(veil, &line)))
            }
            (None, entry) => entry,
        }
    }
}

impl Log {
    fn start(
        config: &ProtocolLog,
        computer: &Arc<str>,
        lost: &Arc<AtomicU64>,
        veil: Option<Arc<Veil>>,
    ) -> std::io::Result<Self> {
        let settings = Arc::new(config.settings.clone());
        let name = format!("log.{}", settings.name);
        let outlet = match &config.target {
            ProtocolLogTarget::Files => {
                let writer = Writer::new(settings, Arc::clone(computer), Arc::clone(lost));
                Outlet::start(name, ROWS_WAITING_MAX, lost, move |entries, _| {
                    writer.run(entries, veil.as_deref());
                })
            }
            ProtocolLogTarget::Journald => {
                let log = settings.name.to_string();
                Outlet::start(name, ROWS_WAITING_MAX, lost, move |entries, state| {
                    send_records(&log, entries, state, |entry: Entry| {
                        records(&settings, &entry.behind(veil.as_deref()))
                    });
                })
            }
            ProtocolLogTarget::Syslog(syslog) => {
                let sender = SyslogSender::new(Arc::clone(syslog));
                Outlet::start(name, ROWS_WAITING_MAX, lost, move |entries, state| {
                    sender.run(entries, state, |entry: Entry| {
                        records(&settings, &entry.behind(veil.as_deref()))
                    });
                })
            }
        };
        Ok(Self {
            config: config.clone(),
            computer: Arc::clone(computer),
            outlet: outlet?,
        })
    }

    fn is_of(&self, config: &ProtocolLog, computer: &str) -> bool {
        self.config == *config && *self.computer == *computer
    }

    fn settings(&self) -> &Settings {
        &self.config.settings
    }
}

/// What is sent for an entry.
fn records(settings: &Settings, entry: &Entry) -> Vec<Record> {
    let mut records = Vec::new();
    let mut add = |at, app: Arc<str>, text| {
        let severity = Severity::Informational;
        records.push(Record {
            at,
            severity,
            app,
            text,
        });
    };
    match entry {
        Entry::Row(row) => {
            let mut text = String::new();
            settings.write(row, &mut text);
            add(row.at, (*settings.program).into(), text);
        }
        Entry::Line(at, line) => line.tell(&mut |service, text| {
            let app = format!("{}/{service}", settings.program);
            add(*at, app.into(), text.to_string());
        }),
    }
    records
}

impl ProtocolLogs {
    /// None yet; all will be behind the veil, if there is one.
    pub(crate) fn new(veil: Option<Arc<Veil>>) -> Self {
        Self {
            veil,
            running: RwLock::default(),
            lost: Arc::default(),
        }
    }

    /// Begins those of this configuration; one that is as before goes on.
    pub(crate) fn put_in_force(&self, config: &Config) {
        let computer: Arc<str> = config.hostname.as_str().into();
        let old = self.running();
        let logs = config.log.protocol.iter().filter_map(|log| {
            let mut before = old.logs.iter();
            if let Some(same) = before.find(|old| old.is_of(log, &computer)) {
                return Some(Arc::clone(same));
            }
            let started = Log::start(log, &computer, &self.lost, self.veil.clone());
            let name = &*log.settings.name;
            let complaint = |error| tracing::error!(log = name, %error, "no protocol log");
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

    /// How many rows were not written since the start, because what takes them was full or slow.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What keeps logs from being written at present, each with its name.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let running = self.running();
        let logs = running.logs.iter();
        logs.filter_map(|log| {
            let why = log.outlet.trouble()?;
            Some(format!("[log.{}]: {why}", log.settings().name))
        })
        .collect()
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
        let Some(first) = logs.find(|log| !log.settings().form.has_rows()) else {
            return;
        };
        let entry = Entry::Line(clock::now(), Arc::new(line()));
        for log in logs.filter(|log| !log.settings().form.has_rows()) {
            log.outlet.put(entry.clone());
        }
        first.outlet.put(entry);
    }

    /// Waits until all that was said is written, but not for ever. To be called when nobody has
    /// anything more to say; blocks.
    pub(crate) fn finish(&self) {
        let running = {
            let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        let _written_or_late = finish_all(running.logs.iter().map(|log| &log.outlet));
    }
}

impl Running {
    fn with_rows(&self, wants: impl Fn(&Settings) -> bool) -> Option<Box<[Arc<Log>]>> {
        let logs = self.logs.iter();
        let logs = logs.filter(|log| log.settings().form.has_rows() && wants(log.settings()));
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
        log.outlet.put(Entry::Row(Arc::clone(&row)));
    }
}

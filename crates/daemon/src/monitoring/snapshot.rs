use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use admission::Subject;
use filter::Filter;
use lookups::ScannerState;
use metrics::{Alarms, Lost, Queue, ScannerNow, Snapshot};
use queue::{Alarm, Counts, Stuck};
use spool::Health;
use tokio::task::spawn_blocking;

use super::Monitoring;
use crate::services::Services;
use crate::sessions::SessionId;
use crate::watchdog::Silent;
use crate::{log, storage, watchdog};

/// So long a page waits for the queue manager: Prometheus waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(86_400);

impl Monitoring {
    /// What is so at this moment.
    pub(super) async fn snapshot(&self) -> Snapshot {
        let services = &self.shared.services;
        let active = services.active();
        let config = &active.setup.config;
        let alarms = watchdog::alarms(&services.dispatch, PATIENCE).await;
        let counts = match alarms {
            Ok(_) => self.shared.queue_counts().await,
            Err(Silent) => Counts::default(),
        };
        let (sessions, connections) = self.connections();
        let tracker = services.journal.tracking.tracker();
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            is_closed: config.posture.is_closed(),
            is_accepting: matches!(services.spool.health(), Health::Accepting),
            sessions,
            connections,
            queue: self.queue(counts).await,
            suspended_sites: counts.suspended_sites as u64,
            pauses: self.pauses().await,
            alarms: alarms.map_or_else(silent, |alarms| counted(&alarms)),
            spool_free: self.free().await,
            spool_min_free: config.spool.min_free,
            certificates: active.certificates_end(),
            acme: services.certificates.ends(),
            lost: Lost {
                log: log::lost_lines() as u64,
                protocol_logs: services.journal.protocol_logs.lost(),
                syslog: log::lost_records(),
                journald: log::lost_entries(),
                opentelemetry: services.journal.spans.lost(),
                tracking: tracker.map_or(0, |tracker| tracker.lost()),
            },
            scanners: scanners(active.scanners().states().await),
            over: over(services),
            is_reload_due: self.shared.reload_due.load(Ordering::Relaxed),
        }
    }

    /// By listener, and by site.
    fn connections(&self) -> (BTreeMap<Arc<str>, u64>, BTreeMap<Arc<str>, u64>) {
        let (mut sessions, mut connections) = (BTreeMap::new(), BTreeMap::new());
        for (id, entry) in self
            .shared
            .services
            .sessions
            .list(None, usize::MAX, |_| true)
        {
            let side = match id {
                SessionId::In(_) => &mut sessions,
                SessionId::Out(_) => &mut connections,
            };
            *side.entry(Arc::clone(&entry.way)).or_default() += 1;
        }
        (sessions, connections)
    }

    async fn queue(&self, counts: Counts) -> Option<Queue> {
        let services = &self.shared.services;
        let spool = Arc::clone(&services.spool);
        let count = move || spool.count(&Filter::everything());
        let stored = self.census.take(count).await?;
        let (active, now) = (counts.active_recipients as u64, services.clock.line());
        let oldest = stored.oldest.map(|oldest| now.since(oldest));
        Some(Queue {
            messages: stored.messages,
            waiting: stored.waiting.saturating_sub(active),
            active,
            held: stored
                .held
                .saturating_sub(stored.badmail + stored.quarantined + stored.unscreened),
            badmail: stored.badmail,
            quarantined: stored.quarantined,
            unscreened: stored.unscreened,
            ready: counts.ready as u64,
            oldest: oldest.unwrap_or_default(),
        })
    }

    async fn pauses(&self) -> u64 {
        let services = &self.shared.services;
        let (spool, now) = (Arc::clone(&services.spool), services.clock.line());
        let pauses = spawn_blocking(move || spool.pauses()).await;
        let pauses = pauses.ok().and_then(Result::ok).unwrap_or_default();
        pauses.iter().filter(|pause| !pause.is_over(now)).count() as u64
    }

    async fn free(&self) -> Option<u64> {
        let active = self.shared.services.active();
        let asked = spawn_blocking(move || storage::free(&active.setup.config)).await;
        asked.ok().flatten()
    }
}

fn scanners(states: Vec<ScannerState>) -> BTreeMap<Arc<str>, ScannerNow> {
    let now = |state: ScannerState| {
        let places = &state.places;
        let silent = places.iter().filter(|place| place.trouble.is_some());
        let ages = places
            .iter()
            .filter_map(|place| place.version.as_ref()?.age_days);
        let now = ScannerNow {
            active: state.busy as u64,
            waiting: state.waiting as u64,
            silent: silent.count() as u64,
            signatures_age: ages
                .max()
                .map(|days| DAY * u32::try_from(days).unwrap_or(u32::MAX)),
        };
        (state.name, now)
    };
    states.into_iter().map(now).collect()
}

/// How many of each kind send too much.
fn over(services: &Services) -> BTreeMap<&'static str, u64> {
    let mut over = BTreeMap::new();
    for one in services.guardian.over(services.clock.line()) {
        *over.entry(kind(&one.subject)).or_default() += 1;
    }
    over
}

fn kind(subject: &Subject) -> &'static str {
    match subject {
        Subject::User(_) => "user",
        Subject::Client(_) | Subject::Network(_) => "client",
        Subject::Account(_) => "account",
        Subject::SenderDomain(_) => "sender-domain",
    }
}

fn silent(_: Silent) -> Alarms {
    Alarms {
        silent: 1,
        ..Alarms::default()
    }
}

fn counted(alarms: &[Alarm]) -> Alarms {
    let of =
        |kind: fn(Stuck) -> bool| alarms.iter().filter(|alarm| kind(alarm.what)).count() as u64;
    Alarms {
        not_tried: of(|what| what == Stuck::NotTried),
        no_progress: of(|what| what == Stuck::NoProgress),
        stuck: of(|what| matches!(what, Stuck::Agent(..))),
        silent: 0,
    }
}

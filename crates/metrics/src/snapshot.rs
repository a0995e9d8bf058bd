use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::each::{Labels, counters};
use crate::route::ROUTE;
use crate::scanner::SCANNER;

/// What is so at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The version of Gatepost that runs.
    pub version: &'static str,
    /// When it started, by the system's clock.
    pub started: Timestamp,
    /// Whether no stranger may relay.
    pub is_closed: bool,
    /// Whether new mail is taken.
    pub is_accepting: bool,
    /// Connections of clients, by listener.
    pub sessions: BTreeMap<Arc<str>, u64>,
    /// Connections to next hops, by the name of the site.
    pub connections: BTreeMap<Arc<str>, u64>,
    /// What waits; `None` when it could not be counted.
    pub queue: Option<Queue>,
    /// Sites that are left alone because they did not answer.
    pub suspended_sites: u64,
    /// Pauses of operators, of a site or of the whole queue.
    pub pauses: u64,
    /// What has come to a stand.
    pub alarms: Alarms,
    /// Octets free on the disk of the spool, as far as they are known.
    pub spool_free: Option<u64>,
    /// Octets that new mail leaves free there.
    pub spool_min_free: u64,
    /// When the first of its certificates ends, for each listener that has any.
    pub certificates: Vec<(Arc<str>, Timestamp)>,
    /// When the certificate of each name ends that has one by ACME.
    pub acme: Vec<(Arc<str>, Timestamp)>,
    /// What is written nowhere, as whoever takes it was too slow.
    pub lost: Lost,
    /// How each scanner does.
    pub scanners: BTreeMap<Arc<str>, ScannerNow>,
    /// Who sends too much of late: how many users, clients and the like.
    pub over: BTreeMap<&'static str, u64>,
    /// What is configured is read and not in force: the last reload failed, or waits.
    pub is_reload_due: bool,
}

/// Records that are lost since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Lines of the log.
    pub log: u64,
    /// Rows of protocol logs.
    pub protocol_logs: u64,
    /// Lines of the log for syslog servers.
    pub syslog: u64,
    /// Lines of the log for the journal of systemd.
    pub journald: u64,
    /// Spans.
    pub opentelemetry: u64,
    /// Rows of the tracking store.
    pub tracking: u64,
}

/// How a scanner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScannerNow {
    /// Messages that are with it.
    pub active: u64,
    /// Messages that wait for their turn.
    pub waiting: u64,
    /// Addresses of it that do not answer.
    pub silent: u64,
    /// How old its signatures are, where it says so; of several the oldest.
    pub signatures_age: Option<Duration>,
}

/// What waits in the queue or is held there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// Messages with a recipient that waits or is held.
    pub messages: u64,
    /// Recipients that wait, without those who are being tried.
    pub waiting: u64,
    /// Recipients that are being tried.
    pub active: u64,
    /// Recipients that are held, without badmail, the quarantine and what has yet to be screened.
    pub held: u64,
    /// Notices that could not be delivered.
    pub badmail: u64,
    /// Recipients that screening holds.
    pub quarantined: u64,
    /// Recipients whose message has yet to be screened, after its 250.
    pub unscreened: u64,
    /// Messages that are due, in memory, and wait for a connection.
    pub ready: u64,
    /// The age of the oldest message that waits; nothing when none does.
    pub oldest: Duration,
}

/// How many things have come to a stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alarms {
    /// Sites for which mail is due, and nobody tries.
    pub not_tried: u64,
    /// Sites of which no server takes part, whatever is tried.
    pub no_progress: u64,
    /// Connections that have had one message for too long.
    pub stuck: u64,
    /// 1 when the queue manager does not answer; then nothing is known of the others.
    pub silent: u64,
}

fn gauge(to: &mut Registry, name: &str, help: &str, value: u64) {
    to.register(name, help, ConstGauge::new(value));
}

/// A gauge for each value of a label.
fn gauges<'a>(
    to: &mut Registry,
    (name, help): (&str, &str),
    label: &'static str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (word, value) in values {
        let labels = vec![(label, word.into())];
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.get_or_create(&labels).inc_by(value);
    }
    to.register(name, help, family);
}

impl Snapshot {
    /// Names all of it; a listener or route at which nothing is has 0.
    pub(crate) fn register<'a>(
        &'a self,
        to: &mut Registry,
        listeners: &'a [Arc<str>],
        routes: &'a [Arc<str>],
        class: impl Fn(&'a str) -> &'a str,
    ) {
        self.register_relay(to);
        self.register_spool(to);
        if let Some(queue) = &self.queue {
            queue.register(to);
        }
        self.alarms.register(to);
        self.register_scanners(to);
        let named = |(name, count): (&'a Arc<str>, &u64)| (&**name, *count);
        let none = |name: &'a Arc<str>| (&**name, 0);
        let kinds = ["user", "client", "account", "sender-domain"];
        gauges(
            to,
            (
                "gatepost_guardian_subjects_over",
                "Those who sent too much within a day",
            ),
            "kind",
            kinds.map(|kind| (kind, self.over.get(kind).copied().unwrap_or_default())),
        );
        gauges(
            to,
            ("gatepost_sessions", "Connections of clients"),
            "listener",
            (listeners.iter().map(none)).chain(self.sessions.iter().map(named)),
        );
        let classed = |(site, count): (&'a Arc<str>, &u64)| (class(site), *count);
        gauges(
            to,
            ("gatepost_delivery_connections", "Connections to next hops"),
            ROUTE,
            (routes.iter().map(none)).chain(self.connections.iter().map(classed)),
        );
        let ends = self.certificates.iter();
        gauges(
            to,
            (
                "gatepost_certificate_not_after_timestamp_seconds",
                "When the first certificate of a listener ends",
            ),
            "listener",
            ends.map(|(name, ends)| (&**name, ends.as_millis() / 1000)),
        );
        let ends = self.acme.iter();
        gauges(
            to,
            (
                "gatepost_acme_certificate_not_after_timestamp_seconds",
                "When the certificate of a name ends that was got by ACME",
            ),
            "name",
            ends.map(|(name, ends)| (&**name, ends.as_millis() / 1000)),
        );
    }

    fn register_relay(&self, to: &mut Registry) {
        let version = [("version", self.version)];
        gauges(
            to,
            ("gatepost_build_info", "The version that runs"),
            version[0].0,
            [(version[0].1, 1)],
        );
        gauge(
            to,
            "gatepost_start_time_seconds",
            "When the relay started, since the epoch",
            self.started.as_millis() / 1000,
        );
        gauge(
            to,
            "gatepost_posture_closed",
            "1 when no stranger may relay",
            u64::from(self.is_closed),
        );
        gauge(
            to,
            "gatepost_reload_due",
            "1 when the last reload failed, or files that have changed wait for one",
            u64::from(self.is_reload_due),
        );
        self.lost.register(to);
        gauge(
            to,
            "gatepost_sites_suspended",
            "Sites that are left alone because they did not answer",
            self.suspended_sites,
        );
        gauge(
            to,
            "gatepost_pauses",
            "Pauses of operators, of a site or of the whole queue",
            self.pauses,
        );
    }

    fn register_scanners(&self, to: &mut Registry) {
        let help = "Messages that are with a scanner, or wait for their turn";
        let messages = Family::<Labels, Gauge>::default();
        for (name, now) in &self.scanners {
            for (state, count) in [("active", now.active), ("waiting", now.waiting)] {
                let labels = vec![(SCANNER, Arc::clone(name)), ("state", state.into())];
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                messages.get_or_create(&labels).set(count);
            }
        }
        to.register("gatepost_scanner_messages", help, messages);
        gauges(
            to,
            (
                "gatepost_scanner_addresses_silent",
                "Addresses of a scanner that do not answer",
            ),
            SCANNER,
            (self.scanners.iter()).map(|(name, now)| (&**name, now.silent)),
        );
        let age = |(name, now): (&'_ Arc<str>, &ScannerNow)| {
            Some((Arc::clone(name), now.signatures_age?.as_secs()))
        };
        let ages: Vec<(Arc<str>, u64)> = self.scanners.iter().filter_map(age).collect();
        gauges(
            to,
            (
                "gatepost_scanner_signatures_age_seconds",
                "Age of the signatures of a ClamAV, in whole days",
            ),
            SCANNER,
            ages.iter().map(|(name, age)| (&**name, *age)),
        );
    }

    fn register_spool(&self, to: &mut Registry) {
        gauge(
            to,
            "gatepost_spool_accepting",
            "1 when new mail is taken",
            u64::from(self.is_accepting),
        );
        if let Some(free) = self.spool_free {
            gauge(
                to,
                "gatepost_spool_free_bytes",
                "Free on the disk of the spool",
                free,
            );
        }
        gauge(
            to,
            "gatepost_spool_min_free_bytes",
            "What new mail leaves free there",
            self.spool_min_free,
        );
    }
}

impl Lost {
    fn register(self, to: &mut Registry) {
        let help = "Lines and rows that are lost because whoever takes them was too slow";
        let family = counters(to, "gatepost_records_lost", help);
        for (of, lost) in [
            ("log", self.log),
            ("protocol-log", self.protocol_logs),
            ("syslog", self.syslog),
            ("journald", self.journald),
            ("opentelemetry", self.opentelemetry),
            ("tracking", self.tracking),
        ] {
            let counter = family.get_or_create_owned(&vec![("record", of.into())]);
            counter.inc_by(lost);
        }
    }
}

impl Queue {
    fn register(&self, to: &mut Registry) {
        gauge(
            to,
            "gatepost_queue_messages",
            "Messages with a recipient that waits or is held",
            self.messages,
        );
        gauges(
            to,
            ("gatepost_queue_recipients", "Recipients in the queue"),
            "state",
            [
                ("waiting", self.waiting),
                ("active", self.active),
                ("held", self.held),
                ("badmail", self.badmail),
                ("quarantined", self.quarantined),
                ("unscreened", self.unscreened),
            ],
        );
        gauge(
            to,
            "gatepost_queue_ready_messages",
            "Messages that are due, in memory, and wait for a connection",
            self.ready,
        );
        gauge(
            to,
            "gatepost_queue_oldest_message_age_seconds",
            "Age of the oldest message that waits; 0 when none does",
            self.oldest.as_secs(),
        );
    }
}

impl Alarms {
    fn register(&self, to: &mut Registry) {
        gauges(
            to,
            (
                "gatepost_alarms",
                "What has come to a stand by itself, as `gatepost status` names it",
            ),
            "kind",
            [
                ("not-tried", self.not_tried),
                ("no-progress", self.no_progress),
                ("stuck", self.stuck),
                ("silent", self.silent),
            ],
        );
    }
}

//! Everything that happened, told once, where it happened: each method takes the facts, and all who
//! keep a record of them hear of it here, so that what they say agrees.

mod lines;
mod mail_lines;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admission::SlotLimits;
use engine::dispatch::Fact;
use engine::{Acceptance, Report, TurnedAway};
use mail::{Client, Failure, QueueId};
use metrics::Metrics;
use queue::Job;
use reception::SessionFact;
use route::Hop;
use smtp::ProxyNotes;
use tls::TlsError;

use crate::protocol_logs::ProtocolLogs;

/// Who keeps a record of what happened.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) metrics: Arc<Metrics>,
    /// What is said on connections, and what becomes of messages, in the forms of others.
    pub(crate) protocol_logs: ProtocolLogs,
}

impl Journal {
    /// With the counters; there are no protocol logs until those of a configuration are put in force.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            protocol_logs: ProtocolLogs::default(),
        }
    }

    /// A client connected; `turned_away` or its session follows, unless it goes before.
    pub(crate) fn connected(&self, client: &Client) {
        self.metrics.connected(client);
    }

    /// The session of `client` is over, and lasted so long.
    pub(crate) fn session_over(&self, client: &Client, lasted: Duration) {
        self.metrics.session_over(client, lasted);
    }

    /// What happened in session `number` of `client`, which may be a proxy of ours on its own
    /// account.
    pub(crate) fn session(&self, client: &Client, number: u64, is_proxy: bool, fact: &SessionFact) {
        lines::session(client, number, is_proxy, fact);
        self.metrics.session(client, fact);
        mail_lines::session(&self.protocol_logs, client, fact);
    }

    /// A message is on stable storage; its client is about to hear so. On the disk thread, so this
    /// has to be short.
    pub(crate) fn accepted(&self, acceptance: &Acceptance) {
        lines::accepted(acceptance);
        self.metrics.accepted(acceptance);
        mail_lines::accepted(&self.protocol_logs, acceptance);
    }

    /// A client ended its session by a TLS alert.
    pub(crate) fn broken_off(&self, client: &Client, number: u64, why: &str) {
        lines::broken_off(client, number, why);
    }

    /// What a proxy said of the client in session `number`, beside its address.
    pub(crate) fn proxied(
        &self,
        client: &Client,
        number: u64,
        proxy: SocketAddr,
        notes: &ProxyNotes,
    ) {
        lines::proxied(client, number, proxy, notes);
    }

    /// A client is turned away in place of the greeting; `slots` are those of its listener.
    pub(crate) fn turned_away(
        &self,
        client: &Client,
        number: u64,
        slots: &SlotLimits,
        why: &TurnedAway,
    ) {
        lines::turned_away(client, number, slots, why);
        self.metrics.turned_away(client, why);
    }

    /// No encryption came about with a client.
    pub(crate) fn handshake_failed(&self, client: &Client, number: u64, error: &TlsError) {
        lines::handshake_failed(client, number, error);
        self.metrics.handshake_failed(client);
    }

    /// What one attempt did.
    pub(crate) fn attempt(&self, report: &Report) {
        lines::attempt(report);
        self.metrics.attempt(report);
        mail_lines::attempt(&self.protocol_logs, report);
    }

    /// A host was of no use, before the next one of the site is tried.
    pub(crate) fn host_failed(&self, job: Option<&Job>, hop: &Hop, failure: &Failure) {
        lines::host_failed(job, hop, failure);
        self.metrics.host_failed(job);
    }

    /// What became of the outcomes of attempts, once that is on stable storage.
    pub(crate) fn dispatched(&self, fact: &Fact) {
        lines::dispatched(fact);
        self.metrics.dispatched(fact);
    }

    /// Badmail is kept no longer.
    pub(crate) fn badmail_dropped(&self, waiting: &spool::Waiting, why: engine::Surplus) {
        lines::badmail_dropped(waiting, why);
        self.metrics.badmail_dropped(waiting.recipients.len());
    }

    /// The message of a file of the pickup directory was accepted under this id.
    pub(crate) fn picked_up(&self, id: QueueId, file: &OsStr) {
        lines::picked_up(id, file);
        self.metrics.picked_up();
    }

    /// A file of the pickup directory is tried again.
    pub(crate) fn pickup_postponed(&self, id: QueueId, file: &OsStr, why: &str) {
        lines::pickup_postponed(id, file, why);
        self.metrics.pickup_postponed();
    }

    /// A file of the pickup directory lies among the bad ones now.
    pub(crate) fn pickup_refused(&self, id: QueueId, file: &OsStr, why: &str) {
        lines::pickup_refused(id, file, why);
        self.metrics.pickup_refused(1);
    }

    /// So many more files lie there than were told one by one.
    pub(crate) fn pickup_refused_more(&self, count: u64) {
        lines::pickup_refused_more(count);
        self.metrics.pickup_refused(count);
    }
}

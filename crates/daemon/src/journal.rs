//! Everything that happened, told once, where it happened: each method takes the facts, and all who
//! keep a record of them hear of it here, so that what they say agrees.

mod lines;
mod mail_lines;
mod named;
mod observed;
mod tracking;

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::tracking::Row;
use admission::{Over, SlotLimits};
use config::Config;
use engine::dispatch::Fact;
use engine::rows::Caller;
use engine::{
    Acceptance, Incoming, KeptAs, Late, LateOutcome, Report, ScreenedFact, Surplus, TurnedAway,
};
use mail::{Client, Failure, QueueId, ReversePath};
use metrics::{AtConsole, Metrics};
use queue::Job;
use reception::SessionFact;
use relay_policy::{Approach, Greylisted};
use route::{Hop, Site};
use screening::Finding;
use smtp::ProxyNotes;
use spool::{NewMessage, Part, Replacement, Waiting};
use tls::TlsError;

pub(crate) use self::observed::Observed;
pub(crate) use self::tracking::{Tracking, caller};
use crate::protocol_logs::ProtocolLogs;
use crate::spans::Spans;
use crate::transcripts::{SessionDialogue, Transcripts};

/// Who keeps a record of what happened.
pub(crate) struct Journal {
    pub(crate) metrics: Arc<Metrics>,
    /// What is said on connections, and what becomes of messages, in the forms of others.
    pub(crate) protocol_logs: ProtocolLogs,
    pub(crate) tracking: Tracking,
    /// What is seen of it at a glance.
    pub(crate) observed: Observed,
    /// Which dialogues are kept beside it.
    pub(crate) transcripts: Transcripts,
    /// What of it goes to OpenTelemetry.
    pub(crate) spans: Spans,
}

impl Journal {
    /// With the counters, what is remembered, and what is seen of it; there are no protocol logs until those of a
    /// configuration are put in force.
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        protocol_logs: ProtocolLogs,
        tracking: Tracking,
        observed: Observed,
        spans: Spans,
    ) -> Self {
        Self {
            metrics,
            protocol_logs,
            tracking,
            observed,
            transcripts: Transcripts::default(),
            spans,
        }
    }

    /// What holds from now on.
    pub(crate) fn configured(&self, config: &Config) {
        self.protocol_logs.put_in_force(config);
        self.transcripts.configured(config.log.transcript);
        self.tracking.configured(config);
    }

    /// A client connected; `turned_away` or its session follows, unless it goes before.
    pub(crate) fn connected(&self, client: &Client) {
        self.metrics.connected(client);
    }

    /// Session `number` of `client` is over, and lasted so long.
    pub(crate) fn session_over(&self, client: &Client, number: u64, lasted: Duration) {
        self.metrics.session_over(client, lasted);
        self.spans.session_over(client, number, lasted);
    }

    /// What happened in a session, whose client may be a proxy of ours on its own account.
    pub(crate) fn session(&self, incoming: &Incoming, is_proxy: bool, fact: &SessionFact) {
        let (client, number) = (incoming.client(), incoming.number());
        lines::session(client, number, is_proxy, fact);
        self.metrics.session(client, fact);
        self.tracking.session(incoming, fact);
        self.observed.session(incoming, fact);
        mail_lines::session(&self.protocol_logs, client, fact);
        self.spans.session(number, fact);
    }

    /// What a scanner came to of a message, and after what time, where it was asked. What it found
    /// stands in the lines of the message.
    pub(crate) fn scanned(&self, scanner: &str, finding: &Finding, took: Option<Duration>) {
        self.metrics.scanned(scanner, finding, took);
    }

    /// What greylisting made of a recipient that was named in a session.
    pub(crate) fn greylisted(
        &self,
        incoming: &Incoming,
        approach: &Approach,
        greylisted: &Greylisted,
    ) {
        lines::greylisted(incoming, approach, greylisted);
        self.metrics.greylisted(greylisted);
    }

    /// What rules of screening made of a message that came `by` a session.
    pub(crate) fn screened(
        &self,
        by: &Caller<'_>,
        id: QueueId,
        from: &ReversePath,
        facts: &[ScreenedFact],
    ) {
        for fact in facts {
            lines::screened(by, id, from, fact);
            self.metrics.screened(&fact.matched);
        }
        self.tracking.screened(by, id, from, facts);
    }

    /// Somebody is signed in at the console.
    pub(crate) fn signed_in_at_console(&self, client: Option<IpAddr>, user: &str, by: AtConsole) {
        lines::signed_in_at_console(client, user, by.as_str());
        self.metrics.at_console(by);
    }

    /// Somebody was refused at the console, who heard `reply` and not `why`.
    pub(crate) fn refused_at_console(
        &self,
        client: IpAddr,
        user: Option<&str>,
        reply: &str,
        why: &str,
    ) {
        lines::refused_at_console(client, user, reply, why);
        self.metrics.at_console(AtConsole::Refused);
        self.tracking.refused_at_console(client, user, reply, why);
    }

    /// A message is on stable storage; its client is about to hear so. On the disk thread, so this
    /// has to be short; `rows` were made before.
    pub(crate) fn accepted(&self, acceptance: &Acceptance, rows: Vec<Row>) {
        lines::accepted(acceptance);
        self.metrics.accepted(acceptance);
        self.observed.accepted(acceptance);
        mail_lines::accepted(&self.protocol_logs, acceptance);
        self.tracking.add(rows);
        self.spans.accepted(acceptance);
    }

    /// Somebody begins to send too much, with the message `id`.
    pub(crate) fn sends_too_much(&self, id: QueueId, over: &Over) {
        lines::sends_too_much(id, over);
    }

    /// The message `id` is one of those with which somebody sends too much.
    pub(crate) fn sent_too_much(&self, id: QueueId, over: &Over) {
        lines::sent_too_much(id, over);
        self.metrics.sent_too_much(over.reaction.value);
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
        self.observed.turned_away(client, why);
        self.tracking.turned_away(client, number, why);
    }

    /// No encryption came about with a client.
    pub(crate) fn handshake_failed(&self, client: &Client, number: u64, error: &TlsError) {
        lines::handshake_failed(client, number, error);
        self.metrics.handshake_failed(client);
        self.tracking.handshake_failed(client, number, error);
    }

    /// What one attempt did.
    pub(crate) fn attempt(&self, report: &Report) {
        lines::attempt(report);
        self.metrics.attempt(report);
        self.observed.attempt(report);
        mail_lines::attempt(&self.protocol_logs, report);
        self.tracking.attempt(report);
        self.spans.attempt(report);
        if let Some(text) = self.transcripts.of_attempt(report) {
            let id = report.job.message.id;
            self.tracking.transcript(None, vec![id], text);
        }
    }

    /// The dialogue of a session that begins, where somebody may want to know it.
    pub(crate) fn dialogue_begins(&self) -> Option<SessionDialogue> {
        self.keeps_dialogues().then(SessionDialogue::default)
    }

    /// All that was said in the session of `client`, which is over.
    pub(crate) fn dialogue_over(&self, client: &Client, number: u64, dialogue: SessionDialogue) {
        if let Some((ids, text)) = dialogue.kept(client, &self.transcripts) {
            self.tracking.transcript(Some(number), ids, text);
        }
    }

    /// Whether somebody may want to know what is said by agents.
    pub(crate) fn keeps_dialogues(&self) -> bool {
        self.tracking.tracker().is_some() && self.transcripts.records()
    }

    /// A host was of no use, before the next one of the site is tried.
    pub(crate) fn host_failed(&self, job: Option<&Job>, site: &Site, hop: &Hop, failure: &Failure) {
        lines::host_failed(job, site, hop, failure);
        self.metrics.host_failed(site);
    }

    /// What became of the outcomes of attempts, once that is on stable storage.
    pub(crate) fn dispatched(&self, fact: &Fact) {
        lines::dispatched(fact);
        self.metrics.dispatched(fact);
        mail_lines::dispatched(&self.protocol_logs, fact);
        self.tracking.dispatched(fact);
        self.spans.dispatched(fact);
    }

    /// A report of ours is in the queue; `about` says what it tells.
    pub(crate) fn reported(&self, report: &NewMessage, about: &str) {
        lines::reported(report, about);
        self.tracking.reported(report);
    }

    /// What was held for a while is kept no longer.
    pub(crate) fn kept_no_longer(&self, waiting: &Waiting, kept: KeptAs, why: Surplus) {
        lines::kept_no_longer(waiting, kept, why);
        self.metrics.kept_no_longer(waiting.recipients.len());
        self.tracking.kept_no_longer(waiting, kept, why);
    }

    /// An operator did something to recipients, by an operation of which this was a part.
    pub(crate) fn by_operator(&self, part: &Part) {
        self.tracking.by_operator(part);
    }

    /// What became of a message that was looked at after its 250, once that is on stable storage.
    pub(crate) fn screened_late(&self, late: &Late, outcome: &LateOutcome) {
        lines::screened_late(late, outcome);
        self.tracking.screened_late(late, outcome);
        self.spans.screened_late(late, outcome);
    }

    /// An operator let a message go on without its attachments.
    pub(crate) fn replaced(&self, replacement: &Replacement, note: &str) {
        lines::replaced(replacement, note);
        self.tracking.replaced(replacement, note);
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

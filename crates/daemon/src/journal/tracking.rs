use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::Config;
use engine::dispatch::Fact;
use engine::rows::{self, Caller};
use engine::{
    Acceptance, Incoming, KeptAs, Late, LateOutcome, Report, ScreenedFact, Surplus, TurnedAway,
};
use mail::{Client, QueueId, ReversePath};
use queue::Moment;
use reception::SessionFact;
use spool::{NewMessage, Part, Replacement, Waiting};
use tls::TlsError;
use tracking::{Row, Transcript};

use crate::clock::Clock;
use crate::tracker::{Limits, Tracker};

/// Has a row written for what happens, where that is wished.
pub(crate) struct Tracking {
    clock: Arc<Clock>,
    tracker: Option<Tracker>,
    with_subjects: AtomicBool,
}

impl Tracking {
    /// With a store, if there is one.
    pub(crate) fn new(
        clock: Arc<Clock>,
        tracker: Option<Tracker>,
        config: &config::Tracking,
    ) -> Self {
        Self {
            clock,
            tracker,
            with_subjects: AtomicBool::new(config.subject),
        }
    }

    /// What holds from now on.
    pub(crate) fn configured(&self, config: &Config) {
        let subject = config.tracking.subject;
        self.with_subjects.store(subject, Ordering::Relaxed);
        if let Some(tracker) = &self.tracker {
            tracker.set_limits(Limits::of(config));
        }
    }

    /// The store, if there is one.
    pub(crate) fn tracker(&self) -> Option<&Tracker> {
        self.tracker.as_ref()
    }

    /// Nothing happens any more.
    pub(crate) fn finish(&self) {
        if let Some(tracker) = &self.tracker {
            tracker.finish();
        }
    }

    pub(super) fn add(&self, rows: Vec<Row>) {
        if let Some(tracker) = &self.tracker {
            tracker.add(rows);
        }
    }

    fn tell<R: IntoIterator<Item = Row>>(&self, rows: impl FnOnce(Moment) -> R) {
        if self.tracker.is_some() {
            self.add(rows(self.clock.moment()).into_iter().collect());
        }
    }

    /// What was said about these messages, on a connection that has ended: session `session`, or an
    /// attempt.
    pub(super) fn transcript(&self, session: Option<u64>, ids: Vec<QueueId>, text: String) {
        if let Some(tracker) = &self.tracker {
            let at = self.clock.moment().wall;
            tracker.add_transcript(Transcript {
                at,
                session,
                ids,
                text,
            });
        }
    }

    pub(super) fn session(&self, incoming: &Incoming, fact: &SessionFact) {
        self.tell(|now| caller(incoming).in_session(now.wall, fact));
    }

    pub(super) fn screened(
        &self,
        by: &Caller<'_>,
        id: QueueId,
        from: &ReversePath,
        facts: &[ScreenedFact],
    ) {
        if !facts.is_empty() {
            self.tell(|now| by.screened(now.wall, id, from, facts));
        }
    }

    /// The rows of a message that is about to be stored, to be added once it is.
    pub(crate) fn received(&self, acceptance: &Acceptance) -> Vec<Row> {
        let with_subject = self.with_subjects.load(Ordering::Relaxed);
        let rows = |_: &Tracker| rows::received(self.clock.moment().wall, acceptance, with_subject);
        self.tracker.as_ref().map(rows).unwrap_or_default()
    }

    pub(super) fn refused_at_console(
        &self,
        client: IpAddr,
        user: Option<&str>,
        reply: &str,
        why: &str,
    ) {
        self.tell(|now| [rows::refused_at_console(now.wall, client, user, reply, why)]);
    }

    pub(super) fn turned_away(&self, client: &Client, session: u64, why: &TurnedAway) {
        self.tell(|now| silent(client, session).turned_away(now.wall, why));
    }

    pub(super) fn handshake_failed(&self, client: &Client, session: u64, error: &TlsError) {
        let why = error.to_string();
        self.tell(|now| [silent(client, session).handshake_failed(now.wall, &why)]);
    }

    pub(super) fn attempt(&self, report: &Report) {
        self.tell(|now| rows::attempted(now, report));
    }

    pub(super) fn dispatched(&self, fact: &Fact) {
        self.tell(|now| rows::decided(now, fact));
    }

    pub(super) fn reported(&self, report: &NewMessage) {
        self.tell(|now| rows::reported(now, report));
    }

    pub(super) fn kept_no_longer(&self, waiting: &Waiting, kept: KeptAs, why: Surplus) {
        self.tell(|now| rows::kept_no_longer(now, waiting, kept, why));
    }

    pub(super) fn screened_late(&self, late: &Late, outcome: &LateOutcome) {
        self.tell(|now| rows::screened_late(now, late, outcome));
    }

    pub(super) fn replaced(&self, replacement: &Replacement, note: &str) {
        self.tell(|now| rows::replaced(now, replacement, note));
    }

    pub(super) fn by_operator(&self, part: &Part) {
        let row = rows::by_operator(self.clock.moment().wall, &part.operation.bulk);
        if let (Some(tracker), Some(row)) = (&self.tracker, row) {
            tracker.add_about(row, part.changed.clone());
        }
    }
}

/// Who is connected, as rows have it.
pub(crate) fn caller(incoming: &Incoming) -> Caller<'_> {
    Caller {
        client: incoming.client(),
        session: incoming.number(),
        hello: incoming.hello(),
        client_name: incoming.client_name(),
    }
}

/// Somebody who has not said anything yet.
fn silent(client: &Client, session: u64) -> Caller<'_> {
    Caller {
        client,
        session,
        hello: "",
        client_name: None,
    }
}

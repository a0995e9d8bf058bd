use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::{Acceptance, Report};
use mail::{Client, Outcome, QueueId, Timestamp};
use message::TraceParent;
use reception::{SessionFact, Summary};
use spool::{Message, NewMessage};

use crate::{Side, Span, Value};

/// Sessions of which something is remembered. There are not so many at one time.
const SESSIONS_MAX: usize = 100_000;

/// Makes spans of what happens. To be asked from any thread, and quick.
#[derive(Debug)]
pub struct Tracer {
    /// Random, so that spans of two starts, or of two relays, have different names.
    base: u64,
    attempts: AtomicU64,
    sessions: Mutex<HashMap<u64, Session>>,
}

/// What is known of a session that goes on.
#[derive(Debug, Default)]
struct Session {
    /// Its first message.
    first: Option<QueueId>,
    end: Option<Summary>,
}

/// The names of spans of sessions have this bit, those of attempts have it not.
const OF_SESSION: u64 = 1 << 63;

impl Tracer {
    /// `base` is random.
    pub fn new(base: u64) -> Self {
        Self {
            base: base & !OF_SESSION,
            attempts: AtomicU64::new(1),
            sessions: Mutex::default(),
        }
    }

    fn of_session<T>(&self, number: u64, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let sessions = self.sessions.lock();
        let mut sessions = sessions.unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_MAX && !sessions.contains_key(&number) {
            return None;
        }
        Some(change(sessions.entry(number).or_default()))
    }

    fn session_span(&self, number: u64) -> u64 {
        self.base.wrapping_add(number) | OF_SESSION
    }

    /// Something happened in session `number`; its span follows once it is over.
    pub fn session(&self, number: u64, fact: &SessionFact) {
        match fact {
            SessionFact::RefusedRecipient(refused) => {
                self.of_session(number, |of| of.first.get_or_insert(refused.id).to_owned());
            }
            SessionFact::Ended(summary) => {
                self.of_session(number, |of| of.end = Some((**summary).clone()));
            }
            _ => {}
        }
    }

    /// Session `number` of `client` is over, which lasted so long.
    pub fn session_over(
        &self,
        client: &Client,
        number: u64,
        now: Timestamp,
        lasted: Duration,
    ) -> Span {
        let sessions = self.sessions.lock();
        let known = sessions
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        let Session { first, end } = known.unwrap_or_default();
        let id = self.session_span(number);
        // Without a message its trace is its own.
        let alone = u128::from(self.base) << 64 | u128::from(id);
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("network.protocol.name", "smtp".into()),
            ("client.address", client.to_string().into()),
            ("gatepost.listener", (*client.listener).into()),
            ("gatepost.session", number.into()),
        ];
        if let Some(end) = &end {
            attributes.extend([
                ("gatepost.end", Value::from(format!("{:?}", end.end))),
                ("gatepost.messages", u64::from(end.accepted).into()),
                ("gatepost.recipients.refused", u64::from(end.refused).into()),
            ]);
        }
        Span {
            name: "smtp session",
            side: Some(Side::Server),
            trace: first.map_or(alone, |first| TraceParent::of(first).trace),
            id,
            parent: None,
            links: Vec::new(),
            ended: now,
            took: lasted,
            attributes,
            failed: end.is_some_and(|end| end.refused > 0 || end.errors > 0),
        }
    }

    /// A message is on stable storage, which was begun so long ago. `None` where those before us do
    /// not keep its trace.
    pub fn accepted(
        &self,
        acceptance: &Acceptance,
        now: Timestamp,
        took: Duration,
    ) -> Option<Span> {
        let (number, message) = (acceptance.session, &acceptance.message.message);
        let id = message.id;
        let first = self.of_session(number, |of| *of.first.get_or_insert(id))?;
        let session = (TraceParent::of(first).trace, self.session_span(number));
        let own = place(&message.head, id);
        let before = acceptance.trace_parent;
        let is_first = first == id && before.is_none();
        let span = Span {
            name: "receive message",
            side: None,
            trace: own.trace,
            id: own.span,
            parent: match before {
                Some(before) => Some(before.span),
                None => is_first.then_some(session.1),
            },
            links: Vec::from_iter((!is_first).then_some(session)),
            ended: now,
            took,
            attributes: facts(&acceptance.message),
            failed: false,
        };
        own.is_sampled().then_some(span)
    }

    /// A message that was made of another one, which was taken before it was looked at, is on stable
    /// storage, so long after that. `None` where those before us do not keep its trace.
    pub fn made(
        &self,
        of: &Message,
        made: &NewMessage,
        now: Timestamp,
        took: Duration,
    ) -> Option<Span> {
        let above = place(&of.head, of.id);
        let own = place(&made.message.head, made.message.id);
        let is_one_trace = own.trace == above.trace;
        let span = Span {
            name: "receive message",
            side: None,
            trace: own.trace,
            id: own.span,
            parent: is_one_trace.then_some(above.span),
            links: Vec::from_iter((!is_one_trace).then_some((above.trace, above.span))),
            ended: now,
            took,
            attributes: facts(made),
            failed: false,
        };
        own.is_sampled().then_some(span)
    }

    /// A notice of ours is in the queue, about another message.
    pub fn notice(&self, about: QueueId, notice: &NewMessage, now: Timestamp) -> Span {
        let own = TraceParent::of(notice.message.id);
        let about = TraceParent::of(about);
        Span {
            name: "write notice",
            side: None,
            trace: own.trace,
            id: own.span,
            parent: None,
            links: vec![(about.trace, about.span)],
            ended: now,
            took: Duration::ZERO,
            attributes: facts(notice),
            failed: false,
        }
    }

    /// What one attempt did. `None` where those before us do not keep the trace of its message.
    pub fn attempt(&self, report: &Report, now: Timestamp) -> Option<Span> {
        let message = &report.job.message;
        let above = place(&message.head, message.id);
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        let (mut delivered, mut deferred, mut failed, mut why) = (0_u64, 0_u64, 0_u64, None);
        for (_, outcome) in &report.ended.results {
            match outcome {
                Outcome::Delivered(_) => delivered += 1,
                Outcome::Deferred(failure) => {
                    deferred += 1;
                    why = why.or(Some(&failure.reply));
                }
                Outcome::Failed(failure) => {
                    failed += 1;
                    why = why.or(Some(&failure.reply));
                }
            }
        }
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("network.protocol.name", "smtp".into()),
            ("server.address", report.host.as_str().into()),
            ("gatepost.queue_id", message.id.to_string().into()),
            ("gatepost.site", (*report.site.name).into()),
            ("gatepost.recipients.delivered", delivered.into()),
            ("gatepost.recipients.deferred", deferred.into()),
            ("gatepost.recipients.failed", failed.into()),
        ];
        // Its text may name anybody.
        let why = why.map(|reply| format!("{} {}", reply.code(), reply.status()));
        attributes.extend(why.map(|why| ("gatepost.reply", why.into())));
        let assurance = report.assurance.map(|assurance| assurance.to_string());
        attributes.extend(assurance.map(|word| ("gatepost.assurance", word.into())));
        let span = Span {
            name: "deliver message",
            side: Some(Side::Client),
            trace: above.trace,
            id: (self.base.wrapping_add(number) & !OF_SESSION).max(1),
            parent: Some(above.span),
            links: Vec::new(),
            ended: now,
            took: report.took,
            attributes,
            failed: deferred + failed > 0,
        };
        above.is_sampled().then_some(span)
    }
}

/// Where a message stands: as we wrote it above the message, or by its queue id.
fn place(head: &[u8], id: QueueId) -> TraceParent {
    TraceParent::in_header(head).unwrap_or_else(|| TraceParent::of(id))
}

fn facts(new: &NewMessage) -> Vec<(&'static str, Value)> {
    vec![
        ("gatepost.queue_id", new.message.id.to_string().into()),
        ("gatepost.size", new.message.size.into()),
        ("gatepost.recipients", (new.recipients.len() as u64).into()),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail::{MailParameters, ReversePath};
    use spool::Content;

    use super::*;

    fn message(id: QueueId, place: Option<TraceParent>) -> NewMessage {
        let message = Message {
            id,
            arrived: Timestamp::default(),
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            client: "192.0.2.1".into(),
            user: None,
            from_stranger: false,
            head: place.map(TraceParent::field).unwrap_or_default().into(),
            size: 9,
        };
        NewMessage {
            message: Arc::new(message),
            recipients: Vec::new(),
            content: Content::Inline(Vec::new().into()),
        }
    }

    #[test]
    fn what_is_made_of_a_message_later_stands_below_it_or_is_linked_to_it() {
        let [one, two] =
            [1, 2].map(|number| QueueId::new(Timestamp::from_millis(number), number.into()));
        let theirs = |flags| TraceParent {
            trace: 7,
            span: 9,
            flags,
        };
        let tracer = Tracer::new(1);
        let made = |place: Option<TraceParent>| {
            let in_place = |id| message(id, place.map(|place| place.of_message(id)));
            let of = in_place(one).message;
            tracer.made(&of, &in_place(two), Timestamp::default(), Duration::ZERO)
        };
        let (above, own) = (TraceParent::of(one), TraceParent::of(two));
        let in_theirs = made(Some(theirs(1))).unwrap();
        assert_eq!((in_theirs.trace, in_theirs.id), (7, own.span));
        assert_eq!(
            (in_theirs.parent, &in_theirs.links[..]),
            (Some(above.span), &[][..])
        );
        let in_ours = made(None).unwrap();
        assert_eq!((in_ours.trace, in_ours.parent), (own.trace, None));
        assert_eq!(in_ours.links, [(above.trace, above.span)]);
        assert!(made(Some(theirs(0))).is_none());
    }
}

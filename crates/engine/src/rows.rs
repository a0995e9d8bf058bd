//! What the tracking store is to hold of what happened: facts to rows.

mod again;

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use delivery::SentAs;
use mail::{
    Client, Failure, Mailbox, Outcome, Place, QueueId, Reply, ReversePath, Timestamp, TlsFacts,
    TrackedResult,
};
use queue::{Decided, Disposition, GivenUp, Judged, Moment};
use reception::{AcceptedRecipient, RefusedMessage, RefusedRecipient, SessionFact, SignInFailed};
use relay_policy::Rewritten;
use smtp::{Origin, Verb};
use spool::{
    Bulk, HoldReason, Message, NewMessage, Recipient, RecipientState, Replacement, Waiting,
};
use tracking::{Row, Stage};

pub use self::again::{arrived, gone, happened_last, is_unended};
use crate::dispatch::Fact;
use crate::{Acceptance, KeptAs, Late, LateOutcome, Report, ScreenedFact, Surplus, TurnedAway};

/// Octets of most of what is shown in a column.
const SHOWN_OCTETS: usize = 128;
/// A note that is longer gets nothing more.
const NOTE_OCTETS: usize = 400;

/// An incoming connection at the moment at which something happened on it.
pub struct Caller<'a> {
    /// Who it is.
    pub client: &'a Client,
    /// The number of its session.
    pub session: u64,
    /// What it called itself.
    pub hello: &'a str,
    /// Its host name, where that leads back to its address.
    pub client_name: Option<&'a mail::Domain>,
}

impl<'a> Caller<'a> {
    /// Whoever sent a message that is looked at after its 250, where that is known.
    pub fn of_late(late: &'a Late) -> Option<Self> {
        let by = late.by()?;
        Some(Self {
            client: &by.client,
            session: by.session,
            hello: &by.hello,
            client_name: by.client_name.as_ref(),
        })
    }
}

impl Caller<'_> {
    fn row(&self, at: Timestamp, result: TrackedResult, stage: Stage) -> Row {
        let client = self.client;
        Row {
            session: Some(self.session),
            listener: Arc::clone(&client.listener),
            client: shown(client),
            client_name: self
                .client_name
                .map(|name| name.as_str().into())
                .unwrap_or_default(),
            hello: self.hello.into(),
            tls: client.tls.as_ref().map(tls).unwrap_or_default(),
            user: client.user.as_deref().map(Into::into).unwrap_or_default(),
            ..Row::new(at, result, stage)
        }
    }

    /// What rows say of something that happened in a session: of each refusal, and nothing of what is
    /// told elsewhere ([`received`]) or leads to nothing.
    pub fn in_session(&self, at: Timestamp, fact: &SessionFact) -> Vec<Row> {
        match fact {
            SessionFact::RefusedRecipient(refused) => vec![self.refused_recipient(at, refused)],
            SessionFact::RefusedMessage(refused) | SessionFact::RefusedFor(refused) => {
                self.refused_message(at, refused)
            }
            SessionFact::SignInFailed(failed) => vec![self.failed_sign_in(at, failed)],
            SessionFact::Complaint(complaint) if complaint.verb == Some(Verb::Auth) => {
                vec![self.refused_auth(at, &complaint.reply)]
            }
            SessionFact::Accepted(_)
            | SessionFact::Complaint(_)
            | SessionFact::Encrypted(_)
            | SessionFact::SignedIn(_)
            | SessionFact::AskedForMail(..)
            | SessionFact::Ended(_) => Vec::new(),
        }
    }

    fn refused_recipient(&self, at: Timestamp, refused: &RefusedRecipient) -> Row {
        let reason = refused.reason.as_ref();
        Row {
            id: Some(refused.id),
            sender: sender(&refused.reverse_path),
            recipient: refused.recipient.clone(),
            reply: shown(&refused.reply),
            place: reason.map(|why| shown(&why.place)).unwrap_or_default(),
            note: reason.map(shown).unwrap_or_default(),
            ..self.row(at, of_refusal(&refused.reply), Stage::Rcpt)
        }
    }

    /// A row for each whom it would have been for, and one all the same where nobody was named.
    fn refused_message(&self, at: Timestamp, refused: &RefusedMessage) -> Vec<Row> {
        let stage = if refused.id.is_some() {
            Stage::Data
        } else {
            Stage::Mail
        };
        let by = refused.by.as_ref();
        let common = Row {
            id: refused.id,
            sender: sender(&refused.reverse_path),
            size: refused.octets,
            reply: shown(&refused.reply),
            place: by.map(|by| shown(&by.place)).unwrap_or_default(),
            note: by.map(|by| by.why.clone()).unwrap_or_default(),
            ..self.row(at, of_refusal(&refused.reply), stage)
        };
        let named = |recipient: &AcceptedRecipient| Row {
            recipient: recipient.recipient.as_str().into(),
            ..common.clone()
        };
        match &refused.recipients[..] {
            [] => vec![common],
            recipients => recipients.iter().map(named).collect(),
        }
    }

    /// What rules of screening made of a message from this sender: a row for each of those it was
    /// about, and one more where nothing goes to them because of it.
    pub fn screened(
        &self,
        at: Timestamp,
        id: QueueId,
        from: &ReversePath,
        facts: &[ScreenedFact],
    ) -> Vec<Row> {
        let row = |fact: &ScreenedFact, recipient: &Mailbox, result| Row {
            id: Some(id),
            sender: sender(from),
            recipient: recipient.as_str().into(),
            other: parted(fact, recipient),
            place: shown(&fact.matched.place),
            note: shown(&fact.matched),
            ..self.row(at, result, Stage::Data)
        };
        let rows = facts.iter().flat_map(|fact| {
            let matched = fact.recipients.iter();
            let matched = matched.map(move |one| row(fact, one, TrackedResult::Screened));
            let dropped = fact.dropped.iter();
            matched.chain(dropped.map(move |one| row(fact, one, TrackedResult::Dropped)))
        });
        rows.collect()
    }

    fn failed_sign_in(&self, at: Timestamp, failed: &SignInFailed) -> Row {
        let SignInFailed { mechanism, refusal } = failed;
        Row {
            user: refusal.user.clone().unwrap_or_default(),
            reply: shown(&refusal.reply),
            note: match &*refusal.why {
                "" => mechanism.clone(),
                why => format!("{mechanism}: {why}").into(),
            },
            ..self.row(at, of_refusal(&refusal.reply), Stage::SignIn)
        }
    }

    /// It came to no name: the command was out of place, or what stood in it was no sign-in.
    fn refused_auth(&self, at: Timestamp, reply: &Reply) -> Row {
        Row {
            reply: shown(reply),
            ..self.row(at, of_refusal(reply), Stage::SignIn)
        }
    }

    /// It was turned away in place of the greeting. None when its session says so itself.
    pub fn turned_away(&self, at: Timestamp, why: &TurnedAway) -> Option<Row> {
        let (reply, note, place) = match why {
            TurnedAway::Busy(reply, why) => (reply.as_ref(), shown(why.excess), &why.place),
            TurnedAway::TooOften(reply, why) => (Some(reply), shown(why.excess), &why.place),
            TurnedAway::ByRule(reply, why) => (Some(reply), shown(why), &why.place),
            TurnedAway::Early => return None,
        };
        let result = reply.map_or(TrackedResult::Postponed, of_refusal);
        Some(Row {
            reply: reply.map(shown).unwrap_or_default(),
            place: shown(place),
            note,
            ..self.row(at, result, Stage::Connect)
        })
    }

    /// No encryption came about with it.
    pub fn handshake_failed(&self, at: Timestamp, why: &str) -> Row {
        Row {
            note: format!("no encryption: {why}").into(),
            ..self.row(at, TrackedResult::Refused, Stage::Connect)
        }
    }
}

/// Somebody was refused at the console's sign-in, who heard `reply` and not `why`; `user` is the name
/// that was tried, where there was one.
pub fn refused_at_console(
    at: Timestamp,
    client: IpAddr,
    user: Option<&str>,
    reply: &str,
    why: &str,
) -> Row {
    Row {
        user: user.unwrap_or_default().into(),
        listener: "console".into(),
        client: shown(client),
        reply: reply.into(),
        note: why.into(),
        ..Row::new(at, TrackedResult::Refused, Stage::SignIn)
    }
}

/// Which message it is for this one, where that is another one.
fn parted(fact: &ScreenedFact, recipient: &Mailbox) -> Option<QueueId> {
    let mut parted = fact.parted.iter();
    parted
        .find(|(whom, _)| whom == recipient)
        .map(|(_, id)| *id)
}

/// A message that is on stable storage: a row for each of its recipients, and one for each to whom
/// mail was sent that goes on to somebody else.
pub fn received(at: Timestamp, acceptance: &Acceptance, with_subject: bool) -> Vec<Row> {
    let Acceptance {
        client,
        session,
        hello,
        client_name,
        origin,
        reasons,
        parted_from,
        message_id,
        subject,
        trace_parent: _,
        unscreened_by,
        message: NewMessage {
            message,
            recipients,
            ..
        },
    } = acceptance;
    let caller = Caller {
        client,
        session: *session,
        hello,
        client_name: client_name.as_ref(),
    };
    let common = Row {
        id: Some(message.id),
        sender: sender(&message.reverse_path),
        size: message.size,
        message_id: message_id.clone(),
        subject: subject.clone(),
        reply: shown(reception::taken(parted_from.unwrap_or(message.id))),
        other: *parted_from,
        ..caller.row(at, TrackedResult::Received, Stage::Data)
    };
    let common = match origin.as_deref() {
        Some(origin) => as_it_came(origin, common),
        None => common,
    };
    let common = Row {
        subject: match with_subject {
            true => readable(&common.subject),
            false => Box::default(),
        },
        ..common
    };
    let mut rows = forwarded(recipients, &common);
    let held: Vec<Row> = held(recipients, unscreened_by.as_ref(), &common).collect();
    rows.extend(
        each(common, recipients)
            .enumerate()
            .map(|(at, (common, recipient))| {
                let reason = reasons.get(at);
                let grounds = recipient.admitted.grounds().as_str();
                Row {
                    number: Some(recipient.number),
                    recipient: address(recipient),
                    place: reason.map(|why| shown(&why.place)).unwrap_or_default(),
                    note: reason.map_or(grounds.into(), |why| format!("{grounds}: {why}").into()),
                    ..common
                }
            }),
    );
    rows.extend(held);
    rows
}

/// Of what comes back from a filter: by whom it came at first, and under which name it went there.
fn as_it_came(origin: &Origin, row: Row) -> Row {
    let Some(address) = origin.address else {
        return row;
    };
    let ident = origin.ident.as_deref().and_then(|ident| ident.parse().ok());
    let name = origin.name.as_ref().map(|name| name.as_str().into());
    Row {
        client: shown(address),
        client_name: name.unwrap_or_default(),
        hello: origin.helo.clone().unwrap_or_default(),
        other: row.other.or(ident),
        ..row
    }
}

/// What the rows of these have in common, with each of them.
fn each<T>(common: Row, of: &[T]) -> impl Iterator<Item = (Row, &T)> {
    // The last one has it without a copy.
    std::iter::repeat_n(common, of.len()).zip(of)
}

/// Who of them is held from the start; by this line of the configuration, where it says that they are
/// to be looked at first.
fn held(
    recipients: &[Recipient],
    unscreened_by: Option<&Place>,
    common: &Row,
) -> impl Iterator<Item = Row> {
    let place: Box<str> = unscreened_by.map(shown).unwrap_or_default();
    let held = recipients
        .iter()
        .filter(|one| matches!(one.state, RecipientState::Held(_)));
    held.map(move |recipient| Row {
        result: TrackedResult::Held,
        place: place.clone(),
        number: Some(recipient.number),
        recipient: address(recipient),
        reply: Box::default(),
        note: recipient.last.clone().unwrap_or_default(),
        ..common.clone()
    })
}

/// Whom mail was sent to that goes on to others.
fn forwarded(recipients: &[Recipient], common: &Row) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for recipient in recipients {
        let Some(named) = recipient.admitted.forwarded_from() else {
            continue;
        };
        let same = rows
            .iter_mut()
            .find(|row| *row.recipient == *named.as_str());
        match same {
            Some(row) => {
                row.result = TrackedResult::Expanded;
                // The rest has rows of its own.
                if row.note.len() < NOTE_OCTETS {
                    row.note = format!("{}, {}", row.note, address(recipient)).into();
                }
            }
            None => rows.push(Row {
                result: TrackedResult::Forwarded,
                recipient: named.as_str().into(),
                note: format!("to {}", address(recipient)).into(),
                ..common.clone()
            }),
        }
    }
    rows
}

/// What one attempt did, a row for each recipient; and before it one that has the sender as whom the
/// message went there, where that is not its own: it is found by both.
pub fn attempted(now: Moment, report: &Report) -> Vec<Row> {
    let job = &report.job;
    let common = Row {
        route: (*report.site.name).into(),
        place: shown(&report.site.place),
        tls: report.tls.as_deref().map(tls).unwrap_or_default(),
        took: Some(report.took),
        replied: report.answering,
        queued: Some(now.line.since(job.message.arrived)),
        session: Some(report.agent),
        ..of_message(
            &job.message,
            now.wall,
            TrackedResult::Deferred,
            Stage::Delivery,
        )
    };
    let row = |(common, (number, outcome)): (Row, &(u32, Outcome))| {
        let recipient = job.recipients.iter().find(|one| one.number == *number);
        let host = |failure: &Failure| failure.host.as_deref().unwrap_or(&report.host).into();
        let (result, host) = match outcome {
            Outcome::Delivered(_) => (TrackedResult::Delivered, report.host.as_str().into()),
            Outcome::Deferred(failure) => (TrackedResult::Deferred, host(failure)),
            Outcome::Failed(failure) => (TrackedResult::Failed, host(failure)),
        };
        let row = Row {
            result,
            host,
            number: Some(*number),
            recipient: recipient.map(address).unwrap_or_default(),
            reply: shown(outcome.reply()),
            tries: recipient.map_or(0, |recipient| recipient.tries + 1),
            note: recipient.map(|one| notes(report, one)).unwrap_or_default(),
            ..common
        };
        let sent_as = recipient.and_then(|recipient| sent_as(report, recipient));
        let rewritten = sent_as.and_then(|sent_as| rewritten(&row, sent_as));
        rewritten.into_iter().chain([row])
    };
    each(common, &report.ended.results).flat_map(row).collect()
}

/// As whom a message goes to somebody.
enum Outward<'a> {
    /// The address that stands for its sender, or `<>` where that would be too long.
    Forwarded(Option<&'a Mailbox>),
    /// By what the configuration says of its sender, its client or its way.
    Otherwise(&'a SentAs),
}

/// As whom the message went, where that is not as it came.
fn sent_as<'a>(report: &'a Report, recipient: &Recipient) -> Option<Outward<'a>> {
    let is_forwarded = recipient.admitted.forwarded_from().is_some();
    match (&report.rewritten, &report.sent_as) {
        (Rewritten::To(address), _) if is_forwarded => Some(Outward::Forwarded(Some(address))),
        (Rewritten::TooLong, _) if is_forwarded => Some(Outward::Forwarded(None)),
        (_, sent_as) => sent_as.as_ref().map(Outward::Otherwise),
    }
}

/// That the sender of this row of an attempt went as another one; none where it has been that one.
fn rewritten(row: &Row, sent_as: Outward<'_>) -> Option<Row> {
    let (new, place, why) = match sent_as {
        Outward::Forwarded(address) => (
            address.map(Mailbox::as_str).unwrap_or_default(),
            Box::default(),
            Some("as it is forwarded"),
        ),
        Outward::Otherwise(sent_as) => (
            sent_as.sender.as_str(),
            shown(&sent_as.place),
            sent_as.author.then_some("and so did the author"),
        ),
    };
    let old = row.sender.as_deref().unwrap_or_default();
    if old == new && why.is_none() {
        return None;
    }
    let why = why.map(|why| format!(", {why}")).unwrap_or_default();
    Some(Row {
        result: TrackedResult::Rewritten,
        sender: Some(new.into()),
        note: format!("<{old}> became <{new}>{why}").into(),
        place,
        tls: Box::default(),
        reply: Box::default(),
        queued: None,
        took: None,
        replied: None,
        ..row.clone()
    })
}

/// As whom the message went, where that is not as it came; how many attempts before it bear the same
/// number; and whether it may arrive twice.
fn notes(report: &Report, recipient: &Recipient) -> Box<str> {
    let mut notes = Vec::new();
    match sent_as(report, recipient) {
        Some(Outward::Forwarded(Some(address))) => notes.push(format!("sent as {address}")),
        Some(Outward::Forwarded(None)) => notes.push("sent as <>".to_owned()),
        Some(Outward::Otherwise(SentAs { sender, place, .. })) => {
            notes.push(format!("sent as {sender}, by {place}"));
        }
        None => {}
    }
    match report.job.excused {
        0 => {}
        1 => notes.push("the attempt before counted as no try".to_owned()),
        count => notes.push(format!("the {count} attempts before counted as no try")),
    }
    if report.unknown {
        notes.push("the answer to the final dot was lost".to_owned());
    }
    notes.join("; ").into()
}

/// What was decided of outcomes, once that is on stable storage: ends that no attempt tells of, and
/// notices.
pub fn decided(now: Moment, fact: &Fact) -> Vec<Row> {
    match fact {
        Fact::Settled { decided, .. } => {
            let judged = decided.recipients.iter();
            judged
                .filter_map(|judged| given_up(now, decided, judged))
                .collect()
        }
        Fact::Notice { about, notice } => noticed(now, *about, notice),
        Fact::Shortened(_)
        | Fact::Untold(_)
        | Fact::Unreadable(..)
        | Fact::NotComposed(_)
        | Fact::NotSettled(..)
        | Fact::NoticesCutOff
        | Fact::Occurred(_) => Vec::new(),
    }
}

fn given_up(now: Moment, decided: &Decided, judged: &Judged) -> Option<Row> {
    let is_by_hand = judged.recipient.state == RecipientState::Held(HoldReason::Bouncing);
    let (result, end): (_, &GivenUp) = match &judged.disposition {
        Disposition::Delivered(_) | Disposition::TryAgain { .. } => return None,
        Disposition::GiveUp(end) if end.expired => (TrackedResult::Expired, end),
        // An attempt has a row of its own, and so has what an operator does.
        Disposition::GiveUp(_) if judged.tried || is_by_hand => return None,
        Disposition::GiveUp(end) => (TrackedResult::Failed, end),
        Disposition::Badmail(end) => (TrackedResult::Held, end),
        Disposition::Dropped(end) => (TrackedResult::Dropped, end),
    };
    let stage = Stage::Queue;
    Some(Row {
        route: (*judged.site).into(),
        host: end.failure.host.clone().unwrap_or_default(),
        reply: shown(end.reason()),
        queued: Some(now.line.since(decided.message.arrived)),
        note: if result == TrackedResult::Held {
            "badmail".into()
        } else {
            Box::default()
        },
        ..of_waiting(&decided.message, &judged.recipient, now.wall, result, stage)
    })
}

/// A message of our own that no other one caused: a report.
pub fn reported(now: Moment, report: &NewMessage) -> Vec<Row> {
    let recipients = report.recipients.iter();
    let row = |recipient| ours(now, &report.message, recipient, None);
    recipients.map(row).collect()
}

fn ours(now: Moment, message: &Message, recipient: &Recipient, about: Option<QueueId>) -> Row {
    Row {
        other: about,
        note: recipient.admitted.grounds().as_str().into(),
        ..of_waiting(
            message,
            recipient,
            now.wall,
            TrackedResult::Received,
            Stage::Queue,
        )
    }
}

/// A notice is a message of our own; what it is about is told of it, too.
fn noticed(now: Moment, about: QueueId, notice: &NewMessage) -> Vec<Row> {
    let NewMessage {
        message,
        recipients,
        ..
    } = notice;
    let received = |recipient: &Recipient| ours(now, message, recipient, Some(about));
    let told = |recipient: &Recipient| Row {
        id: Some(about),
        other: Some(message.id),
        recipient: address(recipient),
        sender: Some(Box::default()),
        ..Row::new(now.wall, TrackedResult::Notified, Stage::Queue)
    };
    recipients
        .iter()
        .flat_map(|one| [told(one), received(one)])
        .collect()
}

/// What was held for a while is kept no longer.
pub fn kept_no_longer(now: Moment, waiting: &Waiting, kept: KeptAs, why: Surplus) -> Vec<Row> {
    let row = |recipient: &Recipient| Row {
        reply: recipient.last.as_deref().unwrap_or_default().into(),
        note: kept.words(why).into(),
        queued: Some(now.line.since(waiting.message.arrived)),
        ..of_waiting(
            &waiting.message,
            recipient,
            now.wall,
            kept.tracked(),
            Stage::Queue,
        )
    };
    waiting.recipients.iter().map(row).collect()
}

/// What an operator has done to a recipient of whom the rest is known: by whom, and why. None when
/// only an attempt follows, which tells of itself.
pub fn by_operator(at: Timestamp, bulk: &Bulk) -> Option<Row> {
    let result = bulk.verb.tracked()?;
    let reason = bulk.reason.as_ref().map(|why| format!(": {why}"));
    Some(Row {
        route: bulk.route.clone().unwrap_or_default(),
        note: format!("by {}{}", bulk.by, reason.unwrap_or_default()).into(),
        ..Row::new(at, result, Stage::Operator)
    })
}

/// What became of a message that was looked at after its 250; what rules did is told by itself.
pub fn screened_late(now: Moment, late: &Late, outcome: &LateOutcome) -> Vec<Row> {
    let row = |message: &Message, recipient: &Recipient, (result, note): (_, &str)| Row {
        note: note.into(),
        ..of_waiting(message, recipient, now.wall, result, Stage::Queue)
    };
    let mut rows = Vec::new();
    for recipient in outcome.kept.iter().flat_map(|kept| &kept.recipients) {
        let words = recipient.last.as_deref().unwrap_or_default();
        rows.push(match recipient.state {
            RecipientState::Held(HoldReason::Bouncing) => Row {
                reply: words.into(),
                ..row(
                    late.message(),
                    recipient,
                    (TrackedResult::Bounced, REFUSED_LATE),
                )
            },
            _ => row(late.message(), recipient, went_on_or_held(recipient)),
        });
    }
    for other in &outcome.others {
        let message = &other.message.message;
        for recipient in &other.message.recipients {
            rows.push(Row {
                other: Some(late.message().id),
                message_id: other.message_id.clone(),
                ..row(message, recipient, (TrackedResult::Received, SCREENED_LATE))
            });
            let became = went_on_or_held(recipient);
            if became.0 == TrackedResult::Held {
                rows.push(row(message, recipient, became));
            }
            let old = late.recipients().iter();
            let mut old = old.filter(|_| !recipient.admitted.is_copy());
            let old = old.find(|old| {
                old.admitted.recipient() == recipient.admitted.recipient()
                    || Some(old.admitted.recipient()) == recipient.admitted.forwarded_from()
            });
            rows.extend(old.map(|old| Row {
                other: Some(message.id),
                ..row(late.message(), old, became)
            }));
        }
    }
    rows
}

const SCREENED_LATE: &str = "screened after its 250";
const REFUSED_LATE: &str = "refused after its 250";

/// What is told of a recipient whose message was looked at after its 250.
fn went_on_or_held(recipient: &Recipient) -> (TrackedResult, &str) {
    match recipient.state {
        RecipientState::Waiting => (TrackedResult::Released, SCREENED_LATE),
        RecipientState::Held(_) => {
            let why = recipient.last.as_deref().unwrap_or_default();
            (TrackedResult::Held, why)
        }
    }
}

/// An operator let a message go on as another one, without its attachments: both are told of.
pub fn replaced(now: Moment, replacement: &Replacement, note: &str) -> Vec<Row> {
    let Replacement { id, by, .. } = replacement;
    let row = |recipient: &Recipient, result| Row {
        note: note.into(),
        ..of_waiting(&by.message, recipient, now.wall, result, Stage::Operator)
    };
    let rows = by.recipients.iter().flat_map(|recipient| {
        let released = Row {
            id: Some(*id),
            other: Some(by.message.id),
            ..row(recipient, TrackedResult::Released)
        };
        let received = Row {
            other: Some(*id),
            ..row(recipient, TrackedResult::Received)
        };
        [released, received]
    });
    rows.collect()
}

fn of_waiting(
    message: &Message,
    recipient: &Recipient,
    at: Timestamp,
    result: TrackedResult,
    stage: Stage,
) -> Row {
    Row {
        number: Some(recipient.number),
        recipient: address(recipient),
        tries: recipient.tries,
        ..of_message(message, at, result, stage)
    }
}

fn of_message(message: &Message, at: Timestamp, result: TrackedResult, stage: Stage) -> Row {
    Row {
        id: Some(message.id),
        client: message.client.clone(),
        user: message.user.clone().unwrap_or_default(),
        sender: sender(&message.reverse_path),
        size: message.size,
        ..Row::new(at, result, stage)
    }
}

fn sender(path: &ReversePath) -> Option<Box<str>> {
    Some(path.as_str().into())
}

/// A subject as people read it; as it is written where a parser panics at it, which would take more
/// along than a row.
fn readable(subject: &str) -> Box<str> {
    let decoded = || contents::decoded(subject.as_bytes());
    let read = std::panic::catch_unwind(decoded);
    read.map_or_else(|_| subject.into(), Into::into)
}

fn address(recipient: &Recipient) -> Box<str> {
    recipient.admitted.recipient().as_str().into()
}

/// What it shows, in as much memory as that takes: a text that grows for most of them would be moved
/// four times.
fn shown(what: impl fmt::Display) -> Box<str> {
    let mut text = String::with_capacity(SHOWN_OCTETS);
    // Writing to memory does not fail.
    let _written = write!(text, "{what}");
    text.into()
}

fn tls(facts: &TlsFacts) -> Box<str> {
    let words = [
        facts.version,
        &facts.cipher,
        facts.group,
        facts.handshake.as_str(),
    ];
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").into()
}

fn of_refusal(reply: &Reply) -> TrackedResult {
    if reply.is_permanent() {
        TrackedResult::Refused
    } else {
        TrackedResult::Postponed
    }
}

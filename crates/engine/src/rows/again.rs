//! Rows that were lost, made again from what the spool still knows.

use mail::{Timestamp, TrackedResult};
use message::HeaderScan;
use queue::Moment;
use relay_policy::Grounds;
use spool::{HoldReason, Message, Recipient, RecipientState, Waiting};
use tracking::{Row, Stage};

use super::{of_waiting, readable};
use crate::incoming::BEING_SCREENED;

/// How a recipient came to be held or to wait, where that was lost.
const BY_SOMEBODY: &str = "the row is lost that said by whom";

/// The arrival of a message for these recipients, at this moment of the system's clock: with what
/// `header`, the start of its content, tells of it, its subject only where that is wished.
pub fn arrived(waiting: &Waiting, at: Timestamp, header: &[u8], with_subject: bool) -> Vec<Row> {
    let message = &waiting.message;
    let ours = message::written_message_id(&String::from_utf8_lossy(&message.head));
    let mut scan = HeaderScan::new();
    scan.push(header);
    let row = |recipient: &Recipient| {
        let grounds = recipient.admitted.grounds();
        let stage = match grounds {
            Grounds::OwnNotice => Stage::Queue,
            _ => Stage::Data,
        };
        let row = Row {
            recovered: true,
            message_id: match ours.is_empty() {
                true => scan.message_id(),
                false => ours.clone(),
            },
            subject: match with_subject {
                true => readable(&scan.subject()),
                false => Box::default(),
            },
            note: grounds.as_str().into(),
            ..of_waiting(message, recipient, at, TrackedResult::Received, stage)
        };
        by_its_head(message, row)
    };
    waiting.recipients.iter().map(row).collect()
}

/// With what our own `Received` says of the session in which it came.
fn by_its_head(message: &Message, row: Row) -> Row {
    let Some(received) = message::read_received(&message.head) else {
        return row;
    };
    let tls = received.tls.map(|words| words.join(" "));
    Row {
        client_name: received.client_name.unwrap_or_default().into(),
        hello: received.helo.into(),
        tls: tls.unwrap_or_default().trim_end().into(),
        ..row
    }
}

/// What happened last to a recipient that is still in the spool, where the last row about it, if
/// there is any, tells of something earlier: it was put off, held, given up by hand, or let go on.
/// When that was is not known: no later than `now`.
pub fn happened_last(
    message: &Message,
    recipient: &Recipient,
    known: Option<&Row>,
    now: Moment,
) -> Option<Row> {
    let last = recipient.last.as_deref().unwrap_or_default();
    let result = known.map(|row| row.result);
    let row = |result, stage| Row {
        recovered: true,
        queued: Some(now.line.since(message.arrived)),
        route: recipient.rerouted().unwrap_or_default().into(),
        ..of_waiting(message, recipient, now.wall, result, stage)
    };
    let again = match recipient.state {
        RecipientState::Held(HoldReason::Bouncing) if result == Some(TrackedResult::Bounced) => {
            return None;
        }
        RecipientState::Held(HoldReason::Bouncing) => Row {
            reply: last.into(),
            ..row(TrackedResult::Bounced, Stage::Operator)
        },
        RecipientState::Held(reason) if !is_told(reason, known) => Row {
            note: why_held(reason, last),
            reply: reply_of_held(reason, last),
            ..row(TrackedResult::Held, stage_of_held(reason))
        },
        RecipientState::Waiting if result == Some(TrackedResult::Held) => Row {
            note: BY_SOMEBODY.into(),
            ..row(TrackedResult::Released, Stage::Operator)
        },
        // A try that is known of is the last one, or one that has yet to be counted.
        RecipientState::Waiting if recipient.tries > known.map_or(0, |row| row.tries) => Row {
            reply: last.into(),
            note: format!("the next try is at {}", now.shown(recipient.due)).into(),
            ..row(TrackedResult::Deferred, Stage::Delivery)
        },
        RecipientState::Held(_) | RecipientState::Waiting => return None,
    };
    Some(again)
}

/// Whether it is known already that it is held, and why.
fn is_told(reason: HoldReason, known: Option<&Row>) -> bool {
    known.is_some_and(|row| match row.result {
        // It was held to be looked at, and is held by what was found.
        TrackedResult::Held => reason != HoldReason::Screening || !is_being_screened(row),
        // What is held may be led elsewhere.
        TrackedResult::Rerouted => true,
        _ => false,
    })
}

fn is_being_screened(row: &Row) -> bool {
    row.note.starts_with(BEING_SCREENED)
}

fn why_held(reason: HoldReason, last: &str) -> Box<str> {
    match reason {
        HoldReason::Operator => BY_SOMEBODY.into(),
        HoldReason::Badmail => "badmail".into(),
        HoldReason::Screening | HoldReason::Unscreened | HoldReason::Bouncing => last.into(),
    }
}

fn reply_of_held(reason: HoldReason, last: &str) -> Box<str> {
    match reason {
        HoldReason::Operator | HoldReason::Badmail => last.into(),
        HoldReason::Screening | HoldReason::Unscreened | HoldReason::Bouncing => Box::default(),
    }
}

fn stage_of_held(reason: HoldReason) -> Stage {
    match reason {
        HoldReason::Operator => Stage::Operator,
        HoldReason::Screening | HoldReason::Unscreened => Stage::Data,
        HoldReason::Badmail | HoldReason::Bouncing => Stage::Queue,
    }
}

/// Whether a recipient of whom this is the last row must still be in the spool.
pub fn is_unended(row: &Row) -> bool {
    // Of what was looked at after its 250, others may have come in its place.
    let went_elsewhere = row.other.is_some() || is_being_screened(row);
    match row.result {
        TrackedResult::Received
        | TrackedResult::Deferred
        | TrackedResult::Rerouted
        | TrackedResult::Rewritten => true,
        TrackedResult::Released | TrackedResult::Held => !went_elsewhere,
        TrackedResult::Refused
        | TrackedResult::Postponed
        | TrackedResult::Delivered
        | TrackedResult::Failed
        | TrackedResult::Expired
        | TrackedResult::Bounced
        | TrackedResult::Dropped
        | TrackedResult::Deleted
        | TrackedResult::Forwarded
        | TrackedResult::Expanded
        | TrackedResult::Notified
        | TrackedResult::Screened
        | TrackedResult::Unknown => false,
    }
}

/// The end of a recipient that is in the spool no more, of whom this is the last row: the one that
/// said what became of it is lost.
pub fn gone(last: &Row, at: Timestamp) -> Row {
    Row {
        recovered: true,
        id: last.id,
        number: last.number,
        client: last.client.clone(),
        user: last.user.clone(),
        sender: last.sender.clone(),
        recipient: last.recipient.clone(),
        size: last.size,
        tries: last.tries,
        note: "it has left the queue, and the row is lost that said how".into(),
        ..Row::new(at, TrackedResult::Unknown, Stage::Queue)
    }
}

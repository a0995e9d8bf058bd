//! What the log says: one line per session, per refused recipient, per accepted message, per attempt. The queue id ties them together.
//!
//! Text from peers is always recorded as a string value: both formats write those in quotes and with controls escaped, so that no CR, LF or
//! ESC forges a line or drives a terminal.

use std::time::Duration;

use mail::{Client, Failure, Outcome};
use queue::Job;
use reception::SessionFact;
use route::Hop;
use tracing::{debug, info, warn};

/// Logs what happened in session `number` of `client`.
pub fn session(client: &Client, number: u64, fact: &SessionFact) {
    let peer = client.address();
    match fact {
        SessionFact::RefusedRecipient(refused) => {
            let reason = refused.reason.as_ref();
            let place = reason.map(|r| r.place.to_string()).unwrap_or_default();
            let why = reason.map(ToString::to_string).unwrap_or_default();
            info!(
                session = number, id = %refused.id, client = %peer, listener = %client.listener,
                from = refused.reverse_path.as_str(), to = &*refused.recipient,
                reply = refused.reply.to_string(), why, %place, "recipient refused"
            );
        }
        SessionFact::RefusedMessage(refused) => {
            let id = refused.id.map(tracing::field::display);
            info!(
                session = number, id, client = %peer,
                from = refused.reverse_path.as_str(), reply = refused.reply.to_string(),
                octets = refused.octets, "message refused"
            );
        }
        // Logged with its envelope by `accepted`.
        SessionFact::Accepted(_) => {}
        SessionFact::Complaint(complaint) => {
            debug!(session = number, client = %peer, verb = ?complaint.verb, reply = complaint.reply.to_string(), "command refused");
        }
        SessionFact::Ended(summary) => {
            info!(
                session = number, client = %peer, listener = %client.listener,
                hello = summary.hello.as_deref().unwrap_or(""), end = ?summary.end,
                messages = summary.messages, accepted = summary.accepted,
                recipients = summary.recipients, refused = summary.refused,
                errors = summary.errors, hasty = summary.hasty, octets = summary.octets, "session ended"
            );
        }
    }
}

/// Logs a message that is on stable storage, just before its client hears so.
pub fn accepted(client: &Client, number: u64, hello: &str, message: &spool::NewMessage) {
    let facts = &message.message;
    let first = message
        .recipients
        .first()
        .map(|r| (r.admitted.recipient(), r.admitted.grounds()));
    let (to, grounds) = first
        .map(|(to, g)| (to.as_str(), g.as_str()))
        .unwrap_or_default();
    info!(
        id = %facts.id, session = number, client = %client.address(), hello,
        from = facts.reverse_path.as_str(), to,
        recipients = message.recipients.len(), grounds, size = facts.size, "message accepted"
    );
}

/// Logs what one attempt did, a line per recipient.
pub fn attempt(job: &Job, results: &[(u32, Outcome)], host: &str, took: Duration) {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    for (number, outcome) in results {
        let recipient = job.recipients.iter().find(|r| r.number == *number);
        let to = recipient.map_or("", |r| r.admitted.recipient().as_str());
        let (id, site, place) = (job.message.id, &*job.site.name, &job.site.place);
        let reply = outcome.reply().to_string();
        match outcome {
            Outcome::Delivered(_) => info!(
                %id, to, site, host, reply, millis, %place, "delivered"
            ),
            Outcome::Deferred(failure) => info!(
                %id, to, site, host = failure.host.as_deref().unwrap_or(host),
                scope = %failure.scope, reply, millis, %place, "deferred"
            ),
            Outcome::Failed(failure) => warn!(
                %id, to, site, host = failure.host.as_deref().unwrap_or(host),
                scope = %failure.scope, reply, millis, %place, "failed"
            ),
        }
    }
}

/// Logs a host that was of no use, before the next one of the site is tried.
pub fn host_failed(job: Option<&Job>, hop: &Hop, failure: &Failure) {
    let id = job.map(|job| tracing::field::display(job.message.id));
    let site = job.map_or("", |job| &*job.site.name);
    info!(
        id,
        site,
        host = hop.to_string(),
        reply = failure.reply.to_string(),
        "host failed"
    );
}

//! What the log says: one line per session, per refused recipient, per accepted message, per attempt. The queue id ties them together.

use mail::{Client, Outcome, escaped};
use queue::Job;
use reception::SessionFact;
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
                from = %escaped(refused.reverse_path.as_str()), to = %escaped(&refused.recipient),
                reply = %refused.reply, why = %escaped(&why), %place, "recipient refused"
            );
        }
        SessionFact::RefusedMessage(refused) => {
            let id = refused.id.map(|id| id.to_string()).unwrap_or_default();
            info!(
                session = number, id, client = %peer,
                from = %escaped(refused.reverse_path.as_str()), reply = %refused.reply,
                octets = refused.octets, "message refused"
            );
        }
        // Logged with its envelope by `accepted`.
        SessionFact::Accepted(_) => {}
        SessionFact::Complaint(complaint) => {
            debug!(session = number, client = %peer, verb = ?complaint.verb, reply = %complaint.reply, "command refused");
        }
        SessionFact::Ended(summary) => {
            info!(
                session = number, client = %peer, listener = %client.listener,
                hello = %escaped(summary.hello.as_deref().unwrap_or("")), end = ?summary.end,
                messages = summary.messages, accepted = summary.accepted,
                recipients = summary.recipients, refused = summary.refused,
                errors = summary.errors, octets = summary.octets, "session ended"
            );
        }
    }
}

/// Logs a message that is on stable storage, just before its client hears so.
pub fn accepted(client: &Client, number: u64, hello: &str, message: &spool::NewMessage) {
    let facts = &message.message;
    let first = message.recipients.first().map(|r| (r.admitted.recipient(), r.admitted.grounds()));
    let (to, grounds) = first.map(|(to, g)| (to.as_str(), g.as_str())).unwrap_or_default();
    info!(
        id = %facts.id, session = number, client = %client.address(), hello = %escaped(hello),
        from = %escaped(facts.reverse_path.as_str()), to = %escaped(to),
        recipients = message.recipients.len(), grounds, size = facts.size, "message accepted"
    );
}

/// Logs what one attempt did, a line per recipient.
pub fn attempt(job: &Job, results: &[(u32, Outcome)], host: &str, millis: u128) {
    for (number, outcome) in results {
        let recipient = job.recipients.iter().find(|r| r.number == *number);
        let to = recipient.map_or("", |r| r.admitted.recipient().as_str());
        let (id, site, place) = (job.message.id, &*job.site.name, &job.site.place);
        let reply = outcome.reply().to_string();
        match outcome {
            Outcome::Delivered(_) => info!(
                %id, to = %escaped(to), site, host, reply = %escaped(&reply), millis, %place, "delivered"
            ),
            Outcome::Deferred(failure) => info!(
                %id, to = %escaped(to), site, host = failure.host.as_deref().unwrap_or(host),
                scope = %failure.scope, reply = %escaped(&reply), millis, %place, "deferred"
            ),
            Outcome::Failed(failure) => warn!(
                %id, to = %escaped(to), site, host = failure.host.as_deref().unwrap_or(host),
                scope = %failure.scope, reply = %escaped(&reply), millis, %place, "failed"
            ),
        }
    }
}

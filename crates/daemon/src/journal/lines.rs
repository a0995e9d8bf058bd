//! What the log says: one line per session, per refused recipient, per accepted message and each
//! further recipient of it, per attempt, per recipient that is given up without being refused. The
//! queue id ties them together.
//!
//! Text from peers is always recorded as a string value: both formats write those in quotes and
//! with controls escaped, so that no CR, LF or ESC forges a line or drives a terminal.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};

use admission::{Over, SlotLimits, Subject};
use engine::dispatch::Fact;
use engine::rows::Caller;
use engine::{
    Acceptance, Incoming, KeptAs, Late, LateEnd, LateOutcome, Report, ScreenedFact, Surplus,
    TurnedAway,
};
use mail::{Certificate, Client, Failure, Mailbox, Outcome, QueueId, ReversePath, TlsFacts};
use queue::{Decided, Disposition, Job, Judged, Occurrence};
use reception::{AcceptedRecipient, RefusedMessage, SessionFact, SignInFailed, SignInRefusal};
use relay_policy::{Approach, Familiar, Greylisted, Grounds, Rewritten};
use route::{Hop, Site};
use smtp::ProxyNotes;
use spool::{NewMessage, Recipient, Replacement};
use tracing::{debug, error, info, warn};

use tls::TlsError;

use super::named::{Named, named};

/// Logs that somebody is signed in at the console.
pub(super) fn signed_in_at_console(client: Option<IpAddr>, user: &str, by: &str) {
    let client = client.map(tracing::field::display);
    info!(client, user, way = "console", by, "signed in");
}

/// Logs that somebody is not.
pub(super) fn refused_at_console(client: IpAddr, user: Option<&str>, reply: &str, why: &str) {
    let why = Some(why).filter(|why| !why.is_empty());
    info!(%client, user, way = "console", reply, why, "sign-in failed");
}

/// Logs what happened in session `number` of `client`, which may be a proxy of ours on its own
/// account.
pub(super) fn session(client: &Client, number: u64, is_proxy: bool, fact: &SessionFact) {
    let peer = client;
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
            let (why, place) = refused
                .by
                .as_ref()
                .map(|by| (&*by.why, by.place.to_string()))
                .unzip();
            let recipients = refused.recipients.iter();
            let Named { to, further } = named(recipients.map(|one| &one.recipient));
            let to = Some(to).filter(|to| !to.is_empty());
            info!(
                session = number, id, client = %peer,
                from = refused.reverse_path.as_str(), to, further, reply = refused.reply.to_string(),
                octets = refused.octets, why, place, "message refused"
            );
        }
        SessionFact::RefusedFor(refused) => refused_for(client, number, refused),
        // What let the first one in stands in the line of `accepted`.
        SessionFact::Accepted(accepted) => {
            for recipient in accepted.recipients.iter().skip(1) {
                further_recipient(client, number, accepted.id, recipient);
            }
        }
        SessionFact::Complaint(complaint) => {
            debug!(session = number, client = %peer, verb = ?complaint.verb, reply = complaint.reply.to_string(), "command refused");
        }
        SessionFact::Encrypted(tls) => {
            encrypted(client, number, tls);
        }
        SessionFact::SignedIn(signed_in) => {
            info!(session = number, client = %peer, user = &*signed_in.user, mechanism = &*signed_in.mechanism, "signed in");
        }
        SessionFact::AskedForMail(verb, requested) => {
            let user = client.user.as_deref().unwrap_or_default();
            info!(session = number, client = %peer, user, ?verb, domains = %requested, "mail was asked for");
        }
        SessionFact::SignInFailed(failed) => {
            sign_in_failed(client, number, failed);
        }
        // It only looked how we are: some do so every second.
        SessionFact::Ended(summary) if is_proxy && summary.messages == 0 => {
            debug!(session = number, proxy = %peer, listener = %client.listener, "a proxy looked how we are");
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

fn sign_in_failed(client: &Client, number: u64, failed: &SignInFailed) {
    let SignInRefusal { reply, user, why } = &failed.refusal;
    let why = Some(&**why).filter(|why| !why.is_empty());
    info!(
        session = number, client = %client, user = user.as_deref(), mechanism = &*failed.mechanism,
        reply = reply.to_string(), why, "sign-in failed"
    );
}

/// A line for each, like those that are refused when they are named.
fn refused_for(client: &Client, number: u64, refused: &RefusedMessage) {
    let by = refused.by.as_ref();
    let why = by.map(|by| &*by.why).unwrap_or_default();
    let place = by.map(|by| by.place.to_string()).unwrap_or_default();
    let id = refused.id.map(tracing::field::display);
    for recipient in &refused.recipients {
        info!(
            session = number, id, client = %client, listener = %client.listener,
            from = refused.reverse_path.as_str(), to = recipient.recipient.as_str(),
            reply = refused.reply.to_string(), why, place, "recipient refused"
        );
    }
}

/// Not in [`accepted`], so that the disk thread does not write a thousand lines while others wait.
fn further_recipient(client: &Client, number: u64, id: QueueId, accepted: &AcceptedRecipient) {
    let AcceptedRecipient {
        recipient,
        grounds,
        why,
    } = accepted;
    info!(
        %id, session = number, client = %client, to = recipient.as_str(),
        grounds = grounds.as_str(), why = why.to_string(), place = %why.place, "recipient accepted"
    );
}

fn encrypted(client: &Client, number: u64, tls: &TlsFacts) {
    let shown = tls.certificate.as_deref();
    let certificate = shown.map(Certificate::fingerprint);
    let key = shown.and_then(Certificate::key_pin);
    let names = shown.map(|shown| shown.names.join(" "));
    let trust = shown.map(|shown| shown.trust.word());
    let why = shown.filter(|shown| !shown.is_trusted());
    let why = why.map(|shown| shown.trust.to_string());
    info!(
        session = number, client = %client, version = tls.version, cipher = &*tls.cipher,
        group = tls.group, handshake = tls.handshake.as_str(), certificate, key, names, trust, why, "encrypted"
    );
}

/// Logs what passes greylisting and why; what has to wait is told of as a refused recipient.
pub(super) fn greylisted(incoming: &Incoming, approach: &Approach, greylisted: &Greylisted) {
    let Greylisted::Passes(familiar) = greylisted else {
        return;
    };
    let id = incoming.message().map(tracing::field::display);
    let (from, to) = (approach.sender.as_str(), approach.recipient.as_str());
    let (session, client, why) = (incoming.number(), incoming.client(), familiar.to_string());
    match familiar {
        Familiar::Retried { .. } => {
            info!(session, id, %client, from, to, why, "greylisting passed");
        }
        Familiar::Network { .. } | Familiar::Triplet | Familiar::SenderDomain(_) => {
            debug!(session, id, %client, from, to, why, "greylisting passed");
        }
    }
}

/// Logs somebody who begins to send too much, with the message `id`.
pub(super) fn sends_too_much(id: QueueId, over: &Over) {
    let (kind, name) = (over.subject.to_string(), over.subject.name());
    let place = &over.reaction.place;
    let (user, name) = match over.subject {
        Subject::User(_) => (Some(name), None),
        _ => (None, Some(name)),
    };
    warn!(%id, kind, user, name, why = over.to_string(), %place, "too much is sent");
}

/// Logs what becomes of the message `id`, which is too much.
pub(super) fn sent_too_much(id: QueueId, over: &Over) {
    let place = &over.reaction.place;
    let (why, follows) = (over.to_string(), over.reaction.value.to_string());
    info!(%id, why, follows, %place, "message is too much");
}

/// Logs a client that ended a session by a TLS alert.
pub(super) fn broken_off(client: &Client, number: u64, why: &str) {
    info!(session = number, client = %client, listener = %client.listener, why, "encryption broken off");
}

/// Logs what a proxy said of the client in session `number`, beside its address.
pub(super) fn proxied(client: &Client, number: u64, proxy: SocketAddr, notes: &ProxyNotes) {
    info!(
        session = number, client = %client, %proxy,
        unique_id = notes.unique_id.as_deref(), version = notes.tls_version.as_deref(), "proxied"
    );
}

/// Logs a client that is turned away in place of the greeting, and by which line; `slots` are those
/// of its listener.
pub(super) fn turned_away(client: &Client, number: u64, slots: &SlotLimits, why: &TurnedAway) {
    let (reply, slots, why, place) = match why {
        TurnedAway::Busy(reply, why) => {
            let why_in_words = why.excess.to_string();
            (reply.as_ref(), Some(slots), why_in_words, &why.place)
        }
        TurnedAway::TooOften(reply, why) => (Some(reply), None, why.excess.to_string(), &why.place),
        TurnedAway::ByRule(reply, why) => (Some(reply), None, why.to_string(), &why.place),
        // The session says so itself.
        TurnedAway::Early => return,
    };
    let reply = reply.map(ToString::to_string);
    let in_all = slots.map(|slots| slots.in_all.value);
    let per_client = slots.map(|slots| slots.per_client.value);
    info!(
        session = number, client = %client, listener = %client.listener,
        reply, in_all, per_client, why, %place, "turned away"
    );
}

/// Logs a client with which no encryption came about.
pub(super) fn handshake_failed(client: &Client, number: u64, error: &TlsError) {
    info!(session = number, client = %client, listener = %client.listener, %error, "handshake failed");
}

/// Logs what a rule of screening made of a message.
pub(super) fn screened(by: &Caller<'_>, id: QueueId, from: &ReversePath, fact: &ScreenedFact) {
    let ScreenedFact {
        matched,
        recipients,
        ..
    } = fact;
    let Named { to, further } = named(recipients.iter());
    info!(
        session = by.session, %id, client = %by.client, from = from.as_str(),
        to, further, screen = &*matched.name, does = &*matched.does,
        dry_run = matched.dry_run, why = &*matched.why, place = %matched.place, "screened"
    );
}

/// Logs a message that is on stable storage, just before its client hears so, with its recipients
/// and why the first one was let in. Each further recipient gets a line of its own from [`session`].
pub(super) fn accepted(acceptance: &Acceptance) {
    let Acceptance {
        client,
        session,
        hello,
        origin,
        reasons,
        message,
        ..
    } = acceptance;
    let origin = origin.as_deref();
    let why = reasons.first();
    let facts = &message.message;
    let first = message.recipients.first();
    let grounds = first.map_or("", |first| first.admitted.grounds().as_str());
    let Named { to, further } = named(addresses(&message.recipients));
    info!(
        id = %facts.id, session, client = %client, hello = &**hello,
        origin = origin.and_then(|origin| origin.address).map(tracing::field::display),
        origin_hello = origin.and_then(|origin| origin.helo.as_deref()),
        origin_id = origin.and_then(|origin| origin.ident.as_deref()),
        from = facts.reverse_path.as_str(), to, further,
        recipients = message.recipients.len(), grounds,
        why = why.as_ref().map(ToString::to_string),
        place = why.as_ref().map(|why| tracing::field::display(&why.place)), size = facts.size,
        "message accepted"
    );
    if let Some(place) = &acceptance.unscreened_by {
        info!(id = %facts.id, session, %place, "it is screened after its 250");
    }
}

fn addresses(recipients: &[Recipient]) -> impl ExactSizeIterator<Item = &Mailbox> {
    let recipients = recipients.iter();
    recipients.map(|recipient| recipient.admitted.recipient())
}

/// Logs a file of the pickup directory whose message was accepted under this id.
pub(super) fn picked_up(id: QueueId, file: &OsStr) {
    info!(%id, ?file, "picked up");
}

/// Logs a file that is tried again.
pub(super) fn pickup_postponed(id: QueueId, file: &OsStr, why: &str) {
    warn!(%id, handed_in = ?file, why, "pickup postponed");
}

/// Logs a file that lies among the bad ones now.
pub(super) fn pickup_refused(id: QueueId, file: &OsStr, why: &str) {
    warn!(%id, handed_in = ?file, why, "pickup refused: moved to badmail");
}

/// Logs how many more there were than the log has named.
pub(super) fn pickup_refused_more(count: u64) {
    warn!(
        count,
        "pickup refused more files: moved to badmail, each with its reason beside it"
    );
}

/// Logs what one attempt did, a line per recipient.
pub(super) fn attempt(report: &Report) {
    let (job, way) = (&report.job, report);
    let millis = u64::try_from(way.took.as_millis()).unwrap_or(u64::MAX);
    let tls = way.tls.as_ref().map(|tls| tls.version);
    let group = way.tls.as_ref().map(|tls| tls.group);
    let handshake = way.tls.as_ref().map(|tls| tls.handshake.as_str());
    let assurance = way.assurance.map(tracing::field::display);
    for (number, outcome) in &report.ended.results {
        let recipient = job.recipients.iter().find(|r| r.number == *number);
        let to = recipient.map_or("", |r| r.admitted.recipient().as_str());
        let (id, site, place) = (job.message.id, &*way.site.name, &way.site.place);
        let reply = outcome.reply().to_string();
        let sender = recipient.and_then(|recipient| sender_shown(report, recipient));
        let host = |failure: &Failure| failure.host.as_deref().unwrap_or(&way.host).to_owned();
        match outcome {
            Outcome::Delivered(_) => info!(
                %id, to, sender, site, host = way.host, reply, millis, tls, group, handshake, assurance, %place, "delivered"
            ),
            // Waits, and will wait until somebody does something about it.
            Outcome::Deferred(failure) if needs_somebody(failure) => warn!(
                %id, to, sender, site, host = host(failure),
                scope = %failure.scope, reply, millis, tls, group, handshake, assurance, %place, "deferred"
            ),
            Outcome::Deferred(failure) => info!(
                %id, to, sender, site, host = host(failure),
                scope = %failure.scope, reply, millis, tls, group, handshake, assurance, %place, "deferred"
            ),
            Outcome::Failed(failure) => warn!(
                %id, to, sender, site, host = host(failure),
                scope = %failure.scope, reply, millis, tls, group, handshake, assurance, %place, "failed"
            ),
        }
    }
    if report.unknown {
        warn!(id = %job.message.id, host = report.host, "the answer to the final dot was lost: the message may arrive twice");
    }
}

/// As whom the message went, where that is not as it came.
fn sender_shown(report: &Report, recipient: &Recipient) -> Option<String> {
    let is_forwarded = recipient.admitted.grounds() == Grounds::Forwarded;
    match &report.rewritten {
        Rewritten::To(address) if is_forwarded => Some(address.to_string()),
        Rewritten::TooLong if is_forwarded => {
            Some("<>, as the SRS address would be too long".to_owned())
        }
        Rewritten::To(_) | Rewritten::TooLong | Rewritten::Not => {
            let sent_as = report.sent_as.as_ref();
            sent_as.map(|sent_as| format!("{}, by {}", sent_as.sender, sent_as.place))
        }
    }
}

/// Logs that a report goes out.
pub(super) fn reported(report: &NewMessage, about: &str) {
    for recipient in &report.recipients {
        let to = recipient.admitted.recipient().as_str();
        info!(id = %report.message.id, about, to, "report");
    }
}

/// Logs what became of a message that was looked at after its 250.
pub(super) fn screened_late(late: &Late, outcome: &LateOutcome) {
    let id = late.message().id;
    let recipients = late.recipients().len();
    let Named { to, further } = named(addresses(late.recipients()));
    let others = outcome
        .others
        .iter()
        .map(|one| one.message.message.id.to_string());
    let others: Vec<String> = others.collect();
    let made = (!others.is_empty()).then(|| others.join(" "));
    match &outcome.end {
        LateEnd::Passed => {
            info!(%id, to, further, recipients, made, "screened after its 250: it goes on")
        }
        LateEnd::Held(why) => {
            info!(%id, to, further, recipients, made, why = &**why, "screened after its 250: held")
        }
        LateEnd::Refused(reply) => {
            info!(%id, to, further, recipients, reply = reply.to_string(), "screened after its 250: refused, its sender is told");
        }
        LateEnd::Discarded => {
            info!(%id, to, further, recipients, "screened after its 250: thrown away")
        }
        LateEnd::Postponed(why, _) => {
            warn!(%id, to, further, recipients, why = &**why, "cannot be screened now, it is tried again");
        }
    }
}

/// Logs that a message goes on without its attachments.
pub(super) fn replaced(replacement: &Replacement, note: &str) {
    let Replacement { id, by, .. } = replacement;
    let (recipients, new) = (by.recipients.len(), by.message.id);
    let Named { to, further } = named(addresses(&by.recipients));
    info!(%id, released_as = %new, to, further, recipients, note, "released from quarantine");
}

/// Logs what became of the outcomes of attempts.
pub(super) fn dispatched(fact: &Fact) {
    match fact {
        Fact::Settled { decided, .. } => settled(decided),
        Fact::Shortened(id) => {
            info!(%id, "the notice was too large for its way: a shorter one follows");
        }
        Fact::Notice { about, notice } => {
            let Named { to, further } = named(addresses(&notice.recipients));
            info!(id = %notice.message.id, %about, to, further, "notice");
        }
        Fact::Untold(id) => {
            info!(%id, "no notice of success: strangers ask for more than queue.ndr.success_rate");
        }
        Fact::Unreadable(id, error) => {
            error!(%id, %error, "the message could not be read for its notice");
        }
        Fact::NotComposed(id) => {
            error!(%id, "a notice could not be written, the message is held");
        }
        Fact::Occurred(occurrence) => occurred(occurrence),
        Fact::NotSettled(id, answer) => {
            error!(%id, ?answer, "an outcome could not be written down, it is tried again");
        }
        Fact::NoticesCutOff => warn!(
            "not all notices could be written before the stop: what they are about is tried again, and may arrive twice"
        ),
    }
}

fn occurred(occurrence: &Occurrence) {
    match occurrence {
        Occurrence::Slowed { site, pace } => warn!(site = &**site, pace, "slowed down"),
        Occurrence::PaceBack(site) => info!(site = &**site, "slowed down no more"),
        Occurrence::PauseOver(pause) => {
            info!(
                site = pause.site.as_deref(),
                by = &*pause.by,
                "the pause is over"
            );
        }
    }
}

/// Logs who is given up by what was decided, once that is on stable storage: every recipient's end
/// has a line. Deliveries and refusals have theirs from [`attempt`].
fn settled(decided: &Decided) {
    let id = decided.message.id;
    for judged in &decided.recipients {
        let Judged {
            recipient,
            disposition,
            ..
        } = judged;
        let (to, site) = (recipient.admitted.recipient().as_str(), &*judged.site);
        match disposition {
            Disposition::Delivered(_) | Disposition::TryAgain { .. } => {}
            Disposition::GiveUp(end) if end.expired => {
                warn!(%id, to, site, reply = end.reason().to_string(), "expired");
            }
            Disposition::GiveUp(end) if !judged.tried => {
                warn!(%id, to, site, reply = end.reason().to_string(), "given up");
            }
            Disposition::GiveUp(_) => {}
            Disposition::Badmail(end) => {
                warn!(%id, to, site, reply = end.reason().to_string(), "held as badmail");
            }
            Disposition::Dropped(end) => {
                warn!(%id, to, site, reply = end.reason().to_string(), "dropped: there is no sender to tell");
            }
        }
    }
}

/// Logs what was held for a while and is kept no longer.
pub(super) fn kept_no_longer(waiting: &spool::Waiting, kept: KeptAs, why: Surplus) {
    let id = waiting.message.id;
    for recipient in &waiting.recipients {
        let to = recipient.admitted.recipient().as_str();
        let reply = recipient.last.as_deref().unwrap_or("");
        let why = kept.words(why);
        match kept {
            KeptAs::Badmail => warn!(%id, to, reply, why, "dropped: badmail"),
            KeptAs::Quarantine => info!(%id, to, reply, why, "deleted from the quarantine"),
        }
    }
}

/// Whether our sign-in was refused (X.7.8), or a host does not give the encryption that is demanded
/// (X.7.4, X.7.5): RFC 3463 and RFC 4954.
fn needs_somebody(failure: &Failure) -> bool {
    let status = failure.reply.status();
    status.subject == 7 && matches!(status.detail, 4 | 5 | 8)
}

/// Logs a host that was of no use, before the next one of the site is tried.
pub(super) fn host_failed(job: Option<&Job>, site: &Site, hop: &Hop, failure: &Failure) {
    let id = job.map(|job| tracing::field::display(job.message.id));
    info!(
        id,
        site = &*site.name,
        host = hop.to_string(),
        reply = failure.reply.to_string(),
        "host failed"
    );
}

//! When to try again, when to tell the sender, when to give up: pure functions of the settings.

use std::time::Duration;

use mail::{Domain, Failure, Outcome, Reply, ReversePath, Scope, Timestamp};
use relay_policy::Grounds;
use spool::{Message, Recipient};

use crate::{Disposition, GivenUp, Settings};

/// Whatever `retry` says, no pause is shorter: a message must not keep a processor busy.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The pause between two attempts when `queue.retry` is an empty list.
const PAUSE_DEFAULT: Duration = Duration::from_secs(60);

/// The pause after attempt number `tries + 1` of a recipient. The little that is added depends on
/// the message alone, so the same message gets the same pause wherever this runs.
fn retry_pause(settings: &Settings, tries: u32, message: &Message) -> Duration {
    let pause = step(settings, tries as usize);
    let spread = pause.mul_f64(f64::from(settings.jitter_percent.min(100)) / 100.0);
    pause + spread.mul_f64(fraction(message, tries))
}

/// The pause of a site that failed `failures` times before this one.
pub(crate) fn suspension_pause(settings: &Settings, failures: usize) -> Duration {
    step(settings, failures).min(settings.probe).max(PAUSE_MIN)
}

fn step(settings: &Settings, n: usize) -> Duration {
    let last = settings.retry.len().saturating_sub(1);
    settings
        .retry
        .get(n.min(last))
        .copied()
        .unwrap_or(PAUSE_DEFAULT)
        .max(PAUSE_MIN)
}

/// No pause is longer: a due time further ahead was written by another clock, or by longer
/// settings.
pub(crate) fn pause_max(settings: &Settings) -> Duration {
    let retry = settings.retry.iter().copied().max();
    let longest = retry.unwrap_or_default().max(PAUSE_DEFAULT);
    let spread = longest.mul_f64(f64::from(settings.jitter_percent.min(100)) / 100.0);
    (longest + spread).max(settings.probe)
}

/// Between 0 and 1, from the message and the number of the try.
fn fraction(message: &Message, tries: u32) -> f64 {
    let mut hash = u64::from(tries);
    for byte in message.id.to_bytes() {
        hash = (hash.rotate_left(8) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    f64::from((hash >> 32) as u32) / f64::from(u32::MAX)
}

/// When the recipient is given up for the message's age.
fn expiry(settings: &Settings, message: &Message, recipient: &Recipient) -> Timestamp {
    let on_demand = settings.on_demand_of(recipient);
    message.arrived + on_demand.map_or(settings.expire, |on_demand| on_demand.expire)
}

fn delay_time(settings: &Settings, message: &Message, recipient: &Recipient) -> Option<Timestamp> {
    let wanted = recipient.parameters.notify.unwrap_or_default().delay
        && !recipient.delay_told
        && message.reverse_path != ReversePath::Null
        && !may_be_forged(settings, message, recipient)
        // It is not late: its server has not asked for it.
        && settings.on_demand_of(recipient).is_none();
    settings
        .delay_notice
        .filter(|_| wanted)
        .map(|after| message.arrived + after)
}

/// When a recipient that cannot be tried needs attention next.
pub(crate) fn milestone(
    settings: &Settings,
    message: &Message,
    recipient: &Recipient,
) -> Timestamp {
    let expiry = expiry(settings, message, recipient);
    delay_time(settings, message, recipient).map_or(expiry, |delay| delay.min(expiry))
}

/// When a recipient is tried again whose attempt has to be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NextTry {
    /// The site works: what failed is tried again by the schedule.
    BySchedule,
    /// The site was found down by this attempt, and is left alone until then.
    ByScheduleAfter(Timestamp),
    /// The attempt only tried whether the site is back: the message is not to blame and is tried
    /// when the site is.
    WithSite(Timestamp),
}

/// An attempt that is over, as seen `now`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
}

/// What an attempt's outcome means for a recipient. Nobody is given up for the message's age by an
/// attempt that began before it had that age.
pub(crate) fn judge(
    settings: &Settings,
    attempt: Attempt,
    message: &Message,
    recipient: &Recipient,
    outcome: Outcome,
    next_try: NextTry,
) -> Disposition {
    match outcome {
        Outcome::Delivered(delivery) => Disposition::Delivered(delivery),
        Outcome::Failed(failure) => {
            let expired = false;
            give_up(settings, message, recipient, GivenUp { failure, expired })
        }
        Outcome::Deferred(failure) if attempt.began >= expiry(settings, message, recipient) => {
            let expired = true;
            give_up(settings, message, recipient, GivenUp { failure, expired })
        }
        Outcome::Deferred(failure) => Disposition::TryAgain {
            due: next_due(settings, attempt.now, message, recipient, next_try),
            tries: recipient.tries.saturating_add(1),
            last: last_line(&failure),
            failure: Some(failure),
            delay_notice: is_late(settings, attempt.now, message, recipient),
        },
    }
}

/// Whether its sender is to be told of the delay. With its last attempt ahead it is not: what comes
/// of that will tell.
fn is_late(settings: &Settings, now: Timestamp, message: &Message, recipient: &Recipient) -> bool {
    now < expiry(settings, message, recipient)
        && delay_time(settings, message, recipient).is_some_and(|at| at <= now)
}

fn next_due(
    settings: &Settings,
    now: Timestamp,
    message: &Message,
    recipient: &Recipient,
    next_try: NextTry,
) -> Timestamp {
    let scheduled = now + retry_pause(settings, recipient.tries, message);
    let on_demand = settings.on_demand_of(recipient);
    let due = match next_try {
        // It waits for the next who asks, behind those that nobody has tried yet.
        _ if on_demand.is_some() => now,
        NextTry::BySchedule => scheduled,
        NextTry::ByScheduleAfter(site_due) => scheduled.max(site_due),
        NextTry::WithSite(site_due) => site_due,
    };
    // An attempt falls on the time of the notice and on the expiry, so that neither is late by a
    // whole pause.
    let notice = delay_time(settings, message, recipient).filter(|at| *at > now);
    let limit = notice.unwrap_or_else(|| expiry(settings, message, recipient));
    due.min(limit)
        .min(expiry(settings, message, recipient))
        .max(now + PAUSE_MIN)
}

/// What is to be done about a recipient whose site cannot be tried: given up, told of the delay, or
/// nothing. `tried`: when the site's last attempt began that reached nobody; it stands for an
/// attempt of everybody who waits for the site.
pub(crate) fn overdue(
    settings: &Settings,
    now: Timestamp,
    message: &Message,
    recipient: &Recipient,
    trouble: Option<&Failure>,
    tried: Option<Timestamp>,
) -> Option<Disposition> {
    let last: Box<str> = match (trouble, &recipient.last) {
        (_, Some(last)) => last.clone(),
        (Some(failure), None) => last_line(failure),
        (None, None) => "not tried yet".into(),
    };
    if tried.is_some_and(|began| began >= expiry(settings, message, recipient)) {
        let end = GivenUp {
            failure: trouble.cloned().unwrap_or_else(|| untried(&last)),
            expired: true,
        };
        return Some(give_up(settings, message, recipient, end));
    }
    is_late(settings, now, message, recipient).then_some(Disposition::TryAgain {
        // Behind those that are still to be told: a page shows the earliest.
        due: now,
        tries: recipient.tries,
        last,
        failure: trouble.cloned(),
        delay_notice: true,
    })
}

/// An operator gave it up: the sender hears his words. Where no sender is told, nothing is kept
/// either, since somebody has looked at it already.
pub(crate) fn given_up_by_operator(
    settings: &Settings,
    message: &Message,
    recipient: &Recipient,
) -> Disposition {
    let words = recipient.last.as_deref().unwrap_or_default();
    let failure = Failure {
        scope: Scope::Recipient,
        reply: as_refused(words).unwrap_or_else(|| {
            // RFC 3463 section 3.4: X.3.0, other or undefined mail system status.
            Reply::new(554, 3, 0, words.to_owned())
        }),
        host: None,
    };
    let expired = false;
    match give_up(settings, message, recipient, GivenUp { failure, expired }) {
        Disposition::Badmail(end) => Disposition::Dropped(end),
        other => other,
    }
}

/// The words of whoever gave somebody up, where they are a refusal of ours as it is written: `550
/// 5.7.1 text`. An operator's begin with words.
fn as_refused(words: &str) -> Option<Reply> {
    let mut parts = words.splitn(3, ' ');
    let (code, status, text) = (parts.next()?, parts.next()?, parts.next()?);
    let (subject, detail) = status.strip_prefix("5.")?.split_once('.')?;
    let detail = (subject.parse().ok()?, detail.parse().ok()?);
    let reply = Reply::from_peer(code.parse().ok()?, Some(detail), text)?;
    // Ours, with whatever was said.
    let ours = || Reply::new(reply.code(), detail.0, detail.1, reply.text().to_owned());
    reply.is_permanent().then(ours)
}

/// Whether the sender of a message may be told that it is refused for this recipient after it was
/// taken: there is one, and nobody else may have written it there, as far as that is wished.
pub fn may_bounce(settings: &Settings, message: &Message, recipient: &Recipient) -> bool {
    let has_sender = matches!(message.reverse_path, ReversePath::Mailbox(_));
    has_sender && !may_be_forged(settings, message, recipient)
}

/// RFC 5321 section 6.1: a notice that cannot be delivered is never answered by another. Only ours
/// is worth keeping: anybody may send from the null sender, and must not fill the disk by it.
fn give_up(
    settings: &Settings,
    message: &Message,
    recipient: &Recipient,
    end: GivenUp,
) -> Disposition {
    let own = recipient.admitted.grounds() == Grounds::OwnNotice;
    if recipient.admitted.is_copy() {
        // Its sender knows nothing of it: who wanted it is to find it.
        return Disposition::Badmail(end);
    }
    match message.reverse_path {
        ReversePath::Mailbox(_) if may_be_forged(settings, message, recipient) => {
            Disposition::Badmail(end)
        }
        ReversePath::Mailbox(_) => Disposition::GiveUp(end),
        ReversePath::Null if own && settings.keep_badmail => Disposition::Badmail(end),
        ReversePath::Null => Disposition::Dropped(end),
    }
}

/// Whether the sender is left alone, since anybody may have written it there (backscatter).
fn may_be_forged(settings: &Settings, message: &Message, recipient: &Recipient) -> bool {
    let admitted = &recipient.admitted;
    // Where it is forwarded, it exists if either domain says so.
    let mut domains = [admitted.recipient(), admitted.named()]
        .into_iter()
        .filter_map(|mailbox| mailbox.host().domain());
    let is_known = |domain: &Domain| settings.strangers_to_badmail.find(domain) == Some(&true);
    message.from_stranger && domains.any(is_known)
}

/// What is to be done about a recipient whose domain has not asked for its mail: given up when it is
/// too old, or nothing.
pub(crate) fn unasked(
    settings: &Settings,
    now: Timestamp,
    message: &Message,
    recipient: &Recipient,
) -> Option<Disposition> {
    let failure = Failure {
        scope: Scope::Recipient,
        // RFC 3463 section 3.5: X.4.0, other or undefined network or routing status.
        reply: Reply::new(451, 4, 0, "Its server has not asked for it"),
        host: None,
    };
    // Where it was tried, what that ended with tells more.
    let trouble = Some(&failure).filter(|_| recipient.last.is_none());
    overdue(settings, now, message, recipient, trouble, Some(now))
}

/// Why there was no attempt, when nothing is known of the site: what was heard before.
fn untried(last: &str) -> Failure {
    Failure {
        scope: Scope::Recipient,
        reply: Reply::new(451, 4, 0, format!("Not tried again; last: {last}")),
        host: None,
    }
}

fn last_line(failure: &Failure) -> Box<str> {
    match &failure.host {
        Some(host) => format!("{host}: {}", failure.reply).into(),
        None => failure.reply.to_string().into(),
    }
}

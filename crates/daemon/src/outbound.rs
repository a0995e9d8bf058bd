//! Has the guardian judge what goes out, and tells the postmaster who sends too much.

use std::sync::Arc;
use std::time::Duration;

use admission::{GuardianRules, Over, Reaction, Sender, Subject, TurnAway};
use engine::dispatch::Fact;
use engine::{Incoming, Report, Storing};
use mail::{Mailbox, QueueId};
use spool::{Change, Commit, NewMessage};

use crate::active::ActiveConfiguration;
use crate::disk::Urgency;
use crate::inbox::Input;
use crate::services::Services;

/// How often it is written down what was sent. A crash forgets what was counted since, but not of
/// whom the postmaster was told.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);
/// Between two times, whatever happens.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes it down now and then, as long as the relay runs.
pub(crate) async fn keep(services: Arc<Services>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let urgent = services.guardian.urgent.notified();
        let _in_time = tokio::time::timeout(KEEP_INTERVAL, urgent).await;
        let keeper = Arc::clone(&services);
        let kept = tokio::task::spawn_blocking(move || keeper.guardian.keep()).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "what is usual to be sent could not be written down");
        }
    }
}

/// Whether the message `id`, which begins, is postponed whoever it is for.
pub(crate) fn begin(
    services: &Arc<Services>,
    incoming: &Incoming,
    id: QueueId,
) -> Result<(), TurnAway> {
    let Some(sender) = incoming.sender() else {
        return Ok(());
    };
    let active = services.active();
    let (rules, now) = (rules(&active), services.clock.line());
    let verdict = services.guardian.counts().begin(rules, &sender, now);
    warn(services, &active, &verdict.begun, id);
    verdict.over.map_or(Ok(()), |over| {
        services.journal.sent_too_much(id, &over);
        Err(over.turn_away())
    })
}

/// What becomes of a message that is about to be stored, where it does not just go out.
pub(crate) fn judge(services: &Arc<Services>, storing: &Storing) -> Option<Over> {
    let outward = storing.outward();
    if outward.is_empty() {
        return None;
    }
    let recipients: Vec<&str> = outward.into_iter().map(Mailbox::as_str).collect();
    let (sender, id) = (storing.sender(), storing.id());
    let active = services.active();
    let (rules, now) = (rules(&active), services.clock.line());
    let verdict = (services.guardian.counts()).judge(rules, &sender, &recipients, now);
    warn(services, &active, &verdict.begun, id);
    let over = verdict.over?;
    services.journal.sent_too_much(id, &over);
    (over.reaction.value != Reaction::Tell).then_some(over)
}

/// Counts what failed for good in an attempt.
pub(crate) fn attempted(services: &Arc<Services>, report: &Report) {
    if let Some((sender, count)) = report.failed() {
        failed(services, &sender, count, report.job.message.id);
    }
}

/// Counts so many recipients of the message `id` that were refused for good.
pub(crate) fn failed(services: &Arc<Services>, sender: &Sender, count: u32, id: QueueId) {
    let active = services.active();
    let (rules, now) = (rules(&active), services.clock.line());
    let begun = services.guardian.counts().failed(rules, sender, count, now);
    warn(services, &active, &begun, id);
}

fn rules(active: &ActiveConfiguration) -> &GuardianRules {
    &active.setup.config.limits.guardian
}

/// Tells the postmaster of whom an episode begins with the message `about`.
fn warn(services: &Arc<Services>, active: &ActiveConfiguration, begun: &[Over], about: QueueId) {
    if !begun.is_empty() {
        services.guardian.urgent.notify_one();
    }
    for over in begun {
        services.journal.sends_too_much(about, over);
        let (settings, now) = (&active.setup.notices, services.clock.moment());
        for warning in engine::warn_of(over, settings, now, || services.new_id()) {
            send(services, warning, over.subject.clone(), about);
        }
    }
}

fn send(services: &Arc<Services>, warning: NewMessage, subject: Subject, about: QueueId) {
    let teller = Arc::clone(services);
    let change = Change::Store(warning.clone());
    // On the disk thread.
    let on_commit = Box::new(move |commit| match commit {
        Commit::Stored(_) => {
            let notice = warning.clone();
            teller.journal.dispatched(&Fact::Notice { about, notice });
            let announced = Input::queue(engine::stored_event(warning));
            let _ended = teller.dispatch.send(announced);
        }
        other => {
            tracing::error!(
                ?other,
                "the postmaster could not be told who sends too much"
            );
            let now = teller.clock.line();
            teller.guardian.counts().not_told(&subject, now);
        }
    });
    services.disk.commit(change, Urgency::Soon, on_commit);
}

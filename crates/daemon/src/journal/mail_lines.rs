//! What protocol logs of the maillog format are told.

use engine::dispatch::Fact;
use engine::{Acceptance, Report};
use mail::{Client, Failure, Outcome, Reply, ReversePath};
use protocol_log::MailLine;
use queue::{Disposition, Judged};
use reception::SessionFact;

use crate::protocol_logs::ProtocolLogs;

pub(super) fn session(logs: &ProtocolLogs, client: &Client, fact: &SessionFact) {
    let refused = |from: &ReversePath, to: &str, reply: &Reply| {
        logs.tell(|| MailLine::Refused {
            client: client.address(),
            from: from.as_str().into(),
            to: to.into(),
            reply: reply.to_string().into(),
        });
    };
    match fact {
        SessionFact::RefusedRecipient(one) => {
            refused(&one.reverse_path, &one.recipient, &one.reply);
        }
        SessionFact::RefusedFor(some) => {
            for one in &some.recipients {
                refused(&some.reverse_path, one.recipient.as_str(), &some.reply);
            }
        }
        _ => {}
    }
}

pub(super) fn accepted(logs: &ProtocolLogs, acceptance: &Acceptance) {
    let message = &acceptance.message.message;
    logs.tell(|| MailLine::Accepted {
        id: message.id,
        client: acceptance.client.address(),
        name: (acceptance.client_name.as_ref())
            .map_or("", |name| name.as_str())
            .into(),
        message_id: acceptance.message_id.clone(),
        from: message.reverse_path.as_str().into(),
        size: message.size,
        recipients: acceptance.message.recipients.len(),
    });
}

pub(super) fn attempt(logs: &ProtocolLogs, report: &Report) {
    let (job, host) = (&report.job, &*report.host);
    for (number, outcome) in &report.ended.results {
        let (status, of_host) = match outcome {
            Outcome::Delivered(_) => ("sent", None),
            Outcome::Deferred(Failure { host, .. }) => ("deferred", host.as_deref()),
            Outcome::Failed(Failure { host, .. }) => ("bounced", host.as_deref()),
        };
        let recipient = job.recipients.iter().find(|one| one.number == *number);
        logs.tell(|| MailLine::Tried {
            id: job.message.id,
            to: recipient
                .map_or("", |one| one.admitted.recipient().as_str())
                .into(),
            // Postfix has no blank there.
            relay: of_host.unwrap_or(host).replace(" [", "[").into(),
            delay: u64::try_from(report.age.as_millis()).unwrap_or(u64::MAX),
            dsn: outcome.reply().status(),
            status,
            reply: outcome.reply().to_string().into(),
        });
    }
}

pub(super) fn dispatched(logs: &ProtocolLogs, fact: &Fact) {
    match fact {
        Fact::Settled { decided, .. } => {
            let expired = |judged: &&Judged| match &judged.disposition {
                Disposition::GiveUp(end)
                | Disposition::Badmail(end)
                | Disposition::Dropped(end) => end.expired,
                Disposition::Delivered(_) | Disposition::TryAgain { .. } => false,
            };
            // As Postfix does it: once for the message.
            if let Some(judged) = decided.recipients.iter().find(expired) {
                logs.tell(|| MailLine::Expired {
                    id: decided.message.id,
                    from: decided.message.reverse_path.as_str().into(),
                    told: matches!(judged.disposition, Disposition::GiveUp(_)),
                });
            }
        }
        Fact::Notice { about, notice } => logs.tell(|| MailLine::Notice {
            about: *about,
            id: notice.message.id,
            size: notice.message.size,
        }),
        _ => {}
    }
}

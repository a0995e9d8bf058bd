//! Tells domains once a day what came in their name, where they ask for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dmarc::{Answers, Destinations, destinations};
use engine::report_to;
use mail::{Domain, Mailbox};
use reports::Due;

use crate::own_mail;
use crate::services::Services;

/// How often it is looked whether reports are due.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is written down what was counted: a crash forgets what came since.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);
/// How long DNS is asked where the reports about one domain go.
const ASKED_MAX: Duration = Duration::from_secs(20);
/// Between two domains, so that the reports of a day are no flood.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends what is due and writes down what is counted, as long as the relay runs.
pub(crate) async fn tell(services: Arc<Services>) {
    let mut kept = Instant::now();
    loop {
        let settings = services.active().setup.config.reports.clone();
        let now = services.clock.moment().wall;
        if !settings.dmarc {
            services.sightings.forget(now);
        } else {
            let due = services.sightings.due(now, settings.hour);
            let are_due = !due.is_empty();
            if are_due || kept.elapsed() >= KEEP_INTERVAL {
                // Before they are sent: a crash costs a report rather than sending all of them again.
                keep(&services).await;
                kept = Instant::now();
            }
            for one in due {
                send(&services, one).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn keep(services: &Arc<Services>) {
    let keeper = Arc::clone(services);
    let kept = tokio::task::spawn_blocking(move || keeper.sightings.keep()).await;
    if let Ok(Err(error)) = kept {
        tracing::warn!(%error, "what domains are to be told could not be written down");
    }
}

/// Sends the report about one domain to all who are to have it.
async fn send(services: &Arc<Services>, due: Due) {
    let Due { report, uris } = due;
    let Ok(domain) = Domain::parse(&report.published.domain) else {
        return;
    };
    let addresses = addresses(services, &domain, &uris).await;
    let recipients: Vec<Mailbox> = addresses
        .iter()
        .filter_map(|address| Mailbox::parse(address).ok())
        .collect();
    if recipients.is_empty() {
        tracing::info!(%domain, "nobody wants the report about it where its record says");
        return;
    }
    let active = services.active();
    let setup = &active.setup;
    let name = setup.config.reports.organization.as_deref();
    let name = name.unwrap_or(setup.config.hostname.as_str());
    let by = (&setup.notices, &setup.reports_from, name);
    let messages = report_to(&recipients, report, by, services.clock.moment(), || {
        services.new_id()
    });
    for message in messages {
        own_mail::store(services, message, format!("mail in the name of {domain}"));
    }
}

/// Who is to have it, as far as DNS says.
async fn addresses(services: &Services, domain: &Domain, uris: &[Box<str>]) -> Vec<Box<str>> {
    let mut answers = Answers::new();
    let deadline = tokio::time::Instant::now() + ASKED_MAX;
    loop {
        let questions = match destinations(domain, uris, &answers) {
            Destinations::Known(addresses) => return addresses,
            Destinations::Ask(questions) => questions,
        };
        let asked = questions
            .iter()
            .map(authentication::Question::from)
            .collect();
        let active = services.active();
        let answered = active.about_sender(asked, deadline).await;
        for question in questions {
            let of_it = authentication::Question::from(&question);
            let answer = answered.iter().find(|(asked, _)| *asked == of_it);
            let answer = answer.map(|(_, answer)| answer.clone());
            let answer =
                answer.unwrap_or_else(|| authentication::Answer::Failed("no answer".into()));
            answers.insert(question, answer.into());
        }
    }
}

//! Tells domains once a day what came in their name, and how connections to their mail servers were
//! encrypted, where they ask for it.

mod posts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dmarc::{Answers, Destinations, destinations};
use engine::WrittenReport;
use mail::{Domain, Mailbox};
use reports::{Aggregate, Due, Handover, Report, TlsPlace, TlsReport, tls_places};

use self::posts::Posts;
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
    let mut posts = Posts::default();
    posts.resume(&services);
    loop {
        let settings = services.active().setup.config.reports.clone();
        let now = services.clock.moment().wall;
        if !settings.is_on() {
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
                // What was counted before it was switched off is not told.
                match one {
                    Due::Dmarc { report, uris } if settings.dmarc => {
                        send_dmarc(&services, report, &uris).await;
                    }
                    Due::Tls(report) if settings.tls => {
                        send_tls(&services, report, &mut posts).await;
                    }
                    Due::Dmarc { .. } | Due::Tls(_) => continue,
                }
                tokio::time::sleep(PAUSE).await;
            }
            if are_due {
                // What is on its way to a URL.
                keep(&services).await;
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

/// Sends the report about mail in the name of one domain to all who are to have it.
async fn send_dmarc(services: &Arc<Services>, report: Aggregate, uris: &[Box<str>]) {
    let Ok(domain) = Domain::parse(&report.published.domain) else {
        return;
    };
    let addresses = addresses(services, &domain, uris).await;
    let recipients = addresses.iter();
    let recipients: Vec<Mailbox> = recipients
        .filter_map(|address| Mailbox::parse(address).ok())
        .collect();
    if recipients.is_empty() {
        tracing::info!(%domain, "nobody wants the report about it where its record says");
        return;
    }
    let report = written(services, Report::Dmarc(report));
    let about = format!("mail in the name of {domain}");
    for to in &recipients {
        send_mail(services, &report, to, &about);
    }
}

/// Sends the report about connections to one domain to wherever that wants it; mostly it wants none.
async fn send_tls(services: &Arc<Services>, report: TlsReport, posts: &mut Posts) {
    let Some(Ok(domain)) = report.domain().map(Domain::parse) else {
        return;
    };
    let active = services.active();
    let asked = tokio::time::timeout(ASKED_MAX, active.tls_report_texts(&domain)).await;
    let texts = asked.unwrap_or_else(|_| Err("no answer in time".into()));
    let texts = texts.unwrap_or_else(|why| {
        tracing::info!(%domain, why, "whether it wants TLS reports cannot be told");
        Vec::new()
    });
    let places = tls_places(&texts);
    if places.is_empty() {
        return;
    }
    let report = written(services, Report::Tls(report));
    let about = format!("connections to {domain}");
    for place in places {
        match place {
            TlsPlace::Mail(address) => {
                if let Ok(to) = Mailbox::parse(&address) {
                    send_mail(services, &report, &to, &about);
                }
            }
            TlsPlace::Web(url) => posts.add(
                services,
                Handover {
                    domain: domain.as_str().into(),
                    url,
                    since: services.clock.moment().wall.as_secs(),
                    report: report.packed().into(),
                },
            ),
        }
    }
}

/// A report by us, with a name of its own.
fn written(services: &Services, report: Report) -> WrittenReport {
    let active = services.active();
    let setup = &active.setup;
    let name = setup.config.reports.organization.as_deref();
    let name = name.unwrap_or(setup.config.hostname.as_str());
    let by = (&setup.notices, &setup.reports_from, name);
    WrittenReport::of(report, by, services.new_id())
}

fn send_mail(services: &Arc<Services>, report: &WrittenReport, to: &Mailbox, about: &str) {
    let active = services.active();
    let by = (&active.setup.notices, &active.setup.reports_from);
    let message = report.mail_to(to, by, services.clock.moment(), services.new_id());
    own_mail::store(services, message, about.to_owned());
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

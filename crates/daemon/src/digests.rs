//! Tells once a day what is held: reads the quarantine, has the messages composed, and stores them as
//! mail of our own.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::Digest as Terms;
use engine::{Digest, DigestSettings};
use filter::{Filter, State};
use mail::Mailbox;
use queue::Moment;
use spool::{Change, NewMessage, Page, Recipient, SpoolError, Waiting};

use crate::disk::Urgency;
use crate::last_digest::is_due;
use crate::release_links::ReleaseLink;
use crate::services::Services;
use crate::{held, own_mail, release_links};

/// How often it is looked whether it is time.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// What arrived before this is stored, or never will be.
const STORED_AFTER: Duration = Duration::from_secs(1);
/// Messages read at once: of each the header.
const PAGE_MESSAGES: usize = 100;

/// Runs as long as the relay.
pub(crate) async fn tell(services: Arc<Services>) {
    loop {
        let active = services.active();
        let terms = &active.setup.config.screening.quarantine.digest;
        let told = match terms {
            Some(terms) => tell_when_due(&services, terms).await,
            None => {
                let mut kept = services.last_digest.told.lock().await;
                services.last_digest.forget(&mut kept);
                Ok(())
            }
        };
        if let Err(error) = told {
            tracing::warn!(%error, "what is held could not be told");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn tell_when_due(services: &Arc<Services>, terms: &Terms) -> Result<(), SpoolError> {
    let mut kept = services.last_digest.told.lock().await;
    let now = services.clock.moment();
    match *kept {
        // What was there before anybody wanted to know of it is not told.
        None => keep(services, &mut kept, now).await?,
        Some(told) if is_due(terms.at, &terms.zone, told.wall, now.wall) => {
            send(services, terms, &mut kept, now).await?;
        }
        Some(_) => {}
    }
    Ok(())
}

async fn keep(
    services: &Arc<Services>,
    kept: &mut Option<Moment>,
    told: Moment,
) -> Result<(), SpoolError> {
    let keeper = Arc::clone(services);
    let done = tokio::task::spawn_blocking(move || keeper.last_digest.keep(told)).await;
    done.unwrap_or_else(|fault| Err(io::Error::other(fault)))?;
    *kept = Some(told);
    Ok(())
}

/// Tells at once; answers who is told, and nobody where nothing was held since the last time. `None`:
/// nobody wants to know.
pub(crate) async fn tell_now(services: &Arc<Services>) -> Result<Option<Vec<Mailbox>>, SpoolError> {
    let active = services.active();
    let Some(terms) = &active.setup.config.screening.quarantine.digest else {
        return Ok(None);
    };
    let mut kept = services.last_digest.told.lock().await;
    let now = services.clock.moment();
    send(services, terms, &mut kept, now).await.map(Some)
}

async fn send(
    services: &Arc<Services>,
    terms: &Terms,
    kept: &mut Option<Moment>,
    now: Moment,
) -> Result<Vec<Mailbox>, SpoolError> {
    let told = kept.unwrap_or(now);
    tokio::time::sleep(STORED_AFTER).await;
    // Whatever is behind it is not done before what is ahead of it.
    services
        .disk
        .apply(Change::File(Vec::new()), Urgency::Now)
        .await?;
    let (worker, terms) = (Arc::clone(services), terms.clone());
    let composed = tokio::task::spawn_blocking(move || compose(&worker, &terms, told, now)).await;
    let composed = composed.unwrap_or_else(|fault| Err(SpoolError::Io(fault.to_string().into())));
    let messages = composed?;
    // Before they are stored: a crash costs a digest rather than sending it twice.
    keep(services, kept, now).await?;
    let recipients = messages.iter().flat_map(|message| &message.recipients);
    let readers = recipients
        .map(|one| one.admitted.recipient().clone())
        .collect();
    for message in messages {
        own_mail::store(services, message, "what is in quarantine".to_owned());
    }
    Ok(readers)
}

/// What is to be told of that was held behind `told`, up to `now`.
fn compose(
    services: &Services,
    terms: &Terms,
    told: Moment,
    now: Moment,
) -> Result<Vec<NewMessage>, SpoolError> {
    let active = services.active();
    let setup = &active.setup;
    let links = setup.config.screening.quarantine.links.as_ref();
    let fails = Cell::new(false);
    let link = |waiting: &Waiting, recipient: &Recipient| {
        let links = links.filter(|links| release_links::is_given(links, recipient))?;
        let token = services.release_links.token(ReleaseLink {
            message: waiting.message.id,
            recipient: recipient.number,
            until: now.wall + links.expire,
        });
        match token {
            Ok(token) => Some(format!("{}/{token}", links.url)),
            Err(error) => {
                if !fails.replace(true) {
                    tracing::warn!(%error, "the digests are without links");
                }
                None
            }
        }
    };
    let settings = DigestSettings {
        to: terms.to,
        from: &setup.digest_from,
        notices: &setup.notices,
        link: &link,
    };
    let rules = &setup.config.rules;
    let is_hosted = |mailbox: &Mailbox| {
        let rule = relay_policy::rule_for(rules, mailbox);
        rule.is_some_and(|rule| rule.kind != relay_policy::DomainKind::Blocked)
    };
    let (spool, filter) = (&*services.spool, Filter::state(State::Quarantined));
    let (mut digest, mut after) = (Digest::default(), None);
    loop {
        let limit = PAGE_MESSAGES;
        let page = spool.find(&filter, Page { after, limit })?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.message.id);
        for waiting in &page {
            let arrived = waiting.message.arrived;
            if told.line < arrived && arrived <= now.line {
                let subject = held::subject(spool, &waiting.message)?;
                digest.add(&settings, waiting, &subject, now, &is_hosted);
            }
        }
    }
    if digest.left_out() > 0 {
        let recipients = digest.left_out();
        tracing::warn!(recipients, "too many would have to be told what is held");
    }
    Ok(digest.written(&settings, told.wall, now, || services.new_id()))
}

//! Asks who was here before, and remembers what strangers do.

use std::sync::Arc;
use std::time::Duration;

use authentication::Claims;
use engine::{Incoming, Screened, Screening, Storing, Stranger};
use greylisting::Deed;
use mail::Domain;
use reception::SessionFact;
use relay_policy::{Approach, Greylisted};
use tokio::time::Instant;

use crate::active::ActiveConfiguration;
use crate::services::Services;

/// How often it is written down. A crash forgets what happened since.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);
/// How long DNS is asked about one sender (RFC 7208 section 4.6.4: at least 20 seconds).
const SPF_MAX: Duration = Duration::from_secs(20);

/// Writes it down now and then, as long as the relay runs.
pub(crate) async fn keep(services: Arc<Services>) {
    loop {
        tokio::time::sleep(KEEP_INTERVAL).await;
        let keeper = Arc::clone(&services);
        let kept = tokio::task::spawn_blocking(move || keeper.history.keep()).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "who was here before could not be written down");
        }
    }
}

/// Whether these were here before; from now on they were.
pub(crate) async fn find_out(services: &Services, hello: &str, approach: &Approach) -> Greylisted {
    let active = services.active();
    let proven = is_proven(services, &active, hello, approach).await;
    let settings = &active.setup.config.limits.greylisting;
    let now = services.clock.line();
    services.history.all().ask(settings, approach, proven, now)
}

/// The same for somebody who is not here.
pub(crate) async fn look(services: &Services, approach: &Approach) -> Greylisted {
    let active = services.active();
    let proven = is_proven(services, &active, "", approach).await;
    let settings = &active.setup.config.limits.greylisting;
    let now = services.clock.line();
    services.history.all().look(settings, approach, proven, now)
}

/// Whether the client passes SPF for the sender's domain, where that makes a difference.
async fn is_proven(
    services: &Services,
    active: &ActiveConfiguration,
    hello: &str,
    approach: &Approach,
) -> bool {
    let config = &active.setup.config;
    let now = services.clock.moment();
    let settings = &config.limits.greylisting;
    if !services
        .history
        .all()
        .needs_proof(settings, approach, now.line)
    {
        return false;
    }
    let claims = Claims {
        client: approach.client,
        hello: hello.into(),
        sender: approach.sender.clone(),
        receiver: config.screening.id.clone(),
        now: now.wall,
    };
    active.passes_spf(claims, Instant::now() + SPF_MAX).await
}

/// Counts what happened in a session against a stranger.
pub(crate) fn on_fact(services: &Services, incoming: &Incoming, fact: &SessionFact) {
    if let Some(deed) = incoming.deed(fact) {
        let client = incoming.client().address();
        did(services, &services.active(), client, None, deed);
    }
}

/// Whoever sends a message, with what was found out about it.
pub(crate) struct Known {
    stranger: Stranger,
    /// SPF vouches for the sender's domain.
    is_proven: bool,
    /// The author is not who the message says.
    is_forged: bool,
}

impl Known {
    /// Whoever sends this, where that is a stranger and anything is remembered of strangers; `None`
    /// otherwise. Tells the rules what it is worth.
    pub(crate) fn of(services: &Services, screening: &mut Screening) -> Option<Box<Self>> {
        let active = services.active();
        let config = &active.setup.config;
        let stranger = screening.storing().stranger();
        let stranger = stranger.filter(|_| config.remembers_strangers())?;
        let (client, domain) = (stranger.client, stranger.domain.as_ref());
        let now = services.clock.line();
        let history = services.history.all();
        screening.set_reputation(history.reputation(
            &config.limits.greylisting,
            client,
            domain,
            now,
        ));
        drop(history);
        let summary = screening.summary();
        let known = Self {
            stranger,
            is_proven: summary.spf == "pass",
            is_forged: summary.is_forged(),
        };
        // What is tried several times counts once.
        if known.is_forged && screening.late().is_none() {
            known.did(services, Deed::Forged);
        }
        Some(Box::new(known))
    }

    /// The same of messages that nobody looks at.
    pub(crate) fn unchecked(services: &Services, messages: &[Storing]) -> Option<Box<Self>> {
        let stranger = messages.first().and_then(Storing::stranger);
        let stranger = stranger.filter(|_| services.active().setup.config.remembers_strangers());
        let known = |stranger| Self {
            stranger,
            is_proven: false,
            is_forged: false,
        };
        stranger.map(known).map(Box::new)
    }

    /// Rules of screening made this of its message.
    pub(crate) fn on_screened(&self, services: &Services, screened: &Screened) {
        match screened {
            Screened::Refuse(refusal) if refusal.reply.is_permanent() => {
                self.did(services, Deed::Screened);
            }
            Screened::Discard => self.did(services, Deed::Screened),
            Screened::Refuse(..) | Screened::Store(_) | Screened::Failed(_) => {}
        }
    }

    /// The same of a message that was taken before: it counts once, when it is not tried again.
    pub(crate) fn on_screened_late(&self, services: &Services, screened: &Screened) {
        let is_final = match screened {
            Screened::Refuse(refusal) => refusal.reply.is_permanent(),
            Screened::Store(_) | Screened::Discard => true,
            Screened::Failed(_) => false,
        };
        if is_final && self.is_forged {
            self.did(services, Deed::Forged);
        }
        self.on_screened(services, screened);
        if let Screened::Store(messages) = screened
            && !messages.iter().all(Storing::is_held)
        {
            self.taken(services);
        }
    }

    /// Its message was taken.
    pub(crate) fn taken(&self, services: &Services) {
        let active = services.active();
        let settings = &active.setup.config.limits.greylisting;
        let now = services.clock.line();
        let (client, domain) = (self.stranger.client, self.stranger.domain.as_ref());
        services.history.all().taken(settings, client, domain, now);
        self.did(services, Deed::Delivered);
    }

    fn did(&self, services: &Services, deed: Deed) {
        let domain = self.stranger.domain.as_ref().filter(|_| self.is_proven);
        let active = services.active();
        did(services, &active, self.stranger.client, domain, deed);
    }
}

fn did(
    services: &Services,
    active: &ActiveConfiguration,
    client: std::net::IpAddr,
    domain: Option<&Domain>,
    deed: Deed,
) {
    let config = &active.setup.config;
    if config.remembers_strangers() {
        let now = services.clock.line();
        let settings = &config.limits.greylisting;
        services
            .history
            .all()
            .did(settings, client, domain, deed, now);
    }
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::Domain;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::services::Services;

/// Reports on their way at one time, those that wait for another try among them; beyond, they are not
/// sent.
const POSTS_MAX: usize = 1_000;
/// Connections for them at one time.
const CONNECTIONS_MAX: usize = 8;
/// Before the second try; the pause doubles from one to the next.
const PAUSE: Duration = Duration::from_secs(600);
/// RFC 8460 section 5.5: "a sender SHOULD attempt redelivery for up to 24 hours".
const TRIED_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reports that are handed over by POST. A stop and a crash forget those that were not taken yet.
pub(super) struct Posts {
    tasks: JoinSet<()>,
    connections: Arc<Semaphore>,
}

impl Default for Posts {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Posts {
    /// Hands over a report about a domain, in gzip, at the URL that it named.
    pub(super) fn add(
        &mut self,
        services: &Arc<Services>,
        domain: &Domain,
        url: Box<str>,
        report: Vec<u8>,
    ) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= POSTS_MAX {
            tracing::warn!(%domain, url, "too many TLS reports wait: this one is not sent");
            return;
        }
        let (services, domain) = (Arc::clone(services), domain.clone());
        let connections = Arc::clone(&self.connections);
        self.tasks.spawn(async move {
            let (begun, mut pause) = (Instant::now(), PAUSE);
            loop {
                let turn = connections.acquire().await;
                let active = services.active();
                let posted = active.post_tls_report(&url, report.clone()).await;
                drop((turn, active));
                let Err(why) = posted else {
                    tracing::info!(%domain, url, "a TLS report was taken");
                    return;
                };
                if begun.elapsed() + pause > TRIED_MAX {
                    tracing::warn!(%domain, url, why, "a TLS report is given up: it was not taken");
                    return;
                }
                let again = pause.as_secs();
                tracing::info!(%domain, url, why, again, "a TLS report was not taken, and is tried again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        });
    }
}

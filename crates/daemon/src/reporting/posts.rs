use std::sync::Arc;
use std::time::Duration;

use reports::Handover;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::services::Services;

/// Connections for them at one time.
const CONNECTIONS_MAX: usize = 8;
/// Before the second try; the pause doubles from one to the next, and begins anew with a restart.
const PAUSE: Duration = Duration::from_secs(600);
/// RFC 8460 section 5.5: "a sender SHOULD attempt redelivery for up to 24 hours".
const TRIED_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reports that are handed over by POST, each remembered until it was taken: a crash costs that one is
/// sent twice, under one name.
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
    /// Goes on with those that were not taken before the last stop.
    pub(super) fn resume(&mut self, services: &Arc<Services>) {
        for handover in services.sightings.handovers() {
            self.begin(services, handover);
        }
    }

    /// Hands over a report.
    pub(super) fn add(&mut self, services: &Arc<Services>, handover: Handover) {
        if services.sightings.begin_handover(handover.clone()) {
            self.begin(services, handover);
        } else {
            let Handover { domain, url, .. } = handover;
            tracing::warn!(%domain, url, "too many TLS reports wait: this one is not sent");
        }
    }

    fn begin(&mut self, services: &Arc<Services>, handover: Handover) {
        while self.tasks.try_join_next().is_some() {}
        let (services, connections) = (Arc::clone(services), Arc::clone(&self.connections));
        self.tasks.spawn(async move {
            hand_over(&services, &connections, &handover).await;
            services.sightings.end_handover(&handover);
        });
    }
}

/// Tries it until it is taken or too old.
async fn hand_over(services: &Services, connections: &Semaphore, handover: &Handover) {
    let Handover {
        domain,
        url,
        since,
        report,
    } = handover;
    let mut pause = PAUSE;
    loop {
        let turn = connections.acquire().await;
        let active = services.active();
        let posted = active.post_tls_report(url, report.to_vec()).await;
        drop((turn, active));
        let Err(why) = posted else {
            tracing::info!(%domain, url, "a TLS report was taken");
            return;
        };
        let now = services.clock.moment().wall.as_secs();
        let tried = Duration::from_secs(now.saturating_sub(*since));
        if tried + pause > TRIED_MAX {
            tracing::warn!(%domain, url, why, "a TLS report is given up: it was not taken");
            return;
        }
        let again = pause.as_secs();
        tracing::info!(%domain, url, why, again, "a TLS report was not taken, and is tried again");
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

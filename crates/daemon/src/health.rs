//! Looks after what may change by itself while the relay runs: the health of the spool, the clock,
//! answers that hold no longer, and log lines that nobody read.

use std::sync::Arc;
use std::time::Duration;

use spool::{Health, Local, Spool};

use crate::log;
use crate::operations::tell;
use crate::services::Services;

/// How often the spool's health is looked after.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// Of these so many pass at most before it is told again that lines of the log are lost.
const LOST_PAUSE_MAX: u32 = 60;

/// Sweeps once, then looks after the spool's health, and says when it changes.
pub(crate) async fn look_after(spool: Arc<Local>, services: Arc<Services>) {
    let sweeper = Arc::clone(&spool);
    tokio::task::spawn_blocking(move || match sweeper.sweep() {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "bodies without a message were removed"),
        Err(error) => tracing::warn!(%error, "bodies without a message could not be removed"),
    });
    let mut known = Health::Accepting;
    let (mut lost_lines, mut rows) = (LostLines::default(), 0);
    let mut interval = tokio::time::interval(HEALTH_INTERVAL);
    loop {
        interval.tick().await;
        let healer = Arc::clone(&spool);
        // The health before, too: a failure that is healed at once must not go unseen.
        let look = move || ([healer.health(), healer.heal()], healer.notes());
        let Ok((healths, notes)) = tokio::task::spawn_blocking(look).await else {
            continue;
        };
        for note in notes {
            tracing::warn!(note, "spool");
        }
        for health in healths {
            on_health(&known, &health, &services);
            known = health;
        }
        look_after_clock(&services).await;
        services.active().forget_expired().await;
        lost_lines.look(log::lost_lines());
        let rows_by_now = services.journal.protocol_logs.lost();
        if rows_by_now > rows {
            tracing::warn!(
                rows = rows_by_now - rows,
                "rows of protocol logs were lost: what takes them is full, slow or away"
            );
            rows = rows_by_now;
        }
    }
}

/// What was told of lost lines.
#[derive(Default)]
struct LostLines {
    told: usize,
    /// For so many looks nothing more is told, and after it for twice as many: where nothing takes
    /// lines, what tells of them is lost as well.
    pause: u32,
    looks: u32,
}

impl LostLines {
    fn look(&mut self, lost: usize) {
        let lines = lost - self.told;
        self.looks += 1;
        if lines == 0 {
            self.pause = 0;
        } else if self.looks > self.pause {
            tracing::warn!(
                lines,
                "log lines were lost: what takes them is full, slow or away"
            );
            self.told = lost;
            self.looks = 0;
            self.pause = (2 * self.pause).clamp(1, LOST_PAUSE_MAX);
        }
    }
}

async fn look_after_clock(services: &Arc<Services>) {
    let asked = Arc::clone(services);
    match tokio::task::spawn_blocking(move || asked.clock.look_after()).await {
        Ok(Ok(Some(milliseconds))) => {
            let seconds = milliseconds / 1000;
            tracing::warn!(
                seconds,
                "the system clock was set, or the machine slept: stamps follow it, the queue's time goes on"
            );
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the time of the queue could not be written down");
        }
        Ok(Ok(None)) | Err(_) => {}
    }
}

/// Says how the spool is when that has changed, and lets the queue manager read anew what a failure
/// may have hidden from it.
fn on_health(known: &Health, health: &Health, services: &Arc<Services>) {
    if std::mem::discriminant(health) == std::mem::discriminant(known) {
        return;
    }
    match health {
        Health::Accepting => {
            tracing::info!("the spool works again: mail is accepted");
            let services = Arc::clone(services);
            tokio::spawn(async move {
                tell(&services, |domains| queue::Event::Changed { domains }).await;
            });
        }
        Health::LowSpace { free, floor } => tracing::error!(
            free,
            floor,
            "the disk is nearly full: no mail is accepted (452) until there is room"
        ),
        Health::Failed(error) => {
            tracing::error!(%error, "the spool failed: no mail is accepted (451) until it is healed");
        }
    }
}

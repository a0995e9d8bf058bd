//! The running relay as the control socket and changed files reach it: its parts, and how a new
//! configuration is put in force as a whole.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use config::{Config, Diagnostics, Disk, Files, Loaded};
use engine::dispatch::Event;
use mail::Timestamp;
use tokio::sync::Mutex;

use crate::active::ActiveConfiguration;
use crate::clock;
use crate::diagnoses::Diagnoses;
use crate::doors::Doors;
use crate::inbox::{self, Input};
use crate::listener::{self, Listeners};
use crate::log;
use crate::services::Services;
use crate::upgrade::Upgrades;

/// What the control socket reaches.
pub(crate) struct Shared {
    pub(crate) services: Arc<Services>,
    pub(crate) listeners: Mutex<Listeners>,
    pub(crate) started: Instant,
    /// The same by the system's clock.
    pub(crate) start: Timestamp,
    pub(crate) doors: Arc<Doors>,
    pub(crate) upgrades: Upgrades,
    /// Held while pauses change, so that the queue manager hears of them in order.
    pub(crate) pausing: Mutex<()>,
    /// Held from before the configuration is read until it is in force.
    reloading: Mutex<()>,
    /// What is configured was read and is not in force.
    pub(crate) reload_due: AtomicBool,
    /// What is being found out for operators, and was.
    pub(crate) diagnoses: Diagnoses,
    /// Told to stop, and going on for `stop_delay`.
    pub(crate) leaving: AtomicBool,
    /// What could not be served beside mail, a line each.
    absent: std::sync::Mutex<Vec<String>>,
    /// Held while the configuration file is changed.
    pub(crate) configuring: Mutex<()>,
    pub(crate) source: Source,
}

/// Where the configuration comes from, so that it can be read again.
pub struct Source {
    /// Its main file, by its whole path; `None`: it is in none.
    pub file: Option<PathBuf>,
    /// Reads the configuration as these files have it at the time of the call.
    pub load: Box<Load>,
}

/// Reads a configuration.
pub type Load = dyn Fn(&dyn Files) -> Reading + Send + Sync;

/// The configuration, or what is wrong with it.
pub type Reading = Result<Loaded, Diagnostics>;

impl Shared {
    /// A relay that starts now.
    pub(crate) fn new(
        services: Arc<Services>,
        listeners: Listeners,
        doors: Arc<Doors>,
        source: Source,
    ) -> Self {
        Self {
            services,
            listeners: Mutex::new(listeners),
            started: Instant::now(),
            start: clock::now(),
            doors,
            upgrades: Upgrades::new(source.file.clone()),
            pausing: Mutex::new(()),
            reloading: Mutex::new(()),
            reload_due: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            absent: std::sync::Mutex::default(),
            configuring: Mutex::new(()),
            diagnoses: Diagnoses::default(),
            source,
        }
    }

    /// What could not be served beside mail.
    pub(crate) fn absent(&self) -> MutexGuard<'_, Vec<String>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the configuration again and puts it in force as a whole.
    ///
    /// # Errors
    /// Why not; then everything goes on as before.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Vec<String>, String> {
        let _one_at_a_time = self.reloading.lock().await;
        let reloaded = self.read_again().await;
        self.reload_due.store(reloaded.is_err(), Ordering::Relaxed);
        let mut warnings = reloaded?;
        if let Err(error) = blocking(|| log::reopen().map_err(|e| e.to_string())).await {
            warnings.push(format!(
                "the log's file cannot be opened anew, the old one is written on: {error}"
            ));
        }
        Ok(warnings)
    }

    /// The same, where the text of the configuration is that in force, so that only the files it
    /// names are read anew; `false`, and nothing is done, where it is not.
    pub(crate) async fn reload_if_unchanged(self: &Arc<Self>) -> Result<bool, String> {
        let _one_at_a_time = self.reloading.lock().await;
        let reloaded = self.read_again_if_unchanged().await;
        let is_due = reloaded != Ok(true);
        self.reload_due.store(is_due, Ordering::Relaxed);
        reloaded
    }

    async fn read_again(self: &Arc<Self>) -> Result<Vec<String>, String> {
        let loaded = self.load().await?;
        self.put_in_force(loaded.config).await?;
        Ok(loaded.warnings.iter().map(ToString::to_string).collect())
    }

    async fn read_again_if_unchanged(self: &Arc<Self>) -> Result<bool, String> {
        let config = self.load().await?.config;
        let unchanged = config.fingerprint == self.services.active().setup.config.fingerprint;
        if unchanged {
            self.put_in_force(config).await?;
        }
        Ok(unchanged)
    }

    async fn load(self: &Arc<Self>) -> Result<Loaded, String> {
        let own = Arc::clone(self);
        blocking(move || (own.source.load)(&Disk).map_err(|wrong| wrong.to_string())).await
    }

    /// Who comes here is alone in it since before the configuration was read: else of two reloads at
    /// once the older text could win. Files are read before anything changes, and nothing but their
    /// reader waits for a slow disk: listeners are held only while they change.
    async fn put_in_force(self: &Arc<Self>, config: Config) -> Result<(), String> {
        let old = self.services.active();
        fixed_at_start(&old.setup.config, &config)?;
        let kept = self.listeners.lock().await.kept(&config);
        let bound = listener::bind(&config, &kept, &self.doors)?;
        let ready = listener::ready(bound).map_err(|e| e.to_string())?;
        let (spool, before) = (Arc::clone(&self.services.spool), Arc::clone(&old));
        let (domains, active) = blocking(move || {
            let domains = spool.domains().map_err(|e| e.to_string())?;
            let active = ActiveConfiguration::new(config, Some(&before))?;
            Ok((domains, Arc::new(active)))
        })
        .await?;
        let mut listeners = self.listeners.lock().await;
        active.make_known(&self.services.journal.metrics);
        self.services.active.send_replace(Arc::clone(&active));
        if !active.has_rules_of(&old) {
            self.services.new_rules.send_replace(());
        }
        if !active.has_users_of(&old) {
            self.services.new_users.send_replace(());
        }
        self.services.journal.configured(&active.setup.config);
        listeners.keep_only(&active.setup.config);
        listeners.serve(&self.services, ready);
        warn_of_unanswered(&self.doors, &active.setup.config);
        // An agent that begins before this is heard does one job by the settings before, as those do
        // that are under way. Then nothing more is given to it.
        let reloaded = Event::Reloaded(Arc::clone(&active.setup));
        let changed = Event::Queue(queue::Event::Changed { domains });
        for event in [reloaded, changed] {
            let _stopping = self.services.dispatch.send(Input::Event(event));
        }
        report(&active);
        tracing::info!("the configuration was reloaded");
        Ok(())
    }

    /// What the queue manager counts; zeros while stopping.
    pub(crate) async fn queue_counts(&self) -> queue::Counts {
        let counts = inbox::ask(&self.services.dispatch, Input::Counts).await;
        counts.unwrap_or_default()
    }
}

/// Reads files where a slow disk holds up nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|fault| Err(fault.to_string()))
}

/// What cannot change while running is refused rather than ignored.
fn fixed_at_start(old: &Config, new: &Config) -> Result<(), String> {
    match old.change_of_fixed(new) {
        None => Ok(()),
        Some(key) => Err(format!(
            "`{key}` cannot change while running: restart for it"
        )),
    }
}

/// Says where somebody else listens for us in vain.
pub(crate) fn warn_of_unanswered(doors: &Doors, config: &Config) {
    for address in doors.unanswered(config) {
        tracing::warn!(%address, "systemd listens there, and no listener has this address: its clients get no answer");
    }
}

/// Says who may relay by the configuration now in force, and what of it cannot be had.
pub(crate) fn report(active: &Arc<ActiveConfiguration>) {
    let posture = &active.setup.config.posture;
    if posture.is_closed() {
        tracing::info!(%posture, "relay posture");
    } else {
        tracing::warn!(%posture, "relay posture: strangers may relay, as relay.accept_risk allows");
    }
    if let Some(warning) = active.console_warning() {
        tracing::warn!(warning, "console");
    }
    let active = Arc::clone(active);
    tokio::spawn(async move {
        if let Some(why) = active.dane_is_off().await {
            tracing::info!(why, "DANE is off");
        }
        for warning in active.directory_warnings().await {
            tracing::warn!(warning, "directory");
        }
    });
}

//! One running relay: starts its parts in order, reloads them as a whole, stops them gracefully.
//!
//! Start: spool, disk thread, queue manager, listeners. Stop: listeners close, sessions finish or
//! hear 421, attempts under way end, outcomes are written, the disk thread ends last. A reload that
//! cannot be carried out in full changes nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use config::Config;
use spool::{Health, Local, LocalOptions, Spool};
use tokio::sync::{Mutex, mpsc};

use crate::active::ActiveConfiguration;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::dispatch::{self, Input};
use crate::listener::{self, Bound, Listeners};
use crate::run::StartError;
use crate::services::{Services, Stop};
use crate::watch::{Seen, watch};
use crate::{badmail, control, log};

/// How often the spool's health is looked after.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// A relay that runs. Dropping it does not stop it: call [`Relay::stop`].
pub struct Relay {
    shared: Arc<Shared>,
    disk_thread: JoinHandle<()>,
    dispatch_task: tokio::task::JoinHandle<()>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What the control socket reaches.
pub(crate) struct Shared {
    pub(crate) services: Arc<Services>,
    pub(crate) listeners: Mutex<Listeners>,
    pub(crate) started: Instant,
    source: Source,
}

/// Where the configuration comes from, so that it can be read again.
pub struct Source {
    /// Reads it.
    pub load: Box<dyn Fn() -> Reading + Send + Sync>,
}

/// The configuration, and warnings as text; or what is wrong with it, as text.
pub type Reading = Result<(Config, Vec<String>), String>;

/// Opens the spool of `config`.
///
/// # Errors
/// Says what is wrong with the directory.
pub fn open_spool(config: &Config) -> Result<Arc<Local>, String> {
    let directory = spool_directory(&config.data_dir);
    let options = LocalOptions {
        directory: directory.clone(),
        min_free: config.spool.min_free,
    };
    Local::open(options).map(Arc::new).map_err(|error| {
        format!(
            "the spool in {} cannot be opened: {error}",
            directory.display()
        )
    })
}

/// Where the spool lies within `data_dir`.
pub fn spool_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("spool")
}

impl Relay {
    /// Starts a relay with this configuration, on sockets bound before. Must be called within the
    /// runtime.
    ///
    /// # Errors
    /// Says which part could not start.
    pub async fn start(
        config: Config,
        spool: Arc<Local>,
        bound: Vec<Bound>,
        source: Source,
    ) -> Result<Self, StartError> {
        let domains = spool
            .domains()
            .map_err(|e| format!("the spool cannot be read: {e}"))?;
        let directory = spool_directory(&config.data_dir);
        let clock = Clock::resume(&directory)
            .map_err(|e| format!("{}: {e}", directory.join("clock").display()))?;
        let (disk, disk_thread) = Disk::start(Arc::clone(&spool) as Arc<dyn Spool>)
            .map_err(|e| format!("the disk thread cannot start: {e}"))?;
        let (dispatch, inbox) = mpsc::unbounded_channel();
        // Before anything is read, so that no change is missed.
        let seen = Seen::of(&config).await;
        let active = ActiveConfiguration::new(config, None).map_err(StartError::Configuration)?;
        let services = Arc::new(Services::new(
            Arc::clone(&spool) as Arc<dyn Spool>,
            clock,
            disk,
            dispatch,
            active,
        ));
        let _cannot_fail_yet = services
            .dispatch
            .send(Input::Event(queue::Event::Started { domains }));
        let dispatch_task = tokio::spawn(dispatch::run(Arc::clone(&services), inbox));
        let mut listeners = Listeners::default();
        let ready = listener::ready(bound).map_err(|e| format!("a listener cannot start: {e}"))?;
        listeners.serve(&services, ready);
        report(&services.active());
        let shared = Arc::new(Shared {
            services,
            listeners: Mutex::new(listeners),
            started: Instant::now(),
            source,
        });
        let control = control::serve(Arc::clone(&shared))
            .map_err(|e| format!("the control socket cannot be opened: {e}"))?;
        let tasks = vec![
            control,
            tokio::spawn(look_after(spool, Arc::clone(&shared.services))),
            tokio::spawn(watch(Arc::clone(&shared), seen)),
            tokio::spawn(badmail::keep(Arc::clone(&shared.services))),
        ];
        Ok(Self {
            shared,
            disk_thread,
            dispatch_task,
            tasks,
        })
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn services(&self) -> &Services {
        &self.shared.services
    }

    /// The open listeners: name, and the address bound.
    pub async fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.shared.listeners.lock().await.addresses()
    }

    /// Reads the configuration again and puts it in force as a whole.
    ///
    /// # Errors
    /// Why not; then everything goes on as before.
    pub async fn reload(&self) -> Result<Vec<String>, String> {
        self.shared.reload().await
    }

    /// Stops gracefully. Gives back once everything is written and closed.
    pub async fn stop(self) {
        let Self {
            shared,
            disk_thread,
            dispatch_task,
            tasks,
        } = self;
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // Aborted just now, so its error says nothing.
            let _aborted = task.await;
        }
        shared.services.stop.send_replace(Stop::Draining);
        let services = Arc::clone(&shared.services);
        let time_limit = services.active().setup.config.stop_timeout;
        let cut = tokio::spawn(async move {
            tokio::time::sleep(time_limit).await;
            tracing::warn!("sessions or attempts are still under way and are cut off");
            services.stop.send_replace(Stop::Now);
        });
        shared.listeners.lock().await.finished().await;
        if let Err(fault) = dispatch_task.await {
            tracing::error!(%fault, "the queue manager ended by a fault");
        }
        cut.abort();
        let _aborted = cut.await;
        shared.services.disk.finish();
        if let Err(error) = shared.services.clock.keep() {
            tracing::warn!(%error, "the time of the queue could not be written down");
        }
        drop(shared);
        let ended = tokio::task::spawn_blocking(move || disk_thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the disk thread ended by a fault");
        }
    }
}

impl Shared {
    /// See [`Relay::reload`].
    pub(crate) async fn reload(&self) -> Result<Vec<String>, String> {
        let mut listeners = self.listeners.lock().await;
        let (config, mut warnings) = (self.source.load)()?;
        self.put_in_force(config, &mut listeners)?;
        if let Err(error) = log::reopen() {
            warnings.push(format!(
                "the log's file cannot be opened anew, the old one is written on: {error}"
            ));
        }
        Ok(warnings)
    }

    /// The same, where the text of the configuration is that in force, so that only the files it
    /// names are read anew; `false`, and nothing is done, where it is not.
    pub(crate) async fn reload_if_unchanged(&self) -> Result<bool, String> {
        let mut listeners = self.listeners.lock().await;
        let (config, _) = (self.source.load)()?;
        let unchanged = config.fingerprint == self.services.active().setup.config.fingerprint;
        if unchanged {
            self.put_in_force(config, &mut listeners)?;
        }
        Ok(unchanged)
    }

    /// Who comes here holds the listeners since before the configuration was read: else of two
    /// reloads at once the older text could win.
    fn put_in_force(&self, config: Config, listeners: &mut Listeners) -> Result<(), String> {
        let old = self.services.active();
        fixed_at_start(&old.setup.config, &config)?;
        let bound = listener::bind(&config, &listeners.kept(&config))?;
        let ready = listener::ready(bound).map_err(|e| e.to_string())?;
        let domains = self.services.spool.domains().map_err(|e| e.to_string())?;
        let active = Arc::new(ActiveConfiguration::new(config, Some(&old))?);
        self.services.active.send_replace(Arc::clone(&active));
        if !active.has_rules_of(&old) {
            self.services.new_rules.send_replace(());
        }
        if !active.has_users_of(&old) {
            self.services.new_users.send_replace(());
        }
        listeners.keep_only(&active.setup.config);
        listeners.serve(&self.services, ready);
        let routes = Arc::clone(active.setup.routes());
        let settings = active.setup.queue.clone();
        let reloaded = queue::Event::Reloaded(routes, settings);
        for event in [reloaded, queue::Event::Changed { domains }] {
            let _stopping = self.services.dispatch.send(Input::Event(event));
        }
        report(&active);
        tracing::info!("the configuration was reloaded");
        Ok(())
    }

    /// What the queue manager counts; zeros while stopping.
    pub(crate) async fn queue_counts(&self) -> queue::Counts {
        let (ask, answer) = tokio::sync::oneshot::channel();
        let _stopping = self.services.dispatch.send(Input::Counts(ask));
        answer.await.unwrap_or_default()
    }
}

/// What cannot change while running is refused rather than ignored.
fn fixed_at_start(old: &Config, new: &Config) -> Result<(), String> {
    let fixed = [
        ("data_dir", old.data_dir == new.data_dir),
        ("user", old.user.name == new.user.name),
        ("group", old.group.name == new.group.name),
        ("spool", old.spool == new.spool),
        ("log", old.log == new.log),
        ("control.socket", old.control.socket == new.control.socket),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((key, _)) => Err(format!(
            "`{key}` cannot change while running: restart for it"
        )),
    }
}

/// Says who may relay by the configuration now in force, and what of it cannot be had.
fn report(active: &Arc<ActiveConfiguration>) {
    let posture = &active.setup.config.posture;
    if posture.is_closed() {
        tracing::info!(%posture, "relay posture");
    } else {
        tracing::warn!(%posture, "relay posture: strangers may relay, as relay.accept_risk allows");
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

/// Sweeps once, then looks after the spool's health, and says when it changes.
async fn look_after(spool: Arc<Local>, services: Arc<Services>) {
    let sweeper = Arc::clone(&spool);
    tokio::task::spawn_blocking(move || match sweeper.sweep() {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "bodies without a message were removed"),
        Err(error) => tracing::warn!(%error, "bodies without a message could not be removed"),
    });
    let mut known = Health::Accepting;
    let mut lost = 0;
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
        let lost_by_now = log::lost_lines();
        if lost_by_now > lost {
            tracing::warn!(
                lines = lost_by_now - lost,
                "log lines were lost: nobody read the log"
            );
            lost = lost_by_now;
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
fn on_health(known: &Health, health: &Health, services: &Services) {
    if std::mem::discriminant(health) == std::mem::discriminant(known) {
        return;
    }
    match health {
        Health::Accepting => {
            tracing::info!("the spool works again: mail is accepted");
            if let Ok(domains) = services.spool.domains() {
                let changed = queue::Event::Changed { domains };
                let _stopping = services.dispatch.send(Input::Event(changed));
            }
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

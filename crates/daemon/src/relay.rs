//! One running relay: starts its parts in order, reloads them as a whole, stops them gracefully.
//!
//! Start: spool, disk thread, queue manager, listeners. Stop: listeners close, sessions finish or
//! hear 421, attempts under way end, outcomes are written, the disk thread ends last. A reload that
//! cannot be carried out in full changes nothing.

#[cfg(test)]
mod slots;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use config::Config;
use engine::KeptAs;
use lookups::Answered;
use metrics::{DnsAnswer, Metrics};
use privacy::Veil;
use queue::RateCount;
use spool::{Local, Spool};
use tokio::sync::mpsc;

use crate::active::ActiveConfiguration;
use crate::clock::Clock;
use crate::control::ControlApi;
use crate::devices::Devices;
use crate::disk::Disk;
use crate::dispatch;
use crate::doors::Doors;
use crate::health::look_after;
use crate::inbox::Input;
use crate::journal::{Journal, Observed, Tracking};
use crate::listener::{self, Bound, Listeners};
use crate::monitoring::Monitoring;
use crate::pickup::{Folder, Taken};
use crate::protocol_logs::ProtocolLogs;
use crate::services::{Services, Stop};
use crate::shared::{Shared, Source, report};
use crate::spans::Spans;
use crate::start_error::StartError;
use crate::storage::spool_directory;
use crate::tracker::{Limits, Tracker};
use crate::upgrade::Next;
use crate::watch::{Seen, watch};
use crate::{
    acme, control, digests, kept, late, monitoring, observation, operations, outbound, pickup,
    rate_keeping, reporting, strangers, submit, veiling, watchdog,
};

/// So long a stop waits for the last tracking rows.
const TRACKING_END_MAX: Duration = Duration::from_secs(5);

/// A relay that runs. Dropping it does not stop it: call [`Relay::stop`].
pub struct Relay {
    shared: Arc<Shared>,
    api: ControlApi,
    disk_thread: JoinHandle<()>,
    tracking_thread: Option<JoinHandle<()>>,
    dispatch_task: tokio::task::JoinHandle<Vec<RateCount>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Those who answer on `metrics.bind`: they say to the end that it stops.
    watched: Vec<tokio::task::JoinHandle<()>>,
    /// Those who end by themselves when the relay stops: the ways in for this machine, and whoever
    /// looks at what was taken before.
    ending: Vec<tokio::task::JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay with this configuration, on sockets bound before: of its listeners, and the
    /// submit socket, where it has one; others are opened through `doors`. Must be called within the
    /// runtime.
    ///
    /// # Errors
    /// Says which part could not start.
    pub async fn start(
        config: Config,
        spool: Arc<Local>,
        bound: Vec<Bound>,
        submit: Option<UnixListener>,
        doors: Arc<Doors>,
        source: Source,
    ) -> Result<Self, StartError> {
        let watched = monitoring::bind(&config, &doors)?;
        // Before anything is delivered.
        let pickup = match &config.local.pickup {
            Some(pickup) => Some((pickup.clone(), Folder::open(&pickup.directory, &*spool)?)),
            None => None,
        };
        let domains = spool
            .domains()
            .map_err(|e| format!("the spool cannot be read: {e}"))?;
        let pauses = (spool.pauses()).map_err(|e| format!("the spool cannot be read: {e}"))?;
        let directory = spool_directory(&config.data_dir);
        let clock = Arc::new(resume_clock(&directory)?);
        let metrics = Arc::new(Metrics::default());
        let (journal, tracking_thread) = open_journal(&config, &metrics, &spool, &clock)?;
        let counting = Arc::clone(&metrics);
        let committed = move |took| counting.committed(took);
        let (disk, disk_thread) = Disk::start(Arc::clone(&spool) as Arc<dyn Spool>, committed)
            .map_err(|e| format!("the disk thread cannot start: {e}"))?;
        let (dispatch, inbox) = mpsc::unbounded_channel();
        // Before anything is read, so that no change is missed.
        let seen = Seen::of(&config).await;
        let active = ActiveConfiguration::new(config, None).map_err(StartError::Configuration)?;
        active.make_known(&metrics);
        let services = Arc::new(Services::new(
            Arc::clone(&spool) as Arc<dyn Spool>,
            Arc::clone(&clock),
            disk,
            dispatch,
            active,
            journal,
        ));
        for event in [
            queue::Event::Counted(services.rate_counts.resume()),
            queue::Event::Paused { pauses },
            queue::Event::Started { domains },
        ] {
            let _cannot_fail_yet = services.dispatch.send(Input::queue(event));
        }
        let dispatch_task = tokio::spawn(dispatch::run(Arc::clone(&services), inbox));
        let mut listeners = Listeners::default();
        let ready = listener::ready(bound).map_err(|e| format!("a listener cannot start: {e}"))?;
        listeners.serve(&services, ready);
        let mut ending = local_ways(&services, pickup, submit)?;
        ending.push(tokio::spawn(late::screen(Arc::clone(&services))));
        report(&services.active());
        let shared = Arc::new(Shared::new(services, listeners, doors, source));
        let monitoring = Monitoring::new(Arc::clone(&shared));
        let api = ControlApi::new(Arc::clone(&shared), monitoring.router());
        let socket = shared.services.active().setup.config.control.socket.clone();
        let control = control::serve(&socket, &api, &shared.doors)
            .map_err(|e| format!("the control socket cannot be opened: {e}"))?;
        let mut tasks = beside_mail(spool, &shared, seen);
        tasks.push(control);
        let watched = watched
            .into_iter()
            .map(|socket| tokio::spawn(monitoring.serve(socket)));
        Ok(Self {
            watched: watched.collect(),
            shared,
            api,
            disk_thread,
            tracking_thread,
            dispatch_task,
            tasks,
            ending,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
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

    /// The API of the control socket, for whoever is in this process.
    pub fn api(&self) -> ControlApi {
        self.api.clone()
    }

    /// Says from now on that it is not ready, and does all that it did. Gives how long that is to
    /// be so before the stop.
    pub(crate) fn leave(&self) -> Duration {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.shared.services.active().setup.config.stop.delay
    }

    /// The program after this one, with copies of all that listens.
    ///
    /// # Errors
    /// Why it cannot have them.
    pub(crate) async fn next(&self) -> Result<Next, String> {
        let listeners = self.shared.listeners.lock().await.sockets();
        let sockets = listeners.and_then(|sockets| self.shared.doors.handed_on(sockets));
        let sockets = sockets.map_err(|e| format!("listening sockets cannot be handed on: {e}"));
        self.shared.upgrades.next(sockets?)
    }

    /// Stops gracefully. Gives back once everything is written and closed.
    pub async fn stop(self) {
        let Self {
            shared,
            api,
            disk_thread,
            tracking_thread,
            dispatch_task,
            tasks,
            watched,
            ending,
        } = self;
        shared.doors.close();
        end(tasks).await;
        shared.services.stop.send_replace(Stop::Draining);
        let services = Arc::clone(&shared.services);
        let time_limit = services.active().setup.config.stop.timeout;
        let cut = tokio::spawn(async move {
            tokio::time::sleep(time_limit).await;
            tracing::warn!("sessions or attempts are still under way and are cut off");
            services.stop.send_replace(Stop::Now);
        });
        shared.listeners.lock().await.finished().await;
        for task in ending {
            if let Err(fault) = task.await {
                tracing::error!(%fault, "local submission or late screening ended by a fault");
            }
        }
        match dispatch_task.await {
            Ok(counts) => shared.services.rate_counts.keep_last(&counts),
            Err(fault) => tracing::error!(%fault, "the queue manager ended by a fault"),
        }
        cut.abort();
        let _aborted = cut.await;
        end(watched).await;
        shared.services.disk.finish();
        shared.services.journal.tracking.finish();
        if let Err(error) = shared.services.clock.keep() {
            tracing::warn!(%error, "the time of the queue could not be written down");
        }
        if let Err(error) = shared.services.guardian.keep() {
            tracing::warn!(%error, "what is usual to be sent could not be written down");
        }
        if shared.services.active().setup.config.reports.is_on()
            && let Err(error) = shared.services.sightings.keep()
        {
            tracing::warn!(%error, "what domains are to be told could not be written down");
        }
        if let Err(error) = shared.services.journal.observed.devices.keep() {
            tracing::warn!(%error, "the devices that send could not be written down");
        }
        if let Err(error) = shared.services.history.keep() {
            tracing::warn!(%error, "who was here before could not be written down");
        }
        let services = Arc::clone(&shared.services);
        let finish = move || {
            services.journal.protocol_logs.finish();
            services.journal.spans.finish();
        };
        let _finished = tokio::task::spawn_blocking(finish).await;
        drop((shared, api));
        let ended = tokio::task::spawn_blocking(move || disk_thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the disk thread ended by a fault");
        }
        if let Some(thread) = tracking_thread {
            wait_for_tracking(thread).await;
        }
    }
}

/// Begins what is done beside mail, as long as the relay runs.
fn beside_mail(
    spool: Arc<Local>,
    shared: &Arc<Shared>,
    seen: Seen,
) -> Vec<tokio::task::JoinHandle<()>> {
    let services = || Arc::clone(&shared.services);
    vec![
        tokio::spawn(look_after(spool, services())),
        tokio::spawn(watch(Arc::clone(shared), seen)),
        tokio::spawn(kept::keep(services(), KeptAs::Badmail)),
        tokio::spawn(kept::keep(services(), KeptAs::Quarantine)),
        tokio::spawn(operations::carry_out(services())),
        tokio::spawn(observation::keep(services())),
        tokio::spawn(watchdog::watch(services())),
        tokio::spawn(outbound::keep(services())),
        tokio::spawn(strangers::keep(services())),
        tokio::spawn(rate_keeping::keep(services())),
        tokio::spawn(reporting::tell(services())),
        tokio::spawn(digests::tell(services())),
        tokio::spawn(acme::keep(services())),
    ]
}

/// Ends these where they are.
async fn end(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        // Aborted just now, so its error says nothing.
        let _aborted = task.await;
    }
}

/// Rows are expendable: a disk that does not take them holds up no stop.
async fn wait_for_tracking(thread: JoinHandle<()>) {
    let ended = tokio::task::spawn_blocking(move || thread.join());
    match tokio::time::timeout(TRACKING_END_MAX, ended).await {
        Ok(Ok(Ok(()))) => {}
        Ok(_) => tracing::error!("the tracking thread ended by a fault"),
        Err(_) => tracing::warn!("the last tracking rows were not written in time"),
    }
}

fn resume_clock(directory: &Path) -> Result<Clock, String> {
    let named = |error| format!("{}: {error}", directory.join("clock").display());
    Clock::resume(directory).map_err(named)
}

/// Those who keep a record, and the thread of the tracking store, if there is one.
fn open_journal(
    config: &Config,
    metrics: &Arc<Metrics>,
    spool: &Arc<Local>,
    clock: &Arc<Clock>,
) -> Result<(Journal, Option<JoinHandle<()>>), String> {
    let counting = Arc::clone(metrics);
    lookups::hear_of_dns(move |answered, took| {
        let answer = match answered {
            Answered::Found => DnsAnswer::Found,
            Answered::NoData => DnsAnswer::NoData,
            Answered::NoSuchName => DnsAnswer::NoSuchName,
            Answered::Failed => DnsAnswer::Failed,
        };
        counting.asked_dns(answer, took);
    });
    let veil = veiling::open(config.log.privacy, &config.data_dir)?;
    let (tracker, thread) = start_tracking(config, spool, clock, veil.clone())?.unzip();
    let devices = Devices::resume(config.data_dir.join("devices"));
    let journal = Journal::new(
        Arc::clone(metrics),
        ProtocolLogs::new(veil),
        Tracking::new(Arc::clone(clock), tracker, &config.tracking),
        Observed::new(Arc::clone(clock), devices),
        Spans::start(config, clock)?,
    );
    Ok((journal, thread))
}

fn start_tracking(
    config: &Config,
    spool: &Arc<Local>,
    clock: &Arc<Clock>,
    veil: Option<Arc<Veil>>,
) -> Result<Option<(Tracker, JoinHandle<()>)>, String> {
    if !config.tracking.enabled {
        return Ok(None);
    }
    let spool = Arc::clone(spool) as Arc<dyn Spool>;
    let folder = config.data_dir.join("tracking");
    Tracker::start(&folder, Limits::of(config), Arc::clone(clock), spool, veil)
        .map(Some)
        .map_err(|e| format!("the tracking thread cannot start: {e}"))
}

/// Opens the ways in which this machine itself hands messages in.
fn local_ways(
    services: &Arc<Services>,
    pickup: Option<(config::Pickup, (Folder, Vec<Taken>))>,
    socket: Option<UnixListener>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, StartError> {
    let mut ways = Vec::new();
    if let Some((pickup, (folder, left))) = pickup {
        tracing::info!(directory = ?pickup.directory, "picking up");
        ways.push(tokio::spawn(pickup::run(
            Arc::clone(services),
            pickup,
            folder,
            left,
        )));
    }
    if let Some(socket) = socket {
        let socket = tokio::net::UnixListener::from_std(socket)
            .map_err(|error| format!("submit.socket: {error}"))?;
        ways.push(tokio::spawn(submit::serve(Arc::clone(services), socket)));
    }
    Ok(ways)
}

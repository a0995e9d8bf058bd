//! `gatepost run`: from a configuration file to a relay that runs until it is told to stop.

use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use config::{Config, Diagnostic, Diagnostics, Severity};
use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::level_filters::LevelFilter;

use crate::beside::Beside;
use crate::doors::Doors;
use crate::relay::Relay;
use crate::shared::{Shared, Source};
use crate::start_error::StartError;
use crate::storage::open_spool;
use crate::submit::open_submit_socket;
use crate::upgrade::Next;
use crate::{listener, log, privileges, shared, veiling};

/// Runs in the foreground until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR1 opens the log's file
/// anew, SIGUSR2 puts the program that now stands in our place there.
///
/// Order matters: signals are held back first, as whoever sees an open port may send one; then
/// sockets are bound as root, then root is given up, then threads are started.
///
/// What is `beside` is served as long as the relay is not told to stop.
///
/// # Errors
/// Why it could not start.
pub fn run(config: Config, source: Source, beside: Vec<Beside>) -> Result<(), StartError> {
    if config.listeners.is_empty() && config.local.sessions().next().is_none() {
        // It is valid and closed; running it would look like a relay and be none.
        let why = "nothing to listen on: the configuration has no [listener]";
        return Err(StartError::Configuration(why.to_owned()));
    }
    match serve(config, source, beside)? {
        None => Ok(()),
        Some(next) => match next.go()? {},
    }
}

/// Gives what goes on in our place, unless we were told to stop. All that we wrote is written then,
/// and nothing is open but what goes on.
fn serve(config: Config, source: Source, beside: Vec<Beside>) -> Result<Option<Next>, StartError> {
    let held = hold_signals()?;
    raise_file_limit();
    let doors = Arc::new(Doors::take()?);
    let bound = listener::bind(&config, &[], &doors)?;
    make_data_dir(&config.data_dir)?;
    let made = make_pickup_directory(&config)?;
    let submit = open_submit_socket(&config, &doors)?;
    let opened = beside.into_iter().map(|open| open(&config, &doors));
    let beside = opened.collect::<Result<Vec<_>, _>>()?;
    privileges::drop_to(
        &config.user.name,
        Some(&config.group.name),
        &[Some(&*config.data_dir), made]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
    )?;
    let _log_written_at_the_end = start_log(&config)?;
    shared::warn_of_unanswered(&doors, &config);
    let spool = open_spool(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the runtime cannot start: {e}"))?;
    let served = runtime.block_on(async move {
        let relay = Relay::start(config, spool, bound, submit, Arc::clone(&doors), source).await?;
        doors.close_untaken();
        // On this thread, the only one that does not hold them back from now on.
        let mut signals = Signals::take(&held)?;
        let mut served = JoinSet::new();
        for serve in beside {
            served.spawn(serve(relay.api()));
        }
        let next = live(&relay, &mut signals, &held).await?;
        served.shutdown().await;
        relay.stop().await;
        if next.is_some() && !signals.told_to_stop().await {
            return Ok(next);
        }
        tracing::info!("stopped");
        Ok(None)
    });
    // What had to be written is. Whoever is still held up, by a disk that does not take rows or give
    // them, is not waited for.
    runtime.shutdown_background();
    served
}

fn unheard(why: impl fmt::Display) -> String {
    format!("signals cannot be received: {why}")
}

/// Holds back the signals that we serve until there are handlers: by default each of them ends the
/// process. The system keeps them, and threads started later hold them back too.
fn hold_signals() -> Result<SigSet, String> {
    let served = [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGHUP,
        Number::SIGUSR1,
        Number::SIGUSR2,
    ];
    let set: SigSet = served.into_iter().collect();
    set.thread_block().map_err(unheard)?;
    Ok(set)
}

/// What others tell us by signals. One that came while nobody asked is kept, once of each kind.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Sets up the handlers, then lets come what was `held` back. Must be called within the
    /// runtime.
    fn take(held: &SigSet) -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(unheard);
        let signals = Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            reopen: listen(SignalKind::user_defined1())?,
            upgrade: listen(SignalKind::user_defined2())?,
        };
        held.thread_unblock().map_err(unheard)?;
        Ok(signals)
    }

    /// Whether one to stop came that nobody has heeded yet.
    async fn told_to_stop(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            () = std::future::ready(()) => false,
        }
    }
}

/// Each connection is a file descriptor; many systems hand out 1,024 unless asked. What the hard
/// limit allows is taken.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Without it there are fewer connections at one time; accepting pauses when they run out.
        let _fewer_connections = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn make_data_dir(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|e| format!("data_dir {}: {e}", path.display()))
}

/// The pickup directory, where it was missing and root could make it: it is then the relay's own. One
/// that is there is somebody's, who decided who may write to it.
fn make_pickup_directory(config: &Config) -> Result<Option<&Path>, String> {
    let Some(pickup) = &config.local.pickup else {
        return Ok(None);
    };
    let path = &pickup.directory;
    if path.exists() {
        return Ok(None);
    }
    let above = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let made = above
        .and_then(|()| std::fs::create_dir(path))
        // After the fact: the umask would take bits away.
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o1770)));
    made.map_err(|e| format!("pickup.directory {}: {e}", path.display()))?;
    Ok(Some(path))
}

fn start_log(config: &Config) -> Result<log::Guard, String> {
    let level = match config.log.level {
        config::LogLevel::Error => LevelFilter::ERROR,
        config::LogLevel::Warn => LevelFilter::WARN,
        config::LogLevel::Info => LevelFilter::INFO,
        config::LogLevel::Debug => LevelFilter::DEBUG,
    };
    let veil = veiling::open(config.log.privacy, &config.data_dir)?;
    log::start(level, &config.log, veil).map_err(|e| format!("log: {e}"))
}

/// Heeds signals until the relay is to end; gives what goes on in its place.
async fn live(
    relay: &Relay,
    signals: &mut Signals,
    held: &SigSet,
) -> Result<Option<Next>, StartError> {
    notify(&[sd_notify::NotifyState::Ready]);
    if let Some(next) = until_told(relay, signals).await {
        // From now on they are for the program that comes; so is one to stop, which it heeds once it
        // has started.
        held.thread_block().map_err(unheard)?;
        let path = next.program.path.display();
        tracing::info!(program = %path, "upgrading: sessions and attempts under way end first");
        notify(&[sd_notify::NotifyState::Reloading]);
        return Ok(Some(next));
    }
    tracing::info!("stopping");
    notify(&[sd_notify::NotifyState::Stopping]);
    linger(relay, signals).await;
    Ok(None)
}

/// Heeds signals until one of them says to stop, or there is a program that takes our place.
async fn until_told(relay: &Relay, signals: &mut Signals) -> Option<Next> {
    let upgrades = &relay.shared().upgrades;
    loop {
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => return None,
            _ = signals.interrupt.recv() => return None,
            // A slow disk holds up no other signal.
            _ = signals.hangup.recv() => drop(tokio::spawn(reload(Arc::clone(relay.shared())))),
            _ = signals.reopen.recv() => reopen_log(),
            _ = signals.upgrade.recv() => {
                tokio::spawn(upgrade(Arc::clone(relay.shared())));
            }
            () = upgrades.begun() => match relay.next().await {
                Ok(next) => return Some(next),
                Err(error) => tracing::error!(error, "no upgrade, everything goes on as before"),
            }
        }
    }
}

/// Looks whether the program that stands in our place would start, and then has it begin.
async fn upgrade(shared: Arc<Shared>) {
    if shared.upgrades.look().await.is_ok() {
        shared.upgrades.begin();
    }
}

/// Goes on for `stop_delay`, not ready any more: whoever sends clients here has time to hear of it
/// and send them elsewhere. A second signal to stop ends that.
async fn linger(relay: &Relay, signals: &mut Signals) {
    let delay = tokio::time::sleep(relay.leave());
    tokio::pin!(delay);
    loop {
        tokio::select! {
            () = &mut delay => break,
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => drop(tokio::spawn(reload(Arc::clone(relay.shared())))),
            _ = signals.reopen.recv() => reopen_log(),
        }
    }
}

fn reopen_log() {
    match log::reopen() {
        Ok(()) => tracing::info!("the log's file was opened anew"),
        Err(error) => {
            tracing::error!(%error, "the log's file cannot be opened anew, the old one is written on");
        }
    }
}

async fn reload(shared: Arc<Shared>) {
    match shared.reload().await {
        Ok(warnings) => {
            for warning in warnings {
                tracing::warn!(warning, "configuration");
            }
        }
        Err(error) => {
            tracing::error!(
                error,
                "the configuration was not reloaded, everything goes on as before"
            );
        }
    }
}

/// Tells systemd, when it started us with `Type=notify`.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}

/// A [`Source`] that always fails to reload: for a relay whose configuration is made by a program.
pub fn fixed_source() -> Source {
    let why = "this relay's configuration has no file";
    Source {
        file: None,
        load: Box::new(move |_| Err(Diagnostics(vec![Diagnostic::new(Severity::Error, why)]))),
    }
}

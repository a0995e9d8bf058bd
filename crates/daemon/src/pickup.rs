//! The pickup directory: takes files that are whole, hands each to a session of its own, and removes
//! what was taken.
//!
//! A file is moved to the folder `taken` under the queue id that its message will have, and the
//! move is on stable storage before the message is: so after a crash the file is there, and whether
//! its message is in the spool tells whether it was taken. What remains is a message that was stored
//! and has reached all its recipients before the removal of its file was on stable storage: it goes
//! out twice. Without a power cut that is the moment between the commit and the removal; with one,
//! the time of a batch.

mod file;
mod folder;
mod moved_in;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Pickup;
use spool::Health;
use submission::{Ended, Handover, Sightings};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use self::file::{NotOpened, Opened};
pub(crate) use self::folder::{Folder, Taken};
use self::moved_in::MovedIn;
use crate::hand_over::hand_over;
use crate::listener::report_fault;
use crate::services::{Services, Stop};
use crate::{journal, local_session};

/// Files that are taken in one go: enough to share syncs, few enough to begin soon.
const BATCH_MAX: usize = 256;
/// Files that are handed over at one time.
const SIDE_BY_SIDE: usize = 32;
/// Files that were postponed, after which no further ones are taken.
const WAITING_MAX: usize = 10_000;
/// After this a file that was postponed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// What became of a file.
enum End {
    /// Its message is in the spool.
    Taken,
    /// It is to be tried again.
    Postponed(String),
    /// It will never be sent.
    Bad(String),
}

/// Takes files until the relay stops, and first of all those that were `left`. What was begun is
/// finished before it ends, so that no file of a message that was stored remains.
pub(crate) async fn run(services: Arc<Services>, pickup: Pickup, folder: Folder, left: Vec<Taken>) {
    let mut stop = services.stop.subscribe();
    let mut moved_in = MovedIn::watch(&pickup.directory);
    let (folder, started) = (Arc::new(folder), Instant::now());
    let mut sightings = Sightings::default();
    let mut waiting: Vec<(Instant, Taken)> = Vec::new();
    waiting.extend(left.into_iter().map(|taken| (started, taken)));
    while *stop.borrow() == Stop::Running {
        let mut batch = Vec::new();
        if services.spool.health() == Health::Accepting {
            batch = due(&mut waiting);
            let room = BATCH_MAX - batch.len();
            // What waits is in memory; what is not taken yet costs nothing.
            if waiting.len() < WAITING_MAX {
                let whole = look(&folder, &mut sightings, started.elapsed()).await;
                batch.extend(take(&services, &folder, whole, room).await);
            }
        }
        let is_full = batch.len() == BATCH_MAX;
        if !batch.is_empty() {
            let postponed = hand_in(&services, &folder, batch).await;
            let again = Instant::now() + RETRY;
            waiting.extend(postponed.into_iter().map(|taken| (again, taken)));
            let folder = Arc::clone(&folder);
            let _synced = tokio::task::spawn_blocking(move || folder.sync()).await;
        }
        if !is_full {
            tokio::select! {
                _ = stop.changed() => {}
                names = moved_in.next() => names.iter().for_each(|name| sightings.on_moved_in(name)),
                () = tokio::time::sleep(pickup.interval) => {}
            }
        }
    }
}

/// Those whose time has come.
fn due(waiting: &mut Vec<(Instant, Taken)>) -> Vec<Taken> {
    let now = Instant::now();
    let due = waiting.extract_if(.., |(at, _)| *at <= now);
    due.take(BATCH_MAX).map(|(_, taken)| taken).collect()
}

/// Which files are whole.
async fn look(folder: &Arc<Folder>, sightings: &mut Sightings, now: Duration) -> Vec<OsString> {
    let folder = Arc::clone(folder);
    let listed = tokio::task::spawn_blocking(move || folder.list()).await;
    match listed.map_err(io::Error::other).flatten() {
        Ok(there) => sightings.look(there, now),
        Err(error) => {
            tracing::error!(%error, "pickup.directory cannot be looked into");
            Vec::new()
        }
    }
}

/// Takes as many of them as there is room for.
async fn take(
    services: &Arc<Services>,
    folder: &Arc<Folder>,
    mut whole: Vec<OsString>,
    room: usize,
) -> Vec<Taken> {
    whole.truncate(room);
    if whole.is_empty() {
        return Vec::new();
    }
    let (services, folder) = (Arc::clone(services), Arc::clone(folder));
    let taken = tokio::task::spawn_blocking(move || folder.take(whole, || services.new_id()));
    // After a fault of ours they are found at the next start.
    taken.await.unwrap_or_default()
}

/// Hands all of them in, some side by side; gives back those that are to be tried again.
async fn hand_in(services: &Arc<Services>, folder: &Arc<Folder>, batch: Vec<Taken>) -> Vec<Taken> {
    let (mut under_way, mut postponed) = (JoinSet::new(), Vec::new());
    let mut batch = batch.into_iter();
    loop {
        while under_way.len() < SIDE_BY_SIDE
            && let Some(taken) = batch.next()
        {
            under_way.spawn(settle(Arc::clone(services), Arc::clone(folder), taken));
        }
        match under_way.join_next().await {
            None => return postponed,
            Some(Ok(again)) => postponed.extend(again),
            // The next start finds its file.
            Some(Err(fault)) => report_fault(Err(fault)),
        }
    }
}

/// One file, to its end: removed, or among the bad ones; given back when it is to be tried again.
async fn settle(services: Arc<Services>, folder: Arc<Folder>, taken: Taken) -> Option<Taken> {
    let end = match offer(&services, &taken).await {
        End::Postponed(why) if is_too_old(&services, &taken) => {
            End::Bad(format!("given up after queue.expire: {why}"))
        }
        end => end,
    };
    match &end {
        End::Taken => journal::picked_up(taken.id, &taken.name),
        End::Postponed(why) => {
            journal::pickup_postponed(taken.id, &taken.name, why);
            return Some(taken);
        }
        End::Bad(why) => journal::pickup_refused(taken.id, &taken.name, why),
    }
    let id = taken.id;
    let done = tokio::task::spawn_blocking(move || match end {
        End::Bad(why) => folder.set_aside(&taken, &why),
        End::Taken | End::Postponed(_) => folder.remove(&taken),
    });
    // It stays where it is, and the next start looks after it.
    if let Err(error) = done.await.map_err(io::Error::other).flatten() {
        tracing::error!(%id, %error, "pickup: a file cannot be moved away");
    }
    None
}

fn is_too_old(services: &Services, taken: &Taken) -> bool {
    let expire = services.active().setup.queue.expire;
    services.clock.line().since(taken.id.made()) > expire
}

/// Hands one file to a session.
async fn offer(services: &Arc<Services>, taken: &Taken) -> End {
    let active = services.active();
    let config = &active.setup.config;
    let Some(pickup) = &config.local.pickup else {
        return End::Postponed("there is no pickup.directory".to_owned());
    };
    let settings = Arc::clone(&pickup.session);
    let (spool, path, id) = (Arc::clone(&services.spool), taken.path.clone(), taken.id);
    let (hostname, header_size) = (config.hostname.clone(), config.limits.header_size);
    drop(active);
    let opened = tokio::task::spawn_blocking(move || match spool.body(id) {
        // Stored before, and the answer was lost.
        Ok(Some(_)) => Err(End::Taken),
        Ok(None) => file::open(&path, header_size, &hostname).map_err(|why| match why {
            NotOpened::Bad(why) => End::Bad(why),
            NotOpened::NotNow(why) => End::Postponed(why),
        }),
        Err(error) => Err(End::Postponed(error.to_string())),
    });
    let Opened {
        submission,
        rest,
        uid,
    } = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(end)) => return end,
        Err(fault) => return End::Postponed(fault.to_string()),
    };
    let (ours, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => return End::Postponed(error.to_string()),
    };
    let session = local_session::serve(Arc::clone(services), settings, theirs, uid, Some(id));
    let handover = Handover::new("localhost", submission);
    let ((), ended) = tokio::join!(session, hand_over(ours, handover, rest));
    match ended {
        Ended::Taken(_) => End::Taken,
        Ended::Postponed(reply) => End::Postponed(reply.to_string()),
        Ended::Refused {
            recipient: Some(recipient),
            reply,
        } => End::Bad(format!("{recipient}: {reply}")),
        Ended::Refused {
            recipient: None,
            reply,
        } => End::Bad(reply.to_string()),
    }
}

//! The pickup directory: takes files that are whole, hands each to a session of its own, and removes
//! what was taken.
//!
//! A file is moved to the folder `taken` under the queue id that its message will have, and the
//! move is on stable storage before the message is: so after a crash the file is there, and whether
//! its message is in the spool tells whether it was taken. What remains is a message that was stored
//! and has reached all its recipients before its file was known to be taken, and the removal of that on
//! stable storage: it goes out twice. That is the moment between the commit and the removal; with a
//! power cut the time of a batch; and where the disk's answer to the commit was unknown, and the message
//! is in the spool all the same, the time until the file is tried again.

mod bad_files;
mod file;
mod folder;
mod moved_in;
mod settle;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Pickup;
use spool::Health;
use submission::{Backlog, Sightings};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use self::bad_files::BadFiles;
pub(crate) use self::folder::{Folder, Taken};
use self::moved_in::MovedIn;
use self::settle::{Job, settle};
use crate::listener::report_fault;
use crate::services::{Services, Stop};

/// Files that are taken in one go: enough to share syncs, few enough that whoever comes next has his
/// turn soon.
const BATCH_MAX: usize = 2 * SIDE_BY_SIDE;
/// Files that are handed over at one time.
const SIDE_BY_SIDE: usize = 32;
/// Files beside them that are tried again, so that those which have to wait, perhaps for somebody who
/// does not answer, keep no new one waiting.
const AGAIN_SIDE_BY_SIDE: usize = 16;
/// How often bad files are looked through for those that have been kept long enough, and the log tells
/// of those that it did not name.
const BADMAIL_INTERVAL: Duration = Duration::from_secs(60);

/// Takes files until the relay stops, and first of all those that were `left`. What was begun is
/// finished before it ends, so that no file of a message that was stored remains.
pub(crate) async fn run(services: Arc<Services>, pickup: Pickup, folder: Folder, left: Vec<Taken>) {
    let mut stop = services.stop.subscribe();
    let mut moved_in = MovedIn::watch(&pickup.directory);
    let mut look = tokio::time::interval(pickup.interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut badmail = tokio::time::interval(BADMAIL_INTERVAL);
    let mut intake = Intake::new(services, folder, left);
    while *stop.borrow() == Stop::Running {
        intake.take().await;
        intake.begin();
        tokio::select! {
            _ = stop.changed() => {}
            Some(ended) = intake.fresh.join_next() => intake.on_ended(ended).await,
            Some(ended) = intake.again.join_next() => intake.on_ended(ended).await,
            names = moved_in.next() => intake.on_moved_in(&names),
            _ = look.tick() => intake.may_look = true,
            _ = badmail.tick() => {
                intake.tell_of_unnamed();
                intake.trim().await;
            }
        }
    }
    intake.finish().await;
}

/// The files on their way.
struct Intake {
    services: Arc<Services>,
    folder: Arc<Folder>,
    started: Instant,
    sightings: Sightings,
    /// Whether there may be something new.
    may_look: bool,
    /// Taken and not begun.
    ready: VecDeque<Taken>,
    /// Those that are handed over for the first time.
    fresh: JoinSet<Option<Job>>,
    /// Those that have been before.
    again: JoinSet<Option<Job>>,
    backlog: Backlog<Job>,
    bad: Arc<BadFiles>,
    /// Files were moved or removed since the last sync.
    is_unsynced: bool,
}

impl Intake {
    fn new(services: Arc<Services>, folder: Folder, left: Vec<Taken>) -> Self {
        let mut backlog = Backlog::default();
        for taken in left {
            let uid = taken.uid;
            backlog.put_off(Job::of(taken), uid, 0, Duration::ZERO);
        }
        Self {
            services,
            folder: Arc::new(folder),
            started: Instant::now(),
            sightings: Sightings::default(),
            may_look: true,
            ready: VecDeque::new(),
            fresh: JoinSet::new(),
            again: JoinSet::new(),
            backlog,
            bad: Arc::default(),
            is_unsynced: false,
        }
    }

    fn is_accepting(&self) -> bool {
        self.services.spool.health() == Health::Accepting
    }

    fn on_moved_in(&mut self, names: &[OsString]) {
        for name in names {
            self.sightings.on_moved_in(name);
        }
        self.may_look = true;
    }

    /// Takes new files, when those that were taken are almost all begun.
    async fn take(&mut self) {
        if !self.may_look || self.ready.len() >= SIDE_BY_SIDE || !self.is_accepting() {
            return;
        }
        let mut whole = self.look().await;
        // What is taken is in memory; what is not yet costs nothing.
        whole.retain(|(_, uid)| self.backlog.has_room(*uid));
        self.may_look = whole.len() > BATCH_MAX;
        whole.truncate(BATCH_MAX);
        if whole.is_empty() {
            return;
        }
        let (services, folder) = (Arc::clone(&self.services), Arc::clone(&self.folder));
        let taken = tokio::task::spawn_blocking(move || folder.take(whole, || services.new_id()));
        // After a fault of ours they are found at the next start.
        self.ready.extend(taken.await.unwrap_or_default());
    }

    /// Which files are whole, and whose they are.
    async fn look(&mut self) -> Vec<(OsString, u32)> {
        let folder = Arc::clone(&self.folder);
        let listed = tokio::task::spawn_blocking(move || folder.list()).await;
        match listed.map_err(io::Error::other).flatten() {
            Ok(there) => self.sightings.look(there, self.started.elapsed()),
            Err(error) => {
                tracing::error!(%error, "pickup.directory cannot be looked into");
                Vec::new()
            }
        }
    }

    /// Begins as many as there is room for.
    fn begin(&mut self) {
        if !self.is_accepting() {
            return;
        }
        let job = |job| {
            let (services, folder) = (Arc::clone(&self.services), Arc::clone(&self.folder));
            settle(services, folder, Arc::clone(&self.bad), job)
        };
        while self.fresh.len() < SIDE_BY_SIDE
            && let Some(taken) = self.ready.pop_front()
        {
            self.fresh.spawn(job(Job::of(taken)));
        }
        while self.again.len() < AGAIN_SIDE_BY_SIDE
            && let Some(put_off) = self.backlog.next_due(self.started.elapsed())
        {
            self.again.spawn(job(put_off));
        }
    }

    async fn on_ended(&mut self, ended: Result<Option<Job>, JoinError>) {
        match ended {
            Ok(None) => self.is_unsynced = true,
            Ok(Some(job)) => {
                let (uid, tries) = (job.taken.uid, job.tries);
                let now = self.started.elapsed();
                self.backlog.put_off(job, uid, tries, now);
            }
            // The next start finds its file.
            Err(fault) => report_fault(Err(fault)),
        }
        let is_idle = self.fresh.is_empty() && self.again.is_empty() && self.ready.is_empty();
        if is_idle && self.is_unsynced {
            self.sync().await;
        }
    }

    async fn sync(&mut self) {
        let folder = Arc::clone(&self.folder);
        let _synced = tokio::task::spawn_blocking(move || folder.sync()).await;
        self.is_unsynced = false;
    }

    fn tell_of_unnamed(&self) {
        let count = self.bad.unnamed();
        if count > 0 {
            self.services.journal.pickup_refused_more(count);
        }
    }

    /// Lets go of bad files that were kept for long enough.
    async fn trim(&self) {
        let limits = self.services.active().setup.badmail;
        let (folder, now) = (Arc::clone(&self.folder), self.services.clock.line());
        let trimmed = tokio::task::spawn_blocking(move || folder.trim(&limits, now)).await;
        if let Err(error) = trimmed.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "pickup: badmail could not be looked through");
        }
    }

    /// What was taken and not begun is found by the next start.
    async fn finish(mut self) {
        while let Some(ended) = self.fresh.join_next().await {
            self.on_ended(ended).await;
        }
        while let Some(ended) = self.again.join_next().await {
            self.on_ended(ended).await;
        }
        self.tell_of_unnamed();
        self.sync().await;
    }
}

//! One file that was taken, to its end.

use std::sync::Arc;

use submission::{Ended, Handover, Seen};
use tokio::net::UnixStream;

use super::bad_files::BadFiles;
use super::file::{self, NotOpened, Opened};
use super::folder::{Folder, Taken};
use crate::hand_over::hand_over;
use crate::local_session;
use crate::services::Services;

/// A file that was taken and is not settled.
pub(super) struct Job {
    pub(super) taken: Taken,
    /// How often it was tried.
    pub(super) tries: u32,
    /// What became of its message, when only the file is still there.
    end: Option<End>,
}

/// What became of a file.
enum End {
    /// Its message is in the spool. It was read as it was seen here.
    Taken(Option<Seen>),
    /// It will never be sent.
    Bad(String),
}

/// Why it is to be tried again.
struct Postponed(String);

impl Job {
    pub(super) fn of(taken: Taken) -> Self {
        Self {
            taken,
            tries: 0,
            end: None,
        }
    }
}

/// Hands in one file, and removes it or puts it among the bad ones; gives back what is to be tried
/// again. The log says each thing about it once, and of many bad files how many there were.
pub(super) async fn settle(
    services: Arc<Services>,
    folder: Arc<Folder>,
    bad: Arc<BadFiles>,
    mut job: Job,
) -> Option<Job> {
    job.tries = job.tries.saturating_add(1);
    let is_known = job.end.is_some();
    if job.end.is_none() {
        job.end = end_of(&services, &bad, &job).await;
    }
    if job.end.is_none() {
        return Some(job);
    }
    let moved = tokio::task::spawn_blocking(move || {
        let moved = match &job.end {
            Some(End::Taken(sent)) => folder.remove(&job.taken, *sent),
            Some(End::Bad(why)) => folder.set_aside(&job.taken, why),
            None => Ok(()),
        };
        (job, moved)
    });
    match moved.await {
        Ok((_, Ok(()))) => None,
        Ok((job, Err(error))) => {
            if !is_known {
                let id = job.taken.id;
                tracing::error!(%id, %error, "pickup: a file cannot be moved away");
            }
            Some(job)
        }
        // The next start looks after its file.
        Err(fault) => {
            tracing::error!(%fault, "pickup: a file was left where it is");
            None
        }
    }
}

/// What becomes of it, or nothing yet.
async fn end_of(services: &Arc<Services>, bad: &BadFiles, job: &Job) -> Option<End> {
    let taken = &job.taken;
    let end = match offer(services, taken).await {
        Ok(end) => end,
        Err(Postponed(why)) if is_too_old(services, taken) => {
            End::Bad(format!("given up after queue.expire: {why}"))
        }
        Err(Postponed(why)) => {
            if job.tries == 1 {
                services
                    .journal
                    .pickup_postponed(taken.id, &taken.name, &why);
            }
            return None;
        }
    };
    match &end {
        End::Taken(_) => services.journal.picked_up(taken.id, &taken.name),
        End::Bad(why) if bad.one_more() => {
            services.journal.pickup_refused(taken.id, &taken.name, why);
        }
        End::Bad(_) => {}
    }
    Some(end)
}

fn is_too_old(services: &Services, taken: &Taken) -> bool {
    let expire = services.active().setup.queue.expire;
    services.clock.line().since(taken.id.made()) > expire
}

/// Hands one file to a session.
async fn offer(services: &Arc<Services>, taken: &Taken) -> Result<End, Postponed> {
    let active = services.active();
    let config = &active.setup.config;
    let Some(pickup) = &config.local.pickup else {
        return Err(Postponed("there is no pickup.directory".to_owned()));
    };
    let settings = Arc::clone(&pickup.session);
    let (spool, path, id) = (Arc::clone(&services.spool), taken.path.clone(), taken.id);
    let (hostname, header_size) = (config.hostname.clone(), config.limits.header_size);
    drop(active);
    let opened = tokio::task::spawn_blocking(move || match spool.body(id) {
        // Stored before, and the answer was lost.
        Ok(Some(_)) => Ok(Err(End::Taken(None))),
        Ok(None) => match file::open(&path, header_size, &hostname) {
            Ok(opened) => Ok(Ok(opened)),
            Err(NotOpened::Bad(why)) => Ok(Err(End::Bad(why))),
            Err(NotOpened::NotNow(why)) => Err(Postponed(why)),
        },
        Err(error) => Err(Postponed(error.to_string())),
    });
    let opened = opened.await.map_err(|fault| Postponed(fault.to_string()))?;
    let Opened {
        submission,
        rest,
        seen,
    } = match opened? {
        Ok(opened) => opened,
        Err(end) => return Ok(end),
    };
    let (ours, theirs) = UnixStream::pair().map_err(|error| Postponed(error.to_string()))?;
    let session = local_session::serve(Arc::clone(services), settings, theirs, seen.uid, Some(id));
    let handover = Handover::new("localhost", submission);
    let ((), ended) = tokio::join!(session, hand_over(ours, handover, rest));
    match ended {
        Ended::Taken(_) => Ok(End::Taken(Some(seen))),
        Ended::Postponed(reply) => Err(Postponed(reply.to_string())),
        Ended::Refused {
            recipient: Some(recipient),
            reply,
        } => Ok(End::Bad(format!("{recipient}: {reply}"))),
        Ended::Refused {
            recipient: None,
            reply,
        } => Ok(End::Bad(reply.to_string())),
    }
}

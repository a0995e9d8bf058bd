//! What domains are to be told of mail in their name, and of connections to their servers, and the
//! reports that are on their way to a URL: behind a lock, and kept in a file over a restart.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::Timestamp;
use reports::{Due, Handover, Sighting, Tally, TlsSighting};

use crate::whole_file;

/// What domains are to be told.
pub(crate) struct Sightings {
    tally: Mutex<Tally>,
    file: PathBuf,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
}

impl Sightings {
    /// Goes on with what is in the `file`, where there is one and domains are told of it. What cannot
    /// be read is forgotten: mail does not wait for it.
    pub(crate) fn resume(file: PathBuf, are_told: bool, now: Timestamp) -> Self {
        if !are_told {
            // Mostly there is none. It must not be told of later, when nobody counts on it.
            let _none = fs::remove_file(&file);
        }
        let tally = whole_file::read(&file, Tally::from_octets).unwrap_or_else(|error| {
            tracing::warn!(?file, %error, "what domains are to be told is counted anew");
            None
        });
        Self {
            tally: Mutex::new(tally.unwrap_or_else(|| Tally::new(now.as_secs()))),
            file,
            writing: Mutex::default(),
        }
    }

    /// Counts a message.
    pub(crate) fn add(&self, sighting: Sighting) {
        self.tally().add(sighting);
    }

    /// Counts a connection.
    pub(crate) fn add_connection(&self, sighting: TlsSighting) {
        self.tally().add_connection(sighting);
    }

    /// Remembers a report until [`Sightings::end_handover`]; false where there is no room for it.
    pub(crate) fn begin_handover(&self, handover: Handover) -> bool {
        self.tally().begin_handover(handover)
    }

    /// It was taken, or is given up.
    pub(crate) fn end_handover(&self, handover: &Handover) {
        self.tally().end_handover(handover);
    }

    /// The reports that are still to be taken.
    pub(crate) fn handovers(&self) -> Vec<Handover> {
        self.tally().handovers().to_vec()
    }

    /// Writes it down; may block.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let _alone = self.writing.lock();
        let tally = self.tally().clone();
        whole_file::write(&self.file, &tally.to_octets())
    }

    /// Forgets what was counted: it is not to be told any longer.
    pub(crate) fn forget(&self, now: Timestamp) {
        *self.tally() = Tally::new(now.as_secs());
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reports that are due at this moment, if that hour of the day has come since they were begun.
    pub(crate) fn due(&self, now: Timestamp, hour: u32) -> Vec<Due> {
        let mut tally = self.tally();
        let day = |seconds: u64| seconds.saturating_sub(u64::from(hour) * 3600) / 86_400;
        if day(now.as_secs()) <= day(tally.since()) {
            return Vec::new();
        }
        let left_out = tally.left_out();
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "there was no room to count all that domains want to hear of"
            );
        }
        tally.report(now.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_due_once_their_hour_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let at = |day: u64, hour: u64| Timestamp::from_millis((day * 24 + hour) * 3_600_000);
        let sightings = Sightings::resume(folder.path().join("reports"), true, at(10, 5));
        for (now, hour, since) in [
            (at(10, 6), 7, at(10, 5)),
            (at(10, 8), 7, at(10, 8)),
            (at(10, 23), 7, at(10, 8)),
            (at(11, 6), 7, at(10, 8)),
            // It did not run for days.
            (at(13, 0), 7, at(13, 0)),
            (at(13, 1), 0, at(13, 0)),
            (at(14, 0), 0, at(14, 0)),
        ] {
            assert!(sightings.due(now, hour).is_empty(), "nothing was counted");
            assert_eq!(sightings.tally().since(), since.as_secs(), "{now}");
        }
        sightings.keep().unwrap();
        for (are_told, since) in [(true, at(14, 0)), (false, at(99, 0)), (true, at(99, 0))] {
            let resumed = Sightings::resume(folder.path().join("reports"), are_told, at(99, 0));
            assert_eq!(resumed.tally().since(), since.as_secs());
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reports");
        for text in ["", "{}\n", "\0\u{1}"] {
            fs::write(&file, text).unwrap();
            let sightings = Sightings::resume(file.clone(), true, Timestamp::from_millis(7_000));
            assert_eq!(*sightings.tally(), Tally::new(7));
        }
    }
}

//! The guardian of what goes out, for all sessions and attempts: behind a lock, and kept in a file over
//! a restart.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use admission::{Subject, Watched};
use mail::Timestamp;
use tokio::sync::Notify;

use crate::whole_file;

/// What was sent of late, and what is usual.
pub(crate) struct Guardian {
    counts: Mutex<admission::Guardian>,
    file: PathBuf,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
    /// Told when it is to be written down at once.
    pub(crate) urgent: Notify,
}

impl Guardian {
    /// Goes on with what is in the `file`, where there is one. What cannot be read is learned anew:
    /// mail does not wait for it.
    pub(crate) fn resume(file: PathBuf) -> Self {
        let parse = admission::Guardian::from_octets;
        let counts = whole_file::read(&file, parse).unwrap_or_else(|error| {
            tracing::warn!(?file, %error, "what is usual to be sent is learned anew");
            None
        });
        Self {
            counts: Mutex::new(counts.unwrap_or_default()),
            file,
            writing: Mutex::default(),
            urgent: Notify::new(),
        }
    }

    /// [`admission::Guardian::watched`]
    pub(crate) fn watched(&self, now: Timestamp) -> Vec<Watched> {
        self.counts().watched(now)
    }

    /// [`admission::Guardian::over`]
    pub(crate) fn over(&self, now: Timestamp) -> Vec<Watched> {
        self.counts().over(now)
    }

    /// [`admission::Guardian::clear`]
    pub(crate) fn clear(&self, subject: &Subject) -> bool {
        self.counts().clear(subject)
    }

    /// Writes it down; may block.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let _alone = self.writing.lock();
        let octets = self.counts().to_octets();
        whole_file::write(&self.file, &octets)
    }

    /// The counts themselves, for as long as nobody else may have them.
    pub(crate) fn counts(&self) -> MutexGuard<'_, admission::Guardian> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_cannot_be_read_is_learned_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guardian");
        for text in [None, Some(""), Some("{}\n"), Some("\0\u{1}")] {
            if let Some(text) = text {
                fs::write(&file, text).unwrap();
            }
            let guardian = Guardian::resume(file.clone());
            assert_eq!(guardian.watched(Timestamp::default()), []);
            guardian.keep().unwrap();
            assert!(whole_file::read(&file, admission::Guardian::from_octets).is_ok());
        }
        // A folder in its place.
        let guardian = Guardian::resume(folder.path().to_owned());
        assert!(guardian.keep().is_err());
    }
}

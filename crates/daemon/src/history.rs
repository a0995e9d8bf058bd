//! Who was here before, for all sessions: behind a lock, and kept in a file over a restart.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::whole_file;

/// Who was here before.
pub(crate) struct History {
    all: Mutex<greylisting::History>,
    file: PathBuf,
    /// Held by whoever writes the file.
    writing: Mutex<()>,
}

impl History {
    /// Goes on with what is in the `file`, where there is one. What cannot be read is set aside, and
    /// everybody is new: mail does not wait for it.
    pub(crate) fn resume(file: PathBuf, max_entries: u32) -> Self {
        let parse = |octets: &[u8]| greylisting::History::read(octets, max_entries);
        let all = whole_file::read(&file, parse).unwrap_or_else(|error| {
            tracing::warn!(?file, %error, "who was here before is learned anew");
            None
        });
        let all = all.unwrap_or_else(|| greylisting::History::new(max_entries));
        Self {
            all: Mutex::new(all),
            file,
            writing: Mutex::default(),
        }
    }

    /// Writes down what changed; may block. Mail waits for one part at a time to be copied.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let _alone = self.writing.lock();
        if !self.all().take_changed() {
            return Ok(());
        }
        let (mut octets, mut number) = (Vec::new(), 0);
        loop {
            let part = self.all().part(number);
            let Some(part) = part else { break };
            part.write_to(&mut octets);
            number += 1;
        }
        let written = whole_file::write(&self.file, &octets);
        written.inspect_err(|_| self.all().set_changed())
    }

    /// All of it, for as long as nobody else may have it.
    pub(crate) fn all(&self) -> MutexGuard<'_, greylisting::History> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use greylisting::Settings;
    use mail::Timestamp;
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_set_aside_and_learned_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("greylist");
        let aside = folder.path().join("greylist.damaged");
        let client = "203.0.113.9".parse().unwrap();
        let now = Timestamp::from_millis(1_000);
        for text in ["", "{}\n", "\0\u{1}"] {
            fs::write(&file, text).unwrap();
            let history = History::resume(file.clone(), 100);
            assert!(history.all().is_empty());
            assert_eq!(fs::read_to_string(&aside).unwrap(), text);
            history.keep().unwrap();
            assert!(!file.exists(), "nothing happened");
            history.all().taken(&Settings::default(), client, None, now);
            history.keep().unwrap();
            assert_eq!(History::resume(file.clone(), 100).all().len(), 1);
        }
        // A folder in its place.
        let history = History::resume(folder.path().join("none").join("greylist"), 100);
        history.all().taken(&Settings::default(), client, None, now);
        for _ in 0..2 {
            assert!(history.keep().is_err(), "it is still to be written");
        }
    }
}

//! How much went out by rates that look far back, kept in a file over a restart: else one at noon
//! would send twice what a service permits in a day.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use queue::RateCount;

use crate::whole_file;

/// The file.
pub(crate) struct RateCounts {
    file: PathBuf,
    /// Held by whoever writes it.
    kept: Mutex<Kept>,
}

/// What the file holds.
struct Kept {
    text: String,
    /// Nothing comes after it.
    is_last: bool,
}

impl RateCounts {
    pub(crate) fn new(file: PathBuf) -> Self {
        let text = RateCount::written(&[]);
        let is_last = false;
        let kept = Mutex::new(Kept { text, is_last });
        Self { file, kept }
    }

    /// What is in the file, where there is one. What cannot be read is set aside, and the count begins
    /// anew: mail does not wait for it.
    pub(crate) fn resume(&self) -> Vec<RateCount> {
        let parse = |octets: &[u8]| {
            let text = str::from_utf8(octets).ok()?;
            let counts = RateCount::read(text)?;
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            text.clone_into(&mut kept.text);
            Some(counts)
        };
        let counts = whole_file::read(&self.file, parse).unwrap_or_else(|error| {
            tracing::warn!(file = ?self.file, %error, "what went by rates is counted anew");
            None
        });
        counts.unwrap_or_default()
    }

    fn keep(&self, counts: &[RateCount], is_last: bool) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = RateCount::written(counts);
        if kept.is_last || kept.text == text {
            return Ok(());
        }
        kept.is_last = is_last;
        whole_file::write(&self.file, text.as_bytes())?;
        kept.text = text;
        Ok(())
    }

    /// Writes it down where it has changed; may block.
    pub(crate) fn keep_now(&self, counts: &[RateCount]) {
        told(self.keep(counts, false));
    }

    /// The same at the end, after which whoever still writes what was before writes nothing.
    pub(crate) fn keep_last(&self, counts: &[RateCount]) {
        told(self.keep(counts, true));
    }
}

fn told(kept: io::Result<()>) {
    if let Err(error) = kept {
        tracing::warn!(%error, "what went by rates could not be written down");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use mail::Timestamp;
    use route::RateUnit;

    use super::*;

    fn count(number: u32) -> RateCount {
        RateCount {
            site: "mx:x.test".into(),
            unit: RateUnit::Messages,
            per: Duration::from_secs(86_400),
            slices: vec![(Timestamp::from_millis(1_440_000), number)],
        }
    }

    #[test]
    fn what_was_written_last_is_there_and_nothing_comes_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rates");
        let counts = RateCounts::new(file.clone());
        assert_eq!(counts.resume(), []);
        counts.keep(&[], false).unwrap();
        assert!(!file.exists(), "nothing went");
        counts.keep(&[count(1)], false).unwrap();
        counts.keep(&[count(2)], true).unwrap();
        counts.keep(&[count(1)], false).unwrap();
        let again = RateCounts::new(file.clone());
        assert_eq!(again.resume(), [count(2)]);
        // As it stands there already.
        fs::remove_file(&file).unwrap();
        again.keep(&[count(2)], false).unwrap();
        assert!(!file.exists());
        again.keep(&[], false).unwrap();
        assert_eq!(RateCounts::new(file).resume(), []);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_counted_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [file, aside] = ["rates", "rates.damaged"].map(|name| folder.path().join(name));
        let whole = RateCount::written(&[count(3)]);
        for text in ["", "\0\u{1}", &whole[..whole.len() - 2], "x"] {
            fs::write(&file, text).unwrap();
            let counts = RateCounts::new(file.clone());
            assert_eq!(counts.resume(), []);
            assert_eq!(fs::read_to_string(&aside).unwrap(), text);
            counts.keep(&[count(3)], false).unwrap();
            assert_eq!(RateCounts::new(file.clone()).resume(), [count(3)]);
        }
        // A folder in its place.
        let nowhere = RateCounts::new(folder.path().join("none").join("rates"));
        assert_eq!(nowhere.resume(), []);
        for _ in 0..2 {
            assert!(
                nowhere.keep(&[count(1)], false).is_err(),
                "still to be written"
            );
        }
    }
}

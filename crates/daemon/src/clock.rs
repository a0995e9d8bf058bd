//! The clocks: the system's, for whatever others read and check, and the relay's own line of time,
//! by which its queue reckons.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mail::Timestamp;
use queue::{Moment, TimeLine};

use crate::whole_file;

/// The line is written down whenever the system's clock has gone so far away from it: it was set,
/// or the machine slept.
const STEP: Duration = Duration::from_secs(1);
/// And so often besides: after a crash the line is no further back than this, whatever was done to
/// the system's clock meanwhile.
const KEEP_INTERVAL: Duration = Duration::from_secs(600);

/// What the system's clock shows now. It may be set at any time, so no pause or age is measured by
/// it.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// How long this process has run, as far as anybody has asked. No setting of the system's clock
/// changes it.
pub fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// The line of one relay (see [`TimeLine`]), resumed at its start and written down beside the spool
/// that holds moments of it.
pub(crate) struct Clock {
    line: TimeLine,
    resumed: Instant,
    file: PathBuf,
    kept: Mutex<Moment>,
}

impl Clock {
    /// Resumes the line of the spool in `directory`. Without a file that says where it was, it
    /// begins with the system's clock.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn resume(directory: &Path) -> io::Result<Self> {
        let file = directory.join("clock");
        let (resumed, wall) = (Instant::now(), now());
        let line = TimeLine::resume(read(&file)?, wall);
        Ok(Self {
            line,
            resumed,
            file,
            kept: Mutex::new(line.moment(Duration::ZERO, wall)),
        })
    }

    /// Now, on the line and on the system's clock.
    pub(crate) fn moment(&self) -> Moment {
        self.line.moment(self.resumed.elapsed(), now())
    }

    /// Now, on the line.
    pub(crate) fn line(&self) -> Timestamp {
        self.moment().line
    }

    /// Writes the line down where that is due; may block. Gives by how many milliseconds the
    /// system's clock was set forward (or back, below 0) since it was asked last, if it was.
    ///
    /// # Errors
    /// It cannot be written; it is tried again when it is due again.
    pub(crate) fn look_after(&self) -> io::Result<Option<i64>> {
        let now = self.moment();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let step = now.ahead().saturating_sub(kept.ahead());
        let stepped = u128::from(step.unsigned_abs()) > STEP.as_millis();
        if stepped || now.line.since(kept.line) >= KEEP_INTERVAL {
            *kept = now;
            write(&self.file, now)?;
        }
        Ok(stepped.then_some(step))
    }

    /// Writes the line down at the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self) -> io::Result<()> {
        write(&self.file, self.moment())
    }
}

/// Two numbers of milliseconds: the line's, and what the system's clock showed then. What is no
/// such pair counts as none: the line then begins with the system's clock, as it does without a
/// file.
fn read(file: &Path) -> io::Result<Option<Moment>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    let mut next = || numbers.next().flatten().map(Timestamp::from_millis);
    Ok(next().zip(next()).map(|(line, wall)| Moment { line, wall }))
}

fn write(file: &Path, moment: Moment) -> io::Result<()> {
    let (line, wall) = (moment.line.as_millis(), moment.wall.as_millis());
    whole_file::write(file, format!("{line} {wall}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_on_where_it_was_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        // A clock that was a year behind when the line was begun, and was set right.
        let year = Duration::from_secs(365 * 86_400);
        let last = Moment {
            line: now() - year,
            wall: now(),
        };
        write(&file, last).unwrap();
        let clock = Clock::resume(folder.path()).unwrap();
        let moment = clock.moment();
        assert!(moment.line.since(last.line) < Duration::from_secs(600));
        // The two clocks are read one after the other.
        let shown = moment.shown(last.line).as_millis();
        assert!(shown.abs_diff(last.wall.as_millis()) < STEP.as_millis() as u64);
        // Nothing was set since.
        assert_eq!(clock.look_after().unwrap(), None);
        clock.keep().unwrap();
        let kept = read(&file).unwrap().unwrap();
        assert!(kept.line >= moment.line);
        assert!(u128::from(kept.ahead().abs_diff(last.ahead())) < STEP.as_millis());
    }

    #[test]
    fn without_a_line_written_down_it_begins_with_the_clock() {
        for text in [None, Some(""), Some("17 x"), Some("17")] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(text) = text {
                fs::write(folder.path().join("clock"), text).unwrap();
            }
            let moment = Clock::resume(folder.path()).unwrap().moment();
            assert!(moment.ahead().abs() < 1000, "{text:?}: {moment:?}");
        }
    }
}

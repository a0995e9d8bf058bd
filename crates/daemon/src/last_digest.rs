//! Up to when somebody was told what is held, kept in a file over a restart; and when it is time again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mail::{TimeOfDay, Timestamp, Zone};
use queue::Moment;
use tokio::sync::Mutex;

use crate::whole_file;

/// Somebody who was told later than this from now on was told by a clock that was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// Up to when somebody was told.
pub(crate) struct LastDigest {
    file: PathBuf,
    /// Held by whoever tells; none: nobody wanted to know so far.
    pub(crate) told: Mutex<Option<Moment>>,
}

impl LastDigest {
    /// Goes on with what is in the `file`, if there is one. May block.
    pub(crate) fn resume(file: PathBuf) -> Self {
        let told = whole_file::read(&file, moment).unwrap_or_else(|error| {
            tracing::warn!(?file, %error, "it is not known any more when it was told what is held");
            None
        });
        Self {
            file,
            told: Mutex::new(told),
        }
    }

    /// May block.
    pub(crate) fn keep(&self, told: Moment) -> io::Result<()> {
        let (wall, line) = (told.wall.as_millis(), told.line.as_millis());
        whole_file::write(&self.file, format!("{wall} {line}\n").as_bytes())
    }

    /// Nobody wants to know any longer: whoever does later hears of what came since then.
    pub(crate) fn forget(&self, kept: &mut Option<Moment>) {
        if kept.take().is_some() {
            let _gone = fs::remove_file(&self.file);
        }
    }
}

fn moment(octets: &[u8]) -> Option<Moment> {
    let at = |text: &str| text.parse().ok().map(Timestamp::from_millis);
    let text = str::from_utf8(octets).ok()?;
    let (wall, line) = text.trim_end().split_once(' ')?;
    Some(Moment {
        wall: at(wall)?,
        line: at(line)?,
    })
}

/// Whether the time of day has come since somebody was told. A clock that is set back makes nobody hear
/// twice, unless it was far ahead.
pub(crate) fn is_due(at: TimeOfDay, zone: &Zone, told: Timestamp, now: Timestamp) -> bool {
    at.last(now, zone) > told || told.since(now) > AHEAD_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn somebody_is_told_once_a_day_and_once_for_days_that_were_missed() {
        let seven: TimeOfDay = "07:00".parse().unwrap();
        let mut told = at("2026-03-01T12:00:00Z");
        let mut times = Vec::new();
        for hour in 0..80 {
            let now = told.min(at("2026-03-01T12:00:00Z")) + Duration::from_secs(3600 * hour);
            // It does not run on the third.
            let runs = !now.to_string().starts_with("2026-03-03");
            if runs && is_due(seven, &Zone::utc(), told, now) {
                times.push(now.to_string());
                told = now;
            }
        }
        assert_eq!(
            times,
            [
                "2026-03-02T07:00:00.000Z",
                "2026-03-04T00:00:00.000Z",
                "2026-03-04T07:00:00.000Z"
            ]
        );
        let set_back = at("2026-03-04T06:30:00Z");
        assert!(!is_due(seven, &Zone::utc(), told, set_back));
        assert!(is_due(
            seven,
            &Zone::utc(),
            at("2036-03-01T00:00:00Z"),
            set_back
        ));
    }

    #[test]
    fn a_restart_goes_on_where_it_was_and_what_cannot_be_read_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("digest");
        let moment = |n| Moment::of(Timestamp::from_millis(n));
        let told = || LastDigest::resume(file.clone()).told.into_inner();
        assert_eq!(told(), None);
        let last = LastDigest::resume(file.clone());
        last.keep(moment(9)).unwrap();
        assert_eq!(told(), Some(moment(9)));
        for broken in ["", "x", "1", "1 x", "99999999999999999999 1"] {
            fs::write(&file, broken).unwrap();
            assert_eq!(told(), None, "{broken}");
        }
        last.forget(&mut Some(moment(9)));
        assert!(!file.exists());
        assert!(
            LastDigest::resume(folder.path().to_owned())
                .keep(moment(1))
                .is_err()
        );
    }
}

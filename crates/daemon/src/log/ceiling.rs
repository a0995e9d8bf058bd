//! One ceiling over the files of all logs: of the log itself and of protocol logs. Whoever writes one
//! tells how much; now and then one of them looks, and gives up the oldest files, whichever log they
//! are of, but never one that is written to.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::SystemTime;

/// Of so many parts of the ceiling one may be written before the files are looked at.
const LOOKS_AFTER: u64 = 16;
/// Of so many parts one is left free for that, and for what writers have gathered.
const SPARE: u64 = 8;
/// No ceiling.
const NONE: u64 = u64::MAX;

static OF_THIS_PROCESS: LazyLock<Ceiling> = LazyLock::new(Ceiling::none);

/// That of this process.
pub(crate) fn ceiling() -> &'static Ceiling {
    &OF_THIS_PROCESS
}

/// A file of a log.
#[derive(Debug)]
pub(crate) struct LogFileFacts {
    pub(crate) path: PathBuf,
    pub(crate) written: SystemTime,
    pub(crate) octets: u64,
    /// It is written to.
    pub(crate) is_current: bool,
}

/// Who has files of a log.
pub(crate) trait HasLogFiles: Send + Sync {
    /// Those that there are, as far as that can be told.
    fn log_files(&self) -> Vec<LogFileFacts>;
}

pub(crate) struct Ceiling {
    octets_max: AtomicU64,
    /// Octets written since the files were looked at.
    since: AtomicU64,
    owners: Mutex<Vec<Weak<dyn HasLogFiles>>>,
}

impl Ceiling {
    fn none() -> Self {
        Self {
            octets_max: AtomicU64::new(NONE),
            since: AtomicU64::new(0),
            owners: Mutex::default(),
        }
    }

    /// So many octets may all files have together.
    pub(crate) fn set(&self, octets_max: Option<u64>) {
        let octets_max = octets_max.unwrap_or(NONE);
        self.octets_max.store(octets_max, Ordering::Relaxed);
    }

    /// The files of this owner count, as long as there is one.
    pub(crate) fn count<T: HasLogFiles + 'static>(&self, owner: &Arc<T>) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|owner| owner.strong_count() > 0);
        let owner = Arc::downgrade(owner);
        owners.push(owner);
    }

    /// So much was written: files are given up where that is due.
    pub(crate) fn wrote(&self, octets: u64) {
        let octets_max = self.octets_max.load(Ordering::Relaxed);
        if octets_max == NONE {
            return;
        }
        let since = self.since.fetch_add(octets, Ordering::Relaxed) + octets;
        if since >= octets_max / LOOKS_AFTER {
            self.since.store(0, Ordering::Relaxed);
            self.keep(octets_max - octets_max / SPARE);
        }
    }

    /// Gives up the oldest files until the rest has no more than so many octets.
    fn keep(&self, octets_max: u64) {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let owners_left = owners.iter().filter_map(Weak::upgrade);
        let files = owners_left.flat_map(|owner| owner.log_files());
        // A log that was exchanged at a reload may still have its last lines to write.
        let mut all: BTreeMap<PathBuf, LogFileFacts> = BTreeMap::new();
        for file in files {
            let is_current = file.is_current || all.get(&file.path).is_some_and(|f| f.is_current);
            let file = LogFileFacts { is_current, ..file };
            all.insert(file.path.clone(), file);
        }
        let mut octets: u64 = all.values().map(|file| file.octets).sum();
        let mut surplus: Vec<LogFileFacts> = all.into_values().collect();
        surplus.retain(|file| !file.is_current);
        surplus.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        for file in surplus {
            if octets <= octets_max {
                return;
            }
            // One that cannot be removed is tried again when the files are looked at again.
            if fs::remove_file(&file.path).is_ok() {
                octets -= file.octets;
            }
        }
    }
}

/// What there is at this path, if it is a file.
pub(crate) fn facts_of(path: PathBuf, is_current: bool) -> Option<LogFileFacts> {
    let facts = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    Some(LogFileFacts {
        written: facts.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        octets: facts.len(),
        path,
        is_current,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// Files of so many octets, the first the oldest, the last of which is written to.
    struct Owner(PathBuf, u64);

    impl Owner {
        fn new(folder: &Path, name: &str, octets: &[usize], since: u64) -> Arc<Self> {
            for (number, octets) in (0..).zip(octets) {
                let path = folder.join(format!("{name}{number}"));
                fs::write(&path, vec![b'x'; *octets]).unwrap();
                let file = File::options().write(true).open(&path).unwrap();
                let at = Duration::from_secs(since + 100 * number);
                file.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
            }
            Arc::new(Self(folder.join(name), octets.len() as u64 - 1))
        }
    }

    impl HasLogFiles for Owner {
        fn log_files(&self) -> Vec<LogFileFacts> {
            let file = |number| {
                let path = format!("{}{number}", self.0.display());
                facts_of(path.into(), number == self.1)
            };
            (0..=self.1).filter_map(file).collect()
        }
    }

    #[test]
    fn the_oldest_files_of_all_logs_go_and_none_that_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let ceiling = Ceiling::none();
        let first = Owner::new(folder.path(), "a", &[300, 300, 300], 50);
        // Its last file is older than all others.
        let second = Owner::new(folder.path(), "b", &[200], 10);
        let third = Owner::new(folder.path(), "c", &[100, 100], 100);
        ceiling.count(&first);
        ceiling.count(&second);
        ceiling.count(&third);
        let left = || {
            let names = fs::read_dir(folder.path()).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        ceiling.wrote(10_000);
        assert_eq!(left().len(), 6, "there is no ceiling");
        ceiling.set(Some(1200));
        // Too little to look.
        ceiling.wrote(70);
        assert_eq!(left().len(), 6);
        ceiling.wrote(10);
        // 1300 octets, of which 1050 may stay.
        assert_eq!(left(), ["a1", "a2", "b0", "c0", "c1"]);
        drop(third);
        ceiling.set(Some(400));
        ceiling.wrote(400);
        // Whose owner is gone does not count, and what is written to stays.
        assert_eq!(left(), ["a2", "b0", "c0", "c1"]);
    }
}

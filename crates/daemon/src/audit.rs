//! The audit log: who did what through the control socket and the console, a line of JSON each, in
//! files that only grow. They are the relay's own, and nothing that can be asked of it changes one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::AuditRow;

/// A file that would be larger is put aside.
const FILE_OCTETS_MAX: u64 = 8 << 20;
/// Files that are kept, the one that grows among them.
const FILES_KEPT: usize = 10;

/// Where acts are written down.
pub(crate) struct AuditLog {
    file: PathBuf,
    octets_max: u64,
    state: Mutex<State>,
}

struct State {
    next: u64,
    trouble: Option<String>,
}

impl AuditLog {
    /// Goes on behind what is in the `file`, and in those that were put aside.
    pub(crate) fn resume(file: PathBuf) -> Self {
        Self::bounded(file, FILE_OCTETS_MAX)
    }

    fn bounded(file: PathBuf, octets_max: u64) -> Self {
        let mut log = Self {
            file,
            octets_max,
            state: Mutex::new(State {
                next: 1,
                trouble: None,
            }),
        };
        match log.page(None, 1) {
            Ok(last) => {
                let last = last.first().map_or(0, |row| row.number);
                log.state
                    .get_mut()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next = last + 1;
            }
            Err(error) => tracing::error!(%error, "the audit log cannot be read"),
        }
        log
    }

    /// Writes an act down under the next number; may block. It is on stable storage then. Where it
    /// cannot be, the act is told to the log instead, as it was done by then; and somebody has to be
    /// able to make room on a full disk.
    pub(crate) fn write(&self, act: AuditRow) {
        let mut state = self.state();
        let row = AuditRow {
            number: state.next,
            ..act
        };
        match self.append(&row) {
            Ok(()) => {
                state.next += 1;
                state.trouble = None;
            }
            Err(error) => {
                let act = serde_json::to_string(&row).unwrap_or_default();
                tracing::error!(%error, act, "an act could not be written to the audit log");
                state.trouble = Some(format!("{}: {error}", self.file.display()));
            }
        }
    }

    /// Why the last act could not be written down.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// The latest acts with numbers below `before`, the latest first; may block.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn page(&self, before: Option<u64>, limit: usize) -> io::Result<Vec<AuditRow>> {
        let mut below = before.unwrap_or(u64::MAX);
        let mut page = Vec::new();
        for aside in 0..FILES_KEPT {
            let text = match fs::read(self.numbered(aside)) {
                Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let first = text.lines().find_map(row);
            if first.is_none_or(|first| first.number >= below) {
                continue;
            }
            // A file that was put aside meanwhile is met a second time.
            let rows = text.lines().rev().filter_map(row);
            for row in rows.filter(|row| row.number < below) {
                if page.len() >= limit {
                    return Ok(page);
                }
                page.push(row);
            }
            below = page.last().map_or(below, |last| last.number);
        }
        Ok(page)
    }

    fn append(&self, row: &AuditRow) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        let mut file = self.open()?;
        let mut length = file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.octets_max {
            self.put_aside()?;
            file = self.open()?;
            length = 0;
        }
        if length > 0 {
            // A line that a crash or a full disk cut off stands by itself.
            let mut last = [0];
            file.read_exact_at(&mut last, length - 1)?;
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        file.write_all(&line)?;
        file.sync_data()?;
        if length == 0 {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Anew for each act: acts are rare, and somebody may have moved the file.
    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.open(&self.file)
    }

    fn put_aside(&self) -> io::Result<()> {
        for aside in (1..FILES_KEPT).rev() {
            match fs::rename(self.numbered(aside - 1), self.numbered(aside)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The file that grows is 0, higher ones are older.
    fn numbered(&self, aside: usize) -> PathBuf {
        match aside {
            0 => self.file.clone(),
            aside => self.file.with_added_extension(aside.to_string()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing for what was cut off.
fn row(line: &str) -> Option<AuditRow> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn act(verb: &str) -> AuditRow {
        AuditRow {
            verb: verb.to_owned(),
            ..AuditRow::default()
        }
    }

    fn numbers(log: &AuditLog, before: Option<u64>, limit: usize) -> Vec<u64> {
        let page = log.page(before, limit).unwrap();
        page.iter().map(|row| row.number).collect()
    }

    #[test]
    fn acts_are_numbered_over_restarts_and_read_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        let log = AuditLog::resume(file.clone());
        assert_eq!(numbers(&log, None, 5), [0; 0]);
        log.write(act("reload"));
        log.write(act("queue/hold\n"));
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // The third was cut off by a crash.
        let mut open = OpenOptions::new().append(true).open(&file).unwrap();
        open.write_all(b"{\"number\":3,\"at").unwrap();
        let log = AuditLog::resume(file);
        log.write(act("queue/release"));
        assert_eq!(numbers(&log, None, 5), [3, 2, 1]);
        assert_eq!(numbers(&log, Some(3), 1), [2]);
        assert_eq!(numbers(&log, Some(1), 5), [0; 0]);
        assert_eq!(log.page(Some(3), 1).unwrap()[0].verb, "queue/hold\n");
        assert_eq!(log.trouble(), None);
    }

    #[test]
    fn files_are_put_aside_by_size_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::bounded(folder.path().join("audit.jsonl"), 1_000);
        for _ in 0..200 {
            log.write(act("reload"));
        }
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), FILES_KEPT);
        for file in files {
            assert!(file.unwrap().metadata().unwrap().len() <= 1_000);
        }
        let all = numbers(&log, None, 500);
        assert!(all.len() > 50 && all.len() < 200, "{}", all.len());
        let expected: Vec<u64> = (1..=200).rev().take(all.len()).collect();
        assert_eq!(all, expected);
        assert_eq!(numbers(&log, Some(190), 3), [189, 188, 187]);
        let oldest = all.last().copied();
        assert_eq!(
            numbers(&log, oldest.map(|oldest| oldest + 1), 9),
            oldest.map_or(vec![], |o| vec![o])
        );
    }

    #[test]
    fn what_cannot_be_written_is_a_trouble_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let log = AuditLog::resume(missing.join("audit.jsonl"));
        log.write(act("reload"));
        assert!(log.trouble().is_some());
        fs::create_dir(&missing).unwrap();
        log.write(act("reload"));
        assert_eq!((log.trouble(), numbers(&log, None, 5)), (None, vec![1]));
    }
}

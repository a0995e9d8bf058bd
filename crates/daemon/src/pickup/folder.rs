use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use engine::{KeptAs, KeptLimits, Surplus};
use mail::{QueueId, Timestamp};
use spool::{Spool, SpoolError};
use submission::{LOOK_MAX, Seen, Sightings};

use super::bad_files::BadFiles;

/// Octets of a file's own name that are kept behind its queue id: a name has 255 at most.
const NAME_OCTETS_MAX: usize = 200;
/// Octets that a file takes up beside its content: small ones count as well.
const FILE_BYTES: u64 = 4096;
/// Characters of a queue id.
const ID_LEN: usize = 26;

/// The pickup directory with the folders in it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    directory: PathBuf,
    /// Files that were taken and are not settled yet.
    taken: PathBuf,
    /// Files that cannot be sent, each with the reason beside it.
    badmail: PathBuf,
}

/// A file that was taken, by the queue id of its message.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(super) id: QueueId,
    /// Its name in the pickup directory.
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    /// Whose file it was when it was taken.
    pub(super) uid: u32,
}

impl Folder {
    /// Opens the directory and makes the folders in it. Files of messages that are in the spool are
    /// removed; the others that were taken before are given back, to be handed in. Must be called
    /// before anything is delivered, or a message could leave the spool first.
    ///
    /// # Errors
    /// When it cannot be used, or somebody else could get at files that were taken.
    pub(crate) fn open(directory: &Path, spool: &dyn Spool) -> Result<(Self, Vec<Taken>), String> {
        let folder = Self {
            directory: directory.to_owned(),
            taken: directory.join("taken"),
            badmail: directory.join("badmail"),
        };
        let failed = |path: &Path, error: io::Error| {
            format!("pickup.directory: {}: {error}", path.display())
        };
        undisturbed(directory).map_err(|error| failed(directory, error))?;
        for path in [&folder.taken, &folder.badmail] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.and_then(|()| owned(path))
                .map_err(|error| failed(path, error))?;
        }
        let left = folder
            .left(spool)
            .map_err(|error| failed(&folder.taken, error))?;
        Ok((folder, left))
    }

    fn left(&self, spool: &dyn Spool) -> io::Result<Vec<Taken>> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.taken)? {
            let name = entry?.file_name();
            let Some(taken) = self.parse(&name) else {
                tracing::warn!(handed_in = ?name, "pickup: no file that was taken, left alone");
                continue;
            };
            match spool.body(taken.id) {
                Ok(Some(_)) => self.remove(&taken, None)?,
                Ok(None) => left.push(taken),
                // Its message is damaged, and the file may be the one whole copy.
                Err(SpoolError::Corrupt(what)) => {
                    tracing::error!(id = %taken.id, %what, "pickup: a file that was taken is left alone");
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(left)
    }

    /// `QUEUEID.NAME.eml`
    fn parse(&self, name: &OsStr) -> Option<Taken> {
        let (id, rest) = name.as_bytes().split_at_checked(ID_LEN)?;
        let path = self.taken.join(name);
        Some(Taken {
            id: std::str::from_utf8(id).ok()?.parse().ok()?,
            name: OsString::from_vec(rest.strip_prefix(b".")?.to_vec()),
            uid: fs::symlink_metadata(&path).ok()?.uid(),
            path,
        })
    }

    /// What is there that may be a message.
    pub(super) fn list(&self) -> io::Result<Vec<(OsString, Seen)>> {
        let (mut there, mut by_account) = (Vec::new(), HashMap::new());
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if !Sightings::is_message(&name) {
                continue;
            }
            // Gone again, or not to be looked at: nothing for now.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            // Somebody else's folder cannot be moved.
            if about.is_dir() {
                continue;
            }
            let theirs = by_account.entry(about.uid()).or_insert(0);
            *theirs += 1;
            if *theirs <= LOOK_MAX {
                there.push((name, seen(&about)));
            }
        }
        Ok(there)
    }

    /// Takes these files, with whose they are, each under a new id.
    pub(super) fn take(
        &self,
        files: Vec<(OsString, u32)>,
        new_id: impl Fn() -> QueueId,
    ) -> Vec<Taken> {
        let mut failed = None;
        let take = |(name, uid): (OsString, u32)| {
            let id = new_id();
            let octets = name.as_bytes();
            let kept = &octets[octets.len().saturating_sub(NAME_OCTETS_MAX)..];
            let mut path = self.taken.join(id.to_string()).into_os_string();
            path.push(".");
            path.push(OsStr::from_bytes(kept));
            let path = PathBuf::from(path);
            let original = self.directory.join(&name);
            match fs::rename(&original, &path) {
                // Somebody put a folder in its place meanwhile.
                Ok(()) if path.symlink_metadata().is_ok_and(|about| about.is_dir()) => {
                    if let Err(error) = fs::rename(&path, &original) {
                        failed = Some((name, error));
                    }
                    None
                }
                Ok(()) => Some(Taken {
                    id,
                    name,
                    path,
                    uid,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    failed = Some((name, error));
                    None
                }
            }
        };
        let taken: Vec<Taken> = files.into_iter().filter_map(take).collect();
        if let Some((name, error)) = failed {
            // One line for all of them: they are tried again at each look.
            tracing::error!(handed_in = ?name, %error, "pickup: files cannot be taken");
        }
        if !taken.is_empty() {
            self.sync();
        }
        taken
    }

    /// What was moved or removed is on stable storage after that.
    pub(super) fn sync(&self) {
        for folder in [&self.taken, &self.directory] {
            // Some file systems do not know how; then a power cut may cost a second delivery.
            if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
                tracing::debug!(folder = ?folder, %error, "pickup: a folder cannot be synced");
            }
        }
    }

    /// Its message is in the spool. A file that is not any more what was `sent`, since whoever wrote it
    /// paused and went on, is kept among the bad ones.
    pub(super) fn remove(&self, taken: &Taken, sent: Option<Seen>) -> io::Result<()> {
        let now = match fs::symlink_metadata(&taken.path) {
            Ok(about) => seen(&about),
            Err(error) => return gone(error),
        };
        if sent.is_some_and(|sent| sent != now) {
            let why = "it was written to after it had been taken: what it held before was sent, so \
                       that only what came later is to be sent again";
            tracing::error!(id = %taken.id, handed_in = ?taken.name, "pickup: {why}");
            return self.set_aside(taken, why);
        }
        fs::remove_file(&taken.path).or_else(gone)
    }

    /// Removes bad files that are too old, and where there is too much of them the oldest of the account
    /// that has most: nobody pushes out what is others'.
    pub(super) fn trim(&self, limits: &KeptLimits, now: Timestamp) -> io::Result<()> {
        let mut bad: BTreeMap<QueueId, BadFile> = BTreeMap::new();
        for entry in fs::read_dir(&self.badmail)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.as_bytes().get(..ID_LEN).map(std::str::from_utf8);
            // What somebody put there himself is no business of ours.
            let Some(Ok(Ok(id))) = id.map(|id| id.map(str::parse::<QueueId>)) else {
                continue;
            };
            let Ok(about) = entry.metadata() else {
                continue;
            };
            let file = bad.entry(id).or_default();
            file.bytes += about.len() + FILE_BYTES;
            if !name.as_bytes().ends_with(b".reason") {
                file.uid = about.uid();
            }
            file.paths.push(entry.path());
        }
        let dropped = BadFiles::default();
        for (id, why) in surplus(&bad, limits, now) {
            if dropped.one_more() {
                let why = KeptAs::Badmail.words(why);
                tracing::warn!(%id, why, "pickup: a bad file is dropped");
            }
            for path in &bad[&id].paths {
                if let Err(error) = fs::remove_file(path).or_else(gone) {
                    tracing::warn!(handed_in = ?path, %error, "pickup: a bad file cannot be dropped");
                }
            }
        }
        match dropped.unnamed() {
            0 => {}
            count => tracing::warn!(count, "pickup: more bad files are dropped"),
        }
        Ok(())
    }

    /// Its message will never be sent: it goes to the bad ones, and why beside it, in a file of the
    /// same name and `.reason`. Where the disk is full the reason stands in the log alone.
    pub(super) fn set_aside(&self, taken: &Taken, why: &str) -> io::Result<()> {
        let name = taken.path.file_name().unwrap_or(&taken.name);
        let path = self.badmail.join(name);
        fs::rename(&taken.path, &path).or_else(gone)?;
        let mut reason = path.into_os_string();
        reason.push(".reason");
        // A new file always: what has that name already, a link perhaps, is not written to.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(reason);
        if let Err(error) = made.and_then(|mut file| writeln!(file, "{why}")) {
            tracing::warn!(id = %taken.id, why, %error, "pickup: the reason stands here alone");
        }
        Ok(())
    }
}

/// One of the bad ones, with the reason for it.
#[derive(Debug, Default)]
struct BadFile {
    uid: u32,
    bytes: u64,
    paths: Vec<PathBuf>,
}

/// Which have to go. Queue ids are in order of age.
fn surplus(
    bad: &BTreeMap<QueueId, BadFile>,
    limits: &KeptLimits,
    now: Timestamp,
) -> Vec<(QueueId, Surplus)> {
    let mut going = Vec::new();
    let mut by_account: BTreeMap<u32, (u64, VecDeque<(QueueId, u64)>)> = BTreeMap::new();
    let mut all = 0;
    for (id, file) in bad {
        if id.made() + limits.age <= now {
            going.push((*id, Surplus::Old));
            continue;
        }
        let theirs = by_account.entry(file.uid).or_default();
        theirs.0 += file.bytes;
        theirs.1.push_back((*id, file.bytes));
        all += file.bytes;
    }
    while all > limits.bytes
        && let Some(most) = by_account.values_mut().max_by_key(|theirs| theirs.0)
        && let Some((id, bytes)) = most.1.pop_front()
    {
        most.0 -= bytes;
        all -= bytes;
        going.push((id, Surplus::Large));
    }
    going
}

/// What has to stand still of a file while it is read.
pub(super) fn seen(about: &fs::Metadata) -> Seen {
    let seconds = i128::from(about.mtime()) * 1_000_000_000;
    Seen {
        uid: about.uid(),
        inode: about.ino(),
        size: about.len(),
        modified: seconds + i128::from(about.mtime_nsec()),
    }
}

/// An administrator was there first.
fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(());
    }
    Err(error)
}

/// Whoever owns the directory, or may write to one without the sticky bit, could put folders of his
/// own in place of ours, and have us write and delete in them as ourselves.
fn undisturbed(directory: &Path) -> io::Result<()> {
    let about = fs::metadata(directory)?;
    if about.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(
            "belongs to another account: make it the relay's own (chown)",
        ));
    }
    if about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0 {
        return Err(io::Error::other(
            "others may write there and rename what is in it: set the sticky bit (chmod +t)",
        ));
    }
    Ok(())
}

/// A folder in a directory to which others may write: one that somebody else made would give away
/// what is put there.
fn owned(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    let is_ours = about.uid() == nix::unistd::geteuid().as_raw();
    if about.is_dir() && is_ours && about.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(
        "belongs to somebody else, or others may write there: remove it, and start again",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::Model;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        let (folder, left) = Folder::open(directory.path(), &Model::default()).unwrap();
        assert!(left.is_empty());
        (directory, folder)
    }

    fn id(n: u64) -> QueueId {
        QueueId::new(Timestamp::from_millis(1000 * n), u128::from(n))
    }

    fn take(folder: &Folder, name: &str, n: u64) -> Taken {
        fs::write(folder.directory.join(name), "one").unwrap();
        let there = folder.list().unwrap();
        let (name, seen) = there.into_iter().find(|(file, _)| file == name).unwrap();
        folder.take(vec![(name, seen.uid)], || id(n)).remove(0)
    }

    fn badmail(folder: &Folder) -> Vec<String> {
        let files = fs::read_dir(&folder.badmail).unwrap();
        let name = |file: io::Result<fs::DirEntry>| file.unwrap().file_name().into_string();
        let mut names: Vec<String> = files.map(|file| name(file).unwrap()).collect();
        names.sort();
        names
    }

    /// A program that pauses for longer than two seconds and goes on: the rest is not lost in silence.
    #[test]
    fn a_file_that_was_written_to_later_is_kept() {
        let (_directory, folder) = folder();
        let same = take(&folder, "same.eml", 1);
        let sent = seen(&fs::symlink_metadata(&same.path).unwrap());
        folder.remove(&same, Some(sent)).unwrap();
        assert!(!same.path.exists() && badmail(&folder).is_empty());
        folder.remove(&same, Some(sent)).unwrap();

        let grown = take(&folder, "grown.eml", 2);
        let sent = seen(&fs::symlink_metadata(&grown.path).unwrap());
        let mut file = OpenOptions::new().append(true).open(&grown.path).unwrap();
        file.write_all(b" two").unwrap();
        folder.remove(&grown, Some(sent)).unwrap();
        let kept = folder.badmail.join(grown.path.file_name().unwrap());
        assert_eq!(fs::read_to_string(&kept).unwrap(), "one two");
        assert_eq!(badmail(&folder).len(), 2);
    }

    #[test]
    fn bad_files_are_kept_for_an_age_and_up_to_a_size() {
        let (_directory, folder) = folder();
        for n in 1..=3 {
            let taken = take(&folder, &format!("{n}.eml"), n);
            folder.set_aside(&taken, "why").unwrap();
        }
        fs::write(folder.badmail.join("notes.txt"), "an administrator's own").unwrap();
        let limits = KeptLimits {
            age: Duration::from_secs(10),
            bytes: 5 * FILE_BYTES,
        };
        let left = |seconds: u64| {
            let now = Timestamp::from_millis(1000 * seconds);
            folder.trim(&limits, now).unwrap();
            badmail(&folder).len()
        };
        // Three files with their reasons are more than five times what a file takes.
        assert_eq!(left(5), 4 + 1);
        assert_eq!(left(12), 2 + 1);
        assert_eq!(left(13), 1);
    }

    #[test]
    fn what_cannot_be_dropped_keeps_nothing_else() {
        let (_directory, folder) = folder();
        let taken = take(&folder, "2.eml", 2);
        folder.set_aside(&taken, "why").unwrap();
        fs::create_dir(folder.badmail.join(format!("{}.1.eml", id(1)))).unwrap();
        let limits = KeptLimits {
            age: Duration::ZERO,
            bytes: 0,
        };
        folder.trim(&limits, Timestamp::from_millis(9000)).unwrap();
        assert_eq!(badmail(&folder).len(), 1);
    }

    #[test]
    fn nobody_pushes_out_the_bad_files_of_others() {
        let file = |n, uid, bytes| {
            let paths = Vec::new();
            (id(n), BadFile { uid, bytes, paths })
        };
        let bad = [
            file(1, 8, 10),
            file(2, 33, 40),
            file(3, 33, 30),
            file(4, 33, 20),
        ];
        let limits = KeptLimits {
            age: Duration::from_secs(100),
            bytes: 40,
        };
        let going = surplus(&bad.into(), &limits, Timestamp::from_millis(9000));
        let large = |n| (id(n), Surplus::Large);
        assert_eq!(going, [large(2), large(3)]);
    }

    /// Moved there while it was looked at: it goes back, where it is left alone.
    #[test]
    fn a_folder_is_not_taken() {
        let (_directory, folder) = folder();
        let path = folder.directory.join("a.eml");
        fs::create_dir(&path).unwrap();
        assert!(folder.take(vec![("a.eml".into(), 7)], || id(1)).is_empty());
        assert!(path.is_dir() && folder.list().unwrap().is_empty());
    }

    #[test]
    fn what_was_taken_is_found_again() {
        let (directory, folder) = folder();
        let taken = take(&folder, "a.eml", 7);
        fs::write(folder.taken.join("other"), "x").unwrap();
        let (_, left) = Folder::open(directory.path(), &Model::default()).unwrap();
        let left: Vec<_> = left.iter().map(|one| (one.id, &one.name)).collect();
        assert_eq!(left, [(taken.id, &taken.name)]);
    }
}

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mail::QueueId;
use spool::Spool;
use submission::{LOOK_MAX, Seen, Sightings};

/// Octets of a file's own name that are kept behind its queue id: a name has 255 at most.
const NAME_OCTETS_MAX: usize = 200;
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
                tracing::warn!(file = ?name, "pickup: no file that was taken, left alone");
                continue;
            };
            if spool.body(taken.id).map_err(io::Error::other)?.is_some() {
                self.remove(&taken)?;
            } else {
                left.push(taken);
            }
        }
        Ok(left)
    }

    /// `QUEUEID.NAME.eml`
    fn parse(&self, name: &OsStr) -> Option<Taken> {
        let (id, rest) = name.as_bytes().split_at_checked(ID_LEN)?;
        Some(Taken {
            id: std::str::from_utf8(id).ok()?.parse().ok()?,
            name: OsString::from_vec(rest.strip_prefix(b".")?.to_vec()),
            path: self.taken.join(name),
        })
    }

    /// What is there that may be a message.
    pub(super) fn list(&self) -> io::Result<Vec<(OsString, Seen)>> {
        let mut there = Vec::new();
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
            let modified = i128::from(about.mtime()) * 1_000_000_000;
            let seen = Seen {
                inode: about.ino(),
                size: about.len(),
                modified: modified + i128::from(about.mtime_nsec()),
            };
            there.push((name, seen));
            if there.len() >= LOOK_MAX {
                break;
            }
        }
        Ok(there)
    }

    /// Takes these files, each under a new id.
    pub(super) fn take(&self, names: Vec<OsString>, new_id: impl Fn() -> QueueId) -> Vec<Taken> {
        let mut failed = None;
        let take = |name: OsString| {
            let id = new_id();
            let octets = name.as_bytes();
            let kept = &octets[octets.len().saturating_sub(NAME_OCTETS_MAX)..];
            let mut path = self.taken.join(id.to_string()).into_os_string();
            path.push(".");
            path.push(OsStr::from_bytes(kept));
            let path = PathBuf::from(path);
            match fs::rename(self.directory.join(&name), &path) {
                Ok(()) => Some(Taken { id, name, path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    failed = Some((name, error));
                    None
                }
            }
        };
        let taken: Vec<Taken> = names.into_iter().filter_map(take).collect();
        if let Some((name, error)) = failed {
            // One line for all of them: they are tried again at each look.
            tracing::error!(file = ?name, %error, "pickup: files cannot be taken");
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

    /// Its message is in the spool.
    pub(super) fn remove(&self, taken: &Taken) -> io::Result<()> {
        fs::remove_file(&taken.path)
    }

    /// Its message will never be sent: it goes to the bad ones, and why beside it, in a file of the
    /// same name and `.reason`. Without the reason, which the log has too, where the disk is full.
    pub(super) fn set_aside(&self, taken: &Taken, why: &str) -> io::Result<()> {
        let name = taken.path.file_name().unwrap_or(&taken.name);
        let path = self.badmail.join(name);
        fs::rename(&taken.path, &path)?;
        let mut reason = path.into_os_string();
        reason.push(".reason");
        // A new file always: what has that name already, a link perhaps, is not written to.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(reason);
        if let Err(error) = made.and_then(|mut file| writeln!(file, "{why}")) {
            tracing::warn!(id = %taken.id, %error, "pickup: the reason stands in the log alone");
        }
        Ok(())
    }
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

//! The main file of the configuration on the disk: whether it can be written, and how it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{AccessFlags, Gid, Uid, access, geteuid};

/// Until it has the mode of the file in whose place it comes.
const OWNER_ONLY: u32 = 0o600;
/// Of the mode: who may do what. Nothing else is carried over.
const MODE_BITS: u32 = 0o777;

/// Who owns a file may write it.
const WRITABLE: u32 = 0o200;

/// Puts `text` in the place of what is in the configuration file at `path`, which there must be: whole
/// or not at all, on stable storage, with the mode, the owner and the group that it has. Of a link it
/// is the file that it leads to.
///
/// # Errors
/// It cannot be written so, and is as it was.
pub fn write_configuration(path: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(path)?;
    let about = fs::metadata(&file)?;
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    // First: who may not read it could not have it synced, once the file is another one.
    let opened = File::open(folder)?;
    let new = folder.join(new_name(&file));
    // One of a crash before.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_new(&new, text, &about).and_then(|()| fs::rename(&new, &file));
    if let Err(error) = written {
        let _as_good_as_never_there = fs::remove_file(&new);
        return Err(error);
    }
    opened.sync_all()
}

fn new_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.new")
}

fn write_new(new: &Path, text: &str, about: &fs::Metadata) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut open = options
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(new)?;
    let ours = open.metadata()?;
    let (uid, gid) = (about.uid(), about.gid());
    if (ours.uid(), ours.gid()) != (uid, gid) {
        let owner = (ours.uid() != uid).then(|| Uid::from_raw(uid));
        nix::unistd::fchown(&open, owner, Some(Gid::from_raw(gid)))?;
    }
    open.set_permissions(Permissions::from_mode(about.mode() & MODE_BITS))?;
    open.write_all(text.as_bytes())?;
    open.sync_all()
}

/// Why this process cannot write the configuration file at `path`; `None`: it can.
pub(crate) fn why_not_writable(path: &Path) -> Option<String> {
    let file = match fs::canonicalize(path) {
        Ok(file) => file,
        Err(error) => return Some(error.to_string()),
    };
    let folder = file.parent().unwrap_or(Path::new("/"));
    if let Err(error) = access(folder, AccessFlags::W_OK) {
        let folder = folder.display();
        return Some(format!("the relay may not write in {folder}: {error}"));
    }
    let about = match fs::metadata(&file) {
        Err(error) => return Some(error.to_string()),
        Ok(about) => about,
    };
    if about.mode() & WRITABLE == 0 {
        let mode = about.mode() & MODE_BITS;
        return Some(format!(
            "the file is marked as not to be written (mode {mode:04o})"
        ));
    }
    let is_ours = geteuid().is_root() || about.uid() == geteuid().as_raw();
    (!is_ours).then(|| "the file is not the relay's own, and is to keep its owner".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_link_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        fs::write(folder.path().join(".a.new"), "of a crash").unwrap();
        write_configuration(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().mode() & MODE_BITS, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(why_not_writable(&link), None);
        fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
        let why = why_not_writable(&link).unwrap_or_default();
        assert!(why.contains("not to be written (mode 0440)"), "{why}");
    }

    #[test]
    fn what_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        assert!(write_configuration(&file, "new").is_err());
        assert!(!file.exists());
        assert!(why_not_writable(&file).is_some());
    }
}

//! The main file of the configuration on the disk: whether it can be written, and how it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{AccessFlags, Gid, Uid, access, geteuid};
use rustix::fs::{XattrFlags, fremovexattr, fsetxattr};
use rustix::io::Errno;

/// Until it has the mode of the file in whose place it comes.
const OWNER_ONLY: u32 = 0o600;
/// Of the mode: who may do what. Nothing else is carried over.
const MODE_BITS: u32 = 0o777;

/// Who owns a file may write it.
const WRITABLE: u32 = 0o200;

/// Octets of one extended attribute, and of all names, as Linux has them (xattr(7)).
const ATTRIBUTE_OCTETS: usize = 64 << 10;
/// Attributes of these kinds are the system's to give: they are kept where it lets us.
const OF_THE_SYSTEM: [&[u8]; 2] = [b"security.", b"trusted."];

/// Puts `text` in the place of what is in the configuration file at `path`, which there must be: whole
/// or not at all, on stable storage, with the mode, the owner, the group, the access control list and
/// the extended attributes that it has. Of a link it is the file that it leads to.
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
    let written = write_new(&new, text, &file, &about).and_then(|()| fs::rename(&new, &file));
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

fn write_new(new: &Path, text: &str, old: &Path, about: &fs::Metadata) -> io::Result<()> {
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
    keep_attributes(old, &open)?;
    open.write_all(text.as_bytes())?;
    open.sync_all()
}

/// Gives a new file the extended attributes of the old one, its access control list among them, and
/// takes away those that it has from its folder alone.
fn keep_attributes(old: &Path, new: &File) -> io::Result<()> {
    let old = File::open(old)?;
    let (kept, given) = (attributes(&old)?, attributes(new)?);
    for name in given.iter().filter(|name| !kept.contains(name)) {
        passable(name, fremovexattr(new, &**name))?;
    }
    let mut value = vec![0; ATTRIBUTE_OCTETS];
    for name in &kept {
        let octets = rustix::fs::fgetxattr(&old, &**name, &mut value[..]);
        let set = octets.and_then(|octets| {
            let value = value.get(..octets).unwrap_or_default();
            fsetxattr(new, &**name, value, XattrFlags::empty())
        });
        passable(name, set)?;
    }
    Ok(())
}

/// The names of those that a file has; none where its file system has no such thing.
fn attributes(file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; ATTRIBUTE_OCTETS];
    let octets = match rustix::fs::flistxattr(file, &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        listed => listed?,
    };
    let names = names
        .get(..octets)
        .unwrap_or_default()
        .split(|octet| *octet == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

/// An error where an attribute was to be given or taken that nobody but us does that for.
fn passable(name: &[u8], result: rustix::io::Result<()>) -> io::Result<()> {
    let is_of_system = OF_THE_SYSTEM.iter().any(|kind| name.starts_with(kind));
    result.or_else(|error| match is_of_system {
        true => Ok(()),
        false => Err(error.into()),
    })
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
    fn a_file_keeps_its_access_control_list_and_gets_none_from_its_folder() {
        const ACCESS: &str = "system.posix_acl_access";
        const OF_FOLDER: &str = "system.posix_acl_default";
        // Version 2 of the list as Linux stores it: owner, one user more, group, mask, others.
        let list = |user: u32| {
            let entry = |(tag, may, id): (u16, u16, u32)| {
                let of = [
                    &tag.to_le_bytes()[..],
                    &may.to_le_bytes(),
                    &id.to_le_bytes(),
                ];
                of.concat()
            };
            let all = u32::MAX;
            let entries = [
                (1, 6, all),
                (2, 4, user),
                (4, 4, all),
                (16, 4, all),
                (32, 0, all),
            ];
            let entries: Vec<u8> = entries.into_iter().flat_map(entry).collect();
            [&2_u32.to_le_bytes()[..], &entries].concat()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let set = |path: &Path, name: &str, value: &[u8]| {
            rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
        };
        let has = |name: &str| {
            let mut value = [0; 100];
            let octets = rustix::fs::getxattr(&file, name, &mut value[..]).ok();
            octets.map(|octets| value[..octets].to_vec())
        };
        fs::write(&file, "old").unwrap();
        set(&file, ACCESS, &list(12_345));
        set(&file, "user.note", b"ours");
        write_configuration(&file, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(has(ACCESS), Some(list(12_345)));
        assert_eq!(has("user.note"), Some(b"ours".to_vec()));

        fs::remove_file(&file).unwrap();
        fs::write(&file, "old").unwrap();
        set(folder.path(), OF_FOLDER, &list(777));
        write_configuration(&file, "new").unwrap();
        assert_eq!(has(ACCESS), None);
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

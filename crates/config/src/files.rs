use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

/// No file that a configuration names is larger.
pub const FILE_OCTETS_MAX: u64 = 256 << 20;

/// How configuration files are read.
pub trait Files {
    /// The octets of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The same of one that a configuration names, whoever wrote that.
    fn read_named(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }
    /// The names of the files in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
}

/// Files among which one is read as if this were its text: what a change would do is known before it
/// is made.
pub struct Replaced<'a> {
    /// All others.
    pub files: &'a dyn Files,
    /// Which one.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

impl Files for Replaced<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path {
            return Ok(self.text.as_bytes().to_vec());
        }
        self.files.read(path)
    }

    fn read_named(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path {
            return self.read(path);
        }
        self.files.read_named(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }
}

/// Files of which it is kept what those said that a configuration names.
pub(crate) struct Noted<'a> {
    files: &'a dyn Files,
    read: RefCell<BTreeMap<PathBuf, Box<str>>>,
}

impl<'a> Noted<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        let read = RefCell::default();
        Self { files, read }
    }

    /// Their digests (SHA-256), in hexadecimal digits.
    pub(crate) fn digests(self) -> BTreeMap<PathBuf, Box<str>> {
        self.read.into_inner()
    }
}

impl Files for Noted<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn read_named(&self, path: &Path) -> io::Result<Vec<u8>> {
        let octets = self.files.read_named(path)?;
        let hash = hash(&octets).into();
        self.read.borrow_mut().insert(path.to_owned(), hash);
        Ok(octets)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }
}

/// By which a file's content is told from another: SHA-256, in hexadecimal digits.
pub fn hash(octets: &[u8]) -> String {
    mail::hex(digest(&SHA256, octets))
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_named(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path, FILE_OCTETS_MAX)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // A name that is no text cannot match a pattern that is.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

/// The octets of an ordinary file, of which there are no more than so many: a wrong path may lead to
/// a device that has no end, or to a pipe on which nothing ever comes.
///
/// # Errors
/// It cannot be read, is another thing than a file, or larger.
pub fn read_file(path: &Path, octets_max: u64) -> io::Result<Vec<u8>> {
    // Before it is opened: who opens a pipe waits for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no ordinary file"));
    }
    let mut octets = Vec::new();
    let mut file = File::open(path)?.take(octets_max.saturating_add(1));
    file.read_to_end(&mut octets)?;
    if octets.len() as u64 > octets_max {
        let why = format!("it has more than {octets_max} octets");
        return Err(io::Error::other(why));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_or_no_beginning_is_not_read() {
        let folder = std::env::temp_dir();
        for path in [Path::new("/dev/null"), Path::new("/dev/zero"), &folder] {
            let error = Disk.read_named(path).unwrap_err();
            assert_eq!(error.to_string(), "this is no ordinary file");
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let octets = fs::read(&own).unwrap();
        let most = octets.len() as u64;
        assert_eq!(read_file(&own, most).unwrap(), octets);
        assert!(read_file(&own, most - 1).is_err());
    }
}

use std::io;
use std::path::Path;

/// How configuration files are read.
pub trait Files {
    /// The octets of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
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

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            // A name that is no text cannot match a pattern that is.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

//! Messages that others have collected to try their own software with. Debian packages some of them, Cargo
//! brings one collection along, and `scripts/test` fetches the others; none of them is in this repository.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// What `scripts/test` fetches.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers");

/// A message as its file has it.
pub struct Message {
    /// The collection and the file.
    pub name: String,
    pub octets: Vec<u8>,
}

impl Message {
    /// With the line ends that mail has, the last one too.
    pub fn as_mail(&self) -> Vec<u8> {
        let lines = self.octets.split_inclusive(|octet| *octet == b'\n');
        let lines = lines.flat_map(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            [line.strip_suffix(b"\r").unwrap_or(line), b"\r\n"]
        });
        lines.collect::<Vec<_>>().concat()
    }
}

/// The messages of one collection.
#[derive(Clone, Copy)]
pub struct Collection {
    pub name: &'static str,
    folder: fn() -> PathBuf,
    takes: fn(&Path) -> bool,
    /// How many there are at least.
    least: usize,
}

/// All of them.
pub const COLLECTIONS: [Collection; 7] = [
    PYTHON,
    Collection {
        name: "dkimpy",
        folder: || "/usr/lib/python3/dist-packages/dkim/tests/data".into(),
        takes: |file| has_end(file, &["msg", "message", "mbox"]),
        least: 6,
    },
    Collection {
        name: "Mail::DKIM",
        folder: || Path::new(PEERS).join("mail-dkim/t/corpus"),
        takes: |file| has_end(file, &["txt"]),
        least: 79,
    },
    Collection {
        name: "SpamAssassin",
        folder: || "/usr/share/doc/spamassassin/examples".into(),
        takes: |file| has_end(file, &["txt"]),
        least: 2,
    },
    Collection {
        name: "rspamd",
        folder: || Path::new(PEERS).join("rspamd/test/functional/messages"),
        takes: |file| has_end(file, &["eml"]),
        least: 100,
    },
    // Those of mail-parser of PyPI, and of the crate of that name.
    Collection {
        name: "PyPI's mail-parser",
        folder: || Path::new(PEERS).join("mail-parser/tests/mails"),
        takes: |_| true,
        least: 20,
    },
    Collection {
        name: "mail-parser",
        folder: || source_of("mail-parser").join("resources/eml"),
        takes: |file| has_end(file, &["eml"]),
        least: 100,
    },
];

/// The messages of Python's tests.
pub const PYTHON: Collection = Collection {
    name: "Python",
    folder: || {
        let versions = fs::read_dir("/usr/lib").expect("a folder").flatten();
        let folders = versions.map(|entry| entry.path().join("test/test_email/data"));
        let newest = folders.filter(|folder| folder.is_dir()).max();
        newest.expect("the package libpython3-testsuite of the Debian at hand")
    },
    takes: |file| has_end(file, &["txt"]),
    least: 40,
};

/// The messages of all of them.
pub fn all_messages() -> impl Iterator<Item = Message> {
    COLLECTIONS.into_iter().flat_map(Collection::messages)
}

impl Collection {
    /// Its messages, by their names.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn messages(self) -> Vec<Message> {
        let folder = (self.folder)();
        let mut files = Vec::new();
        collect(&folder, &mut files);
        files.retain(|file| (self.takes)(file));
        files.sort();
        let (count, name) = (files.len(), self.name);
        assert!(
            count >= self.least,
            "{name}: {count} in {folder:?}; `scripts/test install` fetches it"
        );
        let message = |file: PathBuf| Message {
            name: format!(
                "{name}: {}",
                file.strip_prefix(&folder).unwrap_or(&file).display()
            ),
            octets: fs::read(&file).expect("a file that can be read"),
        };
        files.into_iter().map(message).collect()
    }
}

fn has_end(file: &Path, ends: &[&str]) -> bool {
    let end = file.extension().and_then(OsStr::to_str);
    end.is_some_and(|end| ends.contains(&end))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Where Cargo has the sources of a crate that we use: below the folder of a registry.
fn source_of(name: &str) -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = fs::read_dir(home.expect("Cargo's folder").join("registry/src"));
    let registries = registries.expect("what it has fetched").flatten();
    let crates = registries.filter_map(|registry| fs::read_dir(registry.path()).ok());
    let is_named = |path: &PathBuf| {
        let file = path.file_name().and_then(OsStr::to_str);
        let version = file.and_then(|file| file.strip_prefix(name)?.strip_prefix('-'));
        version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    let crates = crates.flatten().flatten().map(|entry| entry.path());
    crates.filter(is_named).max().expect("a crate that we use")
}

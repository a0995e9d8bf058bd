//! What the configuration file was before: its last versions, each with who changed it and why, in
//! files that only the relay reads.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mail::Timestamp;
use serde::{Deserialize, Serialize};

/// So many are kept.
pub(crate) const VERSIONS_MAX: usize = 20;
/// A larger file is none of ours.
const FILE_OCTETS_MAX: u64 = 8 << 20;
const OWNER_ONLY: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The versions, in a folder of `data_dir`.
pub(crate) struct Versions {
    folder: PathBuf,
}

/// One of them, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub number: u64,
    /// Since when, RFC 3339.
    pub at: String,
    /// `None`: it was changed by hand.
    pub by: Option<String>,
    pub reason: Option<String>,
    pub text: String,
}

/// Who changed it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Author {
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl Versions {
    pub fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("config-versions"),
        }
    }

    /// All that can be read, oldest first.
    pub fn all(&self) -> io::Result<Vec<Version>> {
        let numbers = self.numbers()?;
        let read = numbers
            .into_iter()
            .filter_map(|number| self.read(number).ok());
        Ok(read.collect())
    }

    /// Keeps `text` as the newest, where that is another one; gives its number.
    pub fn keep(&self, text: &str, at: Timestamp, author: Author) -> io::Result<u64> {
        let numbers = self.numbers()?;
        let last = numbers.last().copied();
        let newest = last.and_then(|number| self.read(number).ok());
        if let Some(newest) = newest.filter(|newest| newest.text == text) {
            return Ok(newest.number);
        }
        let version = Version {
            number: last.unwrap_or(0) + 1,
            at: at.to_string(),
            by: author.by,
            reason: author.reason,
            text: text.to_owned(),
        };
        self.write(&version)?;
        let too_many = (numbers.len() + 1).saturating_sub(VERSIONS_MAX);
        for old in numbers.iter().take(too_many) {
            fs::remove_file(self.file(*old))?;
        }
        Ok(version.number)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, number: u64) -> io::Result<Version> {
        let file = self.file(number);
        if fs::metadata(&file)?.len() > FILE_OCTETS_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let version: Version = serde_json::from_slice(&fs::read(file)?)?;
        if version.number != number {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(version)
    }

    fn write(&self, version: &Version) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.folder)?;
        let new = self.folder.join("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(OWNER_ONLY)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(version)?)?;
        file.sync_all()?;
        fs::rename(&new, self.file(version.number))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_last_ones_are_kept_for_the_relay_alone() {
        let folder = tempfile::tempdir().unwrap();
        let versions = Versions::of(folder.path());
        assert_eq!(versions.all().unwrap(), []);
        let keep = |text: &str| {
            let author = Author {
                by: Some("ann".to_owned()),
                reason: None,
            };
            versions
                .keep(text, Timestamp::from_millis(0), author)
                .unwrap()
        };
        let numbers: Vec<u64> = (0..25).map(|n| keep(&n.to_string())).collect();
        assert_eq!(numbers, (1..=25).collect::<Vec<u64>>());
        assert_eq!(keep("24"), 25, "nothing changed");
        let all = versions.all().unwrap();
        assert_eq!(all.len(), VERSIONS_MAX);
        assert_eq!(all[0].text, "5");
        let about = fs::metadata(versions.file(25)).unwrap();
        assert_eq!(about.mode() & 0o777, OWNER_ONLY);
        assert_eq!(
            fs::metadata(&versions.folder).unwrap().mode() & 0o777,
            FOLDER_MODE
        );
        // What somebody broke is passed over.
        fs::write(versions.file(25), "{").unwrap();
        assert_eq!(versions.all().unwrap().len(), VERSIONS_MAX - 1);
        assert_eq!(keep("24"), 26);
    }
}

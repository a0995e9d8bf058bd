//! Where the spool lies, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Config;
use nix::sys::statvfs::statvfs;
use spool::{Local, LocalOptions, SpoolError};

/// Opens the spool of `config`.
///
/// # Errors
/// Says what is wrong with the directory.
pub fn open_spool(config: &Config) -> Result<Arc<Local>, String> {
    let directory = spool_directory(&config.data_dir);
    let options = LocalOptions {
        directory: directory.clone(),
        min_free: config.spool.min_free,
    };
    let opened = Local::open(options).map_err(|error| unopened(&directory, &error));
    opened.map(Arc::new)
}

/// Whether [`open_spool`] could open it; another process may have it open.
///
/// # Errors
/// Says why it could not.
pub(crate) fn look_at_spool(config: &Config) -> Result<(), String> {
    let directory = spool_directory(&config.data_dir);
    Local::look(&directory).map_err(|error| unopened(&directory, &error))
}

fn unopened(directory: &Path, error: &SpoolError) -> String {
    let why = match error {
        // No change was asked for.
        SpoolError::Invalid(why) => why.to_string(),
        error => error.to_string(),
    };
    format!(
        "the spool in {} cannot be opened: {why}",
        directory.display()
    )
}

/// Octets free on the disk of the spool of `config`, as far as that is known. May block.
pub(crate) fn free(config: &Config) -> Option<u64> {
    free_at(&spool_directory(&config.data_dir))
}

/// Octets free on the disk that `path` is on, as far as that is known. May block.
pub(crate) fn free_at(path: &Path) -> Option<u64> {
    let facts = statvfs(path).ok()?;
    Some(
        facts
            .blocks_available()
            .saturating_mul(facts.fragment_size()),
    )
}

/// Where the spool lies within `data_dir`.
pub fn spool_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("spool")
}

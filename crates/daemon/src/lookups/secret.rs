//! Reads the secrets that the configuration only names.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use config::Secret;

/// The rights of whoever is neither owner nor of the group.
const OTHERS: u32 = 0o007;

/// What the file or the variable holds, without the line end behind it.
///
/// # Errors
/// It cannot be read, or there is nothing in it; never says what is.
pub(crate) fn read(secret: &Secret) -> Result<String, String> {
    let text = match secret {
        Secret::File(path) => {
            check_rights(path)?;
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        Secret::Variable(name) => {
            std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("the secret is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// What everybody on the machine can read is no secret.
///
/// # Errors
/// Who may read it, and what to do.
pub(crate) fn check_rights(path: &Path) -> Result<(), String> {
    let about = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let rights = about.mode() & 0o777;
    if rights & OTHERS != 0 {
        return Err(format!(
            "{}: every user of this machine may read or change it (mode {rights:03o}): chmod 600 it, or 640",
            path.display()
        ));
    }
    Ok(())
}

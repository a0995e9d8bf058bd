//! What is kept below `data_dir/acme`: for each name one file with its key and its chain, so that both
//! are new at one moment; for each authority the account, which is a key too. Nobody else may read
//! any of it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use config::{Acme, AcmeName, read_file};
use tls::{CertificateKey, replace};

const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

/// Nothing that we wrote is larger.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// The key of the certificate to come: a new one, or the one before. Whatever keeps it from being
/// written is found here.
pub(crate) fn prepare(acme: &Acme, name: &AcmeName) -> Result<CertificateKey, String> {
    let mut builder = DirBuilder::new();
    let made = builder
        .recursive(true)
        .mode(OWNER_ONLY_FOLDER)
        .create(&acme.folder);
    made.map_err(|error| named(&acme.folder, &error))?;
    let trial = acme.folder.join("trial");
    replace(&trial, b"", OWNER_ONLY).map_err(|error| named(&trial, &error))?;
    fs::remove_file(&trial).map_err(|error| named(&trial, &error))?;
    if acme.keep_key && name.files.key.exists() {
        return CertificateKey::read(&name.files.key);
    }
    CertificateKey::new()
}

/// Writes key and chain in place of those before.
pub(crate) fn keep(
    acme: &Acme,
    name: &AcmeName,
    chain: &str,
    key: &CertificateKey,
) -> Result<(), String> {
    let path = &name.files.chain;
    let text = format!("{}\n{}{}", origin(acme), key.pem(), chain);
    replace(path, text.as_bytes(), OWNER_ONLY).map_err(|error| named(path, &error))
}

/// Whether what is there for a name came from the authority that is configured now, by the profile
/// that is configured now.
pub(crate) fn is_from(acme: &Acme, name: &AcmeName) -> bool {
    let text = read_file(&name.files.chain, FILE_OCTETS_MAX).unwrap_or_default();
    text.split(|octet| *octet == b'\n').next() == Some(origin(acme).as_bytes())
}

/// The first line of a file: readers of PEM pass over it.
fn origin(acme: &Acme) -> String {
    let profile = acme.profile.as_deref().unwrap_or_default();
    format!("from {} {profile}", acme.directory)
}

/// The credentials of our account, if there is one.
pub(crate) fn account(acme: &Acme) -> Result<Option<Vec<u8>>, String> {
    let path = account_path(acme);
    match read_file(&path, FILE_OCTETS_MAX) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(&path, &error)),
    }
}

/// Writes them down.
pub(crate) fn keep_account(acme: &Acme, credentials: &[u8]) -> Result<(), String> {
    let path = account_path(acme);
    replace(&path, credentials, OWNER_ONLY).map_err(|error| named(&path, &error))
}

/// The next one is another.
pub(crate) fn forget_account(acme: &Acme) -> Result<(), String> {
    let path = account_path(acme);
    fs::remove_file(&path).map_err(|error| named(&path, &error))
}

/// Each authority has an account of its own.
fn account_path(acme: &Acme) -> PathBuf {
    let digest = digest(&SHA256, acme.directory.as_bytes());
    let short = mail::hex(&digest.as_ref()[..8]);
    acme.folder.join(format!("account-{short}.json"))
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

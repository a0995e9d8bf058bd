//! Certificates and keys as files, PEM. Errors name the path and never show what is inside.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use config::CertificateFiles;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::provider;
use super::x509::{self, Reading, content};

/// No chain, key or bundle of authorities is larger; a wrong path may lead to a device or a log.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The rights that nobody else may have on a key: any for the world, writing for the group. A group
/// that may read it is how keys are shared on purpose.
const KEY_RIGHTS_REFUSED: u32 = 0o027;

/// A chain with its key.
///
/// # Errors
/// A text that names the file: unreadable, not PEM, no match between the two, or the key open to
/// others.
pub(super) fn certified_key(files: &CertificateFiles) -> Result<CertifiedKey, String> {
    let chain = certificates(&files.chain)?;
    let key = private_key(&files.key)?;
    if x509::is_pss_key(key.secret_der()) {
        return Err(format!(
            "{}: an RSASSA-PSS key cannot be used: make an ordinary RSA key (rsaEncryption) or an ECDSA one",
            files.key.display()
        ));
    }
    let key = provider().key_provider.load_private_key(key);
    let key = key.map_err(|_| format!("{}: a key of an unknown kind", files.key.display()))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "{} is not the key of the certificate {}",
            files.key.display(),
            files.chain.display()
        )),
        Err(_) if is_version_1(&pair) => Err(format!(
            "{}: X.509 version 1, which no mail program takes any more: make a certificate of version 3",
            files.chain.display()
        )),
        Err(error) => Err(format!("{}: {error}", files.chain.display())),
    }
}

fn is_version_1(pair: &CertifiedKey) -> bool {
    let own = pair.cert.first().and_then(|own| Reading::of(own));
    own.is_some_and(|own| own.is_version_1())
}

/// Those whose signatures count, and certificates that count by themselves.
#[derive(Debug, Clone)]
pub(super) struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    /// The file's certificates. A server that shows one of them needs no authority: that is how a
    /// self-signed one is trusted.
    pub(super) own: Arc<[CertificateDer<'static>]>,
}

impl Authorities {
    /// Those that everybody trusts.
    pub(super) fn well_known() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self {
            roots: Arc::new(roots),
            own: Arc::default(),
        }
    }

    /// Those in a file, and no others.
    ///
    /// # Errors
    /// A text that names the file.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let own = certificates(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(Self {
            roots: Arc::new(roots),
            own: own.into(),
        })
    }
}

impl Authorities {
    /// Whether there is one among them that everybody trusts, or that has its certificate from one.
    pub(super) fn hold_public(&self) -> bool {
        self.own.iter().any(|own| {
            Reading::of(own).is_some_and(|own| is_public(own.subject()) || is_public(own.issuer()))
        })
    }
}

/// Whether an authority that everybody trusts has this name (DER).
fn is_public(name: &[u8]) -> bool {
    let known = webpki_roots::TLS_SERVER_ROOTS;
    content(name).is_some_and(|name| known.iter().any(|root| *root.subject == *name))
}

/// What the first certificate of a file (PEM or DER) is; nobody has judged it.
///
/// # Errors
/// A text that names the file: unreadable, or without a certificate.
pub fn first_certificate(path: &Path) -> Result<mail::Certificate, String> {
    let octets = read(open(path)?, path)?;
    let own = if Reading::of(&octets).is_some() {
        CertificateDer::from(octets)
    } else {
        listed(&octets, path)?.swap_remove(0)
    };
    Ok(x509::certificate(&own, mail::Trust::Unknown))
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    listed(&read(open(path)?, path)?, path)
}

/// At least one.
fn listed(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| format!("{}: {}", path.display(), fault(&error)))?;
    if found.is_empty() {
        return Err(format!("{}: there is no certificate in it", path.display()));
    }
    Ok(found)
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let file = open(path)?;
    check_rights(&file, path)?;
    let text = read(file, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => {
            format!(
                "{}: the key has a password: store it without",
                path.display()
            )
        }
        pem::Error::NoItemsFound => format!("{}: there is no private key in it", path.display()),
        error => format!("{}: {}", path.display(), fault(&error)),
    })
}

/// Whether a key is for us alone.
///
/// # Errors
/// A text that names the file.
pub(super) fn check_key_rights(path: &Path) -> Result<(), String> {
    check_rights(&open(path)?, path)
}

fn is_encrypted(text: &[u8]) -> bool {
    const MARK: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(MARK.len()).any(|part| part == MARK)
}

/// What is wrong with a PEM file, without its text: the library would show lines of it.
fn fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends in the middle of a block",
        pem::Error::Base64Decode(_) => "a block in it is not base64",
        _ => "it is not PEM",
    }
}

/// A key that others can read is no longer a key.
fn check_rights(file: &File, path: &Path) -> Result<(), String> {
    let about = file.metadata();
    let about = about.map_err(|error| format!("{}: {error}", path.display()))?;
    let rights = about.mode() & 0o777;
    if rights & KEY_RIGHTS_REFUSED != 0 {
        return Err(format!(
            "{}: other users may read or change this key (mode {rights:03o}): chmod 600 it, or 640",
            path.display()
        ));
    }
    let ours = nix::unistd::geteuid().as_raw();
    if about.uid() != 0 && about.uid() != ours {
        return Err(format!(
            "{}: this key belongs to another user (uid {}): give it to root, or to the user of the relay",
            path.display(),
            about.uid()
        ));
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    // Before it is opened: who opens a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{} is no ordinary file", path.display()));
    }
    File::open(path).map_err(unreadable)
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let done = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    done.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "{} is too large for certificates or a key",
            path.display()
        ));
    }
    // Behind a byte-order mark the first line would be none of PEM, and the first certificate
    // passed over.
    if text.starts_with("\u{feff}".as_bytes()) {
        text.drain(..3);
    }
    Ok(text)
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::CertificateFiles;
use mail::Timestamp;
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::files;
use super::x509::{Reading, name_matches, sha256};

/// An end that is nearer than this is announced.
const WARN_BEFORE: Duration = Duration::from_hours(24 * 14);

/// One certificate that we can show.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Where it was read.
    pub chain: PathBuf,
    /// The names that it is for, in lower case, some with `*.` in front.
    pub names: Box<[Box<str>]>,
    /// When it begins.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    pub(super) key: Arc<CertifiedKey>,
}

impl ServerCertificate {
    /// Reads one with its key.
    ///
    /// # Errors
    /// A text that names the file: unreadable, no PEM, a key that belongs to another certificate or
    /// can be read by other users.
    pub fn load(files: &CertificateFiles) -> Result<Self, String> {
        let key = files::certified_key(files)?;
        let own = key.cert.first().and_then(|own| Reading::of(own));
        let own = own.ok_or_else(|| format!("{}: it cannot be read", files.chain.display()))?;
        Ok(Self {
            chain: files.chain.clone(),
            names: own.names().into(),
            begins: timestamp(own.begins()),
            ends: timestamp(own.ends()),
            key: Arc::new(key),
        })
    }

    /// The certificate itself (DER), without those above it.
    pub fn own(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |own| own)
    }

    /// What a TLSA record `3 1 1` says of its key (RFC 6698 section 2.1): SHA-256 of
    /// SubjectPublicKeyInfo.
    pub fn key_sha256(&self) -> [u8; 32] {
        let own = Reading::of(self.own());
        own.map_or([0; 32], |own| sha256(own.public_key()))
    }

    pub(super) fn suits(&self, offered: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(offered).is_some()
    }

    pub(super) fn is_ed25519(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::ED25519
    }

    pub(super) fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| **own == *name)
    }

    pub(super) fn is_beside(&self, name: &str) -> bool {
        self.names.iter().any(|own| name_matches(own, name))
    }

    /// What is to be said about its end, if it is near or past.
    pub(super) fn ending(&self, now: Timestamp) -> Option<String> {
        let path = self.chain.display();
        if self.ends < now {
            let days = days(now.since(self.ends));
            return Some(format!(
                "{path}: the certificate ended {days} days ago; servers that check it will not send to us"
            ));
        }
        let rest = self.ends.since(now);
        (rest < WARN_BEFORE).then(|| format!("{path}: the certificate ends in {} days", days(rest)))
    }
}

/// As certificates count time; before 1970 there were none.
fn timestamp(seconds: i64) -> Timestamp {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// The whole days in this time; what is left of a day does not count.
fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

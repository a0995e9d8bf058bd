use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::CertificateFiles;
use mail::{Place, Timestamp};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::x509::{Reading, name_matches};
use super::{TlsProblem, files, self_signed};

/// An end that is nearer than this is announced.
const WARN_BEFORE: Duration = Duration::from_hours(24 * 14);

/// The certificates that we can show, with their keys, and what an administrator should know about
/// them.
#[derive(Debug, Clone, Default)]
pub struct ServerCertificates {
    shown: Arc<[ServerCertificate]>,
    warnings: Vec<TlsProblem>,
}

/// One certificate that we can show.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Where it was read.
    pub chain: PathBuf,
    /// The names that it is for, in lower case, some with `*.` in front.
    pub names: Box<[Box<str>]>,
    /// When it ends.
    pub ends: Timestamp,
    key: Arc<CertifiedKey>,
}

impl ServerCertificates {
    /// Reads the configured certificates; without any, the self-signed pairs in `data_dir`, which
    /// are made if need be.
    ///
    /// A certificate that has ended is loaded all the same, with a warning: mail from servers that
    /// do not check must go on.
    ///
    /// # Errors
    /// All files that cannot be used: unreadable, no PEM, a key that belongs to another certificate
    /// or can be read by other users.
    pub fn load(
        tls: &config::Tls,
        data_dir: &Path,
        hostname: &str,
        now: Timestamp,
    ) -> Result<Self, Vec<TlsProblem>> {
        let mut warnings = Vec::new();
        let files = match &*tls.certificates {
            [] => {
                let pairs = self_signed::find_or_make(data_dir, hostname, now);
                let pairs = pairs.map_err(|message| vec![problem(&Place::Default, message)])?;
                warnings.extend(
                    pairs
                        .first()
                        .map(|pair| problem(&Place::Default, nobody_signed(pair))),
                );
                pairs
            }
            configured => configured.to_vec(),
        };
        let (mut shown, mut problems) = (Vec::new(), Vec::new());
        for files in &files {
            match ServerCertificate::load(files) {
                Ok(identity) => {
                    let ending = identity.ending(now);
                    warnings.extend(ending.map(|message| problem(&files.place, message)));
                    shown.push(identity);
                }
                Err(message) => problems.push(problem(&files.place, message)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some(first) = files
            .first()
            .filter(|_| shown.iter().all(ServerCertificate::is_ed25519))
        {
            warnings.push(problem(&first.place, ed25519_alone(first)));
        }
        Ok(Self {
            shown: shown.into(),
            warnings,
        })
    }

    /// The certificates, in the order of the configuration.
    pub fn certificates(&self) -> &[ServerCertificate] {
        &self.shown
    }

    /// What does not stop us, but should be put right: an end that is near or past, a certificate
    /// that nobody has signed.
    pub fn warnings(&self) -> &[TlsProblem] {
        &self.warnings
    }

    /// The certificate for a client that asks for `name` and can check signatures of the kinds
    /// `offered`: one for exactly that name, else one for all names beside it, else the first.
    fn choose(&self, name: Option<&str>, offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = || self.shown.iter().filter(|identity| identity.suits(offered));
        let name = name.map(str::to_ascii_lowercase);
        let exact = |name: &str| usable().find(|identity| identity.is_for(name));
        let beside = |name: &str| usable().find(|identity| identity.is_beside(name));
        let named = name.and_then(|name| exact(&name).or_else(|| beside(&name)));
        let chosen = named.or_else(|| usable().next())?;
        Some(Arc::clone(&chosen.key))
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl ServerCertificate {
    fn load(files: &CertificateFiles) -> Result<Self, String> {
        let key = files::certified_key(files)?;
        let own = key.cert.first().and_then(|own| Reading::of(own));
        let own = own.ok_or_else(|| format!("{}: it cannot be read", files.chain.display()))?;
        let ends = u64::try_from(own.ends()).unwrap_or(0);
        Ok(Self {
            chain: files.chain.clone(),
            names: own.names().into(),
            ends: Timestamp::from_millis(ends.saturating_mul(1000)),
            key: Arc::new(key),
        })
    }

    fn suits(&self, offered: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(offered).is_some()
    }

    fn is_ed25519(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::ED25519
    }

    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| **own == *name)
    }

    fn is_beside(&self, name: &str) -> bool {
        self.names.iter().any(|own| name_matches(own, name))
    }

    /// What is to be said about its end, if it is near or past.
    fn ending(&self, now: Timestamp) -> Option<String> {
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

/// The whole days in this time; what is left of a day does not count.
fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

fn nobody_signed(pair: &CertificateFiles) -> String {
    format!(
        "no certificate is configured: the self-signed {} is shown, which nobody who checks will trust",
        pair.chain.display()
    )
}

fn ed25519_alone(pair: &CertificateFiles) -> String {
    format!(
        "{}: with Ed25519 alone, mail programs and devices by NSS or mbed TLS cannot encrypt: add an ECDSA or RSA certificate beside it",
        pair.chain.display()
    )
}

fn problem(place: &Place, message: String) -> TlsProblem {
    TlsProblem {
        place: place.clone(),
        message,
    }
}

use std::path::Path;
use std::sync::Arc;

use config::CertificateFiles;
use mail::{Place, Timestamp};
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::obtained::Obtained;
use super::server_certificate::ServerCertificate;
use super::{TlsProblem, self_signed};

/// The certificates that we can show, with their keys, and what an administrator should know about
/// them.
#[derive(Debug, Clone, Default)]
pub struct ServerCertificates {
    /// Those that come and go while we run, before the others.
    obtained: Option<Arc<Obtained>>,
    shown: Arc<[Arc<ServerCertificate>]>,
    /// Whether nobody has signed those.
    is_self_signed: bool,
    warnings: Vec<TlsProblem>,
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
        obtained: &Arc<Obtained>,
    ) -> Result<Self, Vec<TlsProblem>> {
        let mut warnings = Vec::new();
        let is_self_signed = tls.certificates.is_empty();
        let files = match &*tls.certificates {
            [] => {
                let pairs = self_signed::find_or_make(data_dir, hostname, now);
                let pairs = pairs.map_err(|message| vec![problem(&Place::Default, message)])?;
                // With ACME it is shown until there is a better one, and the relay tells if none comes.
                let first = pairs.first().filter(|_| tls.acme.is_none());
                warnings.extend(first.map(|pair| problem(&Place::Default, nobody_signed(pair))));
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
                    shown.push(Arc::new(identity));
                }
                Err(message) => problems.push(problem(&files.place, message)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if let Some(first) = files
            .first()
            .filter(|_| shown.iter().all(|one| one.is_ed25519()))
        {
            warnings.push(problem(&first.place, ed25519_alone(first)));
        }
        Ok(Self {
            obtained: tls.acme.as_ref().map(|_| Arc::clone(obtained)),
            shown: shown.into(),
            is_self_signed,
            warnings,
        })
    }

    /// The certificates at this moment: those that were got by ACME, then the others in the order of
    /// the configuration.
    pub fn certificates(&self) -> Vec<Arc<ServerCertificate>> {
        let obtained = self.obtained.as_ref().map(|obtained| obtained.all());
        let obtained = obtained.iter().flat_map(|all| all.iter());
        obtained.chain(&*self.shown).cloned().collect()
    }

    /// When the first of them ends that an administrator has to care for: those of ACME are renewed by
    /// themselves, and tell if not.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        let has_others = self
            .obtained
            .as_ref()
            .is_some_and(|all| !all.all().is_empty());
        let counted = self
            .shown
            .iter()
            .filter(|_| !(has_others && self.is_self_signed));
        counted.map(|one| one.ends).min()
    }

    /// What does not stop us, but should be put right: an end that is near or past, a certificate
    /// that nobody has signed.
    pub fn warnings(&self) -> &[TlsProblem] {
        &self.warnings
    }

    /// The certificate for a client that asks for `name` and can check signatures of the kinds
    /// `offered`: one for exactly that name, else one for all names beside it, else the first.
    fn choose(&self, name: Option<&str>, offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let all = self.certificates();
        let usable = || all.iter().filter(|identity| identity.suits(offered));
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

//! A private authority, and what it gives to clients: whoever shows such a certificate is known by its
//! name, to relays that trust the authority (`tls.client_ca`).

use std::path::Path;
use std::time::Duration;

use config::CertificateFiles;
use mail::{Place, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};

use super::files;
use super::issuing::CertificateKey;
use super::x509::{Reading, seconds, sha256};

const DAY: Duration = Duration::from_hours(24);

/// How long an authority lasts.
const LIFE: Duration = Duration::from_hours(24 * 365 * 10);

/// RFC 5280 appendix A.1, `ub-common-name`: no common name is longer.
const COMMON_NAME_MAX: usize = 64;

/// Who signs certificates of clients.
pub struct PrivateAuthority {
    issuer: Issuer<'static, KeyPair>,
    /// When it ends itself, in seconds since 1970.
    ends: i64,
}

/// A certificate and its key, each PEM. The key is a secret.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key (PKCS #8).
    pub key: String,
}

impl PrivateAuthority {
    /// A new one, for ten years, with a name that no other has.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn make(now: Timestamp) -> Result<Issued, String> {
        let made = || {
            let key = KeyPair::generate()?;
            let [a, b, c, d, ..] = sha256(&key.subject_public_key_info());
            let name = format!("Private authority {a:02x}{b:02x}{c:02x}{d:02x}");
            let mut params = lasting(CertificateParams::default(), now, seconds(now + LIFE));
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            issued(params.self_signed(&key)?.pem(), &key)
        };
        let made: Result<_, rcgen::Error> = made();
        made.map_err(|error| format!("no authority can be made: {error}"))
    }

    /// The one in these files (PEM), which may have been made by another program.
    ///
    /// # Errors
    /// A text that names the file: unreadable, no authority, or a key that belongs to another one or
    /// can be read by other users.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let pair = CertificateFiles {
            chain: certificate.to_path_buf(),
            key: key.to_path_buf(),
            place: Place::Default,
        };
        let pair = files::certified_key(&pair)?;
        let named = |why: &str| format!("{}: {why}", certificate.display());
        let own = pair.cert.first();
        let own = own.ok_or_else(|| named("there is no certificate in it"))?;
        let reading = Reading::of(own).ok_or_else(|| named("it cannot be read"))?;
        if !reading.is_authority() {
            return Err(named("this is the certificate of no authority"));
        }
        let ends = reading.ends();
        let key = CertificateKey::read(key)?.0;
        let issuer = Issuer::from_ca_cert_der(own, key);
        let issuer = issuer.map_err(|error| named(&error.to_string()))?;
        Ok(Self { issuer, ends })
    }

    /// A certificate for a client of this name, for `life` at most, and never for longer than the
    /// authority's own.
    ///
    /// # Errors
    /// The authority has ended, or there is no certificate for such a name.
    pub fn client(&self, name: &str, life: Duration, now: Timestamp) -> Result<Issued, String> {
        if self.ends <= seconds(now) {
            return Err("the authority's own certificate has ended: begin with another".to_owned());
        }
        let made = || {
            let params = CertificateParams::new([name.to_owned()])?;
            let mut params = lasting(params, now, self.ends.min(seconds(now + life)));
            if name.len() <= COMMON_NAME_MAX {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate()?;
            issued(params.signed_by(&key, &self.issuer)?.pem(), &key)
        };
        let made: Result<_, rcgen::Error> = made();
        made.map_err(|error| format!("no certificate for {name}: {error}"))
    }
}

fn issued(certificate: String, key: &KeyPair) -> Result<Issued, rcgen::Error> {
    let key = key.serialize_pem();
    Ok(Issued { certificate, key })
}

/// From a day before now, for clocks that are slow.
fn lasting(mut params: CertificateParams, now: Timestamp, ends: i64) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    let start = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = start + Duration::from_secs((now - DAY).as_secs());
    params.not_after = start + Duration::from_secs(u64::try_from(ends).unwrap_or(0));
    params
}

//! The pairs of the first start: a certificate that nobody has signed encrypts as well as any
//! other, and proves nothing. One is ECDSA, which is what we show; the other is RSA, for devices
//! that know nothing else.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use config::CertificateFiles;
use mail::{Place, Timestamp};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm,
};

use super::files;
use super::x509::{Reading, seconds};
use crate::replace::replace;

const DAY: Duration = Duration::from_hours(24);

/// How long a pair lasts.
const LIFE: Duration = Duration::from_hours(24 * 365 * 2);

/// A pair that ends sooner than this is made again.
const REST_MIN: Duration = Duration::from_hours(24 * 30);

/// A kind of pair.
struct Kind {
    /// Of its two files.
    name: &'static str,
    algorithm: &'static SignatureAlgorithm,
    /// What the key does in a handshake. NSS wants keyEncipherment of an RSA key, even where it
    /// does not encrypt; RFC 8813 section 3 forbids that for ECDSA.
    usages: &'static [KeyUsagePurpose],
}

static KINDS: [Kind; 2] = [
    Kind {
        name: "self-signed",
        algorithm: &PKCS_ECDSA_P256_SHA256,
        usages: &[KeyUsagePurpose::DigitalSignature],
    },
    Kind {
        name: "self-signed-rsa",
        algorithm: &PKCS_RSA_SHA256,
        usages: &[
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
    },
];

/// Gives the pairs in `data_dir/tls`: those that are there, or new ones where there is none, where
/// it is for another host name, or where it ends within 30 days.
///
/// # Errors
/// A text that names what could not be written.
pub(super) fn find_or_make(
    data_dir: &Path,
    hostname: &str,
    now: Timestamp,
) -> Result<Vec<CertificateFiles>, String> {
    let hostname = hostname.to_ascii_lowercase();
    let pair = |kind| find_or_make_one(kind, &data_dir.join("tls"), &hostname, now);
    KINDS.iter().map(pair).collect()
}

fn find_or_make_one(
    kind: &Kind,
    directory: &Path,
    hostname: &str,
    now: Timestamp,
) -> Result<CertificateFiles, String> {
    let pair = CertificateFiles {
        chain: directory.join(format!("{}.crt", kind.name)),
        key: directory.join(format!("{}.key", kind.name)),
        place: Place::Default,
    };
    if pair.key.exists() && is_good(&pair, hostname, now)? {
        return Ok(pair);
    }
    let (certificate, key) = make(kind, hostname, now)
        .map_err(|error| format!("no certificate can be made for {hostname}: {error}"))?;
    let in_directory = |error: io::Error| format!("{}: {error}", directory.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(in_directory)?;
    // The key first: a crash between the two leaves a pair that does not match, and the next start
    // makes another.
    replace(&pair.key, key.as_bytes(), 0o600).map_err(in_directory)?;
    replace(&pair.chain, certificate.as_bytes(), 0o644).map_err(in_directory)?;
    Ok(pair)
}

/// Whether the pair can be shown for some time. A key with wrong rights is an error, like any other
/// key: it may be known to others.
fn is_good(pair: &CertificateFiles, hostname: &str, now: Timestamp) -> Result<bool, String> {
    files::check_key_rights(&pair.key)?;
    let Ok(key) = files::certified_key(pair) else {
        return Ok(false);
    };
    let reading = key.cert.first().and_then(|own| Reading::of(own));
    let wanted_until = seconds(now + REST_MIN);
    Ok(reading.is_some_and(|reading| {
        reading.ends() > wanted_until && reading.names().iter().any(|name| **name == *hostname)
    }))
}

fn make(kind: &Kind, hostname: &str, now: Timestamp) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new([hostname.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, hostname);
    params.key_usages = kind.usages.to_vec();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    // A client whose clock is slow must not find that the certificate is not valid yet.
    params.not_before = now - DAY;
    params.not_after = now + LIFE;
    let key = KeyPair::generate_for(kind.algorithm)?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

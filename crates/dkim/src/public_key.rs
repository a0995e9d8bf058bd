use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaParameters, UnparsedPublicKey,
};

use crate::{Algorithm, Reason, base64_text};

/// RFC 8301 section 3.2: "Verifiers MUST NOT consider signatures using RSA keys of less than 1024
/// bits as valid signatures."
const RSA_BITS_MIN: u32 = 1024;
/// A stranger's key decides how long we compute.
const RSA_BITS_MAX: u32 = 8192;
const ED25519_LEN: usize = 32;

/// A key by which signatures are verified.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa {
        /// `RSAPublicKey` (RFC 8017).
        der: Box<[u8]>,
        /// The length of its modulus.
        bits: u32,
    },
    /// Ed25519.
    Ed25519([u8; ED25519_LEN]),
}

impl PublicKey {
    /// Reads an RSA key from either form in which keys are published: `SubjectPublicKeyInfo`, as
    /// all have it, or `RSAPublicKey`, as RFC 6376 has it; `None` where it is neither.
    pub(crate) fn rsa(der: &[u8]) -> Option<Self> {
        Self::of_rsa(&rsa::PublicKey::from_der(der).ok()?)
    }

    pub(crate) fn of_rsa(key: &rsa::PublicKey) -> Option<Self> {
        let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
        let der = key.as_ref().into();
        Some(Self::Rsa { der, bits })
    }

    /// Reads an Ed25519 key (RFC 8463 section 3.2).
    pub(crate) fn ed25519(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self::Ed25519)
    }

    /// By which algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::RsaSha256,
            Self::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// Its text in a record, `p=`.
    pub(crate) fn published(&self) -> Option<String> {
        match self {
            Self::Rsa { der, .. } => {
                let key = rsa::PublicKey::from_der(der).ok()?;
                let info: PublicKeyX509Der = key.as_der().ok()?;
                Some(base64_text::encode(info.as_ref()))
            }
            Self::Ed25519(octets) => Some(base64_text::encode(octets)),
        }
    }

    /// Whether this is its signature of a header with this hash.
    ///
    /// # Errors
    /// Why it is none, or does not count.
    pub(crate) fn verify(&self, hash: &Digest, signed: &[u8]) -> Result<(), Reason> {
        let verified = match self {
            Self::Rsa { bits, .. } if *bits < RSA_BITS_MIN => {
                return Err(Reason::ShortKey { bits: *bits });
            }
            Self::Rsa { bits, .. } if *bits > RSA_BITS_MAX => {
                return Err(Reason::LongKey { bits: *bits });
            }
            Self::Rsa { der, .. } => {
                let rsa = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                UnparsedPublicKey::new(rsa, der).verify_digest(hash, signed)
            }
            // RFC 8463 section 3: the hash is what is signed.
            Self::Ed25519(octets) => {
                UnparsedPublicKey::new(&ED25519, octets).verify(hash.as_ref(), signed)
            }
        };
        verified.map_err(|_| Reason::HeaderChanged)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa { bits, .. } => write!(f, "RSA of {bits} bits"),
            Self::Ed25519(_) => f.write_str("Ed25519"),
        }
    }
}

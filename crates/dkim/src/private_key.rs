use std::fmt;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::{Algorithm, PublicKey};

/// RFC 7468 section 2: lines of base64 have 64 characters.
const PEM_LINE: usize = 64;
/// Octets of the modulus of an RSA key of 2,048 bits.
const QUICK_OCTETS: usize = 256;

/// A key by which messages are signed. It is shared, not copied: preparing one costs as much as
/// many signatures.
pub enum PrivateKey {
    /// RSA of 2048 bits or more.
    Rsa(RsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// The text holds no private key in PEM.
    NoPem,
    /// It is neither an RSA key of 2048 to 8192 bits nor an Ed25519 one.
    Unusable,
    /// The name at which it would be published is too long.
    LongName,
    /// None could be made.
    NotMade,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPem => "it holds no private key in PEM",
            Self::Unusable => "it is no RSA key of 2048 to 8192 bits and no Ed25519 key",
            Self::LongName => "selector and domain are too long for one name",
            Self::NotMade => "no key could be made",
        })
    }
}

impl std::error::Error for KeyFault {}

impl PrivateKey {
    /// Reads a key: PEM, `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1).
    ///
    /// # Errors
    /// There is none, or none that could sign.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyFault> {
        let der = PrivateKeyDer::from_pem_slice(text).map_err(|_| KeyFault::NoPem)?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(Self::Rsa)
                .ok(),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(der).map(Self::Rsa);
                let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                rsa.or_else(|_| ed25519().map(Self::Ed25519)).ok()
            }
            _ => None,
        };
        key.ok_or(KeyFault::Unusable)
    }

    /// Makes one, of 2048 bits where it is RSA: longer ones do not fit into the answers of many
    /// name servers. The randomness is the library's own, which knows best what a key needs.
    ///
    /// # Errors
    /// The library could make none.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyFault> {
        let made = match algorithm {
            Algorithm::RsaSha256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            Algorithm::Ed25519Sha256 => Ed25519KeyPair::generate().map(Self::Ed25519),
        };
        made.map_err(|_| KeyFault::NotMade)
    }

    /// The key as PEM (PKCS #8), which is a secret.
    ///
    /// # Errors
    /// The library could not write it.
    pub fn to_pem(&self) -> Result<String, KeyFault> {
        let der: Result<Pkcs8V1Der, _> = match self {
            Self::Rsa(key) => key.as_der(),
            Self::Ed25519(key) => key.as_der(),
        };
        let der = der.map_err(|_| KeyFault::NotMade)?;
        let coded = STANDARD.encode(der.as_ref());
        let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = &*coded;
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = behind;
        }
        text.push_str("-----END PRIVATE KEY-----\n");
        Ok(text)
    }

    /// By which algorithm it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::RsaSha256,
            Self::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// The key by which others verify what it signs.
    ///
    /// # Errors
    /// The library could not tell.
    pub fn public(&self) -> Result<PublicKey, KeyFault> {
        let key = match self {
            Self::Rsa(key) => PublicKey::of_rsa(key.public_key()),
            Self::Ed25519(key) => PublicKey::ed25519(key.public_key().as_ref()),
        };
        key.ok_or(KeyFault::Unusable)
    }

    /// Whether it is of Ed25519, or of RSA with 2,048 bits at most.
    pub(crate) fn is_quick(&self) -> bool {
        match self {
            Self::Rsa(key) => key.public_modulus_len() <= QUICK_OCTETS,
            Self::Ed25519(_) => true,
        }
    }

    /// Signs a header with this hash; `None` where the library cannot.
    pub(crate) fn sign(&self, hash: &Digest) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public_modulus_len()];
                key.sign_digest(&RSA_PKCS1_SHA256, hash, &mut signed).ok()?;
                Some(signed)
            }
            // RFC 8463 section 3: the hash is what is signed.
            Self::Ed25519(key) => key
                .try_sign(hash.as_ref())
                .ok()
                .map(|one| one.as_ref().into()),
        }
    }
}

/// Without what is secret.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm())
    }
}

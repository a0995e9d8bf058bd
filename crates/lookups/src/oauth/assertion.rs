//! A signed statement of who we are (RFC 7523 section 2.2), as JWT in compact form (RFC 7515).
//!
//! Not signed by `jsonwebtoken`, which checks tokens for us: version 12 takes an RSA key in DER only
//! without the PKCS #8 around it, and reads PEM with one more ASN.1 parser, which knows no key in
//! SEC 1 and looks at the first block of a file alone. Our files hold keys as `openssl genpkey`,
//! `openssl ecparam` and the consoles of Google and Microsoft write them, so the library that TLS
//! computes with reads them, once, and signs.

use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

/// `client_assertion_type`
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `grant_type` of an assertion that is the grant itself (RFC 7523 section 2.1).
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// For how long an assertion is valid: it is used at once.
const LIFETIME_SECONDS: u64 = 300;
/// The endpoint's clock may be slow by so much: an assertion holds from that long before now.
const LEEWAY_SECONDS: u64 = 60;

/// What an assertion says.
pub(super) struct Claims<'a> {
    /// Who we are.
    pub client: &'a str,
    /// In whose name we ask; ourselves, when the assertion only proves who we are.
    pub subject: &'a str,
    /// The URL of the endpoint that the assertion is meant for.
    pub audience: &'a str,
    /// What for, where the assertion has to say it.
    pub scope: Option<&'a str>,
}

/// A key that signs assertions.
pub(super) struct Assertion {
    key: Key,
    /// SHA-1 and SHA-256 of the certificate, by which an endpoint finds it.
    thumbprints: Option<[String; 2]>,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Assertion {
    /// Reads a key (PEM: RSA or P-256), and the certificate that the endpoint knows it by.
    pub(super) fn load(key: &Path, certificate: Option<&Path>) -> Result<Self, String> {
        let der = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("{}: {error}", key.display()))?;
        let pair = Key::from_der(&der)
            .ok_or_else(|| format!("{}: neither an RSA nor a P-256 key", key.display()))?;
        let thumbprints = certificate.map(thumbprints).transpose()?;
        Ok(Self {
            key: pair,
            thumbprints,
        })
    }

    /// The assertion of `says`, made at `now` (seconds since 1970). `id` must not come twice.
    pub(super) fn sign(&self, says: &Claims<'_>, id: u128, now: u64) -> Result<String, String> {
        // RFC 7523 section 3.
        let mut claims = json!({
            "iss": says.client,
            "sub": says.subject,
            "aud": says.audience,
            "jti": format!("{id:032x}"),
            "iat": now,
            "nbf": now.saturating_sub(LEEWAY_SECONDS),
            "exp": now + LIFETIME_SECONDS,
        });
        if let Some(scope) = says.scope {
            claims["scope"] = json!(scope);
        }
        let head = URL_SAFE_NO_PAD.encode(self.header().to_string());
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        let text = format!("{head}.{claims}");
        let signature = self
            .key
            .sign(text.as_bytes(), self.algorithm())
            .ok_or("the assertion could not be signed")?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn header(&self) -> serde_json::Value {
        let mut header = json!({ "alg": self.algorithm().name(), "typ": "JWT" });
        if let Some([sha1, sha256]) = &self.thumbprints {
            header["x5t"] = json!(sha1);
            header["x5t#S256"] = json!(sha256);
        }
        header
    }

    /// Endpoints that know certificates (Microsoft's) ask for PS256; everywhere else RS256 is what
    /// each has to understand.
    fn algorithm(&self) -> Algorithm {
        match (&self.key, &self.thumbprints) {
            (Key::Rsa(_), Some(_)) => Algorithm::Ps256,
            (Key::Rsa(_), None) => Algorithm::Rs256,
            (Key::P256(_), Some(_) | None) => Algorithm::Es256,
        }
    }
}

/// RFC 7518 section 3.1.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }
}

impl Key {
    fn from_der(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let ecdsa = &ECDSA_P256_SHA256_FIXED_SIGNING;
        match der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der())
                .ok()
                .map(Self::Rsa),
            PrivateKeyDer::Sec1(key) => {
                EcdsaKeyPair::from_private_key_der(ecdsa, key.secret_sec1_der())
                    .ok()
                    .map(Self::P256)
            }
            PrivateKeyDer::Pkcs8(key) => {
                let der = key.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(der).ok().map(Self::Rsa);
                rsa.or_else(|| EcdsaKeyPair::from_pkcs8(ecdsa, der).ok().map(Self::P256))
            }
            _ => None,
        }
    }

    fn sign(&self, text: &[u8], algorithm: Algorithm) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::P256(key) => Some(key.sign(&random, text).ok()?.as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                match algorithm {
                    Algorithm::Ps256 => key.sign(&RSA_PSS_SHA256, &random, text, &mut signature),
                    Algorithm::Rs256 | Algorithm::Es256 => {
                        key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                    }
                }
                .ok()?;
                Some(signature)
            }
        }
    }
}

/// RFC 7515 sections 4.1.7 and 4.1.8.
fn thumbprints(path: &Path) -> Result<[String; 2], String> {
    let certificate = CertificateDer::from_pem_file(path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let algorithms = [&digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA256];
    Ok(algorithms.map(|algorithm| {
        let digest = digest::digest(algorithm, &certificate);
        URL_SAFE_NO_PAD.encode(digest)
    }))
}

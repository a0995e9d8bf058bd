//! What we bring to an authority, and what it gives: a key, a request for a certificate, the proof
//! by TLS that a name is ours, and whether a certificate is what was asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::error::{TlsError, within};
use super::x509::{Reading, seconds};
use super::{files, provider};

/// A chain has no more certificates: each handshake brings all of them.
const CHAIN_MAX: usize = 10;

/// Our clock may be so much behind the authority's.
const CLOCK_SLACK_SECONDS: i64 = 60 * 60;

/// The key of a certificate that we ask for: ECDSA with P-256, which everybody knows.
pub struct CertificateKey(pub(super) KeyPair);

impl CertificateKey {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new() -> Result<Self, String> {
        let key = KeyPair::generate().map_err(|error| format!("no key can be made: {error}"))?;
        Ok(Self(key))
    }

    /// The one in a file (PEM), which may hold certificates beside it.
    ///
    /// # Errors
    /// A text that names the file, and never shows what is inside.
    pub fn read(path: &Path) -> Result<Self, String> {
        let key = files::private_key(path)?;
        let key = KeyPair::try_from(&key);
        let key = key.map_err(|_| format!("{}: a key of an unknown kind", path.display()))?;
        Ok(Self(key))
    }

    /// The key itself (PEM, PKCS #8).
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A request for a certificate (PKCS #10, DER) for `name`, which stands among the alternative
    /// names alone: a common name means nothing (RFC 9525 section 2).
    ///
    /// # Errors
    /// There is no certificate for such a name.
    pub fn request(&self, name: &str) -> Result<Vec<u8>, String> {
        let request = || {
            let mut params = CertificateParams::new([name.to_owned()])?;
            params.distinguished_name = DistinguishedName::new();
            params.serialize_request(&self.0)
        };
        let request: Result<_, rcgen::Error> = request();
        let request = request.map_err(|error| format!("no certificate for {name}: {error}"))?;
        Ok(request.der().to_vec())
    }
}

/// Whether a chain (PEM) begins with a certificate for `name`, among its alternative names, and for
/// `key`, that is valid now.
///
/// # Errors
/// What is wrong with it.
pub fn certificate_is_good(
    chain: &str,
    key: &CertificateKey,
    name: &str,
    now: Timestamp,
) -> Result<(), String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let all = all.map_err(|_| "what the authority gave is not PEM")?;
    let own = all.first().and_then(|own| Reading::of(own));
    let own = own.ok_or("what the authority gave is no certificate")?;
    if !own.dns_names().iter().any(|other| **other == *name) {
        return Err(format!(
            "the authority gave a certificate that is not for {name}"
        ));
    }
    if all.len() > CHAIN_MAX {
        return Err(format!(
            "the authority gave a chain of more than {CHAIN_MAX} certificates"
        ));
    }
    let now = seconds(now);
    if own.ends() <= now {
        return Err("the authority gave a certificate that has ended".to_owned());
    }
    if own.begins() > now.saturating_add(CLOCK_SLACK_SECONDS) {
        return Err(
            "the authority gave a certificate that has yet to begin: look at the clock of this machine"
                .to_owned(),
        );
    }
    let private = PrivateKeyDer::from_pem_slice(key.pem().as_bytes()).ok();
    let private = private.and_then(|key| provider().key_provider.load_private_key(key).ok());
    let private = private.ok_or("the new key cannot be used")?;
    let pair = CertifiedKey::new(all.clone(), private);
    pair.keys_match()
        .map_err(|_| "the authority gave a certificate for another key".to_owned())
}

/// What answers tls-alpn-01 (RFC 8737) for one name.
#[derive(Debug, Clone)]
pub struct AlpnProof(Arc<ServerConfig>);

/// RFC 8737 section 6.2
const ALPN: &[u8] = b"acme-tls/1";

/// Whether a client asks for a proof. RFC 8737 section 3: "The ACME server MUST provide an ALPN
/// extension with the single protocol name \"acme-tls/1\"".
pub(super) fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    let mut protocols = hello.alpn().into_iter().flatten();
    protocols.next() == Some(ALPN) && protocols.next().is_none()
}

impl AlpnProof {
    /// Proves that we asked for `name`; `digest` is the SHA-256 of the key authorization.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn new(name: &str, digest: &[u8]) -> Result<Self, String> {
        let certified = certified(name, digest);
        let certified = certified.map_err(|error| format!("no proof for {name}: {error}"))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(certified)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.0
    }
}

/// RFC 8737 section 3: "a self-signed certificate", "exactly one entry" of subjectAltName, and "the
/// acmeIdentifier extension".
fn certified(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let made = || {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let made: Result<_, rcgen::Error> = made();
    let (certificate, key) = made.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    let key = provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| error.to_string())?;
    let chain = vec![certificate.der().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// For whoever comes with the right protocol: there is but one name under way.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        asks_for_proof(&hello).then(|| Arc::clone(&self.0))
    }
}

/// Answers one handshake, and closes the connection: the handshake is the proof.
///
/// # Errors
/// Why the handshake failed.
pub async fn prove_by_alpn(
    socket: TcpStream,
    proof: &AlpnProof,
    limit: Duration,
) -> Result<(), TlsError> {
    let handshake = TlsAcceptor::from(Arc::clone(&proof.0)).accept(socket);
    within(limit, handshake).await.map(drop)
}

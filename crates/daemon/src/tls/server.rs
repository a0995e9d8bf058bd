use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::TlsVersion;
use mail::{Place, TlsFacts};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::error::{TlsError, within};
use super::files::Authorities;
use super::verifier::{signature_12, signature_13};
use super::{Identities, TlsProblem, facts, provider};
use crate::Stream;

/// Sessions that clients without tickets may take up again.
const SESSIONS_MAX: usize = 1024;

/// How we answer handshakes. Cheap to clone; a reload makes a new one, and connections that are open keep the old.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    trust: Trust,
}

impl Acceptor {
    /// Shows `identities`, speaks `min_version` and newer, and asks each client for a certificate, which it need not have: `client_ca` (PEM) says
    /// whose signatures make the names in it count. Without it, or with another chain, only the fingerprint does.
    ///
    /// # Errors
    /// `client_ca` cannot be used.
    pub fn new(
        identities: &Identities,
        min_version: TlsVersion,
        client_ca: Option<&Path>,
    ) -> Result<Self, TlsProblem> {
        let trust = Trust::load(client_ca).map_err(|message| TlsProblem {
            place: Place::Default,
            message,
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions(min_version));
        let builder = builder.map_err(|error| TlsProblem {
            place: Place::Default,
            message: format!("TLS cannot be set up: {error}"),
        })?;
        let mut config = builder
            .with_client_cert_verifier(Arc::new(AskAll))
            .with_cert_resolver(Arc::new(identities.clone()));
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        // Without its key, which would need randomness that the system does not give, sessions are taken up from memory alone.
        if let Ok(tickets) = rustls::crypto::aws_lc_rs::Ticketer::new() {
            config.ticketer = tickets;
        }
        // Mail servers open few connections; one ticket each is enough.
        config.send_tls13_tickets = 1;
        config.ignore_client_order = true;
        Ok(Self {
            config: Arc::new(config),
            trust,
        })
    }
}

type Versions = &'static [&'static SupportedProtocolVersion];

fn versions(min: TlsVersion) -> Versions {
    static BOTH: Versions = &[&version::TLS13, &version::TLS12];
    static NEW: Versions = &[&version::TLS13];
    match min {
        TlsVersion::V1_2 => BOTH,
        TlsVersion::V1_3 => NEW,
    }
}

/// Answers a client's handshake. What was read of the connection before belongs to nobody: the caller must have thrown it away
/// (RFC 3207 section 4.2).
///
/// # Errors
/// Why there is no encryption; the connection is closed then.
pub async fn accept(
    socket: TcpStream,
    acceptor: &Acceptor,
    limit: Duration,
) -> Result<(Stream, TlsFacts), TlsError> {
    let handshake = TlsAcceptor::from(Arc::clone(&acceptor.config)).accept(socket);
    let stream = within(limit, handshake).await?;
    let connection = stream.get_ref().1;
    let facts = facts(connection, || {
        let chain = connection.peer_certificates();
        acceptor.trust.covers(chain.unwrap_or_default())
    });
    Ok((Stream::Tls(Box::new(stream.into())), facts))
}

/// Whose signatures make a client's names count.
#[derive(Debug, Clone)]
enum Trust {
    Nobody,
    Authorities(Arc<dyn ClientCertVerifier>),
}

impl Trust {
    fn load(client_ca: Option<&Path>) -> Result<Self, String> {
        let Some(path) = client_ca else {
            return Ok(Self::Nobody);
        };
        let roots = Authorities::load(path)?.roots;
        let built = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()));
        let built = built.build();
        built
            .map(Self::Authorities)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Judged after each handshake, also after one that takes up an older session: the chain may have ended in between.
    fn covers(&self, chain: &[CertificateDer<'_>]) -> bool {
        match (self, chain) {
            (Self::Nobody, _) | (Self::Authorities(_), []) => false,
            (Self::Authorities(trusted), [own, above @ ..]) => trusted
                .verify_client_cert(own, above, UnixTime::now())
                .is_ok(),
        }
    }
}

/// Asks every client for a certificate and takes any: what it is worth is judged afterwards. The client must have its key.
#[derive(Debug)]
struct AskAll;

impl ClientCertVerifier for AskAll {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: a client that is known by fingerprint need not have an authority that we would name here.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _above: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature_12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        signature_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

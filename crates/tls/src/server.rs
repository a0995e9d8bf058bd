use std::sync::Arc;
use std::time::Duration;

use config::TlsVersion;
use mail::{Place, Timestamp, TlsFacts};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{
    ConfigBuilder, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, WantsVerifier, version,
};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::clients::{Vouching, is_provable};
use super::error::{TlsError, within};
use super::issuing::{AlpnProof, asks_for_proof};
use super::verifier::{signature_12, signature_13, signature_schemes};
use super::{ServerCertificates, TlsProblem, facts, provider};
use crate::Stream;

/// Sessions that clients without tickets may take up again.
const SESSIONS_MAX: usize = 1024;

/// How we answer handshakes. Cheap to clone; a reload makes a new one, and connections that are
/// open keep the old.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    vouching: Vouching,
    certificates: ServerCertificates,
}

impl Acceptor {
    /// Shows `certificates`, speaks `tls.min_version` and newer, and asks each client for a
    /// certificate, which it need not have: `tls.client_ca` says whose signatures make the names in
    /// it count. Without it, or with another chain, only the fingerprint and the key do.
    ///
    /// What one acceptor issued for taking up a session no other takes: sessions bear the client's
    /// certificate with them.
    ///
    /// # Errors
    /// `tls.client_ca` cannot be used.
    pub fn new(certificates: &ServerCertificates, tls: &config::Tls) -> Result<Self, TlsProblem> {
        let vouching = Vouching::load(tls).map_err(|message| TlsProblem {
            place: Place::Default,
            message,
        })?;
        let builder = builder(tls)?.with_client_cert_verifier(Arc::new(AskAll));
        let config = builder.with_cert_resolver(Arc::new(certificates.clone()));
        Ok(Self::of(config, certificates, tls, vouching))
    }

    /// The same for browsers, which are asked for no certificate: each would ask its user.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn for_browsers(
        certificates: &ServerCertificates,
        tls: &config::Tls,
    ) -> Result<Self, TlsProblem> {
        let builder = builder(tls)?.with_no_client_auth();
        let config = builder.with_cert_resolver(Arc::new(certificates.clone()));
        Ok(Self::of(config, certificates, tls, Vouching::Nobody))
    }

    fn of(
        mut config: ServerConfig,
        certificates: &ServerCertificates,
        tls: &config::Tls,
        vouching: Vouching,
    ) -> Self {
        issue_tickets(&mut config, tls.session_tickets);
        config.ignore_client_order = true;
        Self {
            config: Arc::new(config),
            vouching,
            certificates: certificates.clone(),
        }
    }

    /// When the first of its certificates ends, those aside that are renewed by ACME; `None` when it
    /// has none.
    pub fn ends(&self) -> Option<Timestamp> {
        self.certificates.ends()
    }
}

fn builder(tls: &config::Tls) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsProblem> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(versions(tls.min_version));
    builder.map_err(|error| TlsProblem {
        place: Place::Default,
        message: format!("TLS cannot be set up: {error}"),
    })
}

fn issue_tickets(config: &mut ServerConfig, tickets: u32) {
    config.send_tls13_tickets = tickets as usize;
    if tickets == 0 {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        return;
    }
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    // Without its key, which would need randomness that the system does not give, sessions are
    // taken up from memory alone.
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
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

/// Answers a client's handshake. What was read of the connection before belongs to nobody: the
/// caller must have thrown it away (RFC 3207 section 4.2).
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
    let facts = facts(connection, |chain| acceptor.vouching.judge(chain));
    Ok((Stream::Tls(Box::new(stream.into())), facts))
}

/// The same at a port where an authority may look for `proof` too (RFC 8737): it gets that, and
/// everybody else what `acceptor` shows. `None`: it was the authority, and the handshake was all it came for.
///
/// # Errors
/// As of [`accept`].
pub async fn accept_or_prove(
    socket: TcpStream,
    acceptor: &Acceptor,
    proof: Option<&AlpnProof>,
    limit: Duration,
) -> Result<Option<Stream>, TlsError> {
    let Some(proof) = proof else {
        let (stream, _) = accept(socket, acceptor, limit).await?;
        return Ok(Some(stream));
    };
    let handshake = async {
        let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
        let is_authority = asks_for_proof(&begun.client_hello());
        let config = if is_authority {
            proof.config()
        } else {
            &acceptor.config
        };
        let stream = begun.into_stream(Arc::clone(config)).await?;
        Ok((!is_authority).then_some(stream))
    };
    let stream = within(limit, handshake).await?;
    Ok(stream.map(|stream| Stream::Tls(Box::new(stream.into()))))
}

/// Asks every client for a certificate and takes any: what it is worth is judged afterwards. The
/// client must have its key; one whose proof cannot be checked is judged to be worth nothing
/// ([`mail::Trust::Unproven`]).
#[derive(Debug)]
struct AskAll;

impl ClientCertVerifier for AskAll {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: a client that is known by fingerprint need not have an authority that we would name
    /// here.
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
        if !is_provable(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        signature_12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !is_provable(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        signature_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_schemes()
    }
}

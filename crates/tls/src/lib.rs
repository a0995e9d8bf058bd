//! TLS on both sides: the certificates that we show and to whom, and what we demand of those that
//! we connect to.
//!
//! As a server ([`ServerCertificates`], [`Acceptor`]) every client may come with or without a
//! certificate: a bad one costs it nothing but the permission that a good one might have brought.
//! As a client ([`Connector`]) the route says what is demanded, from "whatever the certificate"
//! (RFC 7435) to TLSA records (RFC 7672); where a certificate is demanded and another one is shown,
//! nothing is sent.
//!
//! The files are read when the configuration is, never during a handshake. What a reload brings is
//! for new connections; open ones keep theirs.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "handshakes go over sockets"
)]

mod certificates;
mod checked;
mod client;
mod clients;
mod dane;
mod error;
mod files;
mod issuing;
mod judged;
mod load_client;
mod obtained;
mod private_authority;
mod renewal;
mod replace;
mod self_signed;
mod server;
mod server_certificate;
mod stream;
#[cfg(test)]
mod tests;
mod verifier;
mod x509;

use std::fmt;
use std::sync::{Arc, OnceLock};

use mail::{Handshake, Place, Trust};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind};

pub use certificates::ServerCertificates;
pub use checked::Checked;
pub use client::{Connector, How, client_config, client_config_for_https};
pub use error::{TlsError, alert, plain};
pub use files::first_certificate;
pub use issuing::{AlpnProof, CertificateKey, certificate_is_good, prove_by_alpn};
pub use judged::{Judged, judged};
pub use load_client::LoadClient;
pub use obtained::Obtained;
pub use private_authority::{Issued, PrivateAuthority};
pub use renewal::{Due, Failure, Life, Renewal, Window};
pub use replace::replace;
pub use server::{Acceptor, accept, accept_or_prove};
pub use server_certificate::ServerCertificate;
pub use stream::Stream;
pub use x509::name_matches;

/// Something about a certificate or a key that an administrator must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The line that named it; the default when none did.
    pub place: Place,
    /// What is wrong, with the file's path.
    pub message: String,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Default => f.write_str(&self.message),
            place => write!(f, "{} ({place})", self.message),
        }
    }
}

/// How keys are exchanged. As a client we send a share of the first alone and offer the others: the
/// share of the hybrid one makes a first message so large that some servers and what stands before
/// them fail over it. As a server we follow the client. Written down here, because the library's
/// own order depends on features that any crate may switch on.
const GROUPS: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519,
    kx_group::X25519MLKEM768,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// The cryptography. Given by hand everywhere: what a process default would be depends on who else
/// is linked in.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        Arc::new(CryptoProvider {
            kx_groups: GROUPS.to_vec(),
            ..aws_lc_rs::default_provider()
        })
    })
}

/// What is known of a finished handshake; `trust` judges the certificates that the other side
/// showed, if it showed any.
fn facts(
    connection: &CommonState,
    trust: impl FnOnce(&[CertificateDer<'_>]) -> Trust,
) -> mail::TlsFacts {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        // rustls speaks no third one.
        _ => "TLSv1.2",
    };
    let suite = connection.negotiated_cipher_suite();
    let cipher = suite.and_then(|suite| suite.suite().as_str());
    let group = connection.negotiated_key_exchange_group();
    let chain = connection.peer_certificates().unwrap_or_default();
    mail::TlsFacts {
        version,
        cipher: registered(cipher.unwrap_or_default()),
        group: group
            .and_then(|group| group.name().as_str())
            .unwrap_or_default(),
        handshake: match connection.handshake_kind() {
            Some(HandshakeKind::FullWithHelloRetryRequest) => Handshake::Retried,
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            Some(HandshakeKind::Full) | None => Handshake::Full,
        },
        certificate: (chain.first()).map(|shown| Arc::new(x509::certificate(shown, trust(chain)))),
    }
}

/// `TLS_AES_128_GCM_SHA256`: rustls writes `TLS13_` in front of the names that RFC 8446 registered.
fn registered(cipher: &str) -> Box<str> {
    match cipher.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}").into(),
        None => cipher.into(),
    }
}

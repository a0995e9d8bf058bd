//! Handshakes over real sockets, with certificates of our own making.
//!
//! In `odd/` are those that cannot be made here: an X.509 version 1 certificate (`openssl x509 -req
//! -signkey`) with its key in SEC 1, an RSA key in PKCS #1 with its certificate, and an RSASSA-PSS
//! key (`openssl genpkey -algorithm RSA-PSS`).

mod client;
mod dane;
mod files;
mod key_exchange;
mod server;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::CertificateFiles;
use mail::{Place, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Stream;
use crate::provider;

/// No handshake here takes this long.
const LONG: Duration = Duration::from_secs(30);

/// A certificate authority.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key and what stands above it.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        Self {
            issuer: CertifiedIssuer::self_signed(authority_params(name), key()).unwrap(),
        }
    }

    /// An authority below this one.
    fn below(&self, name: &str) -> Self {
        let issuer = CertifiedIssuer::signed_by(authority_params(name), key(), &self.issuer);
        Self {
            issuer: issuer.unwrap(),
        }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = key();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Pair::of(&own, key)
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A certificate for these names, valid for a long time.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "common.example");
    params
}

/// The same, ended long ago.
fn expired(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    params
}

fn self_signed(params: &CertificateParams) -> Pair {
    self_signed_by(params, key())
}

fn self_signed_by(params: &CertificateParams, key: KeyPair) -> Pair {
    let own = params.self_signed(&key).unwrap();
    Pair::of(&own, key)
}

impl Pair {
    fn of(own: &rcgen::Certificate, key: KeyPair) -> Self {
        Self {
            chain: vec![own.der().clone()],
            pem: own.pem(),
            key,
        }
    }

    /// Shows these certificates above its own.
    fn with(mut self, above: &[&Authority]) -> Self {
        for authority in above {
            self.chain.push(authority.der());
            self.pem += &authority.pem();
        }
        self
    }

    fn der(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    fn certified(&self) -> CertifiedKey {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        CertifiedKey::from_der(self.chain.clone(), key, provider()).unwrap()
    }

    /// Writes both files, `NAME.crt` and `NAME.key`.
    fn write(&self, directory: &Path, name: &str) -> CertificateFiles {
        written(directory, name, &self.pem, &self.key.serialize_pem())
    }
}

fn written(directory: &Path, name: &str, chain: &str, key: &str) -> CertificateFiles {
    let files = CertificateFiles {
        chain: directory.join(format!("{name}.crt")),
        key: directory.join(format!("{name}.key")),
        place: Place::line(&"gatepost.toml".into(), 7, 1),
    };
    fs::write(&files.chain, chain).unwrap();
    fs::write(&files.key, key).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    files
}

fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since_epoch.as_millis().try_into().unwrap())
}

/// A server that shows this, says `hello` and reads until the client leaves.
async fn server_showing(key: CertifiedKey) -> SocketAddr {
    server_speaking(&[&version::TLS13, &version::TLS12], key).await
}

async fn server_speaking(
    versions: &[&'static SupportedProtocolVersion],
    key: CertifiedKey,
) -> SocketAddr {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let config = builder
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    let (listener, address) = listen().await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                // A client that is not content with the certificate hears nothing.
                let _client_left = stream.write_all(b"hello").await;
                let _client_left = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    address
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn hear_hello(stream: &mut Stream) {
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

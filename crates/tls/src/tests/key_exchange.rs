use std::sync::Arc;

use mail::{Handshake, TlsFacts};
use route::Security;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::client::how;
use super::{LONG, listen, params, self_signed};
use crate::verifier::AnyCertificate;
use crate::{Connector, provider};

/// The library's own order follows features that any crate may switch on.
#[tokio::test]
async fn we_offer_x25519_first_and_the_hybrid_second() {
    let (listener, address) = listen().await;
    let hear = async {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = rustls::server::Acceptor::default();
        let start = LazyConfigAcceptor::new(acceptor, socket).await.unwrap();
        start.client_hello().named_groups().unwrap().to_vec()
    };
    let call = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let connector = Connector::load(&[]).unwrap();
        let how = how(&Security::Required);
        connector.connect(socket, &how, LONG).await.err()
    };
    let (offered, _nobody_answers) = tokio::join!(hear, call);
    use NamedGroup as G;
    let expected = [G::X25519, G::X25519MLKEM768, G::secp256r1, G::secp384r1];
    assert_eq!(offered, expected);
}

/// A server that wants another group than that of our first share asks for it, which takes a way to
/// and fro.
#[tokio::test]
async fn our_first_message_bears_a_share_of_x25519_alone() {
    let again = HandshakeKind::FullWithHelloRetryRequest;
    for (group, kind, name) in [
        (X25519, HandshakeKind::Full, "X25519"),
        (X25519MLKEM768, again, "X25519MLKEM768"),
        (SECP256R1, again, "secp256r1"),
        (SECP384R1, again, "secp384r1"),
    ] {
        let (shaken, told) = shaken_with(group).await;
        let handshake = match kind {
            HandshakeKind::FullWithHelloRetryRequest => Handshake::Retried,
            _ => Handshake::Full,
        };
        assert_eq!(
            (shaken, told.group, told.handshake),
            (kind, name, handshake)
        );
    }
}

/// A client that begins with the hybrid gets it at once, and one that comes again takes up where it
/// was.
#[tokio::test]
async fn a_client_that_begins_with_the_hybrid_gets_it_and_one_that_comes_again_resumes() {
    let (listener, address) = listen().await;
    let acceptor = super::server::acceptor(&self_signed(&params(&["mx.example"])));
    let hybrid_first = CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519],
        ..CryptoProvider::clone(provider())
    };
    let config = ClientConfig::builder_with_provider(Arc::new(hybrid_first))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let config = Arc::new(config);
    for handshake in [Handshake::Full, Handshake::Resumed] {
        let serve = async {
            let (socket, _) = listener.accept().await.unwrap();
            let (mut stream, facts) = crate::accept(socket, &acceptor, LONG).await.unwrap();
            stream.write_all(b"220\r\n").await.unwrap();
            facts
        };
        let call = async {
            let socket = TcpStream::connect(address).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
            let name = "mx.example".try_into().unwrap();
            let mut stream = connector.connect(name, socket).await.unwrap();
            // The ticket comes before it.
            stream.read_exact(&mut [0; 5]).await.unwrap();
        };
        let (facts, ()) = tokio::join!(serve, call);
        let told = (facts.version, facts.group, facts.handshake);
        assert_eq!(told, ("TLSv1.3", "X25519MLKEM768", handshake));
    }
}

/// How a server that knows one group alone shook hands with us, and what our facts say of it.
async fn shaken_with(group: &'static dyn SupportedKxGroup) -> (HandshakeKind, TlsFacts) {
    let one = CryptoProvider {
        kx_groups: vec![group],
        ..CryptoProvider::clone(provider())
    };
    let key = self_signed(&params(&["mx.example"])).certified();
    let config = ServerConfig::builder_with_provider(Arc::new(one))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    let (listener, address) = listen().await;
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let stream = acceptor.accept(socket).await.unwrap();
        stream.get_ref().1.handshake_kind().unwrap()
    };
    let call = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let connector = Connector::load(&[]).unwrap();
        let how = how(&Security::Required);
        let made = connector.connect(socket, &how, LONG).await;
        made.unwrap().1
    };
    tokio::join!(serve, call)
}

use std::sync::Arc;

use route::Security;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::sign::SingleCertAndKey;
use rustls::{HandshakeKind, NamedGroup, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::client::how;
use super::{LONG, listen, params, self_signed};
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
        assert_eq!((shaken, told), (kind, name));
    }
}

/// How a server that knows one group alone shook hands with us, and what our facts say of it.
async fn shaken_with(group: &'static dyn SupportedKxGroup) -> (HandshakeKind, &'static str) {
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
        made.unwrap().1.group
    };
    tokio::join!(serve, call)
}

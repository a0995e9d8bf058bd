//! An HTTPS server of the tests' own, on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Https;
use crate::resolver::Resolver;

/// Status, media type, body.
pub(crate) type Reply = (u16, &'static str, String);
type Handler = dyn Fn(&str) -> Reply + Send + Sync;

pub(crate) struct Pretend {
    pub address: SocketAddr,
    pub certificate: rcgen::Certificate,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Pretend {
    /// Serves at `127.0.0.1`, and at `names`; `handle` gets each request whole.
    pub(crate) async fn serve(
        names: &[&str],
        handle: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let names = names.iter().chain(&["127.0.0.1"]).map(|n| (*n).to_owned());
        let own = rcgen::generate_simple_self_signed(names.collect::<Vec<_>>()).unwrap();
        let acceptor = acceptor(&own);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, handle): (_, Arc<Handler>) = (Arc::clone(&requests), Arc::new(handle));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(answer(stream, acceptor, Arc::clone(&handle), seen));
            }
        });
        let certificate = own.cert;
        Self {
            address,
            certificate,
            requests,
        }
    }

    /// A client that trusts this server.
    pub(crate) fn client(&self, resolver: Arc<Resolver>) -> Https {
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), self.certificate.pem()).unwrap();
        Https::new(resolver, Some(ca.path())).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// All requests so far, whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// TLS with this certificate.
pub(crate) fn acceptor(own: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    handle: Arc<Handler>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = Vec::new();
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    seen.lock().unwrap().push(request.clone());
    let (status, kind, body) = handle(&request);
    if status == 0 {
        // Says nothing, for ever.
        return std::future::pending().await;
    }
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nLocation: /elsewhere\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _client_may_be_gone = stream.write_all((head + &body).as_bytes()).await;
    let _client_may_be_gone = stream.shutdown().await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

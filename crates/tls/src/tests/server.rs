use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use config::{CertificateFiles, Delivery, Tls, TlsVersion};
use mail::{TlsFacts, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};
use route::Security;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, version};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::version_1;
use super::{Authority, LONG, Pair, expired, listen, params, self_signed, wall};
use crate::Stream;
use crate::verifier::AnyCertificate;
use crate::x509::{self, Reading};
use crate::{Acceptor, Connector, How, ServerCertificates, TlsError, accept, provider};

fn certificates(pairs: &[&Pair]) -> (ServerCertificates, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let names = (0..).map(|number| format!("pair{number}"));
    let write = |(pair, name): (&&Pair, String)| pair.write(directory.path(), &name);
    let tls = Tls {
        certificates: pairs.iter().zip(names).map(write).collect(),
        ..Tls::default()
    };
    let loaded = ServerCertificates::load(
        &tls,
        directory.path(),
        "relay.example",
        wall(),
        &Arc::default(),
    );
    (loaded.unwrap(), directory)
}

pub(super) fn acceptor(pair: &Pair) -> Acceptor {
    let (certificates, _directory) = certificates(&[pair]);
    Acceptor::new(&certificates, &Tls::default()).unwrap()
}

/// Both ends of one handshake.
struct Both {
    server: Result<(Stream, TlsFacts), TlsError>,
    client: Result<(Stream, TlsFacts), TlsError>,
}

async fn shake(acceptor: &Acceptor, connector: &Connector, how: &How<'_>) -> Both {
    let (listener, address) = listen().await;
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        accept(socket, acceptor, LONG).await
    };
    let call = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let made = connector.connect(socket, how, LONG).await;
        made.map(|(stream, facts, _)| (stream, facts))
    };
    let (server, client) = tokio::join!(serve, call);
    Both { server, client }
}

fn how(host: &str) -> How<'_> {
    How {
        security: &Security::Required,
        host,
        ca: None,
        certificate: None,
    }
}

async fn exchange(one: &mut Stream, other: &mut Stream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    let say = async {
        one.write_all(words).await.unwrap();
        one.flush().await.unwrap();
    };
    let hear = async { other.read_exact(&mut heard).await.unwrap() };
    tokio::join!(say, hear);
    assert_eq!(heard, words);
}

#[tokio::test]
async fn sni_chooses_exactly_then_by_wildcard_then_the_first() {
    let first = self_signed(&params(&["first.example"]));
    let wild = self_signed(&params(&["*.hosted.example"]));
    let exact = self_signed(&params(&["a.hosted.example", "hosted.example"]));
    let (certificates, _directory) = certificates(&[&first, &wild, &exact]);
    let acceptor = Acceptor::new(&certificates, &Tls::default()).unwrap();
    let connector = Connector::load(&[]).unwrap();
    for (asked, shown) in [
        ("first.example", &first),
        ("a.hosted.example", &exact),
        ("A.Hosted.Example", &exact),
        ("hosted.example", &exact),
        ("b.hosted.example", &wild),
        ("x.b.hosted.example", &first),
        ("elsewhere.example", &first),
        ("127.0.0.1", &first),
        ("no name at all", &first),
    ] {
        let (_, facts) = shake(&acceptor, &connector, &how(asked))
            .await
            .client
            .unwrap();
        let got = facts.certificate.unwrap().sha256;
        assert_eq!(got, x509::sha256(shown.der()), "{asked}");
    }
}

/// A client that reads nothing until every buffer between the two is full must not keep its
/// connection for ever.
#[tokio::test]
async fn closing_does_not_wait_for_a_client_that_reads_nothing() {
    let acceptor = acceptor(&self_signed(&params(&["mx.example"])));
    let connector = Connector::load(&[]).unwrap();
    let both = shake(&acceptor, &connector, &how("mx.example")).await;
    let (mut server, _silent_client) = (both.server.unwrap().0, both.client.unwrap());
    let words = vec![b'x'; 64 << 10];
    let full = poll_fn(|cx| {
        while Pin::new(&mut server).poll_write(cx, &words)?.is_ready() {}
        Poll::Ready(std::io::Result::Ok(()))
    });
    full.await.unwrap();
    tokio::time::timeout(LONG, server.close(Duration::from_millis(1)))
        .await
        .unwrap();
}

#[tokio::test]
async fn octets_go_both_ways_and_the_channel_has_one_binding() {
    let acceptor = acceptor(&self_signed(&params(&["mx.example"])));
    let connector = Connector::load(&[]).unwrap();
    let both = shake(&acceptor, &connector, &how("mx.example")).await;
    let ((mut server, facts), (mut client, _)) = (both.server.unwrap(), both.client.unwrap());
    assert_eq!(facts.version, "TLSv1.3");
    assert!(facts.certificate.is_none());
    let much: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    exchange(&mut server, &mut client, &much).await;
    exchange(&mut client, &mut server, &much).await;
    assert!(server.exporter().is_some());
    assert_eq!(server.exporter(), client.exporter());
    let another = shake(&acceptor, &connector, &how("mx.example")).await;
    assert_ne!(another.client.unwrap().0.exporter(), client.exporter());
    assert_eq!(server.try_write(b"421 bye").unwrap(), 7);
    let mut heard = [0; 7];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"421 bye");
    assert!(server.take_plain().is_none() && server.is_tls());
}

/// A writer that never flushes, then waits for the answer: what the full socket left behind must go
/// out all the same.
#[tokio::test]
async fn what_a_full_socket_left_behind_goes_out_while_reading() {
    let acceptor = acceptor(&self_signed(&params(&["mx.example"])));
    let connector = Connector::load(&[]).unwrap();
    let both = shake(&acceptor, &connector, &how("mx.example")).await;
    let ((mut server, _), (mut client, _)) = (both.server.unwrap(), both.client.unwrap());
    let piece = vec![7; 64 << 10];
    let mut sent = 0;
    let full = |stream: &Stream| match stream {
        Stream::Tls(tls) => tls.get_ref().1.wants_write(),
        Stream::Plain(_) | Stream::Local(_) | Stream::Gone => false,
    };
    while !full(&server) {
        sent += server.write(&piece).await.unwrap();
    }
    let answer = async {
        client.read_exact(&mut vec![0; sent]).await.unwrap();
        client.write_all(b"k").await.unwrap();
        client.flush().await.unwrap();
    };
    let wait = async { server.read_u8().await.unwrap() };
    let (heard, ()) = tokio::join!(wait, answer);
    assert_eq!(heard, b'k');
}

#[tokio::test]
async fn a_reload_leaves_open_connections_alone() {
    let (old, new) = (
        self_signed(&params(&["mx.example"])),
        self_signed(&params(&["mx.example"])),
    );
    let connector = Connector::load(&[]).unwrap();
    let mut current = acceptor(&old);
    let before = shake(&current, &connector, &how("mx.example")).await;
    let ((mut server, _), (mut client, facts)) = (before.server.unwrap(), before.client.unwrap());
    assert_eq!(facts.certificate.unwrap().sha256, x509::sha256(old.der()));
    current = acceptor(&new);
    let after = shake(&current, &connector, &how("mx.example")).await;
    let shown = after.client.unwrap().1.certificate.unwrap().sha256;
    assert_eq!(shown, x509::sha256(new.der()));
    exchange(&mut client, &mut server, b"still here").await;
    exchange(&mut server, &mut client, b"so am I").await;
}

fn client_files(pair: &Pair, directory: &Path) -> Delivery {
    Delivery {
        certificate: Some(pair.write(directory, "client")),
        ..Delivery::default()
    }
}

fn with<'a>(files: Option<&'a CertificateFiles>) -> How<'a> {
    How {
        certificate: files,
        ..how("mx.example")
    }
}

fn client_params(name: &str) -> CertificateParams {
    let mut params = params(&[name]);
    let mail = SanType::Rfc822Name("Ann@Client.Example".try_into().unwrap());
    params.subject_alt_names.push(mail);
    params
}

#[tokio::test]
async fn a_client_certificate_is_taken_as_it_is_and_judged() {
    let (trusted, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, trusted.pem()).unwrap();
    let below = trusted.below("branch");
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let judging = under(&ca, false);
    let judging = Acceptor::new(&certificates, &judging).unwrap();
    let indifferent = Acceptor::new(&certificates, &Tls::default()).unwrap();
    for (case, pair, trust) in [
        (
            "signed",
            trusted.sign(&client_params("client.example")),
            Trust::Ok,
        ),
        (
            "signed below",
            below.sign(&client_params("client.example")).with(&[&below]),
            Trust::Ok,
        ),
        (
            "by a stranger",
            stranger.sign(&client_params("client.example")),
            Trust::Unknown,
        ),
        (
            "by itself",
            self_signed(&client_params("client.example")),
            Trust::Unknown,
        ),
        (
            "expired",
            trusted.sign(&expired(&["client.example"])),
            Trust::Expired,
        ),
        (
            "expired, by a stranger",
            stranger.sign(&expired(&["client.example"])),
            Trust::Unknown,
        ),
        (
            "an authority of its own",
            self_signed(&authority_of("client.example")),
            Trust::Authority,
        ),
    ] {
        let delivery = client_files(&pair, directory.path());
        let connector = Connector::load([&delivery]).unwrap();
        for (acceptor, trust) in [(&judging, trust), (&indifferent, Trust::Unknown)] {
            let how = with(delivery.certificate.as_ref());
            let both = shake(acceptor, &connector, &how).await;
            let shown = both.server.unwrap().1.certificate.unwrap();
            assert_eq!(shown.sha256, x509::sha256(pair.der()), "{case}");
            assert_eq!(shown.trust, trust, "{case}");
            let key = Reading::of(pair.der()).unwrap();
            let key = x509::sha256(key.public_key());
            assert_eq!(shown.key_sha256, Some(key), "{case}");
            assert_eq!(&*shown.names[0], "client.example");
            if shown.names.len() > 1 {
                assert_eq!(&*shown.names[1], "ann@client.example");
            }
        }
    }
}

/// The authorities in `ca`, and whether certificates for servers count.
fn under(ca: &Path, servers: bool) -> Tls {
    Tls {
        client_ca: Some(ca.to_owned()),
        client_ca_server_purpose: servers,
        ..Tls::default()
    }
}

/// As `openssl req -x509` and many devices make their own certificate.
fn authority_of(name: &str) -> CertificateParams {
    let mut params = client_params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Public authorities issue certificates for servers alone.
#[tokio::test]
async fn a_certificate_for_servers_counts_where_the_configuration_says_so() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let (ours, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, ours.pem()).unwrap();
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let strict = Acceptor::new(&certificates, &under(&ca, false)).unwrap();
    let lenient = Acceptor::new(&certificates, &under(&ca, true)).unwrap();
    let (other, unknown) = (Trust::OtherPurpose, Trust::Unknown);
    for (purposes, of_time, by, strictly, leniently) in [
        (vec![ClientAuth], true, &ours, Trust::Ok, Trust::Ok),
        (vec![ServerAuth], true, &ours, other, Trust::Ok),
        (
            vec![ServerAuth, ClientAuth],
            true,
            &ours,
            Trust::Ok,
            Trust::Ok,
        ),
        (vec![], true, &ours, Trust::Ok, Trust::Ok),
        (
            vec![ExtendedKeyUsagePurpose::EmailProtection],
            true,
            &ours,
            unknown,
            unknown,
        ),
        (vec![ServerAuth], true, &stranger, unknown, unknown),
        (vec![ServerAuth], false, &ours, unknown, Trust::Expired),
    ] {
        let mut params = if of_time {
            client_params("client.example")
        } else {
            expired(&["client.example"])
        };
        params.extended_key_usages.clone_from(&purposes);
        let delivery = client_files(&by.sign(&params), directory.path());
        let connector = Connector::load([&delivery]).unwrap();
        for (acceptor, trust) in [(&strict, strictly), (&lenient, leniently)] {
            let how = with(delivery.certificate.as_ref());
            let both = shake(acceptor, &connector, &how).await;
            let shown = both.server.unwrap().1.certificate.unwrap();
            assert_eq!(shown.trust, trust, "{purposes:?} {of_time}");
        }
    }
}

/// An X.509 version 1 certificate is taken as it is, and known by its fingerprint and key.
#[tokio::test]
async fn a_certificate_of_version_1_fails_no_handshake() {
    let directory = tempfile::tempdir().unwrap();
    let chain = directory.path().join("ca.pem");
    fs::write(&chain, include_str!("odd/version1.crt")).unwrap();
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let acceptor = Acceptor::new(&certificates, &under(&chain, false)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(version_1())));
    let (served, _called) = served_and_called(&acceptor, config).await;
    let shown = served.unwrap().1.certificate.unwrap();
    assert_eq!(shown.trust, Trust::Version1);
    assert!(shown.key_sha256.is_some());
}

#[test]
fn public_authorities_do_not_say_who_is_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let mut public = rcgen::DistinguishedName::new();
    for (kind, text) in [
        (DnType::CountryName, "US"),
        (DnType::OrganizationName, "Internet Security Research Group"),
        (DnType::CommonName, "ISRG Root X1"),
    ] {
        public.push(kind, DnValue::PrintableString(text.try_into().unwrap()));
    }
    let mut root = authority_of("x");
    root.distinguished_name = public;
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let below = authority_of("intermediate");
    let below = below
        .signed_by(&KeyPair::generate().unwrap(), &root)
        .unwrap();
    let own = Authority::new("ours").pem();
    for (text, refused) in [
        (root.pem(), true),
        (below.pem(), true),
        (root.pem() + &below.pem(), true),
        (root.pem() + &own, true),
        (own, false),
    ] {
        fs::write(&ca, text).unwrap();
        Acceptor::new(&certificates, &under(&ca, false)).unwrap();
        let made = Acceptor::new(&certificates, &under(&ca, true));
        assert_eq!(made.is_err(), refused);
        if let Err(problem) = made {
            let told = "ca.pem: public authorities are in it";
            assert!(problem.message.contains(told), "{problem}");
        }
    }
}

#[test]
fn an_authority_file_that_cannot_be_used_is_told() {
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let none = Path::new("/none/ca.pem");
    let problem = Acceptor::new(&certificates, &under(none, false)).unwrap_err();
    assert!(problem.message.starts_with("/none/ca.pem cannot be read"));
}

/// A client that speaks no newer version than 1.2.
async fn old_client(acceptor: &Acceptor) -> Result<(Stream, TlsFacts), TlsError> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let (served, called) = served_and_called(acceptor, config).await;
    assert_eq!(served.is_ok(), called.is_ok());
    served
}

type Called = std::io::Result<tokio_rustls::client::TlsStream<TcpStream>>;

/// Both ends of a handshake with a client of another making.
async fn served_and_called(
    acceptor: &Acceptor,
    config: ClientConfig,
) -> (Result<(Stream, TlsFacts), TlsError>, Called) {
    let (listener, address) = listen().await;
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        accept(socket, acceptor, LONG).await
    };
    let call = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector
            .connect("mx.example".try_into().unwrap(), socket)
            .await
    };
    tokio::join!(serve, call)
}

#[tokio::test]
async fn an_old_version_is_spoken_or_refused_as_configured() {
    let (certificates, _kept) = certificates(&[&self_signed(&params(&["mx.example"]))]);
    let both = Acceptor::new(&certificates, &Tls::default()).unwrap();
    let (stream, facts) = old_client(&both).await.unwrap();
    assert_eq!(facts.version, "TLSv1.2");
    assert!(facts.cipher.starts_with("TLS_ECDHE_ECDSA_"));
    // Without the extended master secret there is no binding, and nobody tells us.
    assert_eq!(stream.exporter(), None);
    let modern = Tls {
        min_version: TlsVersion::V1_3,
        ..Tls::default()
    };
    let new = Acceptor::new(&certificates, &modern).unwrap();
    let refused = old_client(&new).await;
    assert!(
        matches!(refused, Err(TlsError::Handshake(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_is_not_tls_or_nothing_at_all_ends() {
    let acceptor = acceptor(&self_signed(&params(&["mx.example"])));
    let (listener, address) = listen().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    client.write_all(b"EHLO client.example\r\n").await.unwrap();
    let ended = accept(socket, &acceptor, LONG).await.err();
    let not_tls = "what the other side sent is not TLS".into();
    assert_eq!(ended, Some(TlsError::Handshake(not_tls)));
    let _silent = TcpStream::connect(address).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let ended = accept(socket, &acceptor, std::time::Duration::ZERO)
        .await
        .err();
    assert_eq!(ended, Some(TlsError::TimedOut));
}

#[tokio::test]
async fn a_socket_is_taken_for_the_handshake_once() {
    let (listener, address) = listen().await;
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut one, mut other) = (
        Stream::Plain(client.unwrap()),
        Stream::Plain(server.unwrap().0),
    );
    exchange(&mut one, &mut other, b"in clear").await;
    assert!(one.exporter().is_none() && !one.is_tls());
    let socket = one.take_plain().unwrap();
    assert!(one.take_plain().is_none());
    assert_eq!(one.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(one.write_all(b"x").await.is_err() && one.try_write(b"x").is_err());
    exchange(&mut Stream::Plain(socket), &mut other, b"back again").await;
}

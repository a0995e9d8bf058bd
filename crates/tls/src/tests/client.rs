use delivery::CertificateFlaw;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use config::{CertificateFiles, Delivery};
use mail::TlsFacts;
use route::Security;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{
    Authority, LONG, Pair, expired, hear_hello, listen, params, self_signed, server_showing,
};
use crate::{Checked, Connector, How, TlsError, client_config_for_https, provider};

/// One connection, with a word from the other side when it was made.
pub(super) async fn connect(
    connector: &Connector,
    server: SocketAddr,
    how: &How<'_>,
) -> Result<(TlsFacts, Checked), TlsError> {
    let socket = TcpStream::connect(server).await.unwrap();
    let (mut stream, facts, checked) = connector.connect(socket, how, LONG).await?;
    hear_hello(&mut stream).await;
    Ok((facts, checked))
}

pub(super) fn how(security: &Security) -> How<'_> {
    How {
        security,
        host: "mx.example",
        ca: None,
        certificate: None,
    }
}

fn connector() -> Connector {
    Connector::load(&[]).unwrap()
}

fn verified(names: &[&str]) -> Security {
    Security::Verified {
        names: names.iter().map(|name| (*name).into()).collect(),
    }
}

fn mismatched() -> CertifiedKey {
    let (shown, other) = (
        self_signed(&params(&["mx.example"])),
        self_signed(&params(&[])),
    );
    CertifiedKey::new(shown.chain, other.certified().key)
}

pub(super) fn version_1() -> CertifiedKey {
    let own = CertificateDer::from_pem_slice(include_bytes!("odd/version1.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("odd/sec1.key")).unwrap();
    CertifiedKey::new(
        vec![own],
        provider().key_provider.load_private_key(key).unwrap(),
    )
}

#[tokio::test]
async fn opportunistic_takes_whatever_is_shown() {
    let shown = [
        (
            "self-signed",
            self_signed(&params(&["mx.example"])).certified(),
        ),
        (
            "expired",
            self_signed(&expired(&["mx.example"])).certified(),
        ),
        (
            "for another",
            self_signed(&params(&["mx.elsewhere"])).certified(),
        ),
        ("for nobody", self_signed(&params(&[])).certified()),
        ("with another's key", mismatched()),
        ("version 1", version_1()),
    ];
    for (case, shown) in shown {
        let server = server_showing(shown).await;
        for security in [Security::Opportunistic, Security::Required] {
            let made = connect(&connector(), server, &how(&security)).await;
            let (facts, checked) = made.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(checked, Checked::Nothing, "{case}");
            assert_eq!(facts.version, "TLSv1.3");
            assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
            assert!(!facts.certificate.unwrap().is_trusted(), "{case}");
        }
    }
}

/// A directory with an authority's certificate, and a connector that knows it.
struct Setup {
    authority: Authority,
    delivery: Delivery,
    connector: Connector,
    _directory: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let authority = Authority::new("office");
        let pem = authority.pem();
        Self::trusting(authority, &pem)
    }

    fn trusting(authority: Authority, pem: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        fs::write(&ca, pem).unwrap();
        let delivery = Delivery {
            ca: Some(ca),
            ..Delivery::default()
        };
        Self {
            authority,
            connector: Connector::load([&delivery]).unwrap(),
            delivery,
            _directory: directory,
        }
    }

    async fn verify(&self, shown: &Pair, names: &[&str]) -> Result<Checked, TlsError> {
        let server = server_showing(shown.certified()).await;
        let security = verified(names);
        let how = How {
            ca: self.delivery.ca.as_deref(),
            ..how(&security)
        };
        let made = connect(&self.connector, server, &how).await;
        made.map(|(facts, checked)| {
            assert!(facts.certificate.unwrap().is_trusted());
            checked
        })
    }
}

#[tokio::test]
async fn verified_wants_the_chain_and_one_of_the_names() {
    let setup = Setup::new();
    let table: [(&[&str], &[&str], bool); 12] = [
        (&["mx.example"], &["mx.example"], true),
        (&["mx.example"], &["MX.Example."], true),
        (
            &["other.example", "mx.example"],
            &["a.example", "mx.example"],
            true,
        ),
        (&["*.mail.example"], &["mx.mail.example"], true),
        (&["mx.mail.example"], &["*.mail.example"], true),
        (&["*.mail.example"], &["*.mail.example"], true),
        (&["a.mx.mail.example"], &["*.mail.example"], false),
        (&["mx.example"], &["mx.elsewhere"], false),
        (&["mx.example", "192.0.2.1"], &["192.0.2.1"], true),
        (&["2001:db8::1"], &["2001:db8::1"], true),
        (&["192.0.2.1"], &["192.0.2.2"], false),
        (&["mx.example"], &["192.0.2.1"], false),
    ];
    for (shown, wanted, good) in table {
        let pair = setup.authority.sign(&params(shown));
        let made = setup.verify(&pair, wanted).await;
        assert_eq!(made.is_ok(), good, "{shown:?} for {wanted:?}: {made:?}");
    }
}

#[tokio::test]
async fn what_is_only_tried_out_is_told_and_keeps_nothing_back() {
    let setup = Setup::new();
    let signed = |names: &[&str]| setup.authority.sign(&params(names)).certified();
    let good = signed(&["mx.example"]);
    let strange = setup.authority.sign(&params(&["mx.example"]));
    let stolen = CertifiedKey::new(good.cert.clone(), strange.certified().key);
    let table = [
        ("good", good, true),
        ("for another", signed(&["mx.elsewhere"]), false),
        (
            "self-signed",
            self_signed(&params(&["mx.example"])).certified(),
            false,
        ),
        ("without its key", stolen, false),
    ];
    let demand = verified(&["mx.example"]);
    for (case, shown, expected) in table {
        let server = server_showing(shown).await;
        for (security, demanded) in [
            (&Security::Opportunistic, false),
            (&Security::Required, false),
            (&demand, true),
        ] {
            let how = How {
                ca: setup.delivery.ca.as_deref(),
                ..how(security)
            };
            let socket = TcpStream::connect(server).await.unwrap();
            let made = setup.connector.try_out(socket, &how, LONG).await;
            assert_eq!(made.is_ok(), expected || !demanded, "{case}: {made:?}");
            if let Ok((_, facts, _)) = made {
                assert_eq!(facts.certificate.unwrap().is_trusted(), expected, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn verified_says_what_is_wrong() {
    let setup = Setup::new();
    let below = setup.authority.below("branch");
    let stranger = Authority::new("stranger");
    let good = params(&["mx.example"]);
    let mut own_authority = good.clone();
    own_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let table = [
        (
            setup.authority.sign(&expired(&["mx.example"])),
            "certificate expired",
        ),
        (
            setup.authority.sign(&params(&["a.example", "b.example"])),
            "certificate is for a.example, b.example, not mx.example",
        ),
        (
            setup.authority.sign(&params(&["192.0.2.1"])),
            "certificate is for 192.0.2.1, not mx.example",
        ),
        (
            setup.authority.sign(&params(&[])),
            "certificate has no subjectAltName, and a common name (common.example) does not count",
        ),
        (self_signed(&good), "certificate is self-signed"),
        (self_signed(&own_authority), "certificate is self-signed"),
        (
            stranger.sign(&good),
            "certificate is not from a trusted authority",
        ),
        // The server forgot to show what stands between.
        (
            below.sign(&good),
            "certificate is not from a trusted authority",
        ),
    ];
    for (shown, why) in table {
        let made = setup.verify(&shown, &["mx.example"]).await;
        let is = |words: &[&str]| words.iter().any(|words| why.contains(words));
        let flaw = if is(&["expired", "not valid yet"]) {
            CertificateFlaw::Expired
        } else if is(&["is for", "subjectAltName"]) {
            CertificateFlaw::OtherName
        } else {
            CertificateFlaw::Untrusted
        };
        assert_eq!(made, Err(TlsError::NotTrusted(flaw, why.into())));
    }
    let complete = below.sign(&good).with(&[&below]);
    assert_eq!(
        setup.verify(&complete, &["mx.example"]).await,
        Ok(Checked::Names)
    );
}

#[tokio::test]
async fn verified_wants_the_key_of_the_certificate() {
    let setup = Setup::new();
    let shown = setup.authority.sign(&params(&["mx.example"]));
    let server = server_showing(CertifiedKey::new(
        shown.chain,
        self_signed(&params(&[])).certified().key,
    ))
    .await;
    let security = verified(&["mx.example"]);
    let how = How {
        ca: setup.delivery.ca.as_deref(),
        ..how(&security)
    };
    let made = connect(&setup.connector, server, &how).await;
    assert!(matches!(made, Err(TlsError::NotTrusted(..))), "{made:?}");
}

#[tokio::test]
async fn a_listed_certificate_needs_no_authority_but_name_and_date() {
    let mut params = params(&["mx.example"]);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let listed = self_signed(&params);
    let old = self_signed(&expired(&["mx.example"]));
    let setup = Setup::trusting(
        Authority::new("unused"),
        &format!("{}{}", listed.pem, old.pem),
    );
    assert_eq!(
        setup.verify(&listed, &["mx.example"]).await,
        Ok(Checked::Names)
    );
    let expired = TlsError::NotTrusted(CertificateFlaw::Expired, "certificate expired".into());
    assert_eq!(setup.verify(&old, &["mx.example"]).await, Err(expired));
    let other_name = setup.verify(&listed, &["other.example"]).await;
    assert!(matches!(other_name, Err(TlsError::NotTrusted(..))));
}

#[tokio::test]
async fn the_well_known_authorities_do_not_know_ours() {
    let setup = Setup::new();
    let server = server_showing(setup.authority.sign(&params(&["mx.example"])).certified()).await;
    let made = connect(&connector(), server, &how(&verified(&["mx.example"]))).await;
    assert!(matches!(made, Err(TlsError::NotTrusted(..))), "{made:?}");
}

#[tokio::test]
async fn what_is_not_tls_is_no_question_of_trust() {
    let (listener, server) = listen().await;
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"220 mx.example ESMTP\r\n").await.unwrap();
        drop(listener.accept().await.unwrap());
        let (silent, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    let opportunistic = Security::Opportunistic;
    let made = connect(&connector(), server, &how(&opportunistic)).await;
    let not_tls = "what the other side sent is not TLS".into();
    assert_eq!(made, Err(TlsError::Handshake(not_tls)));
    let made = connect(&connector(), server, &how(&opportunistic)).await;
    assert!(matches!(made, Err(TlsError::Lost(_))), "{made:?}");
    let socket = TcpStream::connect(server).await.unwrap();
    let at_once = std::time::Duration::ZERO;
    let made = connector()
        .connect(socket, &how(&opportunistic), at_once)
        .await;
    assert_eq!(made.err(), Some(TlsError::TimedOut));
}

#[tokio::test]
async fn files_that_were_not_loaded_are_our_own_fault() {
    let server = server_showing(self_signed(&params(&[])).certified()).await;
    let security = verified(&["mx.example"]);
    let no_ca = How {
        ca: Some(Path::new("/none/ca.pem")),
        ..how(&security)
    };
    let made = connect(&connector(), server, &no_ca).await;
    assert_eq!(
        made,
        Err(TlsError::Local("/none/ca.pem was not loaded".into()))
    );
    let files = CertificateFiles {
        chain: "/none/own.crt".into(),
        key: "/none/own.key".into(),
        place: mail::Place::Default,
    };
    let no_key = How {
        certificate: Some(&files),
        ..how(&Security::Required)
    };
    let made = connect(&connector(), server, &no_key).await;
    assert_eq!(
        made,
        Err(TlsError::Local("/none/own.crt was not loaded".into()))
    );
}

#[test]
fn all_files_that_cannot_be_used_are_told() {
    let files = CertificateFiles {
        chain: "/none/own.crt".into(),
        key: "/none/own.key".into(),
        place: mail::Place::line(&"gatepost.toml".into(), 3, 1),
    };
    let delivery = Delivery {
        ca: Some("/none/ca.pem".into()),
        certificate: Some(files),
        ..Delivery::default()
    };
    let problems = Connector::load([&delivery]).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(
        problems[0]
            .message
            .starts_with("/none/ca.pem cannot be read")
    );
    assert!(
        problems[1]
            .message
            .starts_with("/none/own.crt cannot be read")
    );
    assert_eq!(problems[1].place.to_string(), "gatepost.toml:3");
}

#[tokio::test]
async fn https_trusts_its_own_authority_alone() {
    let setup = Setup::new();
    let server = server_showing(setup.authority.sign(&params(&["mx.example"])).certified()).await;
    let ours = client_config_for_https(setup.delivery.ca.as_deref()).unwrap();
    let well_known = client_config_for_https(None).unwrap();
    for (config, host, good) in [
        (&ours, "mx.example", true),
        (&ours, "mx.elsewhere", false),
        (&well_known, "mx.example", false),
    ] {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let socket = TcpStream::connect(server).await.unwrap();
        let made = connector.connect(host.try_into().unwrap(), socket).await;
        assert_eq!(made.is_ok(), good, "{host}");
    }
    assert!(client_config_for_https(Some(Path::new("/none/ca.pem"))).is_err());
}

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::{KeySource, Secret};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData as _};

use super::*;
use crate::https::pretend::{Pretend, Reply};
use crate::resolver::pretend::Pretend as Dns;

fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

/// A server that counts its answers into what it says, and a source of tokens that trusts it.
async fn scene(handle: impl Fn(u64) -> Reply + Send + Sync + 'static) -> (Pretend, TokenSource) {
    let dns = Dns::serve(&[]).await;
    let asked = AtomicU64::new(0);
    let server = Pretend::serve(&[], move |_| handle(asked.fetch_add(1, Ordering::Relaxed))).await;
    let secret = file("hush&1\n");
    let proof = ClientProof::Secret(Secret::File(secret.path().to_owned()));
    let source = source(&server, &dns, proof, None);
    (server, source)
}

fn source(server: &Pretend, dns: &Dns, proof: ClientProof, subject: Option<&str>) -> TokenSource {
    let ca = file(&server.certificate.pem());
    let credentials = RouteCredentials::Token {
        url: server.url("/token"),
        client_id: "me".to_owned(),
        proof,
        scope: "https://outlook.office365.com/.default".to_owned(),
        subject: subject.map(str::to_owned),
        ca: Some(ca.path().to_owned()),
    };
    TokenSource::new(&credentials, dns.resolver())
        .unwrap()
        .unwrap()
}

/// RFC 7523 section 2.1, as Google's service accounts do it.
#[tokio::test]
async fn an_assertion_in_somebodys_name_is_the_grant() {
    let dns = Dns::serve(&[]).await;
    let server = Pretend::serve(&[], |_| token(0, 3600)).await;
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let key = file(&pair.serialize_pem());
    let proof = ClientProof::Assertion {
        key: key.path().to_owned(),
        certificate: None,
    };
    let source = source(&server, &dns, proof, Some("ann@example.com"));
    assert_eq!(source.token().await.unwrap().as_str(), "t0");
    let requests = server.requests();
    let (_, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let assertion = body.strip_prefix(grant).unwrap();
    assert!(!assertion.contains('&'), "{body}");
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["scope"]),
        (
            &"me".into(),
            &"ann@example.com".into(),
            &"https://outlook.office365.com/.default".into()
        )
    );
}

fn token(number: u64, expires: u64) -> Reply {
    let body =
        format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":{expires}}}"#);
    (200, "application/json", body)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_anew_when_it_was_refused() {
    let (server, source) = scene(|n| token(n, 3600)).await;
    let (one, two) = tokio::join!(source.token(), source.token());
    let one = one.unwrap();
    assert_eq!((one.as_str(), &one), ("t0", &two.unwrap()));
    assert_eq!(format!("{one:?}"), "Token(..)");
    let body = "client_secret=hush%261&grant_type=client_credentials&client_id=me&scope=https%3A%2F%2Foutlook.office365.com%2F.default";
    assert!(server.requests()[0].ends_with(body));
    source.refused(&one).await;
    assert_eq!(source.token().await.unwrap().as_str(), "t1");
    // Somebody else had the old one refused too.
    source.refused(&one).await;
    assert_eq!(source.token().await.unwrap().as_str(), "t1");
}

#[tokio::test]
async fn while_the_endpoint_is_out_of_order_a_valid_token_is_used_on() {
    let (server, source) = scene(|n| match n {
        0 => token(0, 3600),
        _ => (500, "text/html", "<html>".to_owned()),
    })
    .await;
    assert_eq!(source.token().await.unwrap().as_str(), "t0");
    // As if four fifths of its life were over.
    source.current.invalidate(&()).await;
    assert_eq!(source.token().await.unwrap().as_str(), "t0");
    assert_eq!(source.token().await.unwrap().as_str(), "t0");
    assert_eq!(server.requests().len(), 2);
    let lapsed = source.last().map(|last| Granted {
        expires: Instant::now(),
        ..last
    });
    source.set_last(lapsed);
    let why = source.token().await.unwrap_err();
    assert_eq!(why.to_string(), "no token: the token endpoint answered 500");
}

#[test]
fn answers_of_token_endpoints() {
    let good = [
        (
            r#"{"access_token":"a","token_type":"bearer","expires_in":10}"#,
            10,
        ),
        (r#"{"access_token":"a","expires_in":"20"}"#, 20),
        (r#"{"access_token":"a"}"#, EXPIRES_DEFAULT),
        (r#"{"access_token":"a","expires_in":0}"#, 1),
        (
            r#"{"access_token":"a","expires_in":18446744073709551615}"#,
            EXPIRES_MAX,
        ),
    ];
    for (body, seconds) in good {
        assert_eq!(granted(200, body.as_bytes()).unwrap().1, seconds, "{body}");
    }
    let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(TOKEN_LEN_MAX + 1));
    let bad = [
        (
            400,
            r#"{"error":"invalid_client","error_description":"no\r\nway"}"#,
            "invalid_client",
        ),
        (503, "busy", "503"),
        (200, "{}", "malformed"),
        (200, r#"{"access_token":""}"#, "usable"),
        (200, r#"{"access_token":"a\u0001b"}"#, "usable"),
        (200, &long, "usable"),
        (200, r#"{"access_token":"a","token_type":"mac"}"#, "bearer"),
    ];
    for (status, body, part) in bad {
        let why = granted(status, body.as_bytes()).unwrap_err();
        assert!(why.contains(part) && !why.contains('\n'), "{why}");
    }
}

#[test]
fn assertions_are_signed_and_say_who_we_are() {
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let cases: [(&KeyPair, bool, &str, &'static dyn VerificationAlgorithm); 4] = [
        (&rsa, false, "RS256", &RSA_PKCS1_2048_8192_SHA256),
        (&rsa, true, "PS256", &RSA_PSS_2048_8192_SHA256),
        (&p256, false, "ES256", &ECDSA_P256_SHA256_FIXED),
        (&p256, true, "ES256", &ECDSA_P256_SHA256_FIXED),
    ];
    for (pair, with_certificate, algorithm, verification) in cases {
        let params = rcgen::CertificateParams::new(vec!["me.example".to_owned()]).unwrap();
        let certificate = file(&params.self_signed(pair).unwrap().pem());
        let key = file(&pair.serialize_pem());
        let certificate = with_certificate.then_some(certificate.path());
        let assertion = Assertion::load(key.path(), certificate).unwrap();
        let says = Claims {
            client: "me",
            subject: "me",
            audience: "https://login.example/token",
            scope: None,
        };
        let text = assertion.sign(&says, 7, 1000).unwrap();
        let parts: Vec<&str> = text.split('.').collect();
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part| serde_json::from_slice::<serde_json::Value>(&decoded(part)).unwrap();
        let (head, claims) = (json(parts[0]), json(parts[1]));
        assert_eq!(head["alg"], algorithm);
        assert_eq!(head["x5t#S256"].is_string(), with_certificate);
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&"me".into(), &"https://login.example/token".into())
        );
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&1000.into(), &1300.into())
        );
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(verification, pair.der_bytes())
            .verify(signed.as_bytes(), &decoded(parts[2]))
            .unwrap();
    }
    assert!(Assertion::load(file("nothing").path(), None).is_err());
}

const SET: &str = r#"{"keys":[{"kid":"one","kty":"RSA"},{"kty":"EC"}]}"#;

#[tokio::test]
async fn keys_are_kept_and_asked_for_again_once_for_an_unknown_one() {
    let dns = Dns::serve(&[]).await;
    let server = Pretend::serve(&[], |_| (200, "application/json", SET.to_owned())).await;
    let source = KeySource::Url(server.url("/keys"));
    let keys = Keys::by(&source, server.client(dns.resolver()));
    for kid in [None, Some("one"), Some("two"), Some("three")] {
        assert_eq!(&*keys.json(kid).await.unwrap(), SET);
    }
    // The first fetch was less than a minute ago.
    assert_eq!(server.requests().len(), 1);
    keys.fetches.invalidate(&()).await;
    for kid in ["one", "two", "three"] {
        keys.json(Some(kid)).await.unwrap();
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn keys_from_a_file_and_what_is_no_key_set() {
    let dns = Dns::serve(&[]).await;
    let keys = |text| {
        let file = file(text);
        let keys = Keys::new(&KeySource::File(file.path().to_owned()), dns.resolver());
        (file, keys.unwrap())
    };
    let (_file, good) = keys(SET);
    assert_eq!(&*good.json(Some("one")).await.unwrap(), SET);
    for text in ["", "[]", r#"{"keys":1}"#] {
        let (_file, bad) = keys(text);
        assert!(bad.json(None).await.is_err(), "{text}");
    }
}

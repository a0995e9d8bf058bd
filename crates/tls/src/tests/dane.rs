use aws_lc_rs::digest;
use delivery::CertificateFlaw;
use mail::Domain;
use rcgen::{CertificateParams, DnType};
use route::{Security, TlsaRecord};
use rustls::sign::CertifiedKey;

use super::client::{connect, how};
use super::{Authority, Pair, expired, params, self_signed, server_showing};
use crate::x509::Reading;
use crate::{Checked, Connector, TlsError};

/// The record `usage selector matching` of this certificate.
fn record(kind: [u8; 3], of: &[u8]) -> TlsaRecord {
    let [usage, selector, matching] = kind;
    let selected = match selector {
        0 => of,
        _ => Reading::of(of).unwrap().public_key(),
    };
    let data = match matching {
        0 => selected.to_vec(),
        1 => digest::digest(&digest::SHA256, selected).as_ref().to_vec(),
        _ => digest::digest(&digest::SHA512, selected).as_ref().to_vec(),
    };
    TlsaRecord {
        usage,
        selector,
        matching,
        data: data.into(),
    }
}

async fn judge(shown: CertifiedKey, records: Vec<TlsaRecord>) -> Result<Checked, TlsError> {
    let server = server_showing(shown).await;
    let security = Security::Dane {
        base: Domain::parse("mx.example").unwrap(),
        records: records.into(),
    };
    let connector = Connector::load(&[]).unwrap();
    let made = connect(&connector, server, &how(&security)).await;
    made.map(|(facts, checked)| {
        assert!(facts.certificate.unwrap().is_trusted());
        checked
    })
}

const SELECTED: [[u8; 2]; 6] = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]];

#[tokio::test]
async fn dane_ee_looks_at_the_record_alone() {
    let shown: [Pair; 3] = [
        self_signed(&params(&["mx.example"])),
        self_signed(&params(&["mx.elsewhere"])),
        self_signed(&expired(&[])),
    ];
    for shown in shown {
        for [selector, matching] in SELECTED {
            let record = record([3, selector, matching], shown.der());
            let made = judge(shown.certified(), vec![record]).await;
            assert_eq!(made, Ok(Checked::DaneEe), "3 {selector} {matching}");
        }
    }
}

#[tokio::test]
async fn dane_ee_wants_the_key_of_the_certificate() {
    let (shown, other) = (
        self_signed(&params(&["mx.example"])),
        self_signed(&params(&[])),
    );
    let records = vec![record([3, 1, 1], shown.der())];
    let made = judge(
        CertifiedKey::new(shown.chain, other.certified().key),
        records,
    )
    .await;
    assert!(matches!(made, Err(TlsError::NotTrusted(..))), "{made:?}");
}

#[tokio::test]
async fn dane_ee_takes_a_certificate_of_version_1_with_its_key_only() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for own_key in [true, false] {
            let mut shown = super::client::version_1();
            let records = vec![record([3, 1, 1], &shown.cert[0])];
            if !own_key {
                shown.key = self_signed(&params(&[])).certified().key;
            }
            let made = judge_at(version, shown, records).await;
            assert_eq!(made.is_ok(), own_key, "{:?}: {made:?}", version.version);
        }
    }
}

async fn judge_at(
    version: &'static rustls::SupportedProtocolVersion,
    shown: CertifiedKey,
    records: Vec<TlsaRecord>,
) -> Result<Checked, TlsError> {
    let server = super::server_speaking(&[version], shown).await;
    let security = Security::Dane {
        base: Domain::parse("mx.example").unwrap(),
        records: records.into(),
    };
    let connector = Connector::load(&[]).unwrap();
    let made = connect(&connector, server, &how(&security)).await;
    made.map(|(_, checked)| checked)
}

#[tokio::test]
async fn dane_ta_trusts_an_authority_that_is_shown() {
    let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let middle = root.below("middle");
    for [selector, matching] in SELECTED {
        for anchor in [&root, &middle] {
            let records = vec![
                record([2, selector, matching], &stranger.der()),
                record([2, selector, matching], &anchor.der()),
            ];
            let shown = middle
                .sign(&params(&["mx.example"]))
                .with(&[&middle, &root]);
            let made = judge(shown.certified(), records).await;
            assert_eq!(made, Ok(Checked::DaneTa), "2 {selector} {matching}");
        }
    }
}

#[tokio::test]
async fn dane_ta_finds_an_authority_that_only_stands_in_the_record() {
    let root = Authority::new("root");
    for (selector, matching, good) in [(0, 0, true), (1, 0, true), (0, 1, false), (1, 1, false)] {
        let shown = root.sign(&params(&["mx.example"]));
        let records = vec![record([2, selector, matching], &root.der())];
        let made = judge(shown.certified(), records).await;
        assert_eq!(made.is_ok(), good, "2 {selector} {matching}: {made:?}");
    }
}

#[tokio::test]
async fn dane_ta_also_wants_dates_name_and_signature() {
    let root = Authority::new("root");
    let imitation = Authority::new("root");
    let anchor = || vec![record([2, 1, 1], &root.der())];
    let shown = [
        (
            root.sign(&expired(&["mx.example"])),
            CertificateFlaw::Expired,
            "certificate expired",
        ),
        (
            root.sign(&params(&["mx.elsewhere"])),
            CertificateFlaw::OtherName,
            "certificate is for mx.elsewhere, not mx.example",
        ),
    ];
    for (shown, flaw, why) in shown {
        let made = judge(shown.with(&[&root]).certified(), anchor()).await;
        assert_eq!(made, Err(TlsError::NotTrusted(flaw, why.into())));
    }
    let forged = imitation.sign(&params(&["mx.example"])).with(&[&root]);
    let made = judge(forged.certified(), anchor()).await;
    assert!(matches!(made, Err(TlsError::NotTrusted(..))), "{made:?}");
}

#[tokio::test]
async fn dane_ta_looks_at_the_common_name_only_without_dns_names() {
    let root = Authority::new("root");
    let common = |mut params: CertificateParams, name: &str| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    for (params, good) in [
        (common(params(&[]), "mx.example"), true),
        (common(params(&[]), "*.example"), true),
        (common(params(&["mx.elsewhere"]), "mx.example"), false),
    ] {
        let shown = root.sign(&params).with(&[&root]);
        let made = judge(shown.certified(), vec![record([2, 0, 1], &root.der())]).await;
        assert_eq!(made.is_ok(), good, "{made:?}");
    }
}

#[tokio::test]
async fn records_that_match_nothing() {
    let root = Authority::new("root");
    let shown = || root.sign(&params(&["mx.example"])).with(&[&root]);
    let other = self_signed(&params(&["mx.example"]));
    let no_match = TlsError::NotTrusted(
        CertificateFlaw::NoRecord,
        "no TLSA record matches the certificate".into(),
    );
    let certified = shown();
    let own = certified.der().clone();
    for records in [
        vec![],
        vec![record([3, 1, 1], other.der())],
        vec![record([2, 0, 1], other.der())],
        // An authority's record for the server's own certificate, and the reverse.
        vec![record([2, 1, 1], &own)],
        vec![record([3, 1, 1], &root.der())],
        // Usages that mail does not have (RFC 7672 section 3.1.3), and kinds that nobody knows.
        vec![record([0, 0, 1], &root.der()), record([1, 1, 1], &own)],
        vec![TlsaRecord {
            matching: 9,
            ..record([3, 1, 0], &own)
        }],
        vec![TlsaRecord {
            selector: 9,
            ..record([3, 0, 0], &own)
        }],
    ] {
        let made = judge(certified.certified(), records).await;
        assert_eq!(made, Err(no_match.clone()));
    }
}

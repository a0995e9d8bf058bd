use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{CertificateFiles, Tls};
use rcgen::KeyPair;

use super::{Authority, expired, params, self_signed, self_signed_by, wall, written};
use crate::{ServerCertificates, TlsProblem, judged};

const HOST: &str = "relay.example";

fn load(
    files: &[CertificateFiles],
    data_dir: &Path,
) -> Result<ServerCertificates, Vec<TlsProblem>> {
    let tls = Tls {
        certificates: files.to_vec(),
        ..Tls::default()
    };
    ServerCertificates::load(&tls, data_dir, HOST, wall(), &Arc::default())
}

#[test]
fn a_certificate_is_judged_as_clients_judge_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let files = authority
        .sign(&params(&[HOST]))
        .write(directory.path(), "pair");
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let trouble = |host: &str, ca: Option<&Path>| {
        let judged = judged(&files.chain, host, ca).unwrap();
        assert!(judged.ends > wall());
        judged.trouble
    };
    assert_eq!(trouble(HOST, Some(&ca)), None);
    assert!(trouble("other.example", Some(&ca)).is_some());
    let why = trouble(HOST, None).unwrap();
    assert!(why.contains("not from a trusted authority"), "{why}");
    assert!(judged(&files.key, HOST, None).is_err());
}

fn only_problem(files: CertificateFiles, data_dir: &Path) -> String {
    let problems = load(&[files], data_dir).unwrap_err();
    let [problem] = &*problems else {
        panic!("{problems:?}")
    };
    assert_eq!(problem.place.to_string(), "gatepost.toml:7");
    assert!(problem.message.contains(&*data_dir.to_string_lossy()));
    problem.message.clone()
}

#[test]
fn keys_of_all_kinds_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let kinds = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    for kind in kinds {
        let is_ed25519 = kind == &rcgen::PKCS_ED25519;
        let key = KeyPair::generate_for(kind).unwrap();
        let files = self_signed_by(&params(&[HOST]), key).write(directory.path(), "pair");
        let loaded = load(&[files], directory.path()).unwrap();
        assert_eq!(*loaded.certificates()[0].names, [HOST.into()]);
        let alone = loaded.warnings().iter().map(|w| &*w.message);
        let told: Vec<&str> = alone.collect();
        if is_ed25519 {
            assert_eq!(told.len(), 1);
            assert!(told[0].contains("Ed25519 alone"), "{told:?}");
        } else {
            assert_eq!(told, [""; 0]);
        }
    }
    let (chain, key) = (include_str!("odd/pkcs1.crt"), include_str!("odd/pkcs1.key"));
    load(
        &[written(directory.path(), "rsa", chain, key)],
        directory.path(),
    )
    .unwrap();
    let key = KeyPair::from_pem_and_sign_algo(SEC1, &rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let chain = self_signed_by(&params(&[HOST]), key).pem;
    load(
        &[written(directory.path(), "ec", &chain, SEC1)],
        directory.path(),
    )
    .unwrap();
}

const SEC1: &str = include_str!("odd/sec1.key");

#[test]
fn a_byte_order_mark_hides_neither_certificate_nor_key() {
    let directory = tempfile::tempdir().unwrap();
    let own = self_signed(&params(&[HOST]));
    // The second would be taken for the first.
    let above = self_signed(&params(&["above.example"])).pem;
    let chain = format!("\u{feff}{}{above}", own.pem);
    let key = format!("\u{feff}{}", own.key.serialize_pem());
    let files = written(directory.path(), "marked", &chain, &key);
    let loaded = load(&[files], directory.path()).unwrap();
    assert_eq!(*loaded.certificates()[0].names, [HOST.into()]);
}

#[test]
fn what_cannot_be_used_is_told_with_its_path_and_without_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let pair = self_signed(&params(&[HOST]));
    let (chain, key) = (&*pair.pem, pair.key.serialize_pem());
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let half = &key[..key.len() / 2];
    let broken = key.replace("MIG", "M*G");
    assert_ne!(broken, key);
    let table = [
        (chain, &*encrypted, "the key has a password"),
        (chain, chain, "there is no private key in it"),
        (chain, "", "there is no private key in it"),
        (chain, half, "it ends in the middle of a block"),
        (chain, &*broken, "not base64"),
        (chain, SEC1, "is not the key of the certificate"),
        (chain, include_str!("odd/pss.key"), "RSASSA-PSS key cannot"),
        (&*key, &*key, "there is no certificate in it"),
        ("", &*key, "there is no certificate in it"),
        (include_str!("odd/version1.crt"), SEC1, "X.509 version 1"),
    ];
    for (chain, key, why) in table {
        let message = only_problem(written(dir, "bad", chain, key), dir);
        assert!(message.contains(why), "{message}, not {why}");
        let leaked = key
            .lines()
            .filter(|line| line.len() > 20)
            .any(|line| !line.starts_with("-----") && message.contains(line));
        assert!(!leaked, "{message}");
    }
    let mut missing = written(dir, "bad", chain, &key);
    missing.key = dir.join("none.key");
    assert!(only_problem(missing, dir).contains("none.key cannot be read"));
}

#[test]
fn all_bad_files_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let bad = |name| written(directory.path(), name, "", "");
    let good = self_signed(&params(&[HOST])).write(directory.path(), "good");
    let problems = load(&[bad("a"), good, bad("b")], directory.path()).unwrap_err();
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let files = self_signed(&params(&[HOST])).write(directory.path(), "pair");
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o644, false),
        (0o604, false),
        (0o601, false),
        (0o660, false),
    ] {
        fs::set_permissions(&files.key, Permissions::from_mode(mode)).unwrap();
        let loaded = load(std::slice::from_ref(&files), directory.path());
        assert_eq!(loaded.is_ok(), good, "{mode:o}");
    }
    assert!(only_problem(files, directory.path()).contains("other users may read or change"));
}

#[test]
fn an_end_that_is_past_or_near_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let old = self_signed(&expired(&[HOST])).write(directory.path(), "old");
    let loaded = load(&[old], directory.path()).unwrap();
    let [warning] = loaded.warnings() else {
        panic!("{:?}", loaded.warnings())
    };
    assert!(warning.message.contains("old.crt: the certificate ended"));
    assert_eq!(warning.place.to_string(), "gatepost.toml:7");
    for (days, warned) in [(13, true), (15, false)] {
        let day = Duration::from_hours(24);
        let mut params = params(&[HOST]);
        let today = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(wall().as_secs());
        params.not_after = today + day * days + day / 2;
        let files = self_signed(&params).write(directory.path(), "near");
        let loaded = load(&[files], directory.path()).unwrap();
        assert_eq!(loaded.warnings().len(), usize::from(warned), "{days}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_self_signed_pair_is_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let first = load(&[], directory.path()).unwrap();
    let [warning] = first.warnings() else {
        panic!("{:?}", first.warnings())
    };
    assert!(warning.message.contains("self-signed"));
    for pair in first.certificates() {
        assert_eq!(*pair.names, [HOST.into()]);
    }
    assert_eq!(first.certificates().len(), 2);
    let (crt, key) = (
        directory.path().join("tls/self-signed.crt"),
        directory.path().join("tls/self-signed.key"),
    );
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&directory.path().join("tls")), 0o700);
    let made = (fs::read(&crt).unwrap(), fs::read(&key).unwrap());
    load(&[], directory.path()).unwrap();
    assert_eq!((fs::read(&crt).unwrap(), fs::read(&key).unwrap()), made);
}

#[test]
fn a_self_signed_pair_is_made_again_when_it_no_longer_fits() {
    let directory = tempfile::tempdir().unwrap();
    let crt = directory.path().join("tls/self-signed.crt");
    let load = |host: &str, now| {
        ServerCertificates::load(
            &Tls::default(),
            directory.path(),
            host,
            now,
            &Arc::default(),
        )
        .unwrap();
        fs::read(&crt).unwrap()
    };
    let day = Duration::from_hours(24);
    let first = load(HOST, wall());
    assert_eq!(load("Relay.Example", wall()), first);
    assert_eq!(load(HOST, wall() + day * (730 - 31)), first);
    let renamed = load("other.example", wall());
    assert_ne!(renamed, first);
    let renewed = load("other.example", wall() + day * (730 - 29));
    assert_ne!(renewed, renamed);
    // A crash between the two files leaves halves that do not belong together.
    fs::write(&crt, &first).unwrap();
    let mended = load("other.example", wall());
    assert!(mended != first && mended != renewed);
}

#[test]
fn a_self_signed_key_that_others_can_read_is_refused_too() {
    let directory = tempfile::tempdir().unwrap();
    load(&[], directory.path()).unwrap();
    let key = directory.path().join("tls/self-signed.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let problems = load(&[], directory.path()).unwrap_err();
    assert!(problems[0].message.contains("self-signed.key: other users"));
}

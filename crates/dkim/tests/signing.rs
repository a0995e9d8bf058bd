//! What is signed here is verified here, and looks as others expect it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dkim::{
    Algorithm, Answer, PrivateKey, Publication, PublishedKey, Reason, Signer, SigningFault, Sought,
    Step, VerifiedSignature, Verifier,
};
use mail::{Domain, Timestamp};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

struct Keys {
    rsa: Arc<PrivateKey>,
    ed25519: Arc<PrivateKey>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let make = |algorithm| Arc::new(PrivateKey::generate(algorithm).expect("a key"));
    Keys {
        rsa: make(Algorithm::RsaSha256),
        ed25519: make(Algorithm::Ed25519Sha256),
    }
});

fn name(text: &str) -> Domain {
    Domain::parse(text).expect("a name")
}

fn published(selector: &str, key: &PrivateKey) -> PublishedKey {
    PublishedKey::of(&name("a.example"), &name(selector), key).expect("a record")
}

fn signer() -> Signer {
    Signer::new(name("a.example"), name("rsa"), Arc::clone(&KEYS.rsa))
        .and(name("ed"), Arc::clone(&KEYS.ed25519))
}

fn sign(signer: &Signer, header: &[u8], body: &[u8]) -> Result<String, SigningFault> {
    let mut hash = Signer::body_hash();
    hash.push(body);
    signer.sign(header, &hash.finish(), NOW)
}

/// What comes of the signatures, by the keys as they are published.
fn verify(header: &[u8], body: &[u8]) -> Vec<VerifiedSignature> {
    let mut verifier = Verifier::new(header, Sought::SIGNATURES);
    verifier.push(body);
    let mut verification = verifier.finish(NOW);
    let records = [published("rsa", &KEYS.rsa), published("ed", &KEYS.ed25519)];
    loop {
        match verification.step() {
            Step::Done(verified) => return verified.signatures,
            Step::Ask(name) => {
                let record = records.iter().find(|record| record.name == name);
                let texts = record.map(|record| Box::from(&*record.text));
                verification.on_answer(name, Answer::Texts(texts.into_iter().collect()));
            }
        }
    }
}

#[test]
fn both_signatures_are_good_and_their_lines_short() {
    let header = b"Received: x\r\nFrom: a\r\nTo: b\r\nTO: c\r\nCc: d\r\n";
    let signer = signer().with_lifetime(Duration::from_secs(864_000));
    let fields = sign(&signer, header, b"Hello\r\n").expect("signatures");
    assert_eq!(fields.matches("DKIM-Signature:").count(), 2);
    let text = fields.replace("\r\n\t", "");
    let said = "d=a.example; s=rsa;t=1000000000; x=1000864000;";
    assert!(text.contains(said), "{fields}");
    let names = "h=from:from:subject:to:to:to:date:message-id:content-type:cc:cc;";
    assert!(text.contains(names), "{fields}");
    for line in fields.split("\r\n") {
        assert!(line.replace('\t', "        ").len() < 78, "{line}");
    }
    let whole = [fields.as_bytes(), header].concat();
    let verified = verify(&whole, b"Hello");
    let reasons: Vec<_> = verified.iter().map(|one| one.reason).collect();
    assert_eq!(reasons, [Reason::Good, Reason::Good]);
    for added in ["From: x\r\n", "Subject: x\r\n", "CC: x\r\n"] {
        let changed = [added.as_bytes(), &whole].concat();
        let verified = verify(&changed, b"Hello");
        assert!(
            verified
                .iter()
                .all(|one| one.reason == Reason::HeaderChanged),
            "{added}"
        );
    }
    let added = [b"List-Id: x\r\nReply-To: x\r\n", &*whole].concat();
    assert!(
        verify(&added, b"Hello")
            .iter()
            .all(|one| one.reason == Reason::Good)
    );
}

#[test]
fn without_an_author_nothing_is_signed() {
    assert_eq!(
        sign(&signer(), b"To: x\r\n", b""),
        Err(SigningFault::NoFrom)
    );
}

#[test]
fn long_names_are_not_cut() {
    let long = format!("{0}.{0}.{0}.example", "x".repeat(60));
    let signer = Signer::new(name(&long), name("rsa"), Arc::clone(&KEYS.rsa));
    let field = sign(&signer, b"From: x\r\n", b"").expect("a signature");
    assert!(field.contains(&format!("\r\n\td={long};\r\n\t")), "{field}");
}

#[test]
fn keys_are_written_and_read_again() {
    for key in [&KEYS.rsa, &KEYS.ed25519] {
        let text = key.to_pem().expect("text");
        let again = PrivateKey::from_pem(text.as_bytes()).expect("a key");
        assert_eq!(again.public(), key.public());
        assert_eq!(
            format!("{again:?}"),
            format!("PrivateKey({})", key.algorithm())
        );
    }
    assert_eq!(
        PrivateKey::from_pem(b"x").err(),
        Some(dkim::KeyFault::NoPem)
    );
    let other = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(
        PrivateKey::from_pem(other).err(),
        Some(dkim::KeyFault::Unusable)
    );
}

#[test]
fn a_record_is_compared_with_what_is_published() {
    let record = published("rsa", &KEYS.rsa);
    let texts = |texts: &[&str]| Answer::Texts(texts.iter().map(|text| Box::from(*text)).collect());
    let compare = |text: &[&str]| record.compare(&texts(text));
    assert_eq!(compare(&[&record.text]), Publication::Published);
    assert_eq!(
        compare(&[&format!("{}; t=y", record.text)]),
        Publication::Testing
    );
    let other = published("ed", &KEYS.ed25519);
    assert_eq!(compare(&[&other.text]), Publication::OtherKey);
    assert_eq!(compare(&[]), Publication::Unusable(Reason::NoKey));
    let both = compare(&[&record.text, &other.text]);
    assert_eq!(both, Publication::Unusable(Reason::SeveralKeys));
    let unknown = record.compare(&Answer::CannotTell);
    assert_eq!(unknown, Publication::Unusable(Reason::CannotTell));
}

#[test]
fn a_zone_line_holds_strings_that_fit() {
    let record = published("rsa", &KEYS.rsa);
    let line = record.zone_line();
    let rest = line
        .strip_prefix("rsa._domainkey.a.example. IN TXT ( \"")
        .expect("the name");
    let strings: Vec<&str> = rest
        .strip_suffix("\" )")
        .expect("the end")
        .split("\" \"")
        .collect();
    assert!(
        strings.len() == 2 && strings.iter().all(|string| string.len() <= 255),
        "{line}"
    );
    assert_eq!(strings.concat(), record.text);
}

proptest! {
    #[test]
    fn whatever_is_signed_is_verified(
        fields in "((From|To|subject|X|DKIM-Signature|List-Id):[ -~\u{fc}]{0,40}(\r\n[ \t][ -~]{0,9})?\r\n){0,6}",
        body in "([ -~\t\u{fc}]{0,30}(\r\n){0,3}){0,4}",
    ) {
        // Alone, so that what stands for signatures below it does not matter.
        let signer = Signer::new(name("a.example"), name("rsa"), Arc::clone(&KEYS.rsa));
        let header = format!("{fields}From: x\r\n\r\n");
        let field = sign(&signer, header.as_bytes(), body.as_bytes()).expect("a signature");
        let verified = verify(format!("{field}{header}").as_bytes(), body.as_bytes());
        prop_assert_eq!(verified[0].reason, Reason::Good);
    }
}

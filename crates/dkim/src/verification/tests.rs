use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use proptest::prelude::*;

use super::*;
use crate::body_hash::BodyHash;
use crate::{Algorithm, PrivateKey, PublishedKey, base64_text};

static RSA: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(Algorithm::RsaSha256).expect("a key"));

const HEADER: &str = "Received: by x\r\nFrom: a@b.example\r\nTo:  c@d.example\r\n\te\r\n";
const BODY: &str = "Hello \r\n  world\r\n\r\n";
const TAGS: &str = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=b.example; s=k; h=from:to:to";
const NOW: u64 = 1_000_000_000;

/// The text of the record for a key.
fn record(key: &PrivateKey) -> String {
    let name = |text| Domain::parse(text).expect("a name");
    PublishedKey::of(&name("b.example"), &name("k"), key)
        .expect("a record")
        .text
}

/// A header with a signature on top that says this, whether it makes sense or not.
fn signed(tags: &str, key: &PrivateKey, header: &str, body: &str) -> String {
    let mut hash = BodyHash::new(form(tags), limit(tags));
    hash.push(body.as_bytes());
    let body_hash = base64_text::encode(hash.finish().digest.as_ref());
    let field =
        |b: &str| format!("DKIM-Signature: {tags};\r\n bh={body_hash};\r\n b= {b}\r\n ; n=x \r\n");
    let draft = field("AAAA") + header;
    let draft = Header::new(draft.as_bytes());
    let (place, own) = draft.signatures().next().expect("the draft");
    let list = TagList::parse(own.value).expect("a list");
    let Ok(signature) = Signature::read(&list, &Signatory::of(&list)) else {
        return field("AAAA") + header;
    };
    let hash = draft.signed_hash(place, &signature);
    let b = base64_text::encode(&key.sign(&hash).expect("a signature"));
    field(&b.replacen('/', "\r\n\t/ ", 3)) + header
}

fn form(tags: &str) -> crate::Canonicalization {
    let is_relaxed = tags.contains("/relaxed");
    [
        crate::Canonicalization::Simple,
        crate::Canonicalization::Relaxed,
    ][usize::from(is_relaxed)]
}

fn limit(tags: &str) -> Option<u64> {
    let (_, behind) = tags.split_once("l=")?;
    behind.parse().ok()
}

fn texts(texts: &[&str]) -> Answer {
    Answer::Texts(texts.iter().map(|text| Box::from(*text)).collect())
}

/// What comes of the signatures of a message, where each key is this.
fn verify(header: &str, body: &str, answer: &Answer, now: u64) -> Vec<VerifiedSignature> {
    let mut verifier = Verifier::new(header.as_bytes(), Sought::SIGNATURES);
    verifier.push(body.as_bytes());
    let mut verification = verifier.finish(Timestamp::from_millis(now * 1000));
    for _ in 0..=SIGNATURES_MAX {
        match verification.step() {
            Step::Ask(name) => verification.on_answer(name, answer.clone()),
            Step::Done(verified) => return verified.signatures,
        }
    }
    panic!("it asks more often than there are signatures");
}

/// What comes of the one signature that says this, made by the RSA key and published by this text.
fn come_of(tags: &str, published: &str) -> String {
    let header = signed(tags, &RSA, HEADER, BODY);
    told(&verify(&header, BODY, &texts(&[published]), NOW)[0])
}

fn told(verified: &VerifiedSignature) -> String {
    format!("{}: {}", verified.result(), verified.reason)
}

#[test]
fn good_signatures_pass_in_every_form() {
    for form in [
        "simple",
        "relaxed",
        "simple/relaxed",
        "relaxed/simple",
        "relaxed/relaxed",
    ] {
        let tags = TAGS.replace("relaxed/relaxed", form);
        assert_eq!(come_of(&tags, &record(&RSA)), "pass: good", "{form}");
    }
    let key = PrivateKey::generate(Algorithm::Ed25519Sha256).expect("a key");
    let tags = TAGS.replace("rsa-sha256", "ed25519-sha256");
    let header = signed(&tags, &key, HEADER, BODY);
    let verified = verify(&header, BODY, &texts(&[&record(&key)]), NOW);
    assert_eq!(told(&verified[0]), "pass: good");
    let signatory = &verified[0].signatory;
    assert_eq!(
        signatory.domain.as_ref().map(Domain::as_str),
        Some("b.example")
    );
    assert_eq!(signatory.selector.as_ref().map(Domain::as_str), Some("k"));
    assert_eq!(signatory.identity.as_deref(), Some("@b.example"));
    assert_eq!(signatory.algorithm, Some(Algorithm::Ed25519Sha256));
}

#[test]
fn what_a_signature_or_key_says_counts() {
    let good = record(&RSA);
    let with = |tag: &str| format!("{TAGS}; {tag}");
    let key = |tag: &str| format!("{good}; {tag}");
    let exact = key("t=s");
    let table = [
        // In the relaxed form, the body has 15 octets.
        (with("l=15"), &*good, "pass: good"),
        (
            with("l=5"),
            &good,
            "neutral: only 5 of 15 octets of the body are signed",
        ),
        (with("x=999999701"), &good, "pass: good"),
        (with("x=999999699"), &good, "policy: expired"),
        (with("t=1000000300"), &good, "pass: good"),
        (with("t=1000000301"), &good, "policy: signed in the future"),
        (with("i=x@y.b.example"), &good, "pass: good"),
        (
            with("i=x@y.b.example"),
            &exact,
            "permerror: key is not for domains below its own",
        ),
        (with("i=x@b.example"), &exact, "pass: good"),
        (
            with("i=x@c.example"),
            &good,
            "permerror: i= is not within d=",
        ),
        (
            TAGS.replace("rsa-sha256", "rsa-sha1"),
            &good,
            "permerror: rsa-sha1 counts no more",
        ),
        (TAGS.to_owned(), "v=spf1 -all", "permerror: no key"),
        (TAGS.to_owned(), "v=DKIM1; p=", "permerror: key revoked"),
        (
            TAGS.to_owned(),
            &key("h=sha1"),
            "permerror: key is not for sha256",
        ),
        (
            TAGS.replace("rsa-sha256", "ed25519-sha256"),
            &good,
            "permerror: key is of another algorithm",
        ),
    ];
    for (tags, published, expected) in table {
        assert_eq!(come_of(&tags, published), expected, "{tags} {published}");
    }
}

#[test]
fn lengths_beyond_the_body_are_wrong() {
    assert_eq!(
        come_of(&format!("{TAGS}; l=16"), &record(&RSA)),
        "permerror: l= is more than the body has"
    );
}

#[test]
fn what_was_changed_is_named() {
    let good = texts(&[&record(&RSA)]);
    let header = signed(TAGS, &RSA, HEADER, BODY);
    let first = |header: &str, body: &str| told(&verify(header, body, &good, NOW)[0]);
    assert_eq!(first(&header, "Hello\r\n world"), "pass: good");
    assert_eq!(first(&header, "Hello\r\n world!"), "fail: body changed");
    assert_eq!(first(&header.replace("by x", "by y"), BODY), "pass: good");
    assert_eq!(
        first(&header.replace("c@d", "d@d"), BODY),
        "fail: header changed"
    );
    // The names stand twice, so nothing may be added.
    let second = format!("{header}To: x@x.example\r\n");
    assert_eq!(first(&second, BODY), "fail: header changed");
    let other = PrivateKey::generate(Algorithm::RsaSha256).expect("a key");
    let other = texts(&[&record(&other)]);
    assert_eq!(
        told(&verify(&header, BODY, &other, NOW)[0]),
        "fail: header changed"
    );
}

#[test]
fn keys_that_prove_nothing_do_not_count() {
    // An RSA key of 512 bits, published as all are.
    let short = "p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALkkeVJfpBC1E8/mxq3yGiX8OZ/Iv8TG31g8nv/Dia1B\
                 Tz5Zs+s94nOnO73aKYAgOpaaaF0x1WRIAJ4DOLhWaq0CAwEAAQ==";
    assert_eq!(
        come_of(TAGS, short),
        "policy: RSA key of 512 bits is too short"
    );
    let header = signed(TAGS, &RSA, HEADER, BODY);
    let good = record(&RSA);
    let two = texts(&[&good, short]);
    assert_eq!(
        told(&verify(&header, BODY, &two, NOW)[0]),
        "permerror: several keys at one name"
    );
    let verified = verify(&header, BODY, &Answer::CannotTell, NOW);
    assert_eq!(told(&verified[0]), "temperror: DNS did not answer");
    let testing = texts(&[&format!("{good}; t=y")]);
    let verified = verify(&header, BODY, &testing, NOW);
    assert!(verified[0].is_testing && verified[0].result() == DkimResult::Pass);
}

#[test]
fn long_keys_count() {
    let key = RsaKeyPair::generate(KeySize::Rsa4096).expect("a key");
    let key = PrivateKey::Rsa(key);
    let header = signed(TAGS, &key, HEADER, BODY);
    let verified = verify(&header, BODY, &texts(&[&record(&key)]), NOW);
    assert_eq!(told(&verified[0]), "pass: good");
}

#[test]
fn of_many_signatures_a_few_are_looked_at() {
    let good = texts(&[&record(&RSA)]);
    assert_eq!(verify(HEADER, BODY, &good, NOW), []);
    let mut header = signed(TAGS, &RSA, HEADER, BODY);
    header = signed(
        &TAGS.replace("from:to", "from:dkim-signature:to"),
        &RSA,
        &header,
        BODY,
    );
    let verified = verify(&header, BODY, &good, NOW);
    assert_eq!(
        verified.iter().map(told).collect::<Vec<_>>(),
        ["pass: good", "pass: good"]
    );
    header.insert_str(
        0,
        "DKIM-Signature: none\r\nDKIM-Signature: v=1; d=x.example; s=x\r\n",
    );
    let verified = verify(&header, BODY, &good, NOW);
    assert_eq!(told(&verified[0]), "permerror: it is no list of tags");
    assert_eq!(told(&verified[1]), "permerror: a= is missing");
    assert_eq!(
        verified[1].signatory.domain.as_ref().map(Domain::as_str),
        Some("x.example")
    );
    assert_eq!(verified.len(), 4);
    let many = "DKIM-Signature: none\r\n".repeat(20) + &header;
    let verification =
        Verifier::new(many.as_bytes(), Sought::SIGNATURES).finish(Timestamp::default());
    assert_eq!(verification.passed_over(), 24 - SIGNATURES_MAX);
    assert!(
        matches!(verification.step(), Step::Done(done) if done.signatures.len() == SIGNATURES_MAX)
    );
}

proptest! {
    #[test]
    fn no_input_panics(
        tags in "((DKIM-Signature:|from:|h=|b=|bh=|l=9|v=1|a=rsa-sha256|d=|s=|i=@|t=|x=9|c=|q=)?[ -~\r\n\t\u{fc}]{0,9};?){0,12}",
        key in "((v=DKIM1|p=|k=|t=|h=|s=)?[ -~]{0,9};?){0,6}",
        body in "[a \r\n]{0,9}",
    ) {
        for header in [tags.clone(), format!("DKIM-Signature:{TAGS}; bh={tags}"), format!("DKIM-Signature:{tags}")] {
            verify(&header, &body, &texts(&[&key]), NOW);
        }
        let header = signed(TAGS, &RSA, "From: x\r\n", &body);
        verify(&header, &body, &texts(&[&key]), NOW);
    }

    #[test]
    fn no_chain_panics(
        fields in "((ARC-(Seal|Message-Signature|Authentication-Results):)?(i=[0-3];|h=from|h=|b=|bh=|cv=(none|pass|fail)|a=rsa-sha256|d=a.b|s=k|;|[ -~\r\n\t\u{fc}]{0,5}){0,7}\r\n){0,9}",
        key in "((v=DKIM1|p=|k=|t=|h=|s=)?[ -~]{0,9};?){0,6}",
    ) {
        chain(&fields, &texts(&[&key]));
        chain(&fields, &Answer::CannotTell);
    }
}

/// A set of fields that make sense, but for what they sign.
fn set(instance: usize) -> String {
    let status = if instance == 1 { "none" } else { "pass" };
    let signed = "a=rsa-sha256; d=b.example; s=k; b=AAAA";
    let hash = "A".repeat(43);
    format!(
        "ARC-Seal: i={instance}; cv={status}; {signed}\r\n\
         ARC-Message-Signature: i={instance}; h=from; bh={hash}=; {signed}\r\n\
         ARC-Authentication-Results: i={instance}; b.example; none\r\n"
    )
}

fn chain(header: &str, answer: &Answer) -> Chain {
    let mut verifier = Verifier::new(header.as_bytes(), Sought::CHAIN);
    verifier.push(BODY.as_bytes());
    let mut verification = verifier.finish(Timestamp::default());
    loop {
        match verification.step() {
            Step::Ask(name) => verification.on_answer(name, answer.clone()),
            Step::Done(verified) => return verified.chain.expect("it was sought"),
        }
    }
}

#[test]
fn a_chain_is_as_long_as_the_standard_allows() {
    let sets = |count: usize| (1..=count).map(set).collect::<String>() + HEADER;
    let why = |count, answer| chain(&sets(count), answer).reason.to_string();
    let key = texts(&[&record(&RSA)]);
    assert_eq!(why(0, &key), "no chain");
    assert_eq!(why(50, &key), "message signature 50: body changed");
    assert_eq!(chain(&sets(50), &key).links.len(), 50);
    assert_eq!(why(51, &key), "more than 50 instances");
    let unknown = chain(&sets(2), &Answer::CannotTell);
    assert!(unknown.cannot_be_told());
    assert_eq!(
        unknown.reason.to_string(),
        "message signature 2: DNS did not answer"
    );
    assert_eq!(unknown.oldest_pass, None);
}

#[test]
fn what_is_wrong_with_a_chain_is_named() {
    let good = set(1) + &set(2);
    let table = [
        ("i=1; cv", "i=; cv", "a field of the chain has no instance"),
        ("i=1; cv", "i=0; cv", "a field of the chain has no instance"),
        (
            "i=1; cv",
            "i=+1; cv",
            "a field of the chain has no instance",
        ),
        ("i=1; cv", "i=3; cv", "an instance lacks a field"),
        (
            "i=1; cv",
            "i=2; cv",
            "an instance has two fields of one name",
        ),
        (
            "i=1; cv",
            "i; cv",
            "a field of the chain is no list of tags",
        ),
        ("cv=none", "cv=maybe", "seal 1: cv= is unknown"),
        ("cv=none", "h=from; cv=none", "seal 1: it has h="),
        (
            "cv=none; a=rsa-sha256",
            "cv=none; a=rsa-sha1",
            "seal 1: rsa-sha1 counts no more",
        ),
        (
            "cv=none; a=rsa-sha256; d=b.example",
            "cv=none; a=rsa-sha256",
            "seal 1: d= names no domain",
        ),
        (
            "i=2; h=from",
            "i=2; h=from:ARC-Seal",
            "message signature 2: a seal is signed",
        ),
        (
            "i=2; h=from",
            "i=2; h=to",
            "message signature 2: From is not signed",
        ),
    ];
    for (old, new, expected) in table {
        assert!(good.contains(old), "{old}");
        let fields = good.replacen(old, new, 1) + HEADER;
        let found = chain(&fields, &texts(&[&record(&RSA)]));
        assert_eq!(found.reason.to_string(), expected, "{new}");
        assert_eq!(found.result(), crate::ArcResult::Fail);
    }
}

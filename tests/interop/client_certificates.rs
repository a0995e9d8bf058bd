//! Certificates of clients: whose names count, what is pinned, and that none costs its client the
//! connection.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::authority::{Authority, Pair};
use crate::client::Dialogue;
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::program::{Ran, feed, run};
use crate::relay::Relay;

/// How the relay answers a client that shows `pair` when it asks to relay.
fn asked_by(relay: &Relay, listener: &str, pair: &Pair) -> u16 {
    let client = Encrypted::after_starttls(relay.network.stranger(), relay.listener(listener));
    // Without this openssl shows no short key.
    let client = client.with(&["-cipher", "DEFAULT@SECLEVEL=0"]);
    let mut dialogue: Dialogue = client.showing(pair).ready();
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.say("RCPT TO:<bob@elsewhere.test>").code
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Public authorities have stopped to issue certificates for clients.
#[test]
fn a_certificate_for_servers_relays_by_name_only_where_the_listener_says_so() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let settings = format!(
        "[tls]\n{}client_ca = {:?}\n[listener.strict]\nbind = \"127.0.0.1:0\"\n\
         relay.certificates = [\"branch.test\"]\n[listener.lenient]\nbind = \"127.0.0.1:0\"\n\
         client_ca_server_purpose = true\nrelay.certificates = [\"branch.test\"]\n",
        ours.issue("relay.test").settings(),
        ours.certificate(),
    );
    let relay = Relay::start(Network::new(), &settings);
    let cases = [
        (ours.issue_only("branch.test", "clientAuth"), 250, 250),
        (ours.issue_only("branch.test", "serverAuth"), 550, 250),
        (ours.issue_only("other.test", "serverAuth"), 550, 550),
        (theirs.issue_only("branch.test", "serverAuth"), 550, 550),
    ];
    for (pair, strict, lenient) in &cases {
        let case = pair.certificate.display();
        assert_eq!(asked_by(&relay, "strict", pair), *strict, "{case}");
        assert_eq!(asked_by(&relay, "lenient", pair), *lenient, "{case}");
    }
    relay.wait_for_log(&["\"trust\":\"unknown\"", "client_ca_server_purpose"]);
}

#[test]
fn a_server_purpose_without_an_authority_of_our_own_is_refused() {
    let relay = Relay::prepare(Network::new(), "[tls]\nclient_ca_server_purpose = true\n");
    let ran = relay.command(&["config", "check"]);
    assert_eq!(ran.code, 78, "{}", ran.text());
    assert!(ran.text().contains("needs a client_ca"), "{}", ran.text());
}

/// Lifetimes of certificates become shorter than those would accept who write configurations.
#[test]
fn a_pinned_key_outlives_its_certificate() {
    let authority = Authority::new();
    let device = authority.issue("device.test");
    let printed = fingerprints(&device.certificate);
    let key = printed["key"].as_str().expect("the key's pin").to_owned();
    let settings = format!("certificates = [\"{key}\"]\n");
    let settings =
        format!("[listener.devices]\nbind = \"127.0.0.1:0\"\n[listener.devices.relay]\n{settings}");
    let relay = Relay::start(Network::new(), &settings);
    let renewed = authority.renew(&device, "device.test");
    assert_ne!(renewed.fingerprint(), device.fingerprint());
    assert_eq!(asked_by(&relay, "devices", &device), 250);
    assert_eq!(asked_by(&relay, "devices", &renewed), 250);
    let other = authority.issue("device.test");
    assert_eq!(asked_by(&relay, "devices", &other), 550);
    // What the log says can be written into the configuration.
    relay.wait_for_log(&["encrypted", &renewed.fingerprint(), &key]);
    let check = |shown: &str| {
        let client = relay.network.stranger().to_string();
        let words = [
            "relay",
            "check",
            "--listener",
            "devices",
            "--client",
            &client,
        ];
        let more = ["--rcpt", "bob@elsewhere.test", "--certificate", shown];
        relay.command(&[&words[..], &more[..]].concat())
    };
    let ran = check(&key).expect_code(0);
    assert!(ran.out.contains(&key[..20]), "{}", ran.out);
    check(&other.fingerprint()).expect_code(1);
}

/// An application that may relay by its key, and write to some recipients only.
#[test]
fn a_holder_writes_to_those_alone_whom_the_certificate_may_write_to() {
    let authority = Authority::new();
    let (staging, live) = (
        authority.issue("staging.test"),
        authority.issue("live.test"),
    );
    let key = |pair: &Pair| format!("spki:sha256:{}", key_digest(pair));
    let settings = format!(
        "[listener.apps]\nbind = \"127.0.0.1:0\"\nrelay.certificates = [{:?}, {:?}]\n\
         [[send_only_to]]\ncertificates = [{:?}]\nrecipients = \"ops@elsewhere.test\"\n",
        key(&staging),
        key(&live),
        key(&staging)
    );
    let relay = Relay::start(Network::new(), &settings);
    let ask = |pair: &Pair, to: &str| {
        let client = Encrypted::after_starttls(relay.network.stranger(), relay.listener("apps"));
        let mut dialogue: Dialogue = client.showing(pair).ready();
        dialogue.ask("MAIL FROM:<ann@client.test>", 250);
        dialogue.say(&format!("RCPT TO:<{to}>")).code
    };
    assert_eq!(ask(&staging, "ops@elsewhere.test"), 250);
    assert_eq!(ask(&staging, "bob@elsewhere.test"), 550);
    assert_eq!(ask(&live, "bob@elsewhere.test"), 250);
}

fn fingerprints(file: &Path) -> Value {
    let ran = cert_fingerprint(&["--json", "cert", "fingerprint", &text(file)]).expect_code(0);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn cert_fingerprint(words: &[&str]) -> Ran {
    run(crate::relay::binary(), words)
}

/// SHA-256 of the public key, by openssl.
fn key_digest(pair: &Pair) -> String {
    let certificate = text(&pair.certificate);
    let key = run(
        "openssl",
        &["x509", "-in", &certificate, "-noout", "-pubkey"],
    )
    .expect_code(0);
    let der = text(&pair.certificate.with_extension("spki"));
    let words = ["pkey", "-pubin", "-outform", "DER", "-out", &der];
    feed("openssl", &words, key.out.as_bytes()).expect_code(0);
    let ran = run("openssl", &["dgst", "-sha256", "-r", &der]).expect_code(0);
    ran.out
        .split_whitespace()
        .next()
        .expect("a digest")
        .to_owned()
}

#[test]
fn cert_fingerprint_prints_what_is_pinned_and_what_is_published() {
    let authority = Authority::new();
    let pair = authority.issue("mail.relay.test");
    let digest = key_digest(&pair);
    let expected = format!(
        "mail.relay.test\ncertificate  {}\nkey          spki:sha256:{digest}\n\
         TLSA         _25._tcp.mail.relay.test. IN TLSA 3 1 1 {digest}\n",
        pair.fingerprint()
    );
    let der = pair.certificate.with_extension("der");
    let words = [
        "x509",
        "-in",
        &text(&pair.certificate),
        "-outform",
        "DER",
        "-out",
        &text(&der),
    ];
    run("openssl", &words).expect_code(0);
    for file in [&pair.certificate, &der] {
        let ran = cert_fingerprint(&["cert", "fingerprint", &text(file)]).expect_code(0);
        assert_eq!(ran.out, expected);
    }
    for file in [&pair.key, Path::new("/none/such.pem")] {
        let ran = cert_fingerprint(&["cert", "fingerprint", &text(file)]).expect_code(1);
        assert!(ran.err.contains(&text(file)), "{}", ran.err);
    }
}

/// A session bears the client's certificate with it, and what that is worth differs.
#[test]
fn a_session_is_not_taken_up_under_other_rules_for_certificates() {
    let authority = Authority::new();
    let branch = authority.issue("branch.test");
    let settings = |rules: &str| {
        format!(
            "[tls]\n{}client_ca = {:?}\n[listener.one]\nbind = \"127.0.0.1:0\"\n[listener.two]\nbind = \"127.0.0.1:0\"\n\
             [listener.listed]\nbind = \"127.0.0.1:0\"\nrelay.certificates = [{rules}]\n\
             [listener.lenient]\nbind = \"127.0.0.1:0\"\nclient_ca_server_purpose = true\n\
             [listener.none]\nbind = \"127.0.0.1:0\"\nsession_tickets = 0\n",
            authority.issue("relay.test").settings(),
            authority.certificate(),
        )
    };
    let relay = Relay::start(Network::new(), &settings("\"branch.test\""));
    let folder = relay.folder().to_owned();
    for version in ["-tls1_3", "-tls1_2"] {
        let session = text(&folder.join(format!("session{version}")));
        let said = |listener: &str, option: &str| {
            let to = relay.listener(listener);
            said_of_session(&relay, to, &branch, &[version, option, &session])
        };
        assert!(said("one", "-sess_out").contains("New, "), "{version}");
        for (listener, taken) in [
            ("one", true),
            // Nothing tells it from the first.
            ("two", true),
            ("listed", false),
            ("lenient", false),
            ("none", false),
        ] {
            let said = said(listener, "-sess_in");
            assert_eq!(
                said.contains("Reused, "),
                taken,
                "{version} {listener}: {said}"
            );
        }
        assert!(said("listed", "-sess_out").contains("New, "), "{version}");
        assert!(said("listed", "-sess_in").contains("Reused, "), "{version}");
        relay.write_config(&settings("\"other.test\""));
        relay.command(&["reload"]).expect_code(0);
        assert!(said("listed", "-sess_in").contains("New, "), "{version}");
        relay.write_config(&settings("\"branch.test\""));
        relay.command(&["reload"]).expect_code(0);
    }
}

/// What openssl says of a whole session: it reads until the relay closes, and so what comes behind
/// the handshake too.
fn said_of_session(relay: &Relay, to: SocketAddr, pair: &Pair, options: &[&str]) -> String {
    let client = Encrypted::after_starttls(relay.network.stranger(), to).showing(pair);
    client
        .with(options)
        .with(&["-ign_eof"])
        .saying(b"QUIT\r\n")
        .text()
}

/// Clients by OpenSSL send what they have, whoever is named as an authority; so does gnutls-cli.
#[test]
fn no_certificate_of_a_client_ends_its_session() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (device, old) = (theirs.itself(), theirs.version_1("old.test"));
    let key = fingerprints(&old.certificate)["key"].clone();
    let weak = theirs.issue_by(&["-newkey", "rsa:1024"], "weak.test");
    let short = weak.fingerprint();
    let settings = format!(
        "[tls]\n{}client_ca = {:?}\n[listener.pinned]\nbind = \"127.0.0.1:0\"\n\
         relay.certificates = [\"{}\", \"{}\", {key}]\n",
        ours.issue("relay.test").settings(),
        ours.certificate(),
        device.fingerprint(),
        short,
    );
    let relay = Relay::start(Network::new(), &settings);
    let cases = [
        (
            ours.issue("branch.test"),
            "\"trust\":\"ok\"",
            "branch.test",
            550,
        ),
        (
            theirs.issue("branch.test"),
            "signed by nobody we trust",
            "branch.test",
            550,
        ),
        (device, "an authority's own", "Authority of the tests", 250),
        (old, "X.509 version 1", "old.test", 250),
        (weak, "too short", "weak.test", 550),
    ];
    for (pair, trust, name, pinned) in &cases {
        let code = asked_by(&relay, "internet", pair);
        assert_eq!(code, 550, "{trust}");
        assert_eq!(asked_by(&relay, "pinned", pair), *pinned, "{trust}");
        relay.wait_for_log(&[&pair.fingerprint(), trust]);
        if pair.fingerprint() == short {
            // GnuTLS gives up by itself where it would have to sign with such a key.
            continue;
        }
        let ran = gnutls(relay.listener("pinned"), pair);
        let (said, name) = (ran.text(), name);
        assert!(said.contains("Handshake was completed"), "{name}: {said}");
        assert!(said.contains("221 2.0.0"), "{name}: {said}");
    }
}

fn gnutls(to: SocketAddr, pair: &Pair) -> Ran {
    let (port, host) = (to.port().to_string(), to.ip().to_string());
    let (certificate, key) = (text(&pair.certificate), text(&pair.key));
    let words = [
        "--no-ca-verification",
        "--starttls-proto=smtp",
        "--crlf",
        "--x509certfile",
        &certificate,
        "--x509keyfile",
        &key,
        "--port",
        &port,
        &host,
    ];
    feed("gnutls-cli", &words, b"QUIT\n")
}

/// As openssl judges them, and our own listener.
#[test]
fn a_private_authority_of_our_own_making_knows_its_clients() {
    let mut relay = Relay::prepare(Network::new(), "");
    let folder = relay.data_dir().with_file_name("authority");
    let made = |relay: &Relay, name: &str, code: u8| {
        let words = [
            "cert",
            "client",
            name,
            "--json",
            "--authority",
            &text(&folder),
        ];
        let ran = relay.command(&words).expect_code(code.into());
        (ran.text(), serde_json::from_str::<Value>(&ran.out).ok())
    };
    let pair = |relay: &Relay, name: &str| {
        let made = made(relay, name, 0).1.expect("what was made");
        let path = |key: &str| made[key].as_str().expect("a path").into();
        Pair {
            certificate: path("certificate"),
            key: path("key"),
        }
    };
    let branch = pair(&relay, "Branch.test");
    let other = pair(&relay, "other.test");
    let authority = folder.join("authority.crt");
    for (purpose, code) in [("sslclient", 0), ("sslserver", 2)] {
        for pair in [&branch, &other] {
            let (ours, own) = (text(&authority), text(&pair.certificate));
            let words = [
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &ours,
                &own,
            ];
            run("openssl", &words).expect_code(code);
        }
    }
    for key in [&branch.key, &other.key, &folder.join("authority.key")] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&key.metadata().expect("a key").permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
    // What is there stays, and what is no authority signs nothing.
    assert!(
        made(&relay, "branch.test", 1)
            .0
            .contains("branch.test.key: File exists")
    );
    relay.write_config(&format!(
        "[tls]\nclient_ca = {authority:?}\n[listener.branches]\nbind = \"127.0.0.1:0\"\n\
         relay.certificates = [\"branch.test\"]\n"
    ));
    relay.run();
    assert_eq!(asked_by(&relay, "branches", &branch), 250);
    assert_eq!(asked_by(&relay, "branches", &other), 550);
    std::fs::copy(&branch.certificate, &authority).expect("another certificate");
    assert!(
        made(&relay, "third.test", 1)
            .0
            .contains("is not the key of")
    );
    std::fs::copy(&branch.key, folder.join("authority.key")).expect("its key");
    assert!(made(&relay, "third.test", 1).0.contains("of no authority"));
}

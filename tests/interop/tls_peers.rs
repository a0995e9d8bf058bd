//! Other people's TLS against the relay's: NSS, GnuTLS, wolfSSL, OpenSSL, and what each is peculiar
//! about.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use serde_json::Value;

use crate::authority::{Authority, ECDSA, ED25519, Pair, RSA};
use crate::client::message;
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::program::{Ran, feed, run};
use crate::relay::Relay;
use crate::server::RecordingServer;

const DEVICES: &str = "[listener.devices]\nbind = \"127.0.0.1:0\"\ntls = \"implicit\"\n";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn script(name: &str, arguments: &[&str]) -> Ran {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = text(&path.join("../../tests/interop/python").join(name));
    run("python3", &[&[path.as_str()], arguments].concat())
}

/// A handshake by NSS that trusts `trusted` and wants the name `relay.test`.
fn nss(relay: &Relay, trusted: &Path, options: &[&str]) -> Ran {
    let to = relay.listener("devices");
    let folder = TempDir::new().expect("a temporary folder");
    let database = format!("sql:{}", text(folder.path()));
    run("certutil", &["-N", "-d", &database, "--empty-password"]).expect_code(0);
    let trusted = text(trusted);
    let words = [
        "-A", "-d", &database, "-n", &trusted, "-t", "CTP,,", "-i", &trusted,
    ];
    run("certutil", &words).expect_code(0);
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let words = [
        "-h",
        &host,
        "-p",
        &port,
        "-a",
        "relay.test",
        "-d",
        &database,
    ];
    run("tstclnt", &[&words[..], &["-Q"], options].concat())
}

/// Devices that know RSA alone encrypt with a relay that has no certificate of its own; NSS minds
/// what the key is for.
#[test]
fn a_self_signed_rsa_certificate_is_one_that_nss_takes() {
    let relay = Relay::start(Network::new(), DEVICES);
    let shown = relay.data_dir().join("tls/self-signed-rsa.crt");
    // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    nss(&relay, &shown, &["-V", "tls1.2:tls1.2", "-c", ":C02F"]).expect_code(0);
    relay.wait_for_log(&["encrypted", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    // Whoever knows ECDSA gets that.
    let shown = relay.data_dir().join("tls/self-signed.crt");
    nss(&relay, &shown, &["-V", "tls1.2:tls1.2", "-c", ":C02B"]).expect_code(0);
    relay.wait_for_log(&["encrypted", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]);
    assert!(usages(&relay.data_dir().join("tls/self-signed-rsa.crt")).contains("Key Encipherment"));
    assert!(!usages(&shown).contains("Key Encipherment"));
}

fn usages(certificate: &Path) -> String {
    let words = [
        "x509",
        "-in",
        &text(certificate),
        "-noout",
        "-ext",
        "keyUsage",
    ];
    run("openssl", &words).expect_code(0).out
}

fn settings(pairs: &[&Pair]) -> String {
    let certificates: Vec<_> = pairs.iter().map(|pair| &pair.certificate).collect();
    let keys: Vec<_> = pairs.iter().map(|pair| &pair.key).collect();
    format!("[tls]\ncertificate = {certificates:?}\nkey = {keys:?}\n{DEVICES}")
}

/// Two certificates for one name differ in their keys alone.
#[test]
fn of_two_certificates_the_client_gets_the_one_whose_signature_it_knows() {
    let authority = Authority::new();
    let new = authority.issue_by(ED25519, "relay.test");
    let old = authority.issue_by(RSA, "relay.test");
    let relay = Relay::start(Network::new(), &settings(&[&new, &old]));
    let to = relay.listener("devices");
    let client = Encrypted::from_the_start(relay.network.stranger(), to);
    let cases = [
        (vec!["-sigalgs", "ed25519"], &new),
        (vec!["-sigalgs", "rsa_pss_rsae_sha256"], &old),
        (
            vec!["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            &old,
        ),
        (vec!["-sigalgs", "rsa_pss_rsae_sha256:ed25519"], &new),
    ];
    for (options, pair) in cases {
        let shown = client.clone().with(&options).certificate();
        let shown = crate::authority::fingerprint(&shown);
        assert_eq!(shown, pair.fingerprint(), "{options:?}");
    }
    // NSS knows no Ed25519.
    nss(&relay, &authority.certificate(), &[]).expect_code(0);
}

#[test]
fn ed25519_alone_is_warned_of_and_a_pss_key_refused_by_name() {
    let authority = Authority::new();
    let new = authority.issue_by(ED25519, "relay.test");
    let relay = Relay::start(Network::new(), &settings(&[&new]));
    relay.wait_for_log(&["WARN", "Ed25519 alone", &text(&new.certificate)]);
    let ran = relay.command(&["config", "check"]).expect_code(0);
    assert!(ran.text().contains("Ed25519 alone"), "{}", ran.text());
    let pss = ["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"];
    let (pss, good) = (
        authority.issue_by(&pss, "relay.test"),
        authority.issue_by(ECDSA, "relay.test"),
    );
    let relay = Relay::prepare(Network::new(), &settings(&[&good, &pss]));
    let told = format!("{}: an RSASSA-PSS key cannot be used", text(&pss.key));
    for command in [&["run"][..], &["config", "check"]] {
        let ran = relay.command(command).expect_code(78);
        assert!(ran.text().contains(&told), "{}", ran.text());
    }
}

/// wolfSSL 5.5 ends a good session at the first ticket of TLS 1.3.
#[test]
fn a_device_that_stumbles_over_tickets_is_served_without_and_the_log_says_so() {
    let more = format!(
        "{DEVICES}session_tickets = 0\n[listener.tickets]\nbind = \"127.0.0.1:0\"\ntls = \"implicit\"\n"
    );
    let relay = Relay::start(Network::new(), &more);
    let session = |to: SocketAddr| {
        let (host, port) = (to.ip().to_string(), to.port().to_string());
        script("wolfssl_client.py", &[&host, &port])
    };
    let ran = session(relay.listener("devices")).expect_code(0);
    assert!(ran.out.ends_with("221 2.0.0 Bye\n"), "{}", ran.text());
    let ran = session(relay.listener("tickets"));
    assert_ne!(ran.code, 0, "{}", ran.text());
    relay.wait_for_log(&["encryption broken off", "tickets", "session_tickets = 0"]);
}

/// RFC 8446 section 6.1: what comes behind close_notify is ignored. The session ends there, and
/// with it a message that is not whole.
#[test]
fn the_end_of_tls_within_a_message_is_the_end_of_it() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &hosted);
    let (host, port) = (
        relay.address().ip().to_string(),
        relay.address().port().to_string(),
    );
    let envelope = "MAIL FROM:<ann@client.test>\\nRCPT TO:<bob@hosted.test>";
    let data = format!("{envelope}\\nDATA");
    let cases = [
        // The control: this one is whole.
        (&data, "Subject: whole\\n\\nText\\n.\\n", "NOOP\\n", 1),
        (&data, "Subject: cut\\n\\nText\\n", ".\\n", 0),
        (&data, "Subject: cut\\n\\nText\\n", "more\\n.\\nQUIT\\n", 0),
        (&data, "Subject: cut\\n\\nText\\n.", "\\n", 0),
        (
            &envelope.to_owned(),
            "BDAT 18 LAST\\nSubject:",
            " cut\\n\\nX\\n",
            0,
        ),
        (
            &envelope.to_owned(),
            "BDAT 4\\nSubj",
            "BDAT 10 LAST\\nect: cut\\n\\n",
            0,
        ),
        (
            &envelope.to_owned(),
            "BDAT 18",
            " LAST\\nSubject: cut\\n\\nX\\n",
            0,
        ),
    ];
    for (before, under, behind, accepted) in cases {
        let sessions = relay.log().matches("session ended").count();
        let words = [host.as_str(), &port, before, under, behind];
        let ran = script("cut_off.py", &words).expect_code(0);
        assert!(!ran.out.contains("\n5"), "{}", ran.text());
        let summary = crate::wait::until("the session's end", crate::wait::seconds(20), || {
            let log = relay.log();
            let ended = log.lines().filter(|line| line.contains("session ended"));
            ended.skip(sessions).last().map(str::to_owned)
        });
        let told = format!("\"accepted\":{accepted}");
        assert!(summary.contains(&told), "{under:?} {behind:?}: {summary}");
    }
    server.wait_for("whole");
    assert_eq!(server.count(), 1);
}

/// smtplib and swaks close with our farewell unread, which resets the connection; others send no
/// close_notify.
#[test]
fn after_quit_a_reset_is_a_normal_end() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &hosted);
    let to = relay.address().to_string();
    let swaks = [
        "-tls",
        "--server",
        &to,
        "--from",
        "ann@client.test",
        "--to",
        "bob@hosted.test",
    ];
    run(
        "swaks",
        &[&swaks[..], &["--h-Subject", "by-swaks"]].concat(),
    )
    .expect_code(0);
    let smtplib = "import smtplib, ssl, sys\n\
        context = ssl._create_unverified_context()\n\
        client = smtplib.SMTP(sys.argv[1], int(sys.argv[2]))\n\
        client.starttls(context=context)\n\
        client.sendmail('ann@client.test', 'bob@hosted.test', sys.stdin.read())\n\
        client.quit()\n";
    let (host, port) = (
        relay.address().ip().to_string(),
        relay.address().port().to_string(),
    );
    let words = ["-c", smtplib, &host, &port];
    feed("python3", &words, message("by-smtplib").as_bytes()).expect_code(0);
    server.wait_for("by-swaks");
    server.wait_for("by-smtplib");
    crate::wait::until_true("both sessions' end", crate::wait::seconds(20), || {
        relay.log().matches("session ended").count() == 2
    });
    let log = relay.log();
    assert_eq!(log.matches("\"end\":\"Quit\"").count(), 2, "{log}");
    assert!(
        !log.contains("broken off") && !log.contains("\"level\":\"ERROR\""),
        "{log}"
    );
}

/// The group of the key exchange and the kind of the handshake, in the log, in the trace, in rows and
/// counted.
#[test]
fn the_key_exchange_follows_the_client_and_is_told() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &hosted);
    let session = relay.folder().join("session.pem").display().to_string();
    // Of X448, the share that comes first, we know nothing, and ask for another one.
    for (number, (options, group, kind)) in [
        (["-groups", "X25519:P-256"], "X25519", "full"),
        (["-groups", "P-256:X25519"], "secp256r1", "full"),
        (["-groups", "P-384"], "secp384r1", "full"),
        (["-groups", "X448:P-256"], "secp256r1", "retried"),
        (["-sess_out", &session], "X25519", "full"),
        (["-sess_in", &session], "X25519", "resumed"),
    ]
    .into_iter()
    .enumerate()
    {
        let client = Encrypted::after_starttls(relay.network.stranger(), relay.address());
        let mut dialogue = client.with(&options).ready();
        let name = format!("shaken-{number}");
        let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &message(&name));
        assert_eq!(reply.code, 250, "{}", reply.text());
        let trace = server.wait_for(&name).header("Received").expect("a trace");
        assert!(trace.contains(&format!("key-exchange {group})")), "{trace}");
        let told = format!("\"group\":\"{group}\",\"handshake\":\"{kind}\"");
        relay.wait_for_log(&["encrypted", &told]);
        let id = reply.text().rsplit(' ').next().expect("an id").to_owned();
        let tracked = relay.command(&["--json", "track", "--events", &id, "state:received"]);
        let rows: Value = serde_json::from_str(&tracked.expect_code(0).out).expect("JSON");
        let tls = rows[0]["tls"].as_str().expect("how it was encrypted");
        let words: Vec<&str> = tls.split(' ').collect();
        assert_eq!(words[0], "TLSv1.3", "{tls}");
        assert_eq!(words[2..], [group, kind], "{tls}");
    }
    let metrics = relay.command(&["status", "--metrics"]).expect_code(0).out;
    for (kind, count) in [("full", 4), ("retried", 1), ("resumed", 1)] {
        let line = format!("gatepost_tls_handshakes_total{{kind=\"{kind}\"}} {count}\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
}

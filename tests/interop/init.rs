//! `gatepost init`: six answers become a relay that takes mail for its domain and refuses strangers, and
//! records that a name server takes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::authority::Authority;
use crate::client::{Dialogue, message, submit};
use crate::dns;
use crate::network::Network;
use crate::program::{self, Ran};
use crate::relay::{self, Relay};
use crate::server::RecordingServer;

/// Where no configuration is yet.
fn bare() -> Relay {
    let relay = Relay::prepare(Network::new(), "");
    fs::remove_file(relay.config()).expect("the configuration of the tests");
    relay
}

/// What `init` does not ask: nothing of this machine is used.
fn moved_to_loopback(relay: &Relay) {
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let text = text.replace("0.0.0.0:", &format!("{}:", relay.network.relay()));
    let text = text
        .replace(":25\"", ":0\"")
        .replace(":587\"", ":0\"\nkind = \"submission\"");
    let here = format!(
        "{}data_dir = {:?}\nconsole.bind = \"off\"\nspool.min_free = \"0MB\"\n{}",
        relay::account(),
        relay.data_dir(),
        dns::config_for(relay.network.name_server()).replace("[dns]\n", "dns."),
    );
    relay.write_whole_config(&(here + &text));
}

#[test]
fn flags_make_a_closed_relay_that_works() {
    let mut relay = bare();
    let network = relay.network;
    let mail_server = RecordingServer::start(network.mail_server());
    let server = mail_server.route().replace(['[', ']'], "");
    let ran = relay
        .command(&[
            "init",
            "--hostname",
            "relay.example.com",
            "--domain",
            "example.com",
            "--domain",
            "example.org",
            "--mail-server",
            &server,
            "--allow",
            &network.permitted().to_string(),
            "--allow",
            "users",
        ])
        .expect_code(0);
    assert!(
        ran.out.contains("CLOSED: no stranger can relay"),
        "{}",
        ran.text()
    );
    assert!(
        ran.err.is_empty() || ran.err.contains("no user `gatepost`"),
        "{}",
        ran.err
    );
    are_records(&ran.out);

    moved_to_loopback(&relay);
    relay.run();
    let mut stranger = Dialogue::ready(network.stranger(), relay.address());
    stranger.ask("MAIL FROM:<eve@elsewhere.test>", 250);
    stranger.ask("RCPT TO:<bob@elsewhere.test>", 550);
    stranger.ask("RCPT TO:<bob@example.org>", 250);
    let mut permitted = Dialogue::ready(network.permitted(), relay.address());
    permitted.ask("MAIL FROM:<ann@example.com>", 250);
    permitted.ask("RCPT TO:<bob@elsewhere.test>", 250);
    submit(
        network.stranger(),
        relay.address(),
        "eve@elsewhere.test",
        &["bob@example.com"],
        &message("first"),
    );
    mail_server.wait_for("first");
}

/// Whether a program of others reads these as a zone, and which records it finds.
fn are_records(told: &str) {
    let (_, records) = told.split_once("; To publish").expect("records");
    let (records, _) = records.split_once("\nNext:").expect("their end");
    let zone = format!(". 1 IN SOA ns. admin. 1 1 1 1 1\n; To publish{records}\n");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("zone");
    fs::write(&file, zone).expect("a zone");
    let read = program::run("ldns-read-zone", &[&file.display().to_string()]).expect_code(0);
    for begin in [
        "example.com. 1 IN MX 10 relay.example.com.",
        "example.org. 1 IN MX 10 relay.example.com.",
        "example.com. 1 IN TXT \"v=spf1 mx -all\"",
        "_dmarc.example.com. 1 IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@example.com\"",
        "_smtp._tls.example.org. 1 IN TXT \"v=TLSRPTv1;",
        "rsa._domainkey.example.com. 1 IN TXT \"v=DKIM1; k=rsa; p=",
        "relay.example.com. 1 IN TXT \"v=spf1 a -all\"",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = read.out.lines().any(|line| words(line).starts_with(begin));
        assert!(found, "{begin} in {}", read.out);
    }
    assert!(told.contains("IN PTR relay.example.com."), "{told}");
}

#[test]
fn a_configuration_that_is_there_stays() {
    let relay = Relay::prepare(Network::new(), "");
    let before = fs::read(relay.config()).expect("the configuration");
    let answers = ["--hostname", "relay.example.com", "--domain", "example.com"];
    let answers = [&["init"], &answers[..], &["--mail-server", "192.0.2.1"]].concat();
    let refused = relay.command(&answers).expect_code(1);
    assert!(refused.err.contains("is there already"), "{}", refused.err);
    assert_eq!(fs::read(relay.config()).expect("the configuration"), before);
    let told = relay.command(&[&answers[..], &["--force", "--json"]].concat());
    let told: Value = serde_json::from_str(&told.expect_code(0).out).expect("JSON");
    assert_eq!(told["verdict"], "closed");
    let key = relay.folder().join("dkim/rsa.example.com.key");
    let made = fs::read(&key).expect("a key");
    let again = relay.command(&[&answers[..], &["--force", "--json"]].concat());
    let again: Value = serde_json::from_str(&again.expect_code(0).out).expect("JSON");
    assert_eq!(again["records"], told["records"], "the key stays");
    assert_eq!(fs::read(&key).expect("a key"), made);
}

#[test]
fn each_answer_is_looked_at_at_once() {
    let relay = bare();
    let answers = "relay\nrelay.example.com\n\nexample.com example.org\n192.0.2.300\n192.0.2.1\n\
                   0.0.0.0/0\n192.0.2.0/24 users\n/nowhere/relay.crt\n\nsmtp.example.net:none\nsmtp.example.net:587\n";
    let ran = relay
        .command_with(&["init"], answers.as_bytes())
        .expect_code(0);
    for complaint in [
        "`relay` is no name that others find",
        "`192.0.2.300` is no server",
        "this configuration is an open relay",
        "/nowhere/relay.crt",
        "a port is a number",
    ] {
        assert!(ran.err.contains(complaint), "{complaint} in {}", ran.err);
    }
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    for line in [
        "hostname = \"relay.example.com\"",
        "route = \"[192.0.2.1]\"",
        "allow = [\"192.0.2.0/24\"]",
        "bind = \"0.0.0.0:587\"",
        "hosts = [\"[smtp.example.net]:587\"]",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let proof = relay.command(&["relay", "prove"]).expect_code(0);
    assert!(proof.out.contains("CLOSED"), "{}", proof.text());
}

#[test]
fn who_gives_no_answer_hears_what_is_missing() {
    let relay = bare();
    let ran = relay.command_with(&["init", "--hostname", "relay.example.com"], b"");
    assert!(ran.expect_code(2).err.contains("give --domain"));
    let ran = relay.command_with(&["init", "--domain", "nowhere"], b"relay.example.com\n");
    let why = ran.expect_code(2).err;
    assert!(why.contains("--domain: `nowhere` is no name"), "{why}");
    let ran = relay.command_with(
        &["init", "--hostname", "relay.example.com"],
        b"a\nb\nc\nd\ne\nf\n",
    );
    assert!(
        ran.expect_code(2)
            .err
            .contains("no answer that can be used")
    );
    assert!(!relay.config().exists(), "nothing is written");
}

/// On a terminal, as somebody sits at it.
#[test]
fn questions_are_asked_on_a_terminal() {
    let relay = bare();
    let config = relay.config();
    let command = format!("{} --config {} init", relay::binary(), config.display());
    let answers = b"relay.example.com\nexample.com\n192.0.2.1\n\n\n\n";
    let ran = program::feed("script", &["-qec", &command, "/dev/null"], answers);
    let ran = ran.expect_code(0);
    assert!(
        ran.out.contains("Domains whose mail comes in here"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("CLOSED"), "{}", ran.out);
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    assert!(text.contains("allow = [\"192.0.2.1\"]"), "{text}");
}

fn with_certificate(relay: &Relay, certificate: &Path, key: &Path) -> Ran {
    relay.command(&[
        "init",
        "--hostname",
        "relay.example.com",
        "--domain",
        "example.com",
        "--mail-server",
        "192.0.2.1",
        "--certificate",
        &certificate.display().to_string(),
        "--key",
        &key.display().to_string(),
    ])
}

#[test]
fn a_certificate_comes_with_its_records() {
    let relay = bare();
    let authority = Authority::new();
    let pair = authority.issue("relay.example.com");
    let other = authority.issue("other.example.com");
    let why = with_certificate(&relay, &pair.certificate, &other.key)
        .expect_code(2)
        .err;
    assert!(
        why.contains("--key") && why.contains("is not the key"),
        "{why}"
    );
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let why = with_certificate(&relay, &pair.certificate, &pair.key)
        .expect_code(2)
        .err;
    assert!(why.contains("other users may read"), "{why}");
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).expect("a mode");
    let told = with_certificate(&relay, &pair.certificate, &pair.key)
        .expect_code(0)
        .out;
    for record in [
        "_25._tcp.relay.example.com. IN TLSA 3 1 1 ",
        "_mta-sts.example.com. IN TXT \"v=STSv1; id=",
    ] {
        assert!(told.contains(record), "{record} in {told}");
    }
}

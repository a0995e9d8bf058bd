//! Certificates on both sides: which one the relay shows, how it gets new ones, and what a client's
//! is worth.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::authority::{Authority, Pair, fingerprint};
use crate::client::{Dialogue, message};
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

fn client_of(relay: &Relay) -> Encrypted {
    Encrypted::after_starttls(relay.network.stranger(), relay.address())
}

fn shown_by(relay: &Relay) -> String {
    fingerprint(&client_of(relay).certificate())
}

/// By a reload, or because the files have changed; sessions go on under the old one.
#[test]
fn a_new_certificate_is_shown_and_open_sessions_stay() {
    let authority = Authority::new();
    let [first, second, third] = [0; 3].map(|_| authority.issue("relay.test"));
    let [second_print, third_print] = [&second, &third].map(Pair::fingerprint);
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let settings = format!(
        "[tls]\n{}[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        first.settings(),
        server.route()
    );
    let relay = Relay::start(network, &settings);
    assert_eq!(shown_by(&relay), first.fingerprint());
    let mut open = client_of(&relay).ready();
    open.ask("MAIL FROM:<ann@client.test>", 250);
    second.replace(&first);
    relay.command(&["reload"]).expect_code(0);
    assert_eq!(shown_by(&relay), second_print);
    open.ask("RSET", 250);
    third.replace(&first);
    until_true("the third certificate", seconds(20), || {
        shown_by(&relay) == third_print
    });
    let reply = open.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("over-old-keys"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("over-old-keys");
}

/// A pair whose halves do not belong together leaves what runs as it is.
#[test]
fn a_certificate_without_its_key_is_not_taken() {
    let authority = Authority::new();
    let (pair, other) = (authority.issue("relay.test"), authority.issue("relay.test"));
    let print = pair.fingerprint();
    let relay = Relay::start(Network::new(), &format!("[tls]\n{}", pair.settings()));
    fs::copy(&other.certificate, &pair.certificate).expect("the certificate is copied");
    let ran = relay.command(&["reload"]);
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("key"), "{}", ran.text());
    assert_eq!(shown_by(&relay), print);
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let [first, second, wild] =
        ["relay.test", "other.test", "*.wild.test"].map(|name| authority.issue(name));
    let pairs = [&first, &second, &wild];
    let settings = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n",
        pairs.map(|pair| &pair.certificate),
        pairs.map(|pair| &pair.key),
    );
    let relay = Relay::start(Network::new(), &settings);
    let cases = [
        ("relay.test", &first),
        ("other.test", &second),
        ("OTHER.test", &second),
        ("mail.wild.test", &wild),
        ("unknown.test", &first),
    ];
    for (name, pair) in cases {
        let client = client_of(&relay).with(&["-servername", name]);
        assert_eq!(
            fingerprint(&client.certificate()),
            pair.fingerprint(),
            "{name}"
        );
    }
    let unnamed = client_of(&relay).with(&["-noservername"]);
    assert_eq!(fingerprint(&unnamed.certificate()), first.fingerprint());
}

#[test]
fn without_a_certificate_one_is_made_once() {
    let mut relay = Relay::start(Network::new(), "");
    let first = shown_by(&relay);
    assert!(relay.log().contains("self-signed"), "{}", relay.log());
    let shown = client_of(&relay).handshake().text();
    assert!(shown.contains("CN = relay.test"), "{shown}");
    assert!(relay.stop().success());
    relay.run();
    assert_eq!(shown_by(&relay), first);
    let files = files_below(&relay.data_dir());
    let keys = files.iter().filter(|(name, _)| name.ends_with(".key"));
    let modes: Vec<u32> = keys.map(|(_, mode)| mode & 0o777).collect();
    assert_eq!(modes, [0o600; 2]);
}

/// The names and modes of the files in the folders of `folder`.
fn files_below(folder: &Path) -> Vec<(String, u32)> {
    let folders = fs::read_dir(folder).expect("a folder").flatten();
    let files =
        folders.flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten().flatten());
    let described = files.map(|file| {
        let mode = file.metadata().expect("a file").permissions().mode();
        (file.file_name().to_string_lossy().into_owned(), mode)
    });
    described.collect()
}

#[test]
fn a_key_that_everybody_may_read_is_refused() {
    let pair = Authority::new();
    let pair = pair.issue("relay.test");
    let relay = Relay::prepare(Network::new(), &format!("[tls]\n{}", pair.settings()));
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o644)).expect("the mode");
    let ran = relay.command(&["run"]);
    assert_eq!(ran.code, 78, "{}", ran.text());
    let key = pair.key.display().to_string();
    assert!(ran.text().contains(&key), "{}", ran.text());
}

const FOREIGN: &str = "RCPT TO:<bob@elsewhere.test>";

fn asked_for_foreign(mut dialogue: Dialogue) -> u16 {
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.say(FOREIGN).code
}

#[test]
fn a_client_relays_by_its_certificate() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (branch, other) = (ours.issue("branch.test"), ours.issue("other.test"));
    // Nobody we know vouches for these two; one is listed as it is, the other has a listed name.
    let (listed, forged) = (theirs.issue("listed.test"), theirs.issue("branch.test"));
    let settings = format!(
        "[tls]\n{}client_ca = {:?}\n[listener.branches]\nbind = \"127.0.0.1:0\"\n\
         relay = {{ certificates = [\"branch.test\", \"{}\"] }}\n",
        ours.issue("relay.test").settings(),
        ours.certificate(),
        listed.fingerprint(),
    );
    let relay = Relay::start(Network::new(), &settings);
    let client = Encrypted::after_starttls(relay.network.stranger(), relay.listener("branches"));
    let cases = [
        ("by name", &branch, 250),
        ("by fingerprint", &listed, 250),
        ("another name", &other, 550),
        ("a name that nobody vouches for", &forged, 550),
    ];
    for (what, pair, code) in cases {
        let dialogue = client.clone().showing(pair).ready();
        assert_eq!(asked_for_foreign(dialogue), code, "{what}");
    }
    assert_eq!(
        asked_for_foreign(client.ready()),
        550,
        "without a certificate"
    );
    // The other listener lists none.
    assert_eq!(
        asked_for_foreign(client_of(&relay).showing(&branch).ready()),
        550
    );
}

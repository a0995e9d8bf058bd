//! Mail that somebody passed on, sealed by dkimpy: the chain is told of, a condition of rules, and
//! counts where DMARC fails if whoever sealed it is believed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::client::Dialogue;
use crate::dns::NameServer;
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::RecordingServer;

const SEALER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../dkim/tests/peers/arc_dkimpy.py"
);

/// A message of an author whose domain refuses what it did not send, passed on by `sealer`, who found
/// that it came from there.
fn sealed(folder: &Path, key: &str, sealer: &str, id: &str) -> String {
    let message = format!(
        "Authentication-Results: {sealer}; arc=none; dmarc=pass header.from=strict.test\r\n\
         From: ann@strict.test\r\nSubject: {id}\r\nMessage-ID: <{id}@strict.test>\r\n\
         Date: Mon, 06 Jul 2026 10:00:00 +0000\r\n\r\nHello\r\n"
    );
    let file = folder.join("message.eml").display().to_string();
    fs::write(&file, message).expect("a file");
    let said = run("/usr/bin/python3", &[SEALER, "seal", key, sealer, &file]);
    said.expect_code(0).out
}

#[test]
fn who_is_believed_vouches_for_what_it_passed_on() {
    let (network, folder) = (Network::new(), TempDir::new().expect("a temporary folder"));
    let mut relay = Relay::prepare(network, "");
    let out = folder.path().display().to_string();
    let made = [
        "dkim",
        "keygen",
        "list.test",
        "--selector",
        "k",
        "--out",
        &out,
    ];
    let made = relay.command(&made).expect_code(0).out;
    let (key, record) = made.split_once('\n').expect("a file and a record");
    let strangers = record.replace("list.test", "evil.test");
    let zone = format!(
        "strict TXT \"v=spf1 -all\"\n_dmarc.strict TXT \"v=DMARC1; p=reject\"\n{record}\n{strangers}\n"
    );
    let names = NameServer::start(relay.network.name_server(), &zone);
    let server = RecordingServer::start(relay.network.mail_server());
    relay.write_config(&format!(
        "{}[domain.\"hosted.test\"]\nroute = \"{}\"\n[authentication]\ndmarc = \"respect\"\n\
         arc_trusted = [\"list.test\"]\n\
         [[screen]]\nname = \"passed on\"\nwhen.arc = \"pass\"\nadd_header = \"X-Passed-On: yes\"\n",
        names.config(),
        server.route(),
    ));
    relay.run();
    let send = |text: &str| {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        let answer = client.submit("bounce@list.test", &["bob@hosted.test"], text);
        answer.text()
    };
    let good = sealed(folder.path(), key, "list.test", "believed");
    let answer = send(&good);
    assert!(answer.starts_with("250"), "{answer}");
    let received = server.wait_for("believed");
    let results = &received.headers("Authentication-Results")[0];
    for expected in [
        "arc=pass (good, i=1 list.test) header.oldest-pass=0",
        "dmarc=fail",
        "list.test vouches for the author",
    ] {
        let results = results.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(results.contains(expected), "{expected}: {results}");
    }
    assert_eq!(received.header("X-Passed-On").as_deref(), Some("yes"));
    let longer = send(&format!("{good}Footer\r\n"));
    assert!(longer.starts_with("550 5.7.26"), "{longer}");
    let stranger = send(&sealed(folder.path(), key, "evil.test", "stranger"));
    assert!(stranger.starts_with("550 5.7.26"), "{stranger}");

    let file = folder.path().join("checked.eml");
    fs::write(&file, &good).expect("a file");
    let (client, file) = (
        relay.network.stranger().to_string(),
        file.display().to_string(),
    );
    let checked = relay.command(&[
        "relay",
        "check",
        "--client",
        &client,
        "--mail",
        "bounce@list.test",
        "--rcpt",
        "bob@hosted.test",
        "--message",
        &file,
    ]);
    let checked = checked.expect_code(0);
    for expected in [
        "arc pass: good, i=1 list.test",
        "arc, list.test vouches for the author",
    ] {
        assert!(
            checked.out.contains(expected),
            "{expected}: {}",
            checked.out
        );
    }
}

//! Real rspamd and spamd learn from what is in quarantine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::programs::{PASSWORD, Program};
use super::{Dialogue, Network, RecordingServer, Relay, message};

/// A relay that holds all mail, with a scanner that learns.
fn relay(network: Network, program: &Program, more: &str) -> (Relay, RecordingServer) {
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let teacher = program.teacher.expect("it learns");
    put_password(&relay, PASSWORD);
    let section = program.section();
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [[screen]]\nname = \"all\"\nthen = \"hold\"\n\
         {section}learn_address = \"{teacher}\"\n{more}",
        server.route(),
    ));
    relay.run();
    (relay, server)
}

fn put_password(relay: &Relay, password: &str) {
    let file = relay.folder().join("password");
    fs::write(&file, password).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("rights");
}

/// So many words that there is something to learn.
fn content(id: &str) -> String {
    let words: String = (0..200)
        .map(|n| format!("{id}{n} thing{}\r\n", n * 7))
        .collect();
    format!("{}{words}", message(id))
}

/// Holds such a message, and tells its id.
fn held(relay: &Relay, id: &str) -> String {
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    let taken = client.submit("ann@client.test", &["bob@hosted.test"], &content(id));
    assert_eq!(taken.code, 250, "{}", taken.text());
    let rows = relay
        .command(&["--json", "quarantine", "list"])
        .expect_code(0);
    let rows: Value = serde_json::from_str(&rows.out).expect("JSON");
    let all = rows.as_array().expect("rows").iter();
    let mut named = all.filter(|row| row["subject"] == id);
    let id = named.next().expect("the message")["id"].as_str();
    id.expect("an id").to_owned()
}

fn said(relay: &Relay, words: &[&str], code: i32) -> String {
    relay
        .command(&[&["quarantine"], words].concat())
        .expect_code(code)
        .text()
}

#[test]
#[ignore = "needs spamd: scripts/test scanners"]
fn spamd_learns_from_the_quarantine_and_says_what_it_knew() {
    let network = Network::new();
    let mut spamd = Program::spamd(&network);
    spamd.start();
    let (relay, server) = relay(network, &spamd, "");
    let (first, second) = (held(&relay, "first"), held(&relay, "second"));
    let learned = said(&relay, &["learn-spam"], 0);
    for id in [&first, &second] {
        assert!(learned.contains(&format!("{id}: looker at ")), "{learned}");
    }
    assert_eq!(learned.matches(": it learned").count(), 2, "{learned}");
    assert!(learned.contains("2 messages were shown"), "{learned}");
    let again = said(&relay, &["learn-spam", &format!("id:{first}")], 0);
    assert!(again.contains("did not have to learn"), "{again}");
    let released = said(&relay, &["release", &format!("id:{first}"), "--learn"], 0);
    assert!(released.contains(": it learned"), "{released}");
    server.wait_for("first");
    relay.wait_for_log(&["a scanner is taught", &first, "\"ham\"", "looker"]);
    let deleted = said(&relay, &["delete", "--learn", "--yes"], 0);
    assert!(deleted.contains("did not have to learn"), "{deleted}");
    assert!(deleted.contains("delete: 1 recipients"), "{deleted}");
    let nothing = said(&relay, &["learn-ham"], 0);
    assert_eq!(nothing.trim(), "0 messages were shown to scanners");
}

#[test]
#[ignore = "needs rspamd: scripts/test scanners"]
fn rspamd_learns_by_its_password_and_adds_to_its_fuzzy_list() {
    let network = Network::new();
    let mut rspamd = Program::rspamd(&network);
    rspamd.start();
    let more = "learn_secret = \"file:password\"\nlearn_fuzzy_flag = 1\nlearn_fuzzy_weight = 50\n";
    let (relay, _server) = relay(network, &rspamd, more);
    let id = held(&relay, "first");
    let learned = said(&relay, &["learn-spam", &id], 0);
    assert!(
        learned.contains("looker at ") && learned.contains(": it learned"),
        "{learned}"
    );
    assert!(learned.contains("its fuzzy list learned"), "{learned}");
    let ham = said(&relay, &["learn-ham", &id], 0);
    assert!(ham.contains(": it learned"), "{ham}");
    let json = relay
        .command(&["--json", "quarantine", "learn-ham", &id])
        .expect_code(0);
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    let [first, ..] = &told[0]["answers"].as_array().expect("answers")[..] else {
        panic!("{told}");
    };
    assert!(["learned", "not-needed"].contains(&first["result"].as_str().expect("a word")));
    put_password(&relay, "another");
    relay.command(&["reload"]).expect_code(0);
    let refused = said(&relay, &["learn-spam", &id], 1);
    assert!(
        refused.contains("did not learn: failed: HTTP 401"),
        "{refused}"
    );
    assert!(refused.contains("1 messages were not learned"), "{refused}");
}

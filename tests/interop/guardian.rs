//! Somebody has ann's password, and sends in her name.

use serde_json::Value;

use crate::client::message;
use crate::server::Received;
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};

const CONFIG: &str = "\n[guardian]\nover_limit = \"hold\"\n\
                      [guardian.per_user]\nnew_recipients = \"3/24h\"\n";

/// Has ann send one message to these.
fn send(setup: &SubmissionSetup, subject: &str, to: &[&str]) {
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    let reply = dialogue.submit(USER, to, &message(subject));
    assert_eq!(reply.code, 250, "{}", reply.text());
}

fn is_warning(received: &Received) -> bool {
    received.subject() == format!("Too much is sent by user {USER}")
}

fn held(setup: &SubmissionSetup) -> String {
    let count = ["queue", "count", "state:held"];
    setup.relay.command(&count).expect_code(0).out
}

/// The row of ann: what is too much, and her recipients of a day.
fn row(setup: &SubmissionSetup) -> (String, u64) {
    let shown = setup
        .relay
        .command(&["--json", "guardian", "list"])
        .expect_code(0);
    let rows: Value = serde_json::from_str(&shown.out).expect("JSON");
    let row = &rows[0];
    assert_eq!((&row["kind"], &row["name"]), (&"user".into(), &USER.into()));
    let why = row["why"].as_str().unwrap_or_default().to_owned();
    (why, row["day"]["recipients"].as_u64().expect("a count"))
}

#[test]
fn a_stolen_account_is_held_and_the_postmaster_told_once() {
    let mut setup = SubmissionSetup::open(CONFIG);
    send(&setup, "usual", &["a@there.test", "b@there.test"]);
    setup.server.wait_for("usual");
    let many: Vec<String> = (0..20).map(|n| format!("victim-{n}@there.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    send(&setup, "stolen", &many);
    send(&setup, "stolen again", &many);
    let warning = setup.server.wait_where("a warning", is_warning);
    let place = setup.relay.place_of("new_recipients");
    let why =
        |count| format!("{count} new recipients of user {USER} in 24 h, more than 3 ({place})");
    // Lines of the warning are short.
    let text = warning.text().replace("\r\n", " ").replace('\n', " ");
    assert!(text.contains(&why(22)), "{text}");
    assert!(text.contains("gatepost queue release"), "{text}");
    assert!(held(&setup).contains("40 are held"), "{}", held(&setup));
    assert_eq!(row(&setup), (why(42), 42));
    let status = setup.relay.status().expect("a status");
    let attention = status["attention"].to_string();
    assert!(attention.contains(&why(42)), "{attention}");
    setup
        .relay
        .wait_for_log(&["too much is sent", USER, &place]);
    let tracked = setup
        .relay
        .command(&["track", "to:victim-3@*"])
        .expect_code(0);
    assert!(tracked.out.contains("held"), "{}", tracked.out);
    let metrics = setup
        .relay
        .command(&["status", "--metrics"])
        .expect_code(0)
        .out;
    for line in [
        "gatepost_guardian_subjects_over{kind=\"user\"} 1",
        "gatepost_guardian_messages_total{result=\"held\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}");
    }

    // A restart forgets none of it, and goes on with the same episode.
    assert!(setup.relay.stop().success());
    setup.relay.run();
    assert_eq!(row(&setup), (why(42), 42));
    send(&setup, "known", &["a@there.test"]);
    assert_eq!(row(&setup), (why(42), 43));
    setup.relay.command(&["queue", "release"]).expect_code(0);
    setup.server.wait_for("stolen");
    setup.server.wait_for("known");
    setup.relay.wait_until_empty();
    let received = setup.server.received();
    assert_eq!(received.iter().filter(|one| is_warning(one)).count(), 1);

    let config = std::fs::read_to_string(setup.relay.config()).expect("a configuration");
    setup
        .relay
        .write_whole_config(&config.replace("\"hold\"", "\"postpone\""));
    setup.relay.command(&["reload"]).expect_code(0);
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    let reply = dialogue.ask(&format!("MAIL FROM:<{USER}>"), 451);
    assert_eq!(
        reply.text(),
        "451 4.7.1 Too many new recipients from you, try again later"
    );
    let clear = ["guardian", "clear", "user"];
    let cleared = setup
        .relay
        .command(&[&clear[..], &[USER]].concat())
        .expect_code(0);
    assert_eq!(cleared.out.trim(), format!("user {USER}: counted anew"));
    dialogue.ask(&format!("MAIL FROM:<{USER}>"), 250);
    let nobody = setup.relay.command(&[&clear[..], &["nobody"]].concat());
    assert!(
        nobody.err.contains("nothing is counted of user nobody"),
        "{}",
        nobody.err
    );
}
